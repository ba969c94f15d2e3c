//! The two limits of a cloud portal: requests by rate, and execution time by method.

mod operating;
mod rate;

pub(crate) use operating::{Operating, Reading};
pub(crate) use rate::Bucket;

use std::time::Duration;

/// Microseconds as seconds; negative ones are 0.
fn seconds(micros: i64) -> f64 {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}
