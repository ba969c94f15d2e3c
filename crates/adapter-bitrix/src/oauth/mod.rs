//! The service as an application of the portal: its settings, its tokens, and the server that renews them (Bitrix24 REST
//! 12).
//!
//! - `settings`: what an operator enters, and which addresses that allows.
//! - `seal`: tokens as the store may see them.
//! - `tokens`: what an installation or an answer of the authorisation server brings.
//! - `server`: the authorisation server. The only other place that sends requests.
//! - `keeper`: the one place that knows the tokens: keeps, renews and forgets them.

mod keeper;
mod seal;
mod server;
mod settings;
mod state;
mod tokens;

pub use keeper::{TokenKeeper, TokenPorts};
pub use seal::TokenKey;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use server::laws_of_an_answer;
pub(crate) use settings::is_permitted;
pub use settings::{ApplicationSettings, PortalUrl};
