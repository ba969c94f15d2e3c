//! Ports of the service as an application of the portal: its tokens, its handlers, its offline queue.

use std::time::Duration;

use async_trait::async_trait;

use crate::application::{ApplicationError, BoundHandler, Installation, OfflineBatch, Registration, TokenError};
use crate::error::{SourceError, StoreError};
use crate::secret::Secret;

/// What the portal and its users tell the application about itself. With an incoming webhook each method that changes
/// something fails with [`ApplicationError::ByHand`], and there is no token.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ApplicationControl: Send + Sync {
    /// It was installed: the installation callback, or `ONAPPINSTALL`. MUST prove that the installation is one of this
    /// application before anything is kept; [`ApplicationError::NotOurs`] when it is not. Handlers are bound by
    /// themselves afterwards, if it is known where.
    async fn installed(&self, installation: Installation) -> Result<(), ApplicationError>;

    /// It was removed (`ONAPPUNINSTALL`, whose token was right); `clean` is `data[CLEAN]`: the user asked to delete the
    /// data. Tokens go at once; the replica stays for the operator to delete.
    async fn uninstalled(&self, clean: bool) -> Result<(), ApplicationError>;

    /// It has a new version (`ONAPPUPDATE`): its handlers may be gone, and are bound anew soon.
    async fn updated(&self) -> Result<(), ApplicationError>;

    /// There is something in the offline queue (`ONOFFLINEEVENT`). MUST return at once.
    fn offline_events(&self);

    /// Somebody authorised it and was sent back with a code, good for 30 s, and with `server_domain` (Bitrix24 REST
    /// 12.2). The caller MUST have checked the state that it gave to [`authorize_url`](Self::authorize_url).
    async fn exchange_code(&self, code: Secret, server: Option<String>) -> Result<(), ApplicationError>;

    /// What events of the portal must show; `None` when it is not installed. At most some seconds old.
    async fn application_token(&self) -> Result<Option<Secret>, ApplicationError>;

    /// Where a person's browser goes to authorise it, and comes back from with `state`; `None` with an incoming webhook.
    fn authorize_url(&self, state: &str) -> Option<String>;
}

/// Binds the handlers of the events that the service wants. With an incoming webhook each method fails with
/// [`ApplicationError::ByHand`], whose instructions say what to do in the portal instead.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait WebhookRegistration: Send + Sync {
    /// Binds every event to the handler below this base, or else to the one that the settings name, and remembers it:
    /// handlers that vanish are bound again.
    async fn register(&self, handler_base_url: Option<String>) -> Result<Registration, ApplicationError>;

    /// Unbinds the handler below this base, or else the one that the settings name, and the offline queue, and forgets it.
    /// Returns the events.
    async fn unregister(&self, handler_base_url: Option<String>) -> Result<Vec<String>, ApplicationError>;

    /// Handlers that the portal has for this application.
    async fn registered(&self) -> Result<Vec<BoundHandler>, ApplicationError>;
}

/// Tokens as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Rises with every change, also when they go.
    pub version: i64,
    /// The tokens, unreadable without the key; `None` when there are none.
    pub sealed: Option<Vec<u8>>,
    /// How long ago they came, by the store's clock.
    pub age: Duration,
}

/// Keeps the application's tokens, without being able to read them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TokenVault: Send + Sync {
    /// What is kept; version 0 before anything was.
    async fn load(&self) -> Result<Kept, StoreError>;

    /// Keeps other tokens, or none, if those that are kept still have the version `known`. Returns the new version;
    /// `None` when somebody else was faster. MUST have committed when it returns, and MUST take the same bytes again
    /// as done: the answer to a commit may be lost.
    async fn replace(&self, known: i64, sealed: Option<Vec<u8>>) -> Result<Option<i64>, StoreError>;
}

/// Remembers where the portal's events go.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RegistrationStore: Send + Sync {
    /// The handler that was registered last; `None` when there is none.
    async fn handler(&self) -> Result<Option<String>, StoreError>;

    /// Remembers another one, or none.
    async fn keep_handler(&self, handler: Option<String>) -> Result<(), StoreError>;
}

/// The application's right to call the portal.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PortalGrant: Send + Sync {
    /// Keeps the tokens of an installation once the portal itself took them. [`TokenError::NotProven`] when it did
    /// not, or when they contradict what is known of the application.
    async fn install(&self, installation: &Installation) -> Result<(), TokenError>;

    /// Exchanges a code for tokens at the authorisation server, and keeps them.
    async fn redeem(&self, code: &Secret, server: Option<String>) -> Result<(), TokenError>;

    /// Forgets the tokens.
    async fn revoke(&self) -> Result<(), TokenError>;

    /// What events must show; `None` when there are no tokens, or none came with them. At most some seconds old.
    async fn application_token(&self) -> Result<Option<Secret>, TokenError>;

    /// Where a person authorises the application; `None` with an incoming webhook.
    fn authorize_url(&self, state: &str) -> Option<String>;
}

/// The portal's list of our handlers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventSubscriptions: Send + Sync {
    /// Handlers that are bound.
    async fn list(&self) -> Result<Vec<BoundHandler>, SourceError>;

    /// Binds handlers, and answers in their order: nothing, or why one could not be bound. One that is bound already is
    /// a success.
    async fn bind(&self, handlers: &[BoundHandler]) -> Result<Vec<Option<String>>, SourceError>;

    /// Unbinds handlers. One that is not bound is a success.
    async fn unbind(&self, handlers: &[BoundHandler]) -> Result<(), SourceError>;
}

/// Events that the portal keeps until we fetch them: the only ones that survive an outage of ours (Bitrix24 REST 11).
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait OfflineQueue: Send + Sync {
    /// Whether the portal's plan lets rows be reserved; without that they would be gone before they are stored.
    async fn is_available(&self) -> Result<bool, SourceError>;

    /// Reserves up to `limit` rows, at most 50; `None` when there are none. They stay until they are cleared.
    async fn take(&self, limit: u16) -> Result<Option<OfflineBatch>, SourceError>;

    /// Reservations that nobody cleared: those of a process that died, or whose answer was lost.
    async fn interrupted(&self) -> Result<Vec<String>, SourceError>;

    /// Reads a reservation again.
    async fn again(&self, process_id: &str) -> Result<Option<OfflineBatch>, SourceError>;

    /// Removes the rows of a reservation. MUST be called only when what they say is stored.
    async fn clear(&self, process_id: &str) -> Result<(), SourceError>;
}
