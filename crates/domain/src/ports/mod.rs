//! What the service needs from the outside (`outbound`) and what the outside may ask of it (`inbound`).
//! A port method is one atomic step; no transaction, connection or row type crosses a port.

mod application;
mod control;
mod doctor;
mod inbound;
mod inbox;
mod outbound;
mod pacing;

pub use application::*;
pub use control::*;
pub use doctor::*;
pub use inbound::*;
pub use inbox::*;
pub use outbound::*;
pub use pacing::*;
