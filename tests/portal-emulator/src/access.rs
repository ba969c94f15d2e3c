//! Who may do what.

use std::collections::BTreeSet;

use crate::config::PortalConfig;
use crate::error::ApiError;

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

    /// Checks the scope that a method needs.
    pub(crate) fn permit(&self, method: &str) -> Result<(), ApiError> {
        let granted = !method.starts_with("crm.") || self.scopes.contains("crm");
        if granted { Ok(()) } else { Err(ApiError::insufficient_scope()) }
    }
}
