//! What the portal and its users tell the application about itself.

use async_trait::async_trait;
use b24sync_domain::application::{ApplicationError, Installation};
use b24sync_domain::ports::ApplicationControl;
use b24sync_domain::secret::Secret;

use super::ApplicationService;

#[async_trait]
impl ApplicationControl for ApplicationService {
    async fn installed(&self, installation: Installation) -> Result<(), ApplicationError> {
        self.ports.grant.install(&installation).await?;
        tracing::info!("the application was installed");
        self.begin().await
    }

    async fn uninstalled(&self, clean: bool) -> Result<(), ApplicationError> {
        self.ports.grant.revoke().await?;
        tracing::warn!(
            clean,
            "the application was removed from the portal; nothing is synced until it is installed again"
        );
        if clean {
            tracing::warn!(
                "whoever removed it asked for its data to be deleted; the replica stays until an operator drops it"
            );
        }
        Ok(())
    }

    async fn updated(&self) -> Result<(), ApplicationError> {
        tracing::info!("the application has a new version in the portal; its handlers are looked after");
        self.calls.handlers.notify_one();
        Ok(())
    }

    fn offline_events(&self) {
        self.calls.queue.notify_one();
    }

    async fn exchange_code(&self, code: Secret, server: Option<String>) -> Result<(), ApplicationError> {
        self.ports.grant.redeem(&code, server).await?;
        tracing::info!("the application was authorised");
        self.begin().await
    }

    async fn application_token(&self) -> Result<Option<Secret>, ApplicationError> {
        Ok(self.ports.grant.application_token().await?)
    }

    fn authorize_url(&self, state: &str) -> Option<String> {
        self.ports.grant.authorize_url(state)
    }
}

impl ApplicationService {
    /// With new tokens everything can go on; where events go is remembered from before, or from the settings.
    async fn begin(&self) -> Result<(), ApplicationError> {
        if let Some(handler) = &self.options.handler
            && self.ports.registrations.handler().await?.is_none()
        {
            self.ports.registrations.keep_handler(Some(handler.as_str().to_owned())).await?;
        }
        self.calls.handlers.notify_one();
        self.calls.queue.notify_one();
        // Whatever changed so far was told to nobody: syncs begin at once.
        self.signals.open_gap();
        Ok(())
    }
}
