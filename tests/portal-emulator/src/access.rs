//! Who calls, and who may do what.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::application::TokenProblem;
use crate::config::PortalConfig;
use crate::error::ApiError;
use crate::inner::Inner;
use crate::param::Param;

/// How a call was authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// By the secret in the address of an incoming webhook.
    Webhook,
    /// By an access token of the application.
    Application,
}

/// What a request brings along to be let in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credentials<'c> {
    Webhook {
        user_id: &'c str,
        code: &'c str,
    },
    /// A token in `auth`, or in the header `Authorization`.
    Token {
        bearer: Option<&'c str>,
    },
}

/// The rights of the webhook and of its user.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) admin: bool,
    /// The user may read CRM records at all.
    pub(crate) crm_rights: bool,
    /// The webhook works.
    pub(crate) active: bool,
}

impl Access {
    pub(crate) fn new(config: &PortalConfig) -> Self {
        Self { scopes: config.scopes.clone(), admin: config.admin, crm_rights: true, active: true }
    }

    /// Checks the webhook address.
    pub(crate) fn authorise(&self, config: &PortalConfig, user_id: &str, code: &str) -> Result<(), ApiError> {
        let known = user_id == config.user_id.to_string() && code == config.webhook_code;
        if known && self.active { Ok(()) } else { Err(ApiError::no_auth()) }
    }
}

impl Inner {
    /// Finds out who calls.
    pub(crate) fn authorise(&self, credentials: Credentials<'_>, params: &Param) -> Result<Caller, ApiError> {
        match credentials {
            Credentials::Webhook { user_id, code } => {
                self.access().authorise(&self.config, user_id, code).map(|()| Caller::Webhook)
            }
            Credentials::Token { bearer } => {
                let sent = params.get("auth").and_then(Param::text).filter(|token| !token.is_empty());
                let token = sent.or(bearer.map(Cow::Borrowed)).ok_or_else(ApiError::no_auth)?;
                self.check_token(&token).map(|()| Caller::Application)
            }
        }
    }

    fn check_token(&self, token: &str) -> Result<(), ApiError> {
        let now = self.clock.now_seconds();
        match self.hub.with_application(|installed| installed.tokens.check(token, now)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TokenProblem::Expired)) => Err(ApiError::known("expired_token")),
            None if self.hub.is_uninstalled() => Err(ApiError::known("APPLICATION_NOT_FOUND")),
            Some(Err(TokenProblem::Unknown)) | None => Err(ApiError::known("invalid_token")),
        }
    }

    /// The scopes of a caller.
    pub(crate) fn scopes(&self, caller: Caller) -> BTreeSet<String> {
        match caller {
            Caller::Webhook => self.access().scopes.clone(),
            Caller::Application => {
                let granted = self.hub.with_application(|installed| installed.application.scope.clone());
                granted.unwrap_or_default().into_iter().collect()
            }
        }
    }

    /// Checks the scope that a method needs.
    pub(crate) fn permit(&self, caller: Caller, method: &str) -> Result<(), ApiError> {
        let granted = !method.starts_with("crm.")
            || match caller {
                Caller::Webhook => self.access().scopes.contains("crm"),
                Caller::Application => {
                    self.hub.with_application(|installed| installed.has_scope("crm")).unwrap_or(false)
                }
            };
        if granted { Ok(()) } else { Err(ApiError::insufficient_scope()) }
    }
}
