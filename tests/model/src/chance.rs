//! Everything that a seed decides.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

/// The one source of randomness of a history. All tasks draw from it; with one thread and a virtual clock they draw in
/// the same order each time.
#[derive(Debug, Clone)]
pub struct Chance(Arc<Mutex<fastrand::Rng>>);

impl Chance {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Chance {
        Chance(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().expect("nobody panics while drawing"))
    }

    /// A number of the range.
    pub fn between(&self, range: RangeInclusive<i64>) -> i64 {
        self.draw(|rng| rng.i64(range))
    }

    /// True once in `n` times; never for 0.
    pub fn one_in(&self, n: u32) -> bool {
        n > 0 && self.draw(|rng| rng.u32(0..n)) == 0
    }

    /// One of these, if there is any.
    pub fn pick<T: Copy>(&self, of: &[T]) -> Option<T> {
        self.draw(|rng| rng.choice(of).copied())
    }

    /// Waits some milliseconds of the virtual clock.
    pub async fn wait(&self, millis: RangeInclusive<i64>) {
        sleep(millis_of(self.between(millis))).await;
    }
}

/// A duration that is not negative.
pub fn millis_of(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
