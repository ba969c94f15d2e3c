//! How many requests a caller may make.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::client;
use crate::problem::{Kind, Problem};
use crate::settings::{ApiSettings, RateLimit};

/// Checks after which callers that have been quiet are forgotten.
const FORGET_EVERY: u32 = 1024;

/// The limits of this instance.
pub(crate) struct Limits {
    failed_auth: Keyed<IpAddr>,
    per_subject: Keyed<String>,
    public: Keyed<IpAddr>,
}

impl Limits {
    pub(crate) fn new(settings: &ApiSettings) -> Limits {
        Limits {
            failed_auth: Keyed::new(settings.failed_auth),
            per_subject: Keyed::new(settings.per_subject),
            public: Keyed::new(settings.public),
        }
    }

    /// Counts a refused token.
    pub(crate) fn failed_auth(&self, address: IpAddr) -> Result<(), Problem> {
        self.failed_auth.check(&client::limited_as(address))
    }

    /// Counts a request of a known caller.
    pub(crate) fn subject(&self, subject: &str) -> Result<(), Problem> {
        self.per_subject.check(&subject.to_owned())
    }

    /// Counts a request that needs no token.
    pub(crate) fn public(&self, address: IpAddr) -> Result<(), Problem> {
        self.public.check(&client::limited_as(address))
    }
}

/// One limit for each key.
struct Keyed<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(limit: RateLimit) -> Keyed<K> {
        let quota = Quota::per_minute(limit.per_minute).allow_burst(limit.burst);
        Keyed { limiter: RateLimiter::keyed(quota), checks: AtomicU32::new(0) }
    }

    fn check(&self, key: &K) -> Result<(), Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Problem::new(Kind::TooManyRequests, "too many requests; slow down").retry_after(wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn callers_that_have_been_quiet_are_forgotten() {
        let many = NonZeroU32::new(u32::MAX).unwrap();
        let keyed = Keyed::new(RateLimit { per_minute: many, burst: NonZeroU32::MIN });
        for key in 0..FORGET_EVERY * 2 {
            assert!(keyed.check(&key).is_ok());
        }
        assert!(keyed.limiter.len() < 1100, "{}", keyed.limiter.len());
    }
}
