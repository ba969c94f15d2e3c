//! An application and everything that its installation brought about.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bindings::Bindings;
use super::offline::OfflineQueue;
use super::rules::ApplicationRules;
use super::tokens::{Pair, Tokens};
use crate::data::{mix, salt_of};

/// An application as its card describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Application {
    /// `local.…` for a local application.
    pub client_id: String,
    /// The secret that only the authorisation server is told.
    pub client_secret: String,
    /// The initial installation path: gets the tokens right after the installation.
    pub install_url: Option<String>,
    /// Where a user is sent with a code after authorisation.
    pub redirect_uri: Option<String>,
    /// Granted scopes.
    pub scope: Vec<String>,
    /// `L` local, `F` free, `D` demo, `T` trial, `P` paid, `S` subscription.
    pub status: String,
}

impl Default for Application {
    /// A local application for CRM.
    fn default() -> Self {
        Self {
            client_id: "local.f4k3000000000000.00000001".to_owned(),
            client_secret: "f4k3s3cr3tf4k3s3cr3tf4k3s3cr3tf4k3s3cr3tf4k3s3cr3t".to_owned(),
            install_url: None,
            redirect_uri: None,
            scope: vec!["crm".to_owned()],
            status: "L".to_owned(),
        }
    }
}

/// The tokens that an application was given last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssuedTokens {
    /// For calls.
    pub access_token: String,
    /// For the next pair.
    pub refresh_token: String,
    /// When the access token ends, in epoch seconds of the portal's clock.
    pub expires: i64,
    /// Comes with every event; constant for an application on a portal.
    pub application_token: String,
}

/// An installation.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) application: Application,
    pub(crate) version: u32,
    pub(crate) application_token: Arc<str>,
    pub(crate) tokens: Tokens,
    pub(crate) bindings: Bindings,
    pub(crate) offline: OfflineQueue,
}

impl Installed {
    /// Installs an application for the `number`-th time, with its first tokens.
    pub(crate) fn new(application: Application, seed: u64, number: u64, now: i64, rules: &ApplicationRules) -> Self {
        let root = mix(seed ^ salt_of(&application.client_id));
        let mut tokens = Tokens::new(mix(root ^ number));
        tokens.issue(now, rules);
        Self {
            application,
            version: 1,
            application_token: format!("{:016x}{:016x}", mix(root), mix(root ^ 1)).into(),
            tokens,
            bindings: Bindings::default(),
            offline: OfflineQueue::default(),
        }
    }

    /// The scopes as tokens print them.
    pub(crate) fn scope_text(&self) -> String {
        self.application.scope.join(",")
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.application.scope.iter().any(|granted| granted == scope)
    }

    /// The tokens that were issued last.
    pub(crate) fn issued(&self) -> IssuedTokens {
        let Pair { access_token, refresh_token, expires } = self.tokens.latest().clone();
        IssuedTokens { access_token, refresh_token, expires, application_token: self.application_token.to_string() }
    }

    pub(crate) fn expire_access_tokens(&mut self) {
        self.tokens.expire_access();
    }
}
