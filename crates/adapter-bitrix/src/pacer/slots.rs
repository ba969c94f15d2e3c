//! Slots of the rate that this process holds.

use std::collections::VecDeque;
use std::time::Duration;

use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::{Lane, Returned, Slice, Wish};
use tokio::time::Instant;

/// How far in the future slots are taken. Lanes differ so that a hint finds a slot behind those that another process's
/// full sync holds, and at most a second of them.
fn ahead(lane: Lane) -> Duration {
    Duration::from_millis(match lane {
        Lane::Hint => 2_000,
        Lane::Incremental => 1_500,
        Lane::Full => 1_000,
    })
}

/// A slot: from when on, and how long.
struct Slot {
    due: Instant,
    ends: Instant,
}

/// What is left of the last slice. A slot that is not used within its time is returned with the next wish: used later, it
/// would come together with those of others.
pub(super) struct Slots {
    lateness: Duration,
    held: VecDeque<Slot>,
    version: i64,
    expired: u32,
    /// When slots were used, no longer ago than a slot lasts: about as many will be of use until the next wish.
    used: VecDeque<Instant>,
    /// Whether the last slice was of the rate, and not of a burst that was free.
    steady: bool,
    /// Until when asking is of no use, for this lane and those behind it.
    nothing_until: Option<(Instant, Lane)>,
}

impl Slots {
    pub(super) fn new(limits: RateLimits) -> Slots {
        Slots {
            lateness: limits.lateness(),
            held: VecDeque::new(),
            version: 0,
            expired: 0,
            used: VecDeque::new(),
            steady: false,
            nothing_until: None,
        }
    }

    /// When the next slot may be used; `None` when there is none.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        while self.held.front().is_some_and(|slot| slot.ends < now) {
            self.held.pop_front();
            self.expired += 1;
        }
        self.held.front().map(|slot| slot.due)
    }

    /// Uses the next slot.
    pub(super) fn take(&mut self, now: Instant) {
        self.held.pop_front();
        self.used.push_back(now);
    }

    /// Until when it is no use to ask for this lane.
    pub(super) fn nothing_until(&self, lane: Lane, now: Instant) -> Option<Instant> {
        self.nothing_until.filter(|(until, of)| lane >= *of && *until > now).map(|(until, _)| until)
    }

    /// Asking is of no use for a time, for anybody.
    pub(super) fn rest_until(&mut self, until: Instant) {
        self.nothing_until = Some((until, Lane::Hint));
    }

    /// What to ask for when `waiting` requests of this lane wait.
    pub(super) fn wish(&mut self, lane: Lane, waiting: usize, now: Instant) -> Wish {
        let lateness = self.lateness;
        self.used.retain(|used| *used + lateness >= now);
        // Slots of a burst are for now: those that are not used at once would be lost where others take some too.
        let soon = if self.steady { self.used.len() } else { 0 };
        let wanted = u32::try_from(waiting + soon).unwrap_or(u32::MAX);
        let expired = std::mem::take(&mut self.expired);
        let returned = (expired > 0).then_some(Returned { version: self.version, count: expired });
        Wish { wanted: wanted.max(1), ahead: ahead(lane), returned }
    }

    /// Takes over the answer to a wish of this lane that was made at `asked` and answered at `now`. The store's clock was
    /// read at some moment between the two: a slot begins by the later and ends by the earlier one.
    pub(super) fn granted(&mut self, lane: Lane, slice: &Slice, asked: Instant, now: Instant) {
        self.version = slice.version;
        self.steady = slice.spacing > Duration::ZERO;
        self.nothing_until = (slice.count == 0).then_some((now + slice.first, lane));
        for number in 0..slice.count {
            let after = slice.first + slice.spacing * number;
            // One late request does no harm, and without it nothing would ever go where the store answers slowly.
            let from = if number == 0 { now } else { asked };
            self.held.push_back(Slot { due: now + after, ends: from + after + self.lateness });
        }
    }
}
