//! What the portal counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Counters since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatsSnapshot {
    /// REST requests over HTTP, refused ones included.
    pub http_requests: u64,
    /// Requests refused by the leaky bucket.
    pub throttled: u64,
    /// Calls refused for spent operating time, commands of batches included.
    pub operation_blocked: u64,
    /// The same by what was out of time: a method, or `batch` where the portal charges that.
    pub blocked_by_method: BTreeMap<String, u64>,
    /// Commands that came in batches.
    pub batch_commands: u64,
    /// Rows in answers of list methods.
    pub rows_served: u64,
    /// Answers that a fault spoilt.
    pub faults: u64,
    /// The most requests that were being answered at the same time.
    pub peak_in_flight: u64,
    /// Calls by method; commands of batches count under their own method, and the envelope under `batch`.
    pub by_method: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) http_requests: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) operation_blocked: AtomicU64,
    pub(crate) batch_commands: AtomicU64,
    pub(crate) rows_served: AtomicU64,
    pub(crate) faults: AtomicU64,
    in_flight: AtomicU64,
    peak_in_flight: AtomicU64,
    by_method: Mutex<BTreeMap<String, u64>>,
    blocked_by_method: Mutex<BTreeMap<String, u64>>,
}

/// Counts one more call of a method.
fn count_method(counters: &Mutex<BTreeMap<String, u64>>, method: &str) {
    let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
    match counters.get_mut(method) {
        Some(calls) => *calls += 1,
        None => {
            counters.insert(method.to_owned(), 1);
        }
    }
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Stats {
    pub(crate) fn called(&self, method: &str) {
        count_method(&self.by_method, method);
    }

    /// A call was refused because this was out of operating time.
    pub(crate) fn blocked(&self, method: &str) {
        count(&self.operation_blocked, 1);
        count_method(&self.blocked_by_method, method);
    }

    pub(crate) fn entered(&self) {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak_in_flight.fetch_max(now, Ordering::Relaxed);
    }

    pub(crate) fn left(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StatsSnapshot {
            http_requests: read(&self.http_requests),
            throttled: read(&self.throttled),
            operation_blocked: read(&self.operation_blocked),
            blocked_by_method: self.blocked_by_method.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            batch_commands: read(&self.batch_commands),
            rows_served: read(&self.rows_served),
            faults: read(&self.faults),
            peak_in_flight: read(&self.peak_in_flight),
            by_method: self.by_method.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(crate) fn reset(&self) {
        for counter in [
            &self.http_requests,
            &self.throttled,
            &self.operation_blocked,
            &self.batch_commands,
            &self.rows_served,
            &self.faults,
            &self.peak_in_flight,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        for counters in [&self.by_method, &self.blocked_by_method] {
            counters.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}
