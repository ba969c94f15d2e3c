//! The delays between the attempts of one call.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::RetryPolicy;
use crate::failure::{Class, Failure};

/// Chooses the delays of one call: after each failure the class of that failure decides between the two scales.
pub(crate) struct Backoff<'a> {
    policy: &'a RetryPolicy,
    limited: AtomicBool,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(policy: &'a RetryPolicy) -> Backoff<'a> {
        Backoff { policy, limited: AtomicBool::new(false) }
    }

    /// Whether the call may be repeated after this failure; remembers which scale the next delay is on.
    pub(crate) fn permits(&self, failure: &Failure) -> bool {
        self.limited.store(failure.class == Class::Limit, Ordering::Relaxed);
        failure.class != Class::Final
    }

    /// One delay less than there are attempts.
    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + '_ {
        (0..self.policy.attempts.saturating_sub(1)).map(|attempt| {
            let (first, max) = if self.limited.load(Ordering::Relaxed) {
                (self.policy.rate_limit_first, self.policy.rate_limit_max)
            } else {
                (self.policy.other_first, self.policy.other_max)
            };
            spread(first.saturating_mul(2_u32.saturating_pow(attempt)).min(max))
        })
    }
}

/// Up to a tenth longer, so that programs that failed together do not come back together.
fn spread(delay: Duration) -> Duration {
    let tenths_of_percent = RandomState::new().build_hasher().finish() % 100;
    delay + delay.mul_f64(f64::from(u32::try_from(tenths_of_percent).unwrap_or(0)) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use b24sync_domain::error::SourceError;

    fn seconds(class: Class) -> Vec<u64> {
        let policy = RetryPolicy::default();
        let backoff = Backoff::new(&policy);
        let failure = Failure { error: SourceError::RateLimited { method: "batch".to_owned() }, class };
        assert_eq!(backoff.permits(&failure), class != Class::Final);
        backoff.delays().map(|delay| delay.as_millis().try_into().unwrap_or(u64::MAX) / 100).collect()
    }

    #[test]
    fn five_attempts_wait_from_four_seconds_on_after_a_limit() {
        let tenths = seconds(Class::Limit);
        for (tenth, at_least) in tenths.iter().zip([40, 80, 160, 320]) {
            assert!((at_least..=at_least * 11 / 10).contains(tenth), "{tenths:?}");
        }
        assert_eq!(tenths.len(), 4);
    }

    #[test]
    fn other_faults_wait_half_a_second_first() {
        let tenths = seconds(Class::Fault);
        assert!((5..=6).contains(tenths.first().unwrap()), "{tenths:?}");
        assert!(
            !Backoff::new(&RetryPolicy::default())
                .permits(&Failure { error: SourceError::RateLimited { method: String::new() }, class: Class::Final })
        );
    }
}
