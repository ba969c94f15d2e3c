//! The portal that the replica belongs to.

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::portal::{EntityProbe, KeptProbe, KnownPortal, PortalProfile};
use b24sync_domain::ports::{Claim, PortalStore};
use chrono::DateTime;

use super::FakeStore;

#[async_trait]
impl PortalStore for FakeStore {
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError> {
        let mut state = self.state();
        match &state.portal {
            Some(known) if known != address && !moved => Ok(Claim::Another(known.clone())),
            _ => {
                state.portal = Some(address.to_owned());
                Ok(Claim::Ours)
            }
        }
    }

    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError> {
        let state = self.state();
        let known = |address: &String| KnownPortal {
            address: address.clone(),
            profile: state.profile.clone(),
            checked_at: state.profile.as_ref().map(|_| DateTime::UNIX_EPOCH),
        };
        Ok(state.portal.as_ref().map(known))
    }

    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError> {
        let state = self.state();
        let user = state.profile.as_ref().map(|profile| profile.user_id);
        Ok(state.probes.get(&entity).map(|(probe, of)| KeptProbe {
            probe: probe.clone(),
            checked_at: DateTime::UNIX_EPOCH,
            stale: *of != user,
        }))
    }

    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError> {
        self.state().profile = Some(profile.clone());
        Ok(())
    }

    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError> {
        let mut state = self.state();
        let user = state.profile.as_ref().map(|profile| profile.user_id);
        state.probes.insert(probe.entity, (probe.clone(), user));
        Ok(())
    }
}
