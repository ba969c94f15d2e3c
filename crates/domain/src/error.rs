//! How ports fail. Every error answers two questions: what should the caller do ([`Remedy`]), and what may a client
//! of the service know ([`ErrorKind`]).

use std::error::Error;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::application::TokenError;
use crate::entity::EntityType;
use crate::mapping::ColumnName;
use crate::progress::PageFault;
use crate::run::{RunId, RunKind};

/// Any error that an adapter met, kept as a cause.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What the caller of a failed port should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Try again later; `after` is the other side's own suggestion.
    Retry {
        /// How long the other side asked us to wait.
        after: Option<Duration>,
    },
    /// A person has to change something first.
    Operator,
    /// Trying again will not help.
    GiveUp,
}

/// What a client may know about a failure. Closed and small on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input was wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It contradicts what is going on.
    Conflict,
    /// Something we need does not answer.
    Unavailable,
    /// Our fault.
    Internal,
}

/// How a [`CrmSource`](crate::ports::CrmSource) fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// `QUERY_LIMIT_EXCEEDED`, and the attempts for one call are used up.
    #[error("portal request rate exceeded while calling `{method}`")]
    RateLimited {
        /// REST method.
        method: String,
    },
    /// `OPERATION_TIME_LIMIT`.
    #[error("`{method}` is out of operating time{}", until(*.resets_at))]
    MethodExhausted {
        /// REST method.
        method: String,
        /// When the portal lets it work again, if it said so.
        resets_at: Option<DateTime<Utc>>,
    },
    /// The webhook or token is wrong, expired or revoked.
    #[error("portal refused the credentials (`{code}`)")]
    Unauthorized {
        /// The portal's code.
        code: String,
    },
    /// The webhook lacks a scope.
    #[error("the webhook may not call `{method}`: a scope is missing")]
    MissingScope {
        /// REST method.
        method: String,
    },
    /// The user behind the webhook may not read this.
    #[error("the user behind the webhook may not call `{method}` (`{code}`)")]
    Forbidden {
        /// REST method.
        method: String,
        /// The portal's code.
        code: String,
    },
    /// REST is switched off for this portal: plan, payment, block, removal.
    #[error("the portal has switched REST off (`{code}`)")]
    PortalBlocked {
        /// The portal's code.
        code: String,
    },
    /// This portal does not have the method.
    #[error("the portal does not have the method `{method}`")]
    Unsupported {
        /// REST method.
        method: String,
    },
    /// The portal does not accept what we ask; repeating it will not help.
    #[error("portal refused `{method}` (`{code}`: {description})")]
    Rejected {
        /// REST method.
        method: String,
        /// The portal's code, possibly empty.
        code: String,
        /// The portal's text, shortened.
        description: String,
    },
    /// No answer, or one that only a broken server gives.
    #[error("portal unreachable while calling `{method}`")]
    Unavailable {
        /// REST method.
        method: String,
        /// What happened, without the address.
        #[source]
        source: BoxError,
    },
    /// The portal moved to another address.
    #[error("the portal has moved to `{host}`")]
    Moved {
        /// Its new host name.
        host: String,
    },
    /// An answer that is not what the method returns.
    #[error("malformed answer from `{method}`")]
    Malformed {
        /// REST method.
        method: String,
        /// What was wrong with it.
        #[source]
        source: BoxError,
    },
    /// A page that cannot be part of an honest listing.
    #[error("dishonest page from `{method}`")]
    Page {
        /// REST method.
        method: String,
        /// Which rule it broke.
        #[source]
        source: PageFault,
    },
    /// The number that orders reads could not be drawn, so the request was not sent.
    #[error("could not draw a read token")]
    ReadOrder(#[source] StoreError),
    /// Nobody could say whether the portal bears another request, so it was not sent.
    #[error("could not ask how many requests the portal bears")]
    Budget(#[source] StoreError),
    /// The application has no token, so the request was not sent or not accepted.
    #[error("the application has no right to call the portal")]
    Token(#[source] TokenError),
}

fn until(resets_at: Option<DateTime<Utc>>) -> String {
    resets_at.map(|at| format!(" until {at}")).unwrap_or_default()
}

impl SourceError {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            SourceError::RateLimited { .. }
            | SourceError::MethodExhausted { .. }
            | SourceError::Unavailable { .. }
            | SourceError::Malformed { .. }
            | SourceError::Page { .. } => Remedy::Retry { after: None },
            SourceError::Unauthorized { .. }
            | SourceError::MissingScope { .. }
            | SourceError::Forbidden { .. }
            | SourceError::PortalBlocked { .. }
            | SourceError::Moved { .. } => Remedy::Operator,
            SourceError::Unsupported { .. } | SourceError::Rejected { .. } => Remedy::GiveUp,
            SourceError::ReadOrder(error) | SourceError::Budget(error) => error.remedy(),
            SourceError::Token(error) => error.remedy(),
        }
    }

    /// What a person should do about it, in one sentence; empty when waiting is enough.
    pub fn advice(&self) -> &'static str {
        match self {
            SourceError::RateLimited { .. } | SourceError::MethodExhausted { .. } => {
                "other programs use up the portal's request budget; run the sync again later, it goes on where it stopped"
            }
            SourceError::Unauthorized { .. } => {
                "check BITRIX_WEBHOOK_URL: the webhook may be mistyped, expired, revoked, or its owner dismissed; create a new incoming webhook in the portal (Developer resources → Other → Incoming webhook)"
            }
            SourceError::MissingScope { .. } => {
                "edit the incoming webhook in the portal and give it the scope `crm` (and `user_brief` for user names)"
            }
            SourceError::Forbidden { .. } => {
                "give the user who owns the webhook the right to read all of CRM; best is an administrator made for integrations"
            }
            SourceError::PortalBlocked { .. } => {
                "check the portal's plan and payment; if REST was blocked by Bitrix24, only their support can lift it"
            }
            SourceError::Unsupported { .. } => {
                "this portal lacks the universal CRM methods; set BITRIX_CRM_API=classic"
            }
            SourceError::Moved { .. } => "put the portal's new address into BITRIX_WEBHOOK_URL",
            SourceError::Unavailable { .. } => {
                "check BITRIX_WEBHOOK_URL and that this machine can reach the portal; run the sync again, it goes on where it stopped"
            }
            SourceError::Malformed { .. } | SourceError::Page { .. } => {
                "the portal, or something between it and this machine, answered wrongly again and again; nothing of such answers is used: run the sync again later, it goes on where it stopped"
            }
            SourceError::Rejected { .. } => "see the portal's own words above",
            SourceError::ReadOrder(error) | SourceError::Budget(error) => error.advice(),
            SourceError::Token(error) => error.advice(),
        }
    }
}

/// How a store fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No connection, or it was lost.
    #[error("database unreachable while {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What happened, without address and password.
        #[source]
        source: BoxError,
    },
    /// The login is wrong.
    #[error("database refused the login")]
    LoginRefused {
        /// The server's own words.
        #[source]
        source: BoxError,
    },
    /// The login role may not do this.
    #[error("the database user lacks a right needed for {doing}")]
    Forbidden {
        /// What was being done.
        doing: &'static str,
        /// The server's own words.
        #[source]
        source: BoxError,
    },
    /// The control tables are missing or older than this program.
    #[error("the database has not been migrated")]
    NotMigrated,
    /// The database was migrated by a newer version of this program.
    #[error("the database was migrated by a newer version (`{version}`)")]
    TooNew {
        /// The newest migration found.
        version: String,
    },
    /// A lease was lost to another holder, or ran out.
    #[error("the lease on `{scope}` was lost to another process")]
    LeaseLost {
        /// What the lease was about.
        scope: String,
    },
    /// A column of an existing table has a type the service cannot write.
    #[error("column `{column}` of `{table}` has the type `{found}`, which cannot hold the portal's values")]
    UnsupportedColumn {
        /// Replica table.
        table: String,
        /// Column.
        column: String,
        /// Its type.
        found: String,
    },
    /// An existing table cannot be taken over.
    #[error("table `{table}` cannot be taken over: {reason}")]
    CannotAdopt {
        /// Replica table.
        table: String,
        /// Why.
        reason: String,
    },
    /// A column could not be given a wider type, for example because a view uses it.
    #[error("column `{column}` could not be widened")]
    CannotWiden {
        /// Which column.
        column: ColumnName,
        /// The server's own words.
        #[source]
        source: BoxError,
    },
    /// A row of a control table does not make sense.
    #[error("`{table}.{column}` holds a value that this program did not write")]
    Inconsistent {
        /// Control table.
        table: &'static str,
        /// Its column.
        column: &'static str,
    },
    /// Any other failure of the database.
    #[error("database failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The server's own words.
        #[source]
        source: BoxError,
    },
}

impl StoreError {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            StoreError::Unavailable { .. } => Remedy::Retry { after: None },
            StoreError::LoginRefused { .. }
            | StoreError::Forbidden { .. }
            | StoreError::NotMigrated
            | StoreError::TooNew { .. }
            | StoreError::UnsupportedColumn { .. }
            | StoreError::CannotAdopt { .. }
            | StoreError::CannotWiden { .. } => Remedy::Operator,
            StoreError::LeaseLost { .. } | StoreError::Inconsistent { .. } | StoreError::Database { .. } => {
                Remedy::GiveUp
            }
        }
    }

    /// What a person should do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            StoreError::Unavailable { .. } => {
                "check DATABASE_URL (host, port, database name, sslmode) and that the server is up"
            }
            StoreError::LoginRefused { .. } => "check the user and the password in DATABASE_URL",
            StoreError::Forbidden { .. } => {
                "connect as the owner of the tables, or grant this user: create on the database and on the schema in DATABASE_SCHEMA, and ownership of the crm_* tables"
            }
            StoreError::NotMigrated => "run `b24sync migrate`",
            StoreError::TooNew { .. } => "update b24sync; this version would not understand the newer tables",
            StoreError::LeaseLost { .. } => {
                "another b24sync process has taken over this sync; `b24sync status` shows how it goes on"
            }
            StoreError::UnsupportedColumn { .. } => {
                "give the column a type that fits (see docs/field-mapping.md) or rename it; the sync then makes its own"
            }
            StoreError::CannotAdopt { .. } => "mend the table as the message says, or rename it; then run it again",
            StoreError::CannotWiden { .. } => {
                "records with longer values are in quarantine; drop the dependent view, run `alter table … alter column … type …`, create the view again"
            }
            StoreError::Inconsistent { .. } | StoreError::Database { .. } => {
                "if tables in the schema b24sync were changed by hand, drop that schema and run `b24sync migrate`: your crm_* tables stay and are taken over; else this looks like a fault of b24sync: please report it with the message above"
            }
        }
    }
}

/// How a use case fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The portal failed.
    #[error("reading `{entity}` from the portal failed")]
    Source {
        /// Whose sync.
        entity: EntityType,
        /// How.
        #[source]
        source: SourceError,
    },
    /// The database failed.
    #[error("storing `{entity}` failed")]
    Store {
        /// Whose sync.
        entity: EntityType,
        /// How.
        #[source]
        source: StoreError,
    },
    /// The replica belongs to another portal.
    #[error("this database has the replica of the portal {known}, but BITRIX_WEBHOOK_URL leads to {given}")]
    AnotherPortal {
        /// The portal that it belongs to.
        known: String,
        /// The portal that was given.
        given: String,
    },
    /// Another process is at it.
    #[error("a sync of `{entity}` is already running (held by {})", who(.holder))]
    AlreadyRunning {
        /// Whose sync.
        entity: EntityType,
        /// Who has the lease.
        holder: String,
    },
    /// The portal describes an entity without the fields that a sync needs.
    #[error("the portal's description of `{entity}` has no field `{field}`")]
    MissingField {
        /// Whose description.
        entity: EntityType,
        /// Which field.
        field: &'static str,
    },
    /// More deletions than a run may carry out without being confirmed.
    #[error(
        "run {run} found at least {count} of {live} records of `{entity}` deleted in the portal and did not delete their rows"
    )]
    DeletionsHeld {
        /// Whose records.
        entity: EntityType,
        /// The run that found them.
        run: RunId,
        /// What that run did: only a full one can be confirmed.
        kind: RunKind,
        /// How many, as far as they were counted.
        count: u64,
        /// How many live records there were.
        live: u64,
    },
    /// Records are missing from the listing, and nothing proves that the webhook's user may still read the others.
    #[error(
        "run {run} was not shown {count} or more records of `{entity}` that the table has, and no other one that proves that they are gone: nothing was deleted"
    )]
    NothingVisible {
        /// Whose records.
        entity: EntityType,
        /// The run that found this.
        run: RunId,
        /// What that run did: only a full one can be confirmed.
        kind: RunKind,
        /// How many rows stand in question, as far as they were counted.
        count: usize,
    },
    /// This process was given no portal to ask.
    #[error("this instance has no portal; ask one that has, or set BITRIX_WEBHOOK_URL for this one")]
    NoPortal,
    /// The same records were read and lost against other reads again and again.
    #[error("{count} records of `{entity}` were changed by another process each time they were read")]
    Contested {
        /// Whose records.
        entity: EntityType,
        /// How many.
        count: usize,
    },
}

/// `process 4711 on host`, from the identity that processes give themselves, or that identity as it is.
pub fn who(holder: &str) -> String {
    let mut parts = holder.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(host), Some(pid), Some(_)) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("process {pid} on {host}")
        }
        _ => holder.to_owned(),
    }
}

impl SyncError {
    /// What a client of the service may know.
    pub fn kind(&self) -> ErrorKind {
        match self {
            SyncError::AlreadyRunning { .. }
            | SyncError::AnotherPortal { .. }
            | SyncError::NoPortal
            | SyncError::DeletionsHeld { .. }
            | SyncError::NothingVisible { .. } => ErrorKind::Conflict,
            SyncError::Source { source, .. } => match source.remedy() {
                Remedy::Retry { .. } | Remedy::Operator => ErrorKind::Unavailable,
                Remedy::GiveUp => ErrorKind::Internal,
            },
            SyncError::Store { source, .. } => match source.remedy() {
                Remedy::Retry { .. } => ErrorKind::Unavailable,
                Remedy::Operator | Remedy::GiveUp => ErrorKind::Internal,
            },
            SyncError::MissingField { .. } | SyncError::Contested { .. } => ErrorKind::Internal,
        }
    }

    /// Whether it says nothing about other entities, so that their syncs may go on.
    pub fn concerns_one_entity(&self) -> bool {
        match self {
            SyncError::Source { source, .. } => {
                matches!(
                    source,
                    SourceError::Forbidden { .. } | SourceError::Unsupported { .. } | SourceError::Rejected { .. }
                )
            }
            SyncError::Store { source, .. } => matches!(
                source,
                StoreError::LeaseLost { .. } | StoreError::UnsupportedColumn { .. } | StoreError::CannotAdopt { .. }
            ),
            SyncError::AnotherPortal { .. } | SyncError::NoPortal => false,
            SyncError::AlreadyRunning { .. }
            | SyncError::MissingField { .. }
            | SyncError::DeletionsHeld { .. }
            | SyncError::NothingVisible { .. }
            | SyncError::Contested { .. } => true,
        }
    }

    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            SyncError::Source { source, .. } => source.remedy(),
            SyncError::Store { source, .. } => source.remedy(),
            SyncError::AlreadyRunning { .. } | SyncError::Contested { .. } => Remedy::Retry { after: None },
            SyncError::AnotherPortal { .. }
            | SyncError::NoPortal
            | SyncError::DeletionsHeld { .. }
            | SyncError::NothingVisible { .. } => Remedy::Operator,
            SyncError::MissingField { .. } => Remedy::GiveUp,
        }
    }

    /// What a person should do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            SyncError::Source { source, .. } => source.advice(),
            SyncError::Store { source, .. } => source.advice(),
            SyncError::AnotherPortal { .. } => {
                "use another database for another portal; if it is the same portal under a new address, run the sync once with `--portal-moved`"
            }
            SyncError::NoPortal => "set BITRIX_WEBHOOK_URL",
            SyncError::AlreadyRunning { .. } => "wait for it, or watch it with `b24sync status`",
            SyncError::DeletionsHeld { kind: RunKind::Sweep | RunKind::Incremental | RunKind::Webhook, .. } => {
                "look whether they are really gone in the portal; then run `b24sync sync ENTITY` and confirm the run that it names"
            }
            SyncError::DeletionsHeld { .. } => {
                "look whether they are really gone in the portal; then confirm with `b24sync sync ENTITY --confirm-deletes RUN`"
            }
            SyncError::NothingVisible { kind: RunKind::Full, .. } => {
                "check that the webhook's user may still read all of CRM; if the records are really gone, confirm with `b24sync sync ENTITY --confirm-deletes RUN`"
            }
            SyncError::NothingVisible { .. } => {
                "check that the webhook's user may still read all of CRM; if the records are really gone, run `b24sync sync ENTITY` and confirm the run that it names"
            }
            SyncError::MissingField { .. } => "check that the webhook's user may read this part of CRM",
            SyncError::Contested { .. } => {
                "run the sync again; if it happens again, look for a second b24sync on this database"
            }
        }
    }
}

/// An error with its causes, joined by `: `.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_joins_every_cause_once() {
        let error = SyncError::Store {
            entity: "deal".parse().unwrap(),
            source: StoreError::Database { doing: "writing", source: "disk full".into() },
        };
        assert_eq!(Chain(&error).to_string(), "storing `deal` failed: database failed while writing: disk full");
    }
}
