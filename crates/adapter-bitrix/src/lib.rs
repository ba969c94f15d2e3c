//! Reads a Bitrix24 portal over REST: the domain's [`CrmSource`](b24sync_domain::ports::CrmSource) as
//! [`BitrixSource`], and its [`PortalPacer`](b24sync_domain::ports::PortalPacer) as [`BudgetPacer`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use b24sync_adapter_bitrix::{BitrixConfig, BitrixSource, BudgetPacer, WebhookUrl};
//!
//! let webhook = WebhookUrl::parse("https://portal.bitrix24.com/rest/1/abcdefgh12345678/")?;
//! let config = BitrixConfig::new(webhook);
//! let pacer = Arc::new(BudgetPacer::alone(config.rate_limits(), config.operating_limit));
//! let source = BitrixSource::new(&config, pacer)?; // `source.profile()` would check the connection
//! # Ok::<(), b24sync_adapter_bitrix::ConfigError>(())
//! ```
//!
//! # How it is made
//! - `webhook`, `config`: where the portal is, and which addresses may be connected to at all.
//! - `access`, `oauth`: what lets us in; the tokens of an application. `application`: its ports, implemented by
//!   [`BitrixSource`] too.
//! - `transport`: one call: pacer, read token, request, answer, repetition. The only place that sends. Around it `body`
//!   (limits of an answer), `redirect` (a moved portal), `retry` (delays), `budget` (what the pacer is told), `scrub`
//!   (the webhook's code out of errors).
//! - `envelope`, `lenient`, `error`: the frame of an answer, its scalars, its error codes.
//! - `dialect`, `fields`: the two sets of CRM methods as data; descriptions of fields under classic names.
//! - `command`, `decode`, `reader`: batches of list commands, records out of their answers, and which pages count.
//! - `pacer`: who may send when, by the rate that all processes share and by the execution time of methods.
//!
//! # How to add
//! - **an entity**: one line in the domain's catalogue. If its item names differ from the camel case of its classic
//!   names, add them to `dialect/item.rs`; if it has phones and e-mails, to `has_multifields`.
//! - **a dialect**: a module in `dialect` that fills an `EntityDialect`, and a variant of [`Dialect`]. Nothing else
//!   knows method names.
//! - **an error code**: one line in the table of `error`.
//! - **a call**: an `Exchange` in `reader`.
//!
//! # What holds everywhere
//! - The webhook's code is in no error, no log and no `Debug`. What the portal makes us repeat is scrubbed.
//! - Nothing after the first short, empty, failed or faulty page of a batch is used, and only a valid empty page that
//!   was asked for with a known bound ends a listing.
//! - An answer is checked for size, encoding and depth before it is parsed, and a value is never copied: records are
//!   spans of the answer's text.
//! - The classic dialect never returns links to many (`CONTACT_IDS`, `COMPANY_IDS`), the item dialect never the parts of
//!   addresses: each describes only what it delivers.

mod access;
mod application;
#[cfg(feature = "bench")]
pub mod bench;
mod body;
mod budget;
mod client;
mod command;
mod config;
mod decode;
mod dialect;
mod envelope;
mod error;
mod failure;
mod fields;
#[cfg(any(test, feature = "fuzz"))]
pub mod laws;
mod lenient;
mod metering;
mod oauth;
mod pacer;
mod reader;
mod redirect;
mod retry;
#[cfg(test)]
mod samples;
mod scrub;
mod source;
mod transport;
mod webhook;

pub use access::Access;
pub use config::{BitrixConfig, ConfigError, Dialect, RetryPolicy};
pub use oauth::{ApplicationSettings, PortalUrl, TokenKeeper, TokenKey, TokenPorts};
pub use pacer::{BudgetPacer, OwnBudget};
pub use source::BitrixSource;
pub use webhook::WebhookUrl;
