//! The queue behind a lock, and those who wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::DeliveryPlan;
use super::queue::{Next, Parcel, Queue};
use super::tally::{Deliveries, DeliveryRecord};

/// The deliveries of a portal.
#[derive(Debug, Default)]
pub(crate) struct Office {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Office {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let result = change(&mut self.queue());
        self.changed.notify_all();
        result
    }

    pub(crate) fn set_plan(&self, plan: DeliveryPlan) {
        self.change(|queue| queue.set_plan(plan));
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.change(|queue| queue.pause(paused));
    }

    /// Whether a robot causes the event that is announced now.
    pub(crate) fn is_by_robot(&self) -> bool {
        self.queue().is_by_robot()
    }

    /// Takes a delivery that the plan may lose, double and delay, not before `earliest`.
    pub(crate) fn put(&self, parcel: Parcel, earliest: Instant) {
        self.change(|queue| queue.put(parcel, earliest));
    }

    /// Takes a delivery that the plan may only delay.
    pub(crate) fn put_certain(&self, parcel: Parcel) {
        self.change(|queue| queue.put_certain(parcel, Instant::now()));
    }

    pub(super) fn timeout(&self) -> Duration {
        self.queue().timeout()
    }

    /// Waits for the next delivery; `None` once `stop` is set.
    pub(super) fn next(&self, stop: &AtomicBool) -> Option<Parcel> {
        let mut queue = self.queue();
        while !stop.load(Ordering::Acquire) {
            let wait = match queue.next(Instant::now()) {
                Next::Send(parcel) => return Some(parcel),
                Next::Wait(wait) => wait,
                Next::Idle => Duration::from_secs(3_600),
            };
            queue = self.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    pub(super) fn settle(&self, parcel: &Parcel, status: Option<u16>, took: Duration) {
        self.change(|queue| queue.settle(parcel, status, took, Instant::now()));
    }

    /// Sets `stop`, so that [`Office::next`] returns.
    pub(super) fn stop(&self, stop: &AtomicBool) {
        self.change(|_| stop.store(true, Ordering::Release));
    }

    /// Waits until nothing is waiting or in flight; returns whether it came to that in time.
    pub(crate) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let queue = self.queue();
        let waited = self.changed.wait_timeout_while(queue, timeout, |queue| !queue.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    pub(crate) fn numbers(&self) -> Deliveries {
        self.queue().numbers()
    }

    pub(crate) fn records(&self) -> Vec<DeliveryRecord> {
        self.queue().records().cloned().collect()
    }

    /// Event and id of every delivery with an id that was answered with 200, in the order of the answers.
    pub(crate) fn answered_ok(&self) -> Vec<(String, i64)> {
        let queue = self.queue();
        let ok = queue.records().filter(|record| record.status == Some(200));
        ok.filter_map(|record| Some((record.event.clone(), record.id?))).collect()
    }

    pub(crate) fn reset(&self) {
        self.change(Queue::reset_tally);
    }
}
