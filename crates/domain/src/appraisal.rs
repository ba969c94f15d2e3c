//! What a sync is going to take, from a cheap look at the portal.

use std::time::Duration;

use crate::pacing::RateLimits;

/// Part of the limit on execution time that syncs use (ADR 9).
const USED_OF_OPERATING: f64 = 0.96;

/// The portal's window of execution time (Bitrix24 REST 4.2), in seconds.
const WINDOW_SECONDS: f64 = 600.0;

/// What a look at the portal tells about reading a listing to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Appraisal {
    /// Records in it.
    pub records: u64,
    /// Requests that reading it takes, once it is known where to begin.
    pub requests: u64,
    /// Pages of at most 50 records in it.
    pub pages: u64,
    /// How long the portal takes for a page.
    pub page: Duration,
    /// Seconds of execution time that a page uses up; `None` where the portal does not account for it.
    pub page_operating: Option<f64>,
    /// The limits on the rate of requests.
    pub limits: RateLimits,
    /// Seconds of execution time that a method may use in ten minutes.
    pub operating_limit: f64,
}

/// What decides how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bottleneck {
    /// The portal's own work for one page after the other.
    Portal,
    /// The limit on requests.
    Rate,
    /// The limit on execution time.
    Operating,
}

impl Bottleneck {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Bottleneck::Portal => "portal",
            Bottleneck::Rate => "rate",
            Bottleneck::Operating => "operating",
        }
    }
}

impl Appraisal {
    /// The shortest time that the listing can be read in with limits of which nothing is used up yet, and what makes it
    /// that long. Pages come one after the other, because each begins where the one before ends.
    pub fn at_least(&self) -> (Duration, Bottleneck) {
        let portal = self.page.as_secs_f64() * float(self.pages);
        let rate = (float(self.requests) - self.limits.capacity()).max(0.0) / self.limits.per_second();
        let usable = self.operating_limit * USED_OF_OPERATING;
        let used = self.page_operating.unwrap_or_default() * float(self.pages);
        let operating = (used - usable).max(0.0) / (usable / WINDOW_SECONDS).max(f64::MIN_POSITIVE);
        let longest = [(rate, Bottleneck::Rate), (operating, Bottleneck::Operating)]
            .into_iter()
            .fold((portal, Bottleneck::Portal), |longest, one| if one.0 > longest.0 { one } else { longest });
        (Duration::try_from_secs_f64(longest.0).unwrap_or(Duration::MAX), longest.1)
    }
}

/// Exact up to 2^53, and no portal has more.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "there is no lossless conversion")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appraisal(requests: u64, page_milliseconds: u64, operating: Option<f64>) -> Appraisal {
        Appraisal {
            records: requests * 2_500,
            requests,
            pages: requests * 50,
            page: Duration::from_millis(page_milliseconds),
            page_operating: operating,
            limits: RateLimits::new(2.0, 50),
            operating_limit: 480.0,
        }
    }

    #[test]
    fn the_tightest_limit_decides() {
        for (requests, page, operating, seconds, bottleneck) in [
            (0, 50, Some(0.05), 0.0, Bottleneck::Portal),
            // The burst is free; the portal's work is not.
            (40, 10, Some(0.01), 20.0, Bottleneck::Portal),
            (1_048, 1, Some(0.0), 500.0, Bottleneck::Rate),
            (1_048, 1, None, 500.0, Bottleneck::Rate),
            // 480 s in ten minutes at 50 ms a page are 800 records a second at best; some of it is left to others.
            (400, 50, Some(0.05), 1_000.0, Bottleneck::Portal),
            (2_000, 50, Some(0.05), 5_910.4, Bottleneck::Operating),
        ] {
            let (lasts, found) = appraisal(requests, page, operating).at_least();
            assert_eq!(found, bottleneck, "{requests} requests");
            let off = (lasts.as_secs_f64() - seconds).abs();
            assert!(off <= seconds * 0.02, "{requests} requests: {lasts:?} instead of {seconds} s");
        }
    }

    #[test]
    fn nonsense_is_no_panic() {
        let worst = Appraisal { operating_limit: 0.0, ..appraisal(u64::MAX / 2_500, 1, Some(f64::INFINITY)) };
        assert_eq!(worst.at_least(), (Duration::MAX, Bottleneck::Operating));
    }
}
