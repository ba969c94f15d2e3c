//! Records out of an answer in one pass: no tree, no copy of a value. What is kept of a value is where it stands in the
//! answer's text.

mod answer;
mod collected;
mod multifield;
mod places;
mod slots;

pub(crate) use answer::{BatchAnswer, decode_batch};
pub(crate) use collected::{BatchHead, Collected};
pub(crate) use slots::Slots;

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
