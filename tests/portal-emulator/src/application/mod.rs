//! An application on the portal: its tokens, its handlers and its offline queue (REST.md 10 to 12).
//!
//! Codes of errors that REST.md does not list are those of the pages it quotes, in the Russian original: "RU" and a path.

mod bindings;
mod installed;
mod names;
mod oauth;
mod offline;
mod rules;
mod tokens;

pub use bindings::BoundHandler;
pub(crate) use bindings::{Binding, Request as BindRequest};
pub(crate) use installed::Installed;
pub use installed::{Application, IssuedTokens};
pub(crate) use names::{all as event_names, in_scopes as event_names_in, is_known as is_known_event};
pub use oauth::OauthStats;
pub(crate) use oauth::{authorize, token};
pub use offline::OfflineRecord;
pub(crate) use offline::{Pick, Row as OfflineRow};
pub use rules::ApplicationRules;
pub(crate) use tokens::TokenProblem;
