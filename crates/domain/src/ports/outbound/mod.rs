//! Ports that adapters implement and use cases call.

mod portal;
mod records;
mod runs;
mod schema;
mod settings;
mod source;
mod status;
mod surroundings;

pub use portal::*;
pub use records::*;
pub use runs::*;
pub use schema::*;
pub use settings::*;
pub use source::*;
pub use status::*;
pub use surroundings::*;
