//! The leaky bucket (REST.md 4.1).

use super::seconds;
use crate::config::RateLimit;

/// Counts requests in, lets them drain, and refuses what does not fit. Refused requests do not count.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: Option<RateLimit>,
    level: f64,
    at_micros: i64,
}

impl Bucket {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, level: 0.0, at_micros: 0 }
    }

    /// Replaces the limit and empties the bucket.
    pub(crate) fn set_limit(&mut self, limit: Option<RateLimit>) {
        *self = Self { at_micros: self.at_micros, ..Self::new(limit) };
    }

    pub(crate) fn empty(&mut self) {
        self.level = 0.0;
    }

    /// Takes one request in; returns whether there was room.
    pub(crate) fn admit(&mut self, now_micros: i64) -> bool {
        let Some(limit) = self.limit else { return true };
        let elapsed = seconds(now_micros - self.at_micros);
        self.at_micros = self.at_micros.max(now_micros);
        self.level = (self.level - elapsed * limit.per_second).max(0.0);
        let fits = self.level + 1.0 <= limit.burst;
        if fits {
            self.level += 1.0;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_fits_and_then_only_what_drains() {
        let mut bucket = Bucket::new(Some(RateLimit { per_second: 2.0, burst: 5.0 }));
        let start = 1_000_000_000;
        assert!((0..5).all(|_| bucket.admit(start)));
        assert!(!bucket.admit(start));
        assert!(!bucket.admit(start + 400_000));
        assert!(bucket.admit(start + 500_000));
        assert!(!bucket.admit(start + 500_000));
        assert!((0..5).all(|_| bucket.admit(start + 60_000_000)));
    }
}
