//! What there is instead of an application with an incoming webhook: words.

use async_trait::async_trait;
use b24sync_domain::application::{ApplicationError, BoundHandler, HANDLER_PATH, Installation, Mode, Registration};
use b24sync_domain::ports::{ApplicationControl, WebhookRegistration};
use b24sync_domain::secret::Secret;

use super::{HandlerUrl, events, instructions};

/// Implements the application's inbound ports for a service that has an incoming webhook: a person subscribes to the
/// events, and is told how.
#[derive(Debug, Clone, Default)]
pub struct ByHand {
    allow_loopback: bool,
    handler: Option<HandlerUrl>,
}

impl ByHand {
    /// With the handler that the settings name, if they do.
    pub fn new(allow_loopback: bool, handler: Option<HandlerUrl>) -> ByHand {
        ByHand { allow_loopback, handler }
    }

    /// The words, for the handler below this base.
    fn refusal_below(&self, base: Option<String>) -> ApplicationError {
        match base.map(|base| HandlerUrl::below(&base, self.allow_loopback)).transpose() {
            Ok(handler) => self.refusal(handler.as_ref()),
            Err(wrong) => wrong,
        }
    }

    fn refusal(&self, handler: Option<&HandlerUrl>) -> ApplicationError {
        let handler = handler.or(self.handler.as_ref()).map(HandlerUrl::as_str);
        let unknown = format!("https://ADDRESS-OF-THIS-SERVICE{HANDLER_PATH}");
        let instructions = instructions(Mode::Webhook, handler.unwrap_or(&unknown), &events(Mode::Webhook));
        ApplicationError::ByHand { instructions }
    }
}

#[async_trait]
impl WebhookRegistration for ByHand {
    async fn register(&self, handler_base_url: Option<String>) -> Result<Registration, ApplicationError> {
        Err(self.refusal_below(handler_base_url))
    }

    async fn unregister(&self, handler_base_url: Option<String>) -> Result<Vec<String>, ApplicationError> {
        Err(self.refusal_below(handler_base_url))
    }

    async fn registered(&self) -> Result<Vec<BoundHandler>, ApplicationError> {
        Err(self.refusal(None))
    }
}

#[async_trait]
impl ApplicationControl for ByHand {
    async fn installed(&self, _: Installation) -> Result<(), ApplicationError> {
        Err(self.refusal(None))
    }

    async fn uninstalled(&self, _: bool) -> Result<(), ApplicationError> {
        Err(self.refusal(None))
    }

    async fn updated(&self) -> Result<(), ApplicationError> {
        Err(self.refusal(None))
    }

    fn offline_events(&self) {}

    async fn exchange_code(&self, _: Secret, _: Option<String>) -> Result<(), ApplicationError> {
        Err(self.refusal(None))
    }

    async fn application_token(&self) -> Result<Option<Secret>, ApplicationError> {
        Ok(None)
    }

    fn authorize_url(&self, _: &str) -> Option<String> {
        None
    }
}
