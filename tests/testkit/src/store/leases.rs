//! Leases.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, HeldBy, Lease, Scope};
use b24sync_domain::ports::LeaseStore;
use chrono::DateTime;

use super::{FakeStore, HeldLease};

#[async_trait]
impl LeaseStore for FakeStore {
    async fn acquire(&self, scope: Scope, holder: &str, _ttl: Duration) -> Result<Grant, StoreError> {
        let mut state = self.state();
        let lease = state.leases.entry(scope).or_insert_with(|| HeldLease { holder: String::new(), token: 0 });
        if !lease.holder.is_empty() && lease.holder != holder {
            return Ok(Grant::Held(HeldBy { holder: lease.holder.clone(), expires_at: DateTime::UNIX_EPOCH }));
        }
        holder.clone_into(&mut lease.holder);
        lease.token += 1;
        Ok(Grant::Granted(Lease { scope, token: lease.token }))
    }

    async fn take_over(
        &self,
        scope: Scope,
        holder: &str,
        gone: &HeldBy,
        _ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let mut state = self.state();
        let Some(lease) = state.leases.get_mut(&scope).filter(|lease| lease.holder == gone.holder) else {
            return Ok(None);
        };
        holder.clone_into(&mut lease.holder);
        lease.token += 1;
        Ok(Some(Lease { scope, token: lease.token }))
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<(), StoreError> {
        self.state().fence(lease)
    }

    async fn holder(&self, scope: Scope) -> Result<Option<HeldBy>, StoreError> {
        let state = self.state();
        let held = state.leases.get(&scope).filter(|lease| !lease.holder.is_empty());
        Ok(held.map(|lease| HeldBy { holder: lease.holder.clone(), expires_at: DateTime::UNIX_EPOCH }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(held) = state.leases.get_mut(&lease.scope).filter(|held| held.token == lease.token) {
            held.holder.clear();
        }
        Ok(())
    }
}
