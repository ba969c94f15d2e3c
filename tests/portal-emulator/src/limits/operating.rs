//! Operating time (REST.md 4.2): ten buckets for each method, the oldest of which drops out step by step.

use std::collections::{BTreeMap, HashMap};

use crate::config::{Accounting, OperatingLimit};

/// What a `time` block says about a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Seconds spent inside the window.
    pub(crate) operating: f64,
    /// Epoch second by which the oldest bucket has dropped out.
    pub(crate) reset_at: i64,
}

/// The counters of one webhook.
#[derive(Debug)]
pub(crate) struct Operating {
    limit: OperatingLimit,
    enforced: bool,
    spent: HashMap<String, BTreeMap<i64, f64>>,
}

const BUCKETS: i64 = 10;

impl Operating {
    pub(crate) fn new(limit: Option<OperatingLimit>) -> Self {
        Self { limit: limit.unwrap_or_default(), enforced: limit.is_some(), spent: HashMap::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.spent.clear();
    }

    pub(crate) fn accounting(&self) -> Accounting {
        self.limit.accounting
    }

    /// Whether a call lasts as long as it costs.
    pub(crate) fn takes_time(&self) -> bool {
        self.limit.takes_time
    }

    /// What a call costs: a list by whether it counts, anything else the same.
    pub(crate) fn cost(&self, list_counts: Option<bool>) -> f64 {
        match list_counts {
            Some(true) => self.limit.cost_per_page + self.limit.cost_per_count,
            Some(false) => self.limit.cost_per_page,
            None => self.limit.cost_per_call,
        }
    }

    /// Whether a method has spent its time, so that the next call is refused.
    pub(crate) fn is_blocked(&mut self, method: &str, now_micros: i64) -> bool {
        self.enforced && self.read(method, now_micros).operating >= self.limit.limit_seconds
    }

    /// Counts what a call costs, where it is counted at all.
    pub(crate) fn charge(&mut self, method: &str, cost: f64, now_micros: i64) {
        if !self.enforced {
            return;
        }
        let bucket = now_micros / self.bucket_micros();
        *self.spent.entry(method.to_owned()).or_default().entry(bucket).or_default() += cost;
    }

    pub(crate) fn read(&mut self, method: &str, now_micros: i64) -> Reading {
        let length = self.bucket_micros();
        let oldest_kept = now_micros / length - BUCKETS + 1;
        let buckets = self.spent.entry(method.to_owned()).or_default();
        buckets.retain(|bucket, _| *bucket >= oldest_kept);
        let oldest = buckets.keys().next().copied().unwrap_or(now_micros / length);
        let reset_micros = (oldest + BUCKETS) * length;
        Reading { operating: buckets.values().sum(), reset_at: -(-reset_micros).div_euclid(1_000_000) }
    }

    fn bucket_micros(&self) -> i64 {
        let bucket = std::time::Duration::from_secs_f64(self.limit.window_seconds.max(0.01) / 10.0);
        i64::try_from(bucket.as_micros()).unwrap_or(60_000_000).max(1)
    }
}

impl Reading {
    /// Nothing spent yet.
    pub(crate) fn zero(self) -> Self {
        Self { operating: 0.0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operating(limit_seconds: f64) -> Operating {
        Operating::new(Some(OperatingLimit { limit_seconds, ..OperatingLimit::default() }))
    }

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn the_call_that_crosses_the_limit_finishes_and_the_next_is_refused() {
        let mut operating = operating(1.0);
        assert!(!operating.is_blocked("list", 0));
        operating.charge("list", 1.5, 0);
        assert!(operating.is_blocked("list", 1));
        assert!(!operating.is_blocked("get", 1));
    }

    #[test]
    fn buckets_drop_out_one_by_one() {
        let mut operating = operating(100.0);
        operating.charge("list", 3.0, 0);
        operating.charge("list", 2.0, 5 * MINUTE);
        assert!((operating.read("list", 9 * MINUTE).operating - 5.0).abs() < 1e-9);
        let later = operating.read("list", 10 * MINUTE);
        assert!((later.operating - 2.0).abs() < 1e-9);
        assert_eq!(later.reset_at, 15 * 60);
        assert!(operating.read("list", 15 * MINUTE).operating.abs() < 1e-9);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut operating = Operating::new(None);
        operating.charge("list", 1_000.0, 0);
        assert!(!operating.is_blocked("list", 1) && operating.read("list", 1).operating.abs() < 1e-9);
    }

    #[test]
    fn a_shorter_window_has_shorter_buckets_and_says_when_the_oldest_is_out() {
        let limit = OperatingLimit { limit_seconds: 10.0, window_seconds: 4.0, ..OperatingLimit::default() };
        let mut operating = Operating::new(Some(limit));
        operating.charge("list", 1.0, 100_300_000);
        let reading = operating.read("list", 103_900_000);
        // The bucket from 100.0 to 100.4 s is out at 104.0 s.
        assert_eq!(reading, Reading { operating: 1.0, reset_at: 104 });
        assert!(operating.read("list", 104_000_000).operating.abs() < 1e-9);
        operating.charge("list", 1.0, 104_500_000);
        assert_eq!(operating.read("list", 104_500_000).reset_at, 109, "108.4 s in whole seconds");
    }
}
