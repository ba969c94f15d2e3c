//! The ports of the service as an application, on a portal: its right to call, its handlers, its offline queue.

use async_trait::async_trait;
use b24sync_domain::application::{BoundHandler, Installation, OfflineBatch, TokenError};
use b24sync_domain::error::SourceError;
use b24sync_domain::ports::{EventSubscriptions, OfflineQueue, PortalGrant};
use b24sync_domain::secret::Secret;
use serde_json::json;

use crate::access::Access;
use crate::command::MAX_COMMANDS;
use crate::oauth::TokenKeeper;
use crate::reader::{ChangeHandlers, Plain, handlers, offline};
use crate::source::BitrixSource;

impl BitrixSource {
    fn keeper(&self) -> Result<&TokenKeeper, TokenError> {
        match self.transport.access() {
            Access::Application(keeper) => Ok(keeper),
            Access::Webhook(_) => Err(TokenError::NoApplication),
        }
    }

    async fn change(
        &self,
        change: handlers::Change,
        handlers: &[BoundHandler],
    ) -> Result<Vec<Option<String>>, SourceError> {
        let mut outcomes = Vec::with_capacity(handlers.len());
        for handlers in handlers.chunks(MAX_COMMANDS) {
            outcomes.extend(self.transport.call(&ChangeHandlers { change, handlers }, None).await?);
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl PortalGrant for BitrixSource {
    async fn install(&self, installation: &Installation) -> Result<(), TokenError> {
        let keeper = self.keeper()?;
        if let Some(problem) = keeper.contradiction(installation).await? {
            return Err(TokenError::NotProven { problem });
        }
        // Of all that may be asked, this can be asked by applications only, and does not use the refresh token up.
        let question = Plain { method: "app.info", params: json!({}), read: handlers::application_code };
        match self.transport.call_with(&installation.access_token, &question).await {
            Ok(code) if is_another(&code, &keeper.settings().client_id) => {
                Err(TokenError::NotProven { problem: "the token is that of another application" })
            }
            Ok(_) => keeper.install(installation).await,
            Err(SourceError::Unavailable { source, .. }) => Err(TokenError::PortalUnavailable { source }),
            Err(error @ (SourceError::RateLimited { .. } | SourceError::MethodExhausted { .. })) => {
                Err(TokenError::PortalUnavailable { source: error.into() })
            }
            Err(error) => {
                tracing::warn!(error = %b24sync_domain::error::Chain(&error), "the portal did not take the token of an installation");
                Err(TokenError::NotProven { problem: "the portal does not take its token" })
            }
        }
    }

    async fn redeem(&self, code: &Secret, server: Option<String>) -> Result<(), TokenError> {
        self.keeper()?.redeem(code, server.as_deref()).await
    }

    async fn revoke(&self) -> Result<(), TokenError> {
        self.keeper()?.revoke().await
    }

    async fn application_token(&self) -> Result<Option<Secret>, TokenError> {
        self.keeper()?.application_token().await
    }

    fn authorize_url(&self, state: &str) -> Option<String> {
        self.keeper().ok().map(|keeper| keeper.authorize_url(state))
    }
}

/// Local applications are known by their id, those of the market by a name that the service does not know.
fn is_another(code: &str, client_id: &str) -> bool {
    code != client_id && code.starts_with("local.")
}

#[async_trait]
impl EventSubscriptions for BitrixSource {
    async fn list(&self) -> Result<Vec<BoundHandler>, SourceError> {
        self.transport.call(&Plain { method: "event.get", params: json!({}), read: handlers::bound }, None).await
    }

    async fn bind(&self, handlers: &[BoundHandler]) -> Result<Vec<Option<String>>, SourceError> {
        let mut outcomes = self.change(handlers::Change::Bind, handlers).await?;
        if outcomes.iter().any(Option::is_some) {
            // What could not be bound may be bound already; the text of that refusal is the portal's own.
            let bound = self.list().await?;
            for (handler, outcome) in handlers.iter().zip(&mut outcomes) {
                if bound.contains(handler) {
                    *outcome = None;
                }
            }
        }
        Ok(outcomes)
    }

    async fn unbind(&self, handlers: &[BoundHandler]) -> Result<(), SourceError> {
        let outcomes = self.change(handlers::Change::Unbind, handlers).await?;
        match outcomes.into_iter().flatten().next() {
            None => Ok(()),
            Some(description) => {
                Err(SourceError::Rejected { method: "event.unbind".to_owned(), code: String::new(), description })
            }
        }
    }
}

#[async_trait]
impl OfflineQueue for BitrixSource {
    async fn is_available(&self) -> Result<bool, SourceError> {
        let params = json!({ "CODE": "rest_offline_extended" });
        self.transport.call(&Plain { method: "feature.get", params, read: offline::is_included }, None).await
    }

    async fn take(&self, limit: u16) -> Result<Option<OfflineBatch>, SourceError> {
        // 0: the rows stay until they are cleared.
        let params = json!({ "clear": 0, "limit": limit });
        self.transport.call(&Plain { method: "event.offline.get", params, read: offline::batch }, None).await
    }

    async fn interrupted(&self) -> Result<Vec<String>, SourceError> {
        self.transport
            .call(
                &Plain { method: "event.offline.list", params: json!({}), read: |rows| Some(offline::processes(rows)) },
                None,
            )
            .await
    }

    async fn again(&self, process_id: &str) -> Result<Option<OfflineBatch>, SourceError> {
        let params = json!({ "clear": 0, "process_id": process_id });
        self.transport.call(&Plain { method: "event.offline.get", params, read: offline::batch }, None).await
    }

    async fn clear(&self, process_id: &str) -> Result<(), SourceError> {
        let params = json!({ "process_id": process_id });
        self.transport.call(&Plain { method: "event.offline.clear", params, read: |_| Some(()) }, None).await
    }
}
