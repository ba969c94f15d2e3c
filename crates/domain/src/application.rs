//! The service as an application of the portal: what an installation brings, where its handlers are, and how that fails.

use crate::entity::EntityType;
use crate::error::{BoxError, ErrorKind, Remedy, SourceError, StoreError};
use crate::event::Hint;
use crate::secret::Secret;

/// Where the portal sends events, below the address that the service has from outside.
pub const HANDLER_PATH: &str = "/api/v1/webhooks/bitrix";

/// How the service calls the portal, which decides how it hears of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With an incoming webhook. Events come from an outgoing webhook that a person makes in the portal.
    Webhook,
    /// As a local application. The service binds its handlers itself.
    Application,
}

/// What the portal sends when it installs the application: the installation callback, or `ONAPPINSTALL` (Bitrix24 REST
/// 12.1). Until it is proven, it is only what somebody says.
#[derive(Debug, Clone)]
pub struct Installation {
    /// `auth[access_token]`.
    pub access_token: Secret,
    /// `auth[refresh_token]`.
    pub refresh_token: Secret,
    /// `auth[expires_in]`: seconds that the access token lives from now on.
    pub expires_in: u64,
    /// `auth[application_token]`: what events must show.
    pub application_token: Secret,
    /// `auth[member_id]`.
    pub member_id: String,
    /// `auth[server_endpoint]`: the authorisation server, if it is one of those that are known.
    pub server_endpoint: Option<String>,
}

/// A handler that is bound to an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundHandler {
    /// Name of the event, in upper case.
    pub event: String,
    /// Where it is sent; `None` when it goes to the offline queue.
    pub handler: Option<String>,
}

/// What became of a registration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Where the portal sends events from now on.
    pub handler_url: String,
    /// Events that come, those among them that were bound before.
    pub registered: Vec<String>,
    /// Events that do not, and why; `offline queue` among them when the portal keeps none for us.
    pub failed: Vec<(String, String)>,
}

/// Rows of the offline queue that are reserved for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineBatch {
    /// What they are reserved under; `None` when the portal did not reserve them, and has forgotten them already.
    pub process_id: Option<String>,
    /// What they say.
    pub hints: Vec<Hint>,
    /// Entities of which some record changed that the portal does not name, and whether it is gone.
    pub blind: Vec<(EntityType, bool)>,
    /// Rows about something that the service has no use for.
    pub unknown: u32,
}

/// Why the application has no token to call the portal with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No tokens are kept: it was never installed, or it was removed.
    #[error("the application is not installed in the portal")]
    NotInstalled,
    /// The refresh token is not taken any more.
    #[error("the application's authorisation has lapsed (`{code}`)")]
    Lapsed {
        /// The authorisation server's code.
        code: String,
    },
    /// The portal does not take the access token, although it was renewed.
    #[error("the portal does not accept the application's token (`{code}`)")]
    Rejected {
        /// The portal's code.
        code: String,
    },
    /// The authorisation server refuses the application itself.
    #[error("the authorisation server refused the application (`{code}`)")]
    Refused {
        /// Its code.
        code: String,
    },
    /// The authorisation server does not answer as one.
    #[error("the authorisation server `{host}` cannot be asked")]
    ServerUnavailable {
        /// Its host.
        host: String,
        /// What happened, without tokens.
        #[source]
        source: BoxError,
    },
    /// An authorisation server that is not one of those that may see the secret.
    #[error("`{host}` is not one of the authorisation servers that are allowed")]
    ForeignServer {
        /// Its host.
        host: String,
    },
    /// The tokens belong to another portal.
    #[error("the tokens are those of `{given}`, not of `{known}`")]
    AnotherPortal {
        /// The portal that the service is for.
        known: String,
        /// The portal of the tokens.
        given: String,
    },
    /// Nothing proves that tokens somebody sent are those of this application.
    #[error("the installation is not proven: {problem}")]
    NotProven {
        /// What does not fit.
        problem: &'static str,
    },
    /// The portal could not be asked whether tokens are its own.
    #[error("the portal could not be asked whether it takes the installation's token")]
    PortalUnavailable {
        /// What happened, without tokens.
        #[source]
        source: BoxError,
    },
    /// What is kept cannot be opened.
    #[error("the tokens that are kept cannot be opened with this key")]
    Sealed,
    /// The store failed.
    #[error("the application's tokens could not be kept or read")]
    Store(#[source] StoreError),
    /// The service uses an incoming webhook.
    #[error("the service calls the portal with an incoming webhook, not as an application")]
    NoApplication,
}

/// What to do about an installation that is not ours.
const NOT_OURS: &str = "install the application in the portal of BITRIX_PORTAL_URL, with the id and the secret that the service has; if it was replaced there by another one, run `b24sync webhooks forget` first";

impl TokenError {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            TokenError::ServerUnavailable { .. } | TokenError::PortalUnavailable { .. } => {
                Remedy::Retry { after: None }
            }
            TokenError::Store(error) => error.remedy(),
            TokenError::NoApplication => Remedy::GiveUp,
            TokenError::NotInstalled
            | TokenError::Lapsed { .. }
            | TokenError::Rejected { .. }
            | TokenError::Refused { .. }
            | TokenError::ForeignServer { .. }
            | TokenError::AnotherPortal { .. }
            | TokenError::NotProven { .. }
            | TokenError::Sealed => Remedy::Operator,
        }
    }

    /// What a person should do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            TokenError::NotInstalled => {
                "install the local application in the portal (`b24sync webhooks instructions` says how); syncs go on by themselves then"
            }
            TokenError::Lapsed { .. } | TokenError::Rejected { .. } => {
                "authorise the application again: open it in the portal as an administrator, or install it anew; syncs go on by themselves then"
            }
            TokenError::Refused { .. } => {
                "check BITRIX_CLIENT_ID and BITRIX_CLIENT_SECRET against the application's card in the portal, and that the portal's plan is paid"
            }
            TokenError::ServerUnavailable { .. } => {
                "check that this machine can reach the authorisation server; syncs go on by themselves then"
            }
            TokenError::ForeignServer { .. } => {
                "if Bitrix24 really uses this authorisation server, add it to BITRIX_OAUTH_SERVERS"
            }
            TokenError::AnotherPortal { .. } => {
                "check BITRIX_PORTAL_URL and BITRIX_MEMBER_ID; a replica belongs to one portal"
            }
            TokenError::NotProven { .. } => NOT_OURS,
            TokenError::PortalUnavailable { .. } => {
                "check that this machine can reach the portal; then install the application again"
            }
            TokenError::Sealed => {
                "set BITRIX_TOKEN_KEY to the key that sealed them; if it is lost, install the application anew"
            }
            TokenError::Store(error) => error.advice(),
            TokenError::NoApplication => "set BITRIX_CLIENT_ID and its like to use the service as an application",
        }
    }
}

/// How the application's control and registration fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplicationError {
    /// Handlers cannot be bound with an incoming webhook; a person does it in the portal.
    #[error("with an incoming webhook the portal's events are subscribed to by hand")]
    ByHand {
        /// What to do in the portal.
        instructions: String,
    },
    /// The address of the handler cannot work.
    #[error("the handler's address {problem}")]
    Handler {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Somebody says that the application was installed, and it is not proven.
    #[error("the installation is not one of this application: {problem}")]
    NotOurs {
        /// What does not fit.
        problem: &'static str,
    },
    /// The tokens failed.
    #[error("the application has no right to call the portal")]
    Token(#[source] TokenError),
    /// The portal failed.
    #[error("the portal did not do what the application asked for")]
    Source(#[source] SourceError),
    /// The database failed.
    #[error("the application's state could not be kept or read")]
    Store(#[source] StoreError),
}

impl From<TokenError> for ApplicationError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NotProven { problem } => ApplicationError::NotOurs { problem },
            error => ApplicationError::Token(error),
        }
    }
}

impl From<SourceError> for ApplicationError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Token(error) => ApplicationError::Token(error),
            error => ApplicationError::Source(error),
        }
    }
}

impl From<StoreError> for ApplicationError {
    fn from(error: StoreError) -> Self {
        ApplicationError::Store(error)
    }
}

impl ApplicationError {
    /// What a client of the service may know. An installation that is [not ours](ApplicationError::NotOurs) is forbidden.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ApplicationError::ByHand { .. }
            | ApplicationError::Token(TokenError::NotInstalled | TokenError::NoApplication) => ErrorKind::Conflict,
            ApplicationError::Handler { .. } | ApplicationError::NotOurs { .. } => ErrorKind::Invalid,
            ApplicationError::Token(_) => ErrorKind::Unavailable,
            ApplicationError::Source(error) => unavailable_unless_given_up(error.remedy()),
            ApplicationError::Store(error) => match error.remedy() {
                Remedy::Retry { .. } => ErrorKind::Unavailable,
                Remedy::Operator | Remedy::GiveUp => ErrorKind::Internal,
            },
        }
    }

    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            ApplicationError::ByHand { .. } | ApplicationError::Handler { .. } | ApplicationError::NotOurs { .. } => {
                Remedy::Operator
            }
            ApplicationError::Token(error) => error.remedy(),
            ApplicationError::Source(error) => error.remedy(),
            ApplicationError::Store(error) => error.remedy(),
        }
    }

    /// What a person should do about it.
    pub fn advice(&self) -> &str {
        match self {
            ApplicationError::ByHand { instructions } => instructions,
            ApplicationError::Handler { .. } => {
                "give the address that the service has from the Internet, like `https://sync.example.com`, or set PUBLIC_URL to it"
            }
            ApplicationError::NotOurs { .. } => NOT_OURS,
            ApplicationError::Token(error) => error.advice(),
            ApplicationError::Source(error) => error.advice(),
            ApplicationError::Store(error) => error.advice(),
        }
    }
}

fn unavailable_unless_given_up(remedy: Remedy) -> ErrorKind {
    match remedy {
        Remedy::Retry { .. } | Remedy::Operator => ErrorKind::Unavailable,
        Remedy::GiveUp => ErrorKind::Internal,
    }
}
