//! What stands in for what is not configured, and this machine's clock.

use std::sync::Arc;

use async_trait::async_trait;
use b24sync_adapter_supabase::{SupabaseAuthenticator, SupabaseSettings};
use b24sync_domain::access::{Identity, Refusal};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SyncError};
use b24sync_domain::ports::{Authenticator, Clock, MappingCheck, MappingQuery, MetricsQuery};
use chrono::{DateTime, Utc};

use crate::settings::Problems;

/// Who verifies tokens; nobody gets in where no project is configured. Problems of its settings are added to `problems`.
pub fn authenticator(settings: Option<&SupabaseSettings>, problems: &mut Problems) -> Arc<dyn Authenticator> {
    let Some(settings) = settings else { return Arc::new(NobodyEnters) };
    let wrong = settings.problems();
    if !wrong.is_empty() {
        for problem in wrong {
            problems.add(problem);
        }
        return Arc::new(NobodyEnters);
    }
    match SupabaseAuthenticator::new(settings, Arc::new(SystemClock)) {
        Ok(authenticator) => Arc::new(authenticator),
        Err(error) => {
            problems.add(Chain(&error));
            Arc::new(NobodyEnters)
        }
    }
}

/// No project is configured, so that no token can be good.
pub(super) struct NobodyEnters;

#[async_trait]
impl Authenticator for NobodyEnters {
    async fn identify(&self, _token: &str) -> Result<Identity, Refusal> {
        Err(Refusal::UnknownKey)
    }

    fn forget_keys(&self) {}
}

/// An instance without a portal tries no mapping.
pub struct NoPortal;

#[async_trait]
impl MappingQuery for NoPortal {
    async fn check(&self, _entity: EntityType) -> Result<MappingCheck, SyncError> {
        Err(SyncError::NoPortal)
    }
}

/// Nobody asked for figures, and the interface lets nobody ask.
pub(super) struct NoFigures;

#[async_trait]
impl MetricsQuery for NoFigures {
    async fn exposition(&self) -> String {
        String::new()
    }
}

/// This machine's clock.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where this machine's clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
