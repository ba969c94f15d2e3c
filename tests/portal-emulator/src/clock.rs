//! The portal's clock: the real one, or one that stands until a test moves it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the portal takes its time from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// The clock of this machine.
    Real,
    /// A clock that stands at this epoch second until it is moved.
    Fixed(i64),
}

/// The portal's clock. Limits, timestamps of edits and `time` blocks all read it.
#[derive(Debug)]
pub struct PortalClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    source: ClockSource,
    /// Microseconds added to the source: skew of the portal and every advance so far.
    shift: i64,
}

impl PortalClock {
    pub(crate) fn new(source: ClockSource, skew_seconds: i64) -> Self {
        Self { state: Mutex::new(State { source, shift: skew_seconds * 1_000_000 }) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.change(|state| state.shift += i64::try_from(by.as_micros()).unwrap_or(i64::MAX / 4));
    }

    /// Stops the clock at an epoch second; `advance` still moves it.
    pub fn freeze_at(&self, epoch_seconds: i64) {
        self.change(|state| *state = State { source: ClockSource::Fixed(epoch_seconds), shift: 0 });
    }

    /// Follows the clock of this machine, with the portal `skew_seconds` ahead of it.
    pub fn follow_real_time(&self, skew_seconds: i64) {
        self.change(|state| *state = State { source: ClockSource::Real, shift: skew_seconds * 1_000_000 });
    }

    /// The portal's time in microseconds since the epoch.
    pub fn now_micros(&self) -> i64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let base = match state.source {
            ClockSource::Fixed(seconds) => seconds * 1_000_000,
            ClockSource::Real => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX / 4)),
        };
        base + state.shift
    }

    /// The portal's time in whole seconds since the epoch.
    pub fn now_seconds(&self) -> i64 {
        self.now_micros().div_euclid(1_000_000)
    }

    fn change(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = PortalClock::new(ClockSource::Fixed(1_000), 5);
        assert_eq!(clock.now_seconds(), 1_005);
        clock.advance(Duration::from_millis(2_500));
        assert_eq!(clock.now_micros(), 1_007_500_000);
        clock.freeze_at(50);
        assert_eq!(clock.now_seconds(), 50);
    }

    #[test]
    fn a_real_clock_carries_its_skew() {
        let ahead = PortalClock::new(ClockSource::Real, 3_600);
        let real = PortalClock::new(ClockSource::Real, 0);
        assert!(ahead.now_seconds() - real.now_seconds() >= 3_599);
    }
}
