//! A budget that nobody shares.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::pacing::{Bucket, RateLimits};
use b24sync_domain::ports::{BudgetStore, MethodPause, Slice, Wish};
use tokio::time::Instant;

/// A [`BudgetStore`] in memory, for a program that has the portal for itself.
#[derive(Debug)]
pub struct OwnBudget {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bucket: Bucket,
    pauses: Vec<(MethodPause, Instant)>,
}

impl Default for OwnBudget {
    fn default() -> OwnBudget {
        OwnBudget { start: Instant::now(), state: Mutex::default() }
    }
}

impl OwnBudget {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BudgetStore for OwnBudget {
    async fn take(&self, limits: RateLimits, wish: &Wish) -> Result<Slice, StoreError> {
        let now = Instant::now();
        let mut state = self.state();
        state.pauses.retain(|(_, until)| *until > now);
        let left = |(pause, until): &(MethodPause, Instant)| MethodPause { pause: *until - now, ..pause.clone() };
        let methods = state.pauses.iter().map(left).collect();
        Ok(state.bucket.take(now - self.start, limits, wish, methods))
    }

    async fn refuse(&self, limits: RateLimits) -> Result<Duration, StoreError> {
        let now = self.start.elapsed();
        Ok(self.state().bucket.refuse(now, limits))
    }

    async fn pause_method(&self, pause: &MethodPause) -> Result<(), StoreError> {
        let until = Instant::now() + pause.pause;
        let mut state = self.state();
        state.pauses.retain(|(other, _)| other.method != pause.method);
        state.pauses.push((pause.clone(), until));
        Ok(())
    }
}
