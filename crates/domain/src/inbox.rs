//! When a hint is due, when it is tried again, and when it is given up. Pure: times come from the store's clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::entity::EntityType;
use crate::event::Target;

/// How long a hint rests after its last event, so that floods coalesce.
pub const DEBOUNCE: Duration = Duration::from_secs(1);

/// How long it rests after its first event at most.
pub const LONGEST_DEBOUNCE: Duration = Duration::from_secs(5);

/// Hints of one drain at most: what one request asks for (50 commands of 50 ids, Bitrix24 REST 6.1).
pub const AT_ONCE: u32 = 2_500;

/// Hints of an entity from which on they count as a flood, which may wait until it fills a request.
const FLOOD: u32 = 500;

/// Attempts before a hint is a dead letter.
pub const MOST_ATTEMPTS: u32 = 12;

const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(3_600);

/// After how long a record is read once more that looks older than its event.
pub const SECOND_LOOK: Duration = Duration::from_secs(10);

/// How much older than its event's sending a record may look: events wait in the portal's queue, and times have no parts
/// of seconds.
const USUAL_DELAY: TimeDelta = TimeDelta::seconds(30);

/// Hints of an entity that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// The entity.
    pub entity: EntityType,
    /// Those whose rest is over, [`AT_ONCE`] at most.
    pub due: u32,
    /// All that wait, one more than [`AT_ONCE`] at most.
    pub pending: u32,
    /// How long ago the first event came of the one that waits longest.
    pub oldest: Duration,
}

impl Backlog {
    /// Whether to drain it now: what is due need not wait, unless it is part of a flood that has not filled a request yet.
    pub fn is_ripe(&self) -> bool {
        let still_growing = self.pending >= FLOOD && self.due < self.pending.min(AT_ONCE);
        self.due > 0 && (!still_growing || self.oldest >= LONGEST_DEBOUNCE)
    }
}

/// What comes of an attempt that failed for a reason of the record's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again after this time.
    Again(Duration),
    /// It is a dead letter.
    Dead,
}

/// After this many failed attempts; `spread`, from 0 to 1, keeps hints that failed together apart by up to a quarter.
pub fn after_failure(attempts: u32, spread: f64) -> AfterFailure {
    if attempts >= MOST_ATTEMPTS {
        return AfterFailure::Dead;
    }
    let doubled = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    let wait = doubled.min(LONGEST_BACKOFF);
    AfterFailure::Again(wait.mul_f64(1.0 + spread.clamp(0.0, 1.0) / 4.0))
}

/// Whether a record looks as if the portal's answer lagged behind its event: it was changed last clearly before the event
/// was sent, or is still there although the event says that it is gone.
pub fn looks_older(modified: Option<DateTime<Utc>>, deleted: bool, sent_at: Option<DateTime<Utc>>) -> bool {
    let changed_before = modified.zip(sent_at).is_some_and(|(modified, sent_at)| modified + USUAL_DELAY < sent_at);
    deleted || changed_before
}

/// How often an instance notes that it takes events in.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);

/// After this time without a note an instance counts as having been away.
pub const SILENT_AFTER: Duration = Duration::from_secs(15);

/// Whether events may have come while nobody took them in: an instance was not there, and no other one has noted since
/// that it is. `away` lasts until now; a start counts as a time away that is over once others had time for a note.
pub fn leaves_a_gap(away: Duration, others: Option<Duration>) -> bool {
    others.is_none_or(|others| others >= away)
}

/// A hint that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// What to look at.
    pub target: Target,
    /// Which of its events were known: a later one gives it another generation.
    pub generation: i64,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Whether the last event says that the record is gone.
    pub deleted: bool,
    /// When the last event was sent, by the portal's clock.
    pub sent_at: Option<DateTime<Utc>>,
    /// Whether it was looked at a second time already.
    pub second_look: bool,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The replica has what the portal said.
    Applied,
    /// It has, but the portal's answer may lag behind the event: look once more.
    LookAgain,
    /// It could not be applied, for a reason of its own.
    Failed {
        /// Why, without secrets and without record contents.
        reason: String,
        /// What comes next.
        next: AfterFailure,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(due: u32, pending: u32, oldest_ms: u64) -> Backlog {
        Backlog { entity: "deal".parse().unwrap(), due, pending, oldest: Duration::from_millis(oldest_ms) }
    }

    #[test]
    fn what_is_due_goes_and_a_flood_fills_a_request_within_five_seconds() {
        for (due, pending, oldest, ripe) in [
            (0, 10, 900, false),
            (1, 1, 1_000, true),
            (3, 400, 1_100, true),
            (300, 600, 1_500, false),
            (600, 600, 2_000, true),
            (300, 600, 5_000, true),
            (2_499, 2_501, 2_500, false),
            (2_500, 2_501, 2_500, true),
        ] {
            assert_eq!(backlog(due, pending, oldest).is_ripe(), ripe, "{due} of {pending}, {oldest} ms");
        }
    }

    #[test]
    fn attempts_are_spread_over_hours_and_end() {
        let waits: Vec<_> = (1..=MOST_ATTEMPTS).map(|attempts| after_failure(attempts, 0.0)).collect();
        assert_eq!(waits[0], AfterFailure::Again(Duration::from_secs(5)));
        assert_eq!(waits[3], AfterFailure::Again(Duration::from_secs(40)));
        assert_eq!(waits[10], AfterFailure::Again(Duration::from_secs(3_600)));
        assert_eq!(waits[11], AfterFailure::Dead);
        assert_eq!(after_failure(1, 1.0), AfterFailure::Again(Duration::from_millis(6_250)));
    }

    #[test]
    fn whoever_was_away_alone_leaves_a_gap() {
        let seconds = Duration::from_secs;
        assert!(leaves_a_gap(seconds(4), None));
        // Its last note is from before: it may be what was restarted.
        assert!(leaves_a_gap(seconds(4), Some(seconds(5))));
        assert!(!leaves_a_gap(seconds(4), Some(seconds(1))));
    }

    #[test]
    fn an_answer_that_lags_is_recognised() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert!(!looks_older(at(1_000), false, at(1_010)));
        assert!(looks_older(at(1_000), false, at(1_031)));
        assert!(!looks_older(at(1_000), false, None) && !looks_older(None, false, at(1_000)));
        assert!(looks_older(at(1_000), true, at(1_000)));
    }
}
