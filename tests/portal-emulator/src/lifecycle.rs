//! An application comes, is updated and goes (REST.md 12.1, 12.5), and what tests can see of it.

use std::sync::Arc;

use crate::application::{Application, BoundHandler, Installed, IssuedTokens, OauthStats, OfflineRecord};
use crate::changes::Origin;
use crate::delivery::Parcel;
use crate::events::{Auth, Event};
use crate::portal::Portal;

/// A version as events print it.
fn version_text(version: u32) -> String {
    format!("{version}.0.0")
}

impl Portal {
    /// Installs an application as one that uses only the API: its installation path gets the tokens, and events may
    /// flow at once. One that was there before makes room without a word. Returns its first tokens.
    pub fn install_application(&self, application: Application) -> IssuedTokens {
        let (inner, now) = (self.inner(), self.inner().clock.now_seconds());
        let rules = &inner.config.application_rules;
        let install_url = application.install_url.clone();
        let issued = inner.hub.install(|number| Installed::new(application, inner.config.seed, number, now, rules));
        if let Some(url) = install_url {
            let event = Event::installed(version_text(1));
            let auth = Auth { application_token: issued.application_token.as_str().into(), grant: event.grant() };
            let parcel = Parcel { handler_id: None, url: url.into(), event: Arc::new(event), auth };
            // No event that goes through the queue, so nothing of the plan but its delay concerns it.
            inner.hub.office.put_certain(parcel);
        }
        issued
    }

    /// Installs the next version. Handlers of `ONAPPUPDATE` hear of it before all handlers are removed, if the rules
    /// say that they are. Returns whether there is an application.
    pub fn update_application(&self) -> bool {
        let inner = self.inner();
        let versions = inner.hub.with_application(|installed| {
            let previous = version_text(installed.version);
            installed.version += 1;
            (version_text(installed.version), previous)
        });
        let Some((version, previous)) = versions else { return false };
        inner.announce(Origin::default(), || Event::updated(version, previous));
        if inner.config.application_rules.update_removes_handlers {
            inner.hub.with_application(|installed| installed.bindings.clear());
        }
        true
    }

    /// Removes the application with its tokens, handlers and offline queue. Handlers of `ONAPPUNINSTALL` hear of it,
    /// without tokens; `clean` asks them to delete their data. Returns whether there was an application.
    pub fn uninstall_application(&self, clean: bool) -> bool {
        self.inner().announce(Origin::default(), || Event::uninstalled(clean));
        self.inner().hub.uninstall()
    }

    /// The tokens that the application was given last.
    pub fn application_tokens(&self) -> Option<IssuedTokens> {
        self.inner().hub.with_application(|installed| installed.issued())
    }

    /// Ends all access tokens at once; refresh tokens stay.
    pub fn expire_access_tokens(&self) {
        self.inner().hub.with_application(Installed::expire_access_tokens);
    }

    /// The handlers that the application bound.
    pub fn handlers(&self) -> Vec<BoundHandler> {
        let handlers = |installed: &mut Installed| installed.bindings.handlers().cloned().collect();
        self.inner().hub.with_application(handlers).unwrap_or_default()
    }

    /// The rows of the offline queue, reserved and failed ones included.
    pub fn offline_events(&self) -> Vec<OfflineRecord> {
        self.inner().hub.with_application(|installed| installed.offline.records()).unwrap_or_default()
    }

    /// What was asked of the authorisation server.
    pub fn oauth_stats(&self) -> OauthStats {
        self.inner().hub.oauth_stats()
    }
}
