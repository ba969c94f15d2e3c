//! What the portal tells others of: which event a change makes, who listens to it, and the body that is sent
//! (REST.md 10.1, 10.2, 10.4). One more event: a constructor in `event`, a call of [`crate::inner::Inner::announce`] where it happens.

mod body;
mod event;
mod form;
mod hub;

pub(crate) use body::{Auth, Grant, body};
pub(crate) use event::{Event, FieldVerb, Verb};
pub(crate) use form::Form;
pub use hub::OutgoingWebhook;
pub(crate) use hub::{Hub, Occasion};
