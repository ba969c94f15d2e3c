//! What went wrong, what to do about it, and the exit code.

use std::error::Error;
use std::process::ExitCode;

use b24sync_domain::application::ApplicationError;
use b24sync_domain::entity::UnknownEntity;
use b24sync_domain::error::{Chain, SourceError, StoreError, SyncError};
use b24sync_embedded_postgres::EmbeddedError;

use crate::output::Output;

/// Exit code of a command that failed.
const FAILED: u8 = 1;

/// Exit code of a command that was called wrongly.
const USAGE: u8 = 2;

/// A command's failure, ready for people.
#[derive(Debug)]
pub struct Failure {
    message: String,
    advice: String,
    code: u8,
}

impl Failure {
    /// A wrong call: exit code 2.
    pub fn usage(message: String, advice: &str) -> Failure {
        Failure { message, advice: advice.to_owned(), code: USAGE }
    }

    /// Something that failed.
    pub fn failed(message: String, advice: &str) -> Failure {
        Failure { message, advice: advice.to_owned(), code: FAILED }
    }

    /// A failure without advice of its own.
    pub fn of(doing: &str, error: &(dyn Error + 'static)) -> Failure {
        Failure { message: format!("{doing}: {}", Chain(error)), advice: String::new(), code: FAILED }
    }

    /// The same with this advice.
    #[must_use]
    pub fn advise(mut self, advice: &str) -> Failure {
        advice.clone_into(&mut self.advice);
        self
    }

    fn with_advice(error: &(dyn Error + 'static), advice: &str) -> Failure {
        Failure { message: Chain(error).to_string(), advice: advice.to_owned(), code: FAILED }
    }

    /// Prints the failure and returns its exit code.
    pub fn report(&self, output: Output) -> ExitCode {
        output.failure(&self.message, &self.advice);
        ExitCode::from(self.code)
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it; may be empty.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Failure {
        Failure::with_advice(&error, error.advice())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::with_advice(&error, error.advice())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Failure {
        Failure::with_advice(&error, error.advice())
    }
}

impl From<ApplicationError> for Failure {
    fn from(error: ApplicationError) -> Failure {
        Failure::with_advice(&error, error.advice())
    }
}

impl From<EmbeddedError> for Failure {
    fn from(error: EmbeddedError) -> Failure {
        let advice = "or set DATABASE_URL to use a PostgreSQL of your own";
        Failure::with_advice(&error, advice)
    }
}

impl From<UnknownEntity> for Failure {
    fn from(error: UnknownEntity) -> Failure {
        Failure::usage(error.to_string(), "name one or more of them, or use --all")
    }
}
