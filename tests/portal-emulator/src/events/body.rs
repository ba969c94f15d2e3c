//! The body of a request to a handler (REST.md 10.2).

use std::sync::Arc;

use super::Form;
use crate::application::Installed;
use crate::delivery::Parcel;
use crate::inner::Inner;
use crate::param::Param;

/// What a handler is given besides the event.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    pub(crate) application_token: Arc<str>,
    pub(crate) grant: Grant,
}

/// Which tokens come with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// None: outgoing webhooks, robots, `ONAPPUNINSTALL`.
    Nothing,
    /// One for calls.
    Access,
    /// One for calls, and one for the next pair at the end: `ONOFFLINEEVENT`.
    AccessAndRefresh,
    /// The pair of the installation, in the shape of `ONAPPINSTALL`.
    Installation,
}

/// Writes the body as it is sent now: `ts` is the moment of sending, not that of the change.
pub(crate) fn body(inner: &Inner, parcel: &Parcel) -> String {
    let mut form = Form::default();
    form.put("event", &parcel.event.name);
    if let Some(id) = parcel.handler_id {
        form.put("event_handler_id", &id.to_string());
    }
    form.tree("data", &parcel.event.data);
    form.put("ts", &inner.clock.now_seconds().to_string());
    form.tree("auth", &Param::Map(auth(inner, &parcel.auth)));
    form.into_text()
}

type Members = Vec<(String, Param)>;

fn members<const N: usize>(members: [(&str, String); N]) -> Members {
    members.map(|(name, value)| (name.to_owned(), Param::Text(value))).into()
}

/// The block of a listener; without tokens if the application is gone by now.
fn auth(inner: &Inner, auth: &Auth) -> Members {
    let block = |installed: &mut Installed| match auth.grant {
        Grant::Nothing => None,
        Grant::Access => Some((access(inner, installed), None)),
        Grant::AccessAndRefresh => Some((access(inner, installed), Some(installed.issued().refresh_token))),
        Grant::Installation => Some((installation(inner, installed), None)),
    };
    let block = if auth.grant == Grant::Nothing { None } else { inner.hub.with_application(block).flatten() };
    let (mut block, refresh_token) = block.unwrap_or_else(|| (anonymous(inner), None));
    block.push(("application_token".to_owned(), Param::Text(auth.application_token.to_string())));
    block.extend(refresh_token.map(|token| ("refresh_token".to_owned(), Param::Text(token))));
    block
}

/// The short block: the listener is told where, not as whom.
fn anonymous(inner: &Inner) -> Members {
    let address = inner.address();
    members([
        ("domain", address.domain().to_owned()),
        ("client_endpoint", address.endpoint()),
        ("server_endpoint", address.endpoint()),
        ("member_id", inner.config.member_id.clone()),
    ])
}

fn access(inner: &Inner, installed: &mut Installed) -> Members {
    let (now, rules, address) = (inner.clock.now_seconds(), &inner.config.application_rules, inner.address());
    members([
        ("access_token", installed.tokens.for_event(now, rules)),
        ("expires", (now + rules.access_token_seconds).to_string()),
        ("expires_in", rules.access_token_seconds.to_string()),
        ("scope", installed.scope_text()),
        ("domain", address.domain().to_owned()),
        ("server_endpoint", address.endpoint()),
        ("status", installed.application.status.clone()),
        ("client_endpoint", address.endpoint()),
        ("member_id", inner.config.member_id.clone()),
        ("user_id", inner.config.user_id.to_string()),
    ])
}

fn installation(inner: &Inner, installed: &mut Installed) -> Members {
    let (issued, address) = (installed.issued(), inner.address());
    members([
        ("domain", address.domain().to_owned()),
        ("scope", installed.scope_text()),
        ("access_token", issued.access_token),
        ("refresh_token", issued.refresh_token),
        ("expires_in", (issued.expires - inner.clock.now_seconds()).to_string()),
        ("server_endpoint", address.endpoint()),
        ("status", installed.application.status.clone()),
        ("client_endpoint", address.endpoint()),
        ("member_id", inner.config.member_id.clone()),
    ])
}
