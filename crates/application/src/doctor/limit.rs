//! How long a look may take, and what it means when it fails.

use std::time::Duration;

use b24sync_domain::application::ApplicationError;
use b24sync_domain::doctor::{Check, Finding};
use b24sync_domain::error::{BoxError, Chain, SourceError, StoreError};

/// Time for one question to the database, or to a project.
pub(super) const DATABASE: Duration = Duration::from_secs(15);

/// Time for a migration: other processes may be at one.
pub(super) const MIGRATION: Duration = Duration::from_secs(600);

/// Time for one question to the portal, its retries included.
pub(super) const PORTAL: Duration = Duration::from_secs(20);

/// Why a look came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) seen: String,
    pub(super) cure: String,
    /// Whether there was no answer at all.
    pub(super) late: bool,
}

fn known(error: &(dyn std::error::Error + 'static), cure: &str) -> Problem {
    Problem { seen: Chain(error).to_string(), cure: cure.to_owned(), late: false }
}

impl Problem {
    /// The promise is broken.
    pub(super) fn fail(self, check: Check) -> Finding {
        Finding::fail(check, self.seen, self.cure)
    }

    /// Nobody knows whether it is kept.
    pub(super) fn warn(self, check: Check) -> Finding {
        Finding::warn(check, self.seen, self.cure)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        known(&error, error.advice())
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Problem {
        known(&error, error.advice())
    }
}

impl From<ApplicationError> for Problem {
    fn from(error: ApplicationError) -> Problem {
        known(&error, error.advice())
    }
}

impl From<BoxError> for Problem {
    fn from(error: BoxError) -> Problem {
        known(error.as_ref(), "")
    }
}

/// The answer, unless it fails or does not come in time.
pub(super) async fn limited<T, E: Into<Problem>>(
    limit: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(limit, question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_elapsed) => Err(Problem {
            seen: format!("no answer within {} s", limit.as_secs()),
            cure: "see whether something on the way, or a lock, holds it up; then run `b24sync doctor` again"
                .to_owned(),
            late: true,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_never_answers_is_told_after_its_limit() {
        let never = std::future::pending::<Result<(), StoreError>>();
        let problem = limited(DATABASE, never).await.unwrap_err();
        assert_eq!(problem.seen, "no answer within 15 s");
        assert!(!problem.cure.is_empty());
    }
}
