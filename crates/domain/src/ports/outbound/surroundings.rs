//! The process and what is around it: time, other processes, whoever watches.

use chrono::{DateTime, Utc};

use crate::run::{Run, RunStatus};

/// Tells the time.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now, by this machine's clock. Compared with the portal's or the database's by the self-test only.
    fn now(&self) -> DateTime<Utc>;
}

/// Knows this process among others, so that a lease of a process that is gone need not run out.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Instances: Send + Sync {
    /// Identity of this process.
    fn me(&self) -> String;

    /// Whether the process with this identity is certainly gone. `false` when in doubt.
    fn is_gone(&self, holder: &str) -> bool;
}

/// What happens in a run, for people who watch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// It began, or went on.
    Started {
        /// The run as it starts.
        run: Run,
        /// About how many records there are.
        expected: Option<u64>,
    },
    /// It committed something.
    Advanced {
        /// Records processed so far.
        processed: u64,
        /// Records in quarantine so far.
        quarantined: u64,
    },
    /// It ended.
    Ended {
        /// How.
        status: RunStatus,
    },
}

/// Watches a run.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait RunObserver: Send + Sync {
    /// Something happened. MUST return at once.
    fn on(&self, event: &RunEvent);
}
