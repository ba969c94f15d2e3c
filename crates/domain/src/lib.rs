//! The domain of the Bitrix24 sync service: what a portal holds, how it becomes tables, and what the
//! service needs from the outside world. Pure: no runtime, no tracing, no I/O.
//!
//! - [`entity`], [`field`], [`record`]: what a portal holds.
//! - [`mapping`]: field → column, value → cell, wanted table against existing table.
//! - [`progress`], [`run`], [`lease`], [`settings`]: where a sync stands and who may move it.
//! - [`event`], [`inbox`]: what events mean, and what becomes of the hints that they leave.
//! - [`application`], [`secret`]: the service as an application of the portal, with tokens of its own.
//! - [`pacing`]: how many requests the portal bears.
//! - [`appraisal`]: what a sync is going to take.
//! - [`portal`]: who the portal is and how it understands what it is asked.
//! - [`schedule`]: when the next sync of each entity is due.
//! - [`reconcile`]: what may be concluded from records that a listing did not show.
//! - [`access`]: roles, identities, and why a token was refused.
//! - [`doctor`]: what a self-test looks at, and what it finds.
//! - [`ports`]: traits that adapters implement.
//! - [`error`]: how ports fail, and what the caller should do about it.
//!
//! To add an entity, add one [`entity::EntityDescriptor`] to [`entity::CATALOGUE`].
//! To add a value type, add a [`field::FieldKind`], its column type in [`mapping::column`] and its
//! conversion in [`mapping::value`]; the compiler finds the rest.

pub mod access;
pub mod application;
pub mod appraisal;
pub mod doctor;
pub mod entity;
pub mod error;
pub mod event;
pub mod field;
pub mod inbox;
pub mod lease;
pub mod mapping;
pub mod pacing;
pub mod portal;
pub mod ports;
pub mod progress;
pub mod reconcile;
pub mod record;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod settings;
