//! The portal's limit on requests as arithmetic: a leaky bucket that several processes fill together (Bitrix24 REST 4.1,
//! ADR 9).
//!
//! [`Bucket`] says what a store of the budget must do. A store whose arithmetic is its own, such as a statement of a
//! database, uses the constants of this module and is held to the same contract.

use std::time::Duration;

use crate::ports::{MethodPause, Slice, Wish};

/// Lateness that the burst is lowered for: a request may reach the portal this long after its slot.
pub const MARGIN_SECONDS: f64 = 1.0;

/// Part of the burst that this may cost at most.
pub const MARGIN_PART: f64 = 0.05;

/// What rate and burst are multiplied by after repeated refusals (Bitrix24 REST 4.5).
pub const LOWERED: f64 = 0.8;

/// Rate and burst below which nothing is lowered (Bitrix24 REST 4.5).
pub const LOWEST_RATE: f64 = 0.5;
/// The same for the burst.
pub const LOWEST_BURST: f64 = 5.0;

/// Factor below which nothing is multiplied, so that a long time of refusals does not take as long to recover from.
pub const LOWEST_FACTOR: f64 = 0.1;

/// Part of rate and burst that comes back every second: what one lowering took is back after ten minutes.
pub const RESTORED_PER_SECOND: f64 = 0.2 / 600.0;

/// Pause of all requests after a refusal; each further one doubles it.
pub const PAUSE_FIRST_SECONDS: f64 = 1.0;

/// Longest pause.
pub const PAUSE_MOST_SECONDS: f64 = 30.0;

/// How long after a pause the next refusal counts as a further one.
pub const REFUSALS_MEMORY_SECONDS: f64 = 10.0;

/// Slots that are granted at once at most while there is room, so that one process does not take what others need.
pub const MOST_AT_ONCE: u32 = 10;

/// What is lost in sums of floating point numbers.
pub const ROUNDING: f64 = 1e-6;

/// Rate and burst of a portal's plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimits {
    per_second: f64,
    burst: f64,
}

impl RateLimits {
    /// Lets `per_second` requests through every second, and up to `burst` at once after a rest. Nonsense is brought to the
    /// nearest sense: at least one request an hour, at least one at once.
    pub fn new(per_second: f64, burst: u32) -> RateLimits {
        let per_second = if per_second.is_finite() { per_second.clamp(1.0 / 3_600.0, 1_000_000.0) } else { 1.0 };
        RateLimits { per_second, burst: f64::from(burst.max(1)) }
    }

    /// Requests per second.
    pub fn per_second(self) -> f64 {
        self.per_second
    }

    /// Requests at once.
    pub fn burst(self) -> f64 {
        self.burst
    }

    /// What is left of them after refusals: `factor` of both, but not less than the floors.
    #[must_use]
    pub fn lowered(self, factor: f64) -> RateLimits {
        let lower = |value: f64, floor: f64| (value * factor).max(floor.min(value));
        RateLimits { per_second: lower(self.per_second, LOWEST_RATE), burst: lower(self.burst, LOWEST_BURST) }
    }

    /// How full the bucket may be: the burst less what late requests may add to it.
    pub fn capacity(self) -> f64 {
        (self.burst - self.margin()).max(1.0)
    }

    /// How long after its slot a request may still be sent. The other half of the margin is for the way to the portal.
    pub fn lateness(self) -> Duration {
        seconds(self.margin() / self.per_second / 2.0)
    }

    fn margin(self) -> f64 {
        (self.per_second * MARGIN_SECONDS).min(self.burst * MARGIN_PART)
    }
}

/// The bucket that all requests to a portal are counted in. Times are those of one clock, since any moment.
#[derive(Debug, Clone)]
pub struct Bucket {
    version: i64,
    /// Requests in the bucket at `at`, promised ones included.
    level: f64,
    at: f64,
    paused_until: f64,
    refusals: i32,
    refused_at: Option<f64>,
    /// Part of the limits that was left at `refused_at`.
    factor: f64,
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket { version: 0, level: 0.0, at: 0.0, paused_until: 0.0, refusals: 0, refused_at: None, factor: 1.0 }
    }
}

impl Bucket {
    /// Grants slots at `now`. Without any, [`Slice::first`] says when asking again is worth it.
    ///
    /// Slots are either free at once, or each is for the moment at which the bucket has room for it; the latter are
    /// granted only [`Wish::ahead`] into the future, so that whoever is in more of a hurry finds a near one.
    pub fn take(&mut self, now: Duration, limits: RateLimits, wish: &Wish, methods: Vec<MethodPause>) -> Slice {
        let now = now.as_secs_f64();
        let limits = limits.lowered(self.factor(now));
        let (rate, capacity) = (limits.per_second(), limits.capacity());
        let mut level = self.drained(now, rate);
        if let Some(returned) = wish.returned.filter(|returned| returned.version == self.version) {
            level = (level - f64::from(returned.count)).max(0.0);
        }
        let pause = (self.paused_until - now).max(0.0);
        let free = capacity - level + ROUNDING;
        let ahead = wish.ahead.as_secs_f64();
        let (count, first, spacing) = if pause > 0.0 {
            (0, pause, 0.0)
        } else if free >= 1.0 {
            (fitting(wish.wanted.min(MOST_AT_ONCE), free), 0.0, 0.0)
        } else {
            let next = (level + 1.0 - capacity) / rate;
            match fitting(wish.wanted, free + ahead * rate) {
                0 => (0, next - ahead, 0.0),
                count => (count, next, 1.0 / rate),
            }
        };
        self.level = level + f64::from(count);
        self.at = self.at.max(now);
        self.version += 1;
        let (first, spacing) = (seconds(first), seconds(spacing));
        Slice { count, first, spacing, version: self.version, per_second: rate, methods }
    }

    /// The portal refused a request for its rate at `now`: the bucket is full, and everybody pauses. Returns for how long.
    /// A refusal during a pause belongs to the one before; of those that follow soon after a pause, each makes the pause
    /// longer and the limits lower.
    pub fn refuse(&mut self, now: Duration, limits: RateLimits) -> Duration {
        let now = now.as_secs_f64();
        if self.paused_until > now {
            return seconds(self.paused_until - now);
        }
        let is_further = self.refused_at.is_some() && now < self.paused_until + REFUSALS_MEMORY_SECONDS;
        let factor = self.factor(now);
        let lowered = limits.lowered(factor);
        self.level = self.drained(now, lowered.per_second()).max(lowered.capacity());
        self.refusals = if is_further { self.refusals + 1 } else { 1 };
        self.factor = if is_further { (factor * LOWERED).max(LOWEST_FACTOR) } else { factor };
        let pause = (PAUSE_FIRST_SECONDS * 2_f64.powi(self.refusals.min(20) - 1)).min(PAUSE_MOST_SECONDS);
        self.refused_at = Some(now);
        self.paused_until = now + pause;
        self.at = self.at.max(now);
        self.version += 1;
        seconds(pause)
    }

    fn drained(&self, now: f64, rate: f64) -> f64 {
        (self.level - rate * (now - self.at).max(0.0)).max(0.0)
    }

    fn factor(&self, now: f64) -> f64 {
        let since = self.refused_at.map_or(0.0, |at| (now - at).max(0.0));
        (self.factor + RESTORED_PER_SECOND * since).min(1.0)
    }
}

/// How many of `wanted` go into `room`.
fn fitting(wanted: u32, room: f64) -> u32 {
    let fitting = (1..=wanted).take_while(|count| f64::from(*count) <= room).count();
    u32::try_from(fitting).unwrap_or(wanted)
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Returned;

    const PLAN: (f64, u32) = (2.0, 50);

    fn limits() -> RateLimits {
        RateLimits::new(PLAN.0, PLAN.1)
    }

    fn wish(wanted: u32) -> Wish {
        Wish { wanted, ahead: Duration::from_secs(1), returned: None }
    }

    fn take(bucket: &mut Bucket, at: f64, wanted: u32) -> Slice {
        bucket.take(Duration::from_secs_f64(at), limits(), &wish(wanted), Vec::new())
    }

    fn emptied() -> Bucket {
        let mut bucket = Bucket::default();
        for expected in [10, 10, 10, 10, 8] {
            let slice = take(&mut bucket, 0.0, 100);
            assert_eq!((slice.count, slice.first, slice.spacing), (expected, Duration::ZERO, Duration::ZERO));
        }
        bucket
    }

    #[test]
    fn the_burst_comes_in_slices_and_then_a_second_of_the_rate() {
        let mut bucket = emptied();
        let slice = take(&mut bucket, 0.0, 100);
        let half = Duration::from_millis(500);
        assert_eq!((slice.count, slice.first, slice.spacing), (2, half, half));
        let slice = take(&mut bucket, 0.0, 100);
        assert_eq!((slice.count, slice.first), (0, half));
        let slice = take(&mut bucket, 0.5, 100);
        assert_eq!((slice.count, slice.first), (1, Duration::from_secs(1)));
    }

    #[test]
    fn who_may_look_further_ahead_finds_a_slot_behind_those_of_others() {
        let mut bucket = emptied();
        take(&mut bucket, 0.0, 100);
        let hurried = Wish { ahead: Duration::from_secs(2), ..wish(1) };
        let slice = bucket.take(Duration::ZERO, limits(), &hurried, Vec::new());
        assert_eq!((slice.count, slice.first), (1, Duration::from_millis(1_500)));
    }

    #[test]
    fn what_was_not_used_comes_back_unless_somebody_took_later() {
        let returning = |version, count| Wish { returned: Some(Returned { version, count }), ..wish(1) };
        let mut bucket = emptied();
        let slice = take(&mut bucket, 0.0, 2);
        let again = bucket.take(Duration::ZERO, limits(), &returning(slice.version, 2), Vec::new());
        assert_eq!((again.count, again.first), (1, Duration::from_millis(500)));
        let late = bucket.take(Duration::ZERO, limits(), &returning(slice.version, 2), Vec::new());
        assert_eq!((late.count, late.first), (1, Duration::from_secs(1)));
    }

    #[test]
    fn a_refusal_stops_everybody_and_further_ones_lower_the_limits_for_a_time() {
        let mut bucket = Bucket::default();
        let mut now = 100.0;
        for (pause, rate) in [(1, 2.0), (2, 1.6), (4, 1.28), (8, 1.02), (16, 0.82), (30, 0.66), (30, 0.52), (30, 0.5)] {
            let at = Duration::from_secs_f64(now);
            assert_eq!(bucket.refuse(at, limits()), Duration::from_secs(pause));
            assert_eq!(bucket.refuse(at, limits()), Duration::from_secs(pause), "the same refusal");
            let slice = take(&mut bucket, now, 5);
            assert_eq!((slice.count, slice.first), (0, Duration::from_secs(pause)));
            assert!((slice.per_second - rate).abs() < 0.05, "{} is not {rate}", slice.per_second);
            now += Duration::from_secs(pause).as_secs_f64();
        }
        assert!((take(&mut bucket, now + 600.0, 1).per_second - 0.88).abs() < 0.05);
        assert!((take(&mut bucket, now + 3_600.0, 1).per_second - 2.0).abs() < 1e-9);
        assert_eq!(bucket.refuse(Duration::from_secs_f64(now + 4_000.0), limits()), Duration::from_secs(1));
    }

    #[test]
    fn the_margin_is_a_second_of_the_rate_and_little_of_the_burst() {
        for (rate, burst, capacity, lateness) in
            [(2.0, 50, 48.0, 500), (5.0, 250, 245.0, 500), (10.0, 20, 19.0, 50), (1.0, 1, 1.0, 25)]
        {
            let limits = RateLimits::new(rate, burst);
            assert!((limits.capacity() - capacity).abs() < 1e-9, "{rate} {burst}");
            assert_eq!(limits.lateness(), Duration::from_millis(lateness), "{rate} {burst}");
        }
        let nonsense = RateLimits::new(f64::NAN, 0);
        assert!((nonsense.per_second() - 1.0).abs() < 1e-9 && (nonsense.capacity() - 1.0).abs() < 1e-9);
    }
}
