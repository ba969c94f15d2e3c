//! What became of the deliveries.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// How many of the latest deliveries are remembered one by one.
const REMEMBERED: usize = 200_000;

/// Numbers of deliveries since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    /// Waiting now.
    pub queued: u64,
    /// Being sent now.
    pub in_flight: u64,
    /// Sent, whatever came of it; those in flight are not counted yet.
    pub sent: u64,
    /// Lost by the plan: never sent.
    pub lost: u64,
    /// Answers by HTTP status.
    pub answered: BTreeMap<u16, u64>,
    /// Sent without a readable answer: refused, cut off, too late.
    pub failed: u64,
}

/// One delivery that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryRecord {
    /// Name of the event.
    pub event: String,
    /// The id in its data, if it has one.
    pub id: Option<i64>,
    /// Where it was sent.
    pub handler: String,
    /// The HTTP status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// Whether it was lost by the plan, so that it was never sent.
    pub lost: bool,
}

/// Counts and remembers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    numbers: Deliveries,
    records: VecDeque<DeliveryRecord>,
}

impl Tally {
    pub(super) fn add(&mut self, record: DeliveryRecord) {
        match (record.lost, record.status) {
            (true, _) => self.numbers.lost += 1,
            (false, None) => self.numbers.failed += 1,
            (false, Some(status)) => *self.numbers.answered.entry(status).or_default() += 1,
        }
        self.numbers.sent += u64::from(!record.lost);
        if self.records.len() >= REMEMBERED {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    pub(super) fn numbers(&self) -> Deliveries {
        self.numbers.clone()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &DeliveryRecord> {
        self.records.iter()
    }
}
