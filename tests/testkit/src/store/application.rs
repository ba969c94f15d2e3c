//! What the service keeps as an application of the portal.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{Kept, RegistrationStore, TokenVault};

use super::FakeStore;

#[async_trait]
impl TokenVault for FakeStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        let (version, sealed) = self.state().vault.clone();
        Ok(Kept { version, sealed, age: Duration::ZERO })
    }

    async fn replace(&self, known: i64, sealed: Option<Vec<u8>>) -> Result<Option<i64>, StoreError> {
        let mut state = self.state();
        let (version, kept) = &mut state.vault;
        if *version != known {
            return Ok((*version == known + 1 && *kept == sealed).then_some(*version));
        }
        (*version, *kept) = (known + 1, sealed);
        Ok(Some(*version))
    }
}

#[async_trait]
impl RegistrationStore for FakeStore {
    async fn handler(&self) -> Result<Option<String>, StoreError> {
        Ok(self.state().handler.clone())
    }

    async fn keep_handler(&self, handler: Option<String>) -> Result<(), StoreError> {
        self.state().handler = handler;
        Ok(())
    }
}
