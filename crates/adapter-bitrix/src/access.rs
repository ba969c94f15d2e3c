//! How the portal is called: with an incoming webhook, or as an application.

use std::sync::Arc;

use url::Url;

use crate::config::ConfigError;
use crate::oauth::TokenKeeper;
use crate::webhook::WebhookUrl;

/// What lets us in.
#[derive(Debug, Clone)]
pub enum Access {
    /// An incoming webhook: a code in the address.
    Webhook(WebhookUrl),
    /// An application: a token in each request.
    Application(Arc<TokenKeeper>),
}

impl From<WebhookUrl> for Access {
    fn from(webhook: WebhookUrl) -> Self {
        Access::Webhook(webhook)
    }
}

impl From<Arc<TokenKeeper>> for Access {
    fn from(keeper: Arc<TokenKeeper>) -> Self {
        Access::Application(keeper)
    }
}

impl Access {
    /// The portal's host, for people; with the port where it is not the usual one.
    pub fn host(&self) -> String {
        match self {
            Access::Webhook(webhook) => webhook.host().to_owned(),
            Access::Application(keeper) => keeper.settings().portal.host(),
        }
    }

    /// Where methods are called; the webhook's code is in it.
    pub(crate) fn endpoint(&self) -> Result<Url, ConfigError> {
        match self {
            Access::Webhook(webhook) => webhook.expose(),
            Access::Application(keeper) => Ok(keeper.settings().portal.endpoint()),
        }
    }

    /// The setting that holds the portal's address.
    pub(crate) fn setting(&self) -> &'static str {
        match self {
            Access::Webhook(_) => "BITRIX_WEBHOOK_URL",
            Access::Application(_) => "BITRIX_PORTAL_URL",
        }
    }
}
