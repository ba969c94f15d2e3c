//! Verifies Supabase session tokens: the domain's [`Authenticator`](b24sync_domain::ports::Authenticator) as
//! [`SupabaseAuthenticator`].
//!
//! ```
//! # fn clock() -> std::sync::Arc<dyn b24sync_domain::ports::Clock> {
//! #     struct Epoch;
//! #     impl b24sync_domain::ports::Clock for Epoch {
//! #         fn now(&self) -> chrono::DateTime<chrono::Utc> { chrono::DateTime::UNIX_EPOCH }
//! #     }
//! #     std::sync::Arc::new(Epoch)
//! # }
//! # async fn check() -> Result<(), Box<dyn std::error::Error>> {
//! use b24sync_adapter_supabase::{SupabaseAuthenticator, SupabaseSettings};
//! use b24sync_domain::access::{Refusal, Role};
//! use b24sync_domain::ports::Authenticator as _;
//!
//! let settings = SupabaseSettings::new("https://abcdefghijklmnopqrst.supabase.co");
//! let authenticator = SupabaseAuthenticator::new(&settings, clock())?;
//! match authenticator.identify("eyJ…").await {
//!     Ok(identity) if identity.allows(Role::Operator) => println!("200"),
//!     Ok(_) => println!("403"),
//!     Err(refusal) if refusal.is_our_fault() => println!("503"),
//!     Err(_) => println!("401"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What holds everywhere (docs/CORRECTNESS.md, section 5)
//! - **S1** The key decides the algorithm: keys of the project's key set verify ES256 or RS256, whichever they are made
//!   for, and the shared secret, if configured, HS256. A public key is never a secret. Nothing in a header is followed.
//!   A claim that is needed is asked for by name; a document with a member twice is none.
//! - **S2** Keys count for five minutes, while the project cannot be asked for thirty, then none does: tokens are refused
//!   with [`Refusal::KeysUnavailable`](b24sync_domain::access::Refusal::KeysUnavailable). One request at a time, shared;
//!   whatever tokens name, two a minute while there are keys, and one in five seconds while there are none.
//! - **S3** Roles come from `app_metadata`, lists of user ids and a default, in this order; never from what users can
//!   write themselves.
//! - **S6** Neither the secret nor a token is in any `Debug`, error or log.
//! - **S7** One address, https, global unicast, no redirects, no proxy; five seconds, 64 KiB, 32 keys.
//! - **S10** A [`Refusal`](b24sync_domain::access::Refusal) is for logs and metrics; callers learn "401" only.
//!
//! # How it is made
//! - `settings`, `secret`: whose tokens, which roles, and which addresses may be connected to at all.
//! - `header`, `json`: the parts of a token, read strictly; nothing is trusted yet.
//! - `algorithm`: a key and the one algorithm that it is for.
//! - `keys`: the project's keys: `jwk`, `set` (which may verify), `fetch` (the only request), `cache` (how long they count).
//! - `claims`, `subject`, `roles`: what a verified token says, and what follows from it.
//! - `authenticator`: the above in this order.
//!
//! # How to add
//! - **an algorithm**: a variant of `Algorithm` and of its name, a constructor of `VerifyingKey`, a line in `keys/jwk`.
//! - **a reason to refuse**: a variant of the domain's `Refusal`, and a line in the table of `tests/hostile.rs`.
//! - **a claim**: a check in `claims`.

mod algorithm;
mod authenticator;
mod claims;
mod header;
mod json;
mod keys;
#[cfg(any(test, feature = "fuzz"))]
pub mod laws;
mod roles;
mod secret;
mod settings;
mod subject;

pub use authenticator::SupabaseAuthenticator;
pub use settings::{DEFAULT_ROLE_CLAIM, SettingsError, SupabaseSettings};
