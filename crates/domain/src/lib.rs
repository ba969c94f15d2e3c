//! The domain of the Bitrix24 sync service: what a portal holds, how it becomes tables, and what the
//! service needs from the outside world. Pure: no runtime, no tracing, no I/O.
//!
//! - [`entity`], [`field`], [`record`]: what a portal holds.
//! - [`mapping`]: field → column, value → cell, wanted table against existing table.
//! - [`progress`], [`run`], [`lease`], [`settings`]: where a sync stands and who may move it.
//! - [`portal`]: who the portal is and how it understands what it is asked.
//! - [`reconcile`]: what may be concluded from records that a listing did not show.
//! - [`access`]: roles, identities, and why a token was refused.
//! - [`ports`]: traits that adapters implement.
//! - [`error`]: how ports fail, and what the caller should do about it.
//!
//! To add an entity, add one [`entity::EntityDescriptor`] to [`entity::CATALOGUE`].
//! To add a value type, add a [`field::FieldKind`], its column type in [`mapping::column`] and its
//! conversion in [`mapping::value`]; the compiler finds the rest.

pub mod access;
pub mod entity;
pub mod error;
pub mod field;
pub mod lease;
pub mod mapping;
pub mod portal;
pub mod ports;
pub mod progress;
pub mod reconcile;
pub mod record;
pub mod run;
pub mod settings;
