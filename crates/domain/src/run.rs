//! A run: one execution of a sync, from its start to its outcome.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::entity::EntityType;
use crate::progress::Cursor;
use crate::record::ReadToken;

/// A run's number; equals the `id` of its row in `sync_logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a run does. The words are those of `sync_logs.sync_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunKind {
    /// Reads every record.
    Full,
    /// Reads what changed since the watermark.
    Incremental,
    /// Reads the ids of all records, to find those that are gone or that were never seen.
    Sweep,
    /// Reads the records that events named.
    Webhook,
}

impl RunKind {
    /// Every kind.
    pub const ALL: [RunKind; 4] = [RunKind::Full, RunKind::Incremental, RunKind::Sweep, RunKind::Webhook];

    /// Whether a later process can go on from its cursor. Named records are named anew each time, and a sweep draws its
    /// conclusions from one listing.
    pub fn is_resumable(self) -> bool {
        matches!(self, RunKind::Full | RunKind::Incremental)
    }

    /// Whether somebody who wants a run of kind `wanted` is served by one of this kind that is on already.
    pub fn serves(self, wanted: RunKind) -> bool {
        match wanted {
            RunKind::Webhook => false,
            RunKind::Full => self == RunKind::Full,
            RunKind::Incremental | RunKind::Sweep => self == wanted || self == RunKind::Full,
        }
    }

    /// The word in `sync_logs.sync_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            RunKind::Full => "full",
            RunKind::Incremental => "incremental",
            RunKind::Sweep => "sweep",
            RunKind::Webhook => "webhook",
        }
    }
}

/// How a run stands or ended. The words are those of `sync_logs.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Somebody asked for it; nobody is at it yet.
    Queued,
    /// It is on.
    Running,
    /// Every page was valid and every record is stored.
    Completed,
    /// Every page was valid, but some records could not be stored and are in quarantine.
    CompletedWithQuarantine,
    /// It stopped with an error; what it committed stays.
    Failed,
    /// Somebody stopped it; the next run goes on from its cursor.
    Cancelled,
    /// Its process ended without a word; the next run goes on from its cursor.
    Interrupted,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [RunStatus; 7] = [
        RunStatus::Queued,
        RunStatus::Running,
        RunStatus::Completed,
        RunStatus::CompletedWithQuarantine,
        RunStatus::Failed,
        RunStatus::Cancelled,
        RunStatus::Interrupted,
    ];

    /// Whether it did all that it was to do, but perhaps for records in quarantine.
    pub fn has_ended_well(self) -> bool {
        matches!(self, RunStatus::Completed | RunStatus::CompletedWithQuarantine)
    }

    /// Whether nothing more comes of it unless somebody asks again.
    pub fn has_ended(self) -> bool {
        !matches!(self, RunStatus::Queued | RunStatus::Running)
    }

    /// The word in `sync_logs.status`.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Completed => "completed",
            RunStatus::CompletedWithQuarantine => "completed_with_quarantine",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Interrupted => "interrupted",
        }
    }
}

/// A word that names no kind or status of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no kind or status of a run")]
pub struct UnknownWord(String);

impl FromStr for RunKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        RunKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl FromStr for RunStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        RunStatus::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run that its owner may go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its entity.
    pub entity: EntityType,
    /// What it does.
    pub kind: RunKind,
    /// Everything up to here has been committed by it, in this process or in one before it.
    pub cursor: Cursor,
    /// Drawn when the run began: a record whose stored read is older was not seen by this run.
    pub start: ReadToken,
    /// The portal's time at its first page; `None` before that.
    pub source_start: Option<DateTime<Utc>>,
    /// Records it has processed so far.
    pub processed: u64,
    /// Records it has put into quarantine so far.
    pub quarantined: u64,
    /// Whether an earlier process began it.
    pub resumed: bool,
}

/// How a run ended, for the run log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Any status but [`RunStatus::Running`] and the completed ones: completion is part of the last commit.
    pub status: RunStatus,
    /// What went wrong, without secrets and without record contents.
    pub error: Option<String>,
}

/// What a finished run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Which run.
    pub run: RunId,
    /// Its entity.
    pub entity: EntityType,
    /// What it did.
    pub kind: RunKind,
    /// How it ended.
    pub status: RunStatus,
    /// Records read and decided on, earlier processes of the same run included.
    pub processed: u64,
    /// Rows of the replica that were written by this process: new or changed.
    pub written: u64,
    /// Rows deleted because their records are proven to be gone.
    pub deleted: u64,
    /// Records put into quarantine, earlier processes of the same run included.
    pub quarantined: u64,
    /// Whether an earlier process began it.
    pub resumed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for status in
            ["queued", "running", "completed", "completed_with_quarantine", "failed", "cancelled", "interrupted"]
        {
            assert_eq!(status.parse::<RunStatus>().unwrap().as_str(), status);
        }
        for kind in ["full", "incremental", "sweep", "webhook"] {
            assert_eq!(kind.parse::<RunKind>().unwrap().as_str(), kind);
        }
        assert!("paused".parse::<RunStatus>().is_err());
    }

    #[test]
    fn a_full_run_serves_whoever_wants_less_and_named_records_are_served_by_nobody() {
        assert!(RunKind::Full.serves(RunKind::Incremental) && RunKind::Full.serves(RunKind::Sweep));
        assert!(RunKind::Incremental.serves(RunKind::Incremental));
        assert!(!RunKind::Incremental.serves(RunKind::Full) && !RunKind::Incremental.serves(RunKind::Sweep));
        assert!(RunKind::ALL.iter().all(|kind| !kind.serves(RunKind::Webhook)));
    }
}
