//! Transactions, and when to run one again.

use std::hash::{BuildHasher, RandomState};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use b24sync_domain::error::StoreError;
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AnsiTransactionManager, TransactionManager};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::pool::{Connections, Lent};

/// Attempts for one transaction.
const ATTEMPTS: u32 = 5;

/// Wait before the second attempt; each further one is three times as long.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// Longest wait between two attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// Everything is `set local`: behind a transaction pooler nothing else would be ours.
const BEGIN: &str = "begin isolation level read committed; set local lock_timeout = '10s'; set local statement_timeout = '5min'; set local idle_in_transaction_session_timeout = '1min'";

/// The same for changes of tables, which must not stand in the way of others while they wait.
const BEGIN_CHANGE: &str = "begin isolation level read committed; set local lock_timeout = '2s'; set local statement_timeout = '1h'; set local idle_in_transaction_session_timeout = '1min'";

/// An open transaction. Dropped without [`Transaction::finish`], it takes its connection with it.
pub(crate) struct Transaction {
    connection: Lent,
}

impl Transaction {
    /// Begins one for reading and writing rows.
    pub(crate) async fn begin(connections: &Connections) -> Result<Transaction, Trouble> {
        Transaction::begin_with(connections, BEGIN).await
    }

    /// Begins one for changing tables.
    pub(crate) async fn begin_change(connections: &Connections) -> Result<Transaction, Trouble> {
        Transaction::begin_with(connections, BEGIN_CHANGE).await
    }

    async fn begin_with(connections: &Connections, sql: &str) -> Result<Transaction, Trouble> {
        let mut connection = connections.lend().await?;
        match AnsiTransactionManager::begin_transaction_sql(&mut *connection, sql).await {
            Ok(()) => Ok(Transaction { connection }),
            Err(error) => {
                // It may have begun all the same.
                drop(Object::take(connection));
                Err(error.into())
            }
        }
    }

    /// Commits when the work succeeded, rolls back when it did not.
    pub(crate) async fn finish<T>(mut self, work: Result<T, Trouble>) -> Result<T, Trouble> {
        let ended = match &work {
            Ok(_) => AnsiTransactionManager::commit_transaction(&mut *self.connection).await,
            Err(_) => AnsiTransactionManager::rollback_transaction(&mut *self.connection).await,
        };
        if let Err(error) = ended {
            // Nobody knows what the connection is in the middle of.
            drop(Object::take(self.connection));
            return work.and(Err(error.into()));
        }
        work
    }

    /// Runs `work` so that its failure undoes only itself.
    pub(crate) async fn savepoint(&mut self) -> Result<(), Trouble> {
        Ok(AnsiTransactionManager::begin_transaction(&mut *self.connection).await?)
    }

    /// Keeps what was done since the last savepoint.
    pub(crate) async fn release(&mut self) -> Result<(), Trouble> {
        Ok(AnsiTransactionManager::commit_transaction(&mut *self.connection).await?)
    }

    /// Undoes what was done since the last savepoint.
    pub(crate) async fn undo(&mut self) -> Result<(), Trouble> {
        Ok(AnsiTransactionManager::rollback_transaction(&mut *self.connection).await?)
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Runs a whole piece of work again while its failure is one that passes. The work must be idempotent: a COMMIT whose
/// answer was lost may have happened.
pub(crate) async fn retrying<T, F, W>(doing: &'static str, mut work: F) -> Result<T, StoreError>
where
    F: FnMut() -> W,
    W: Future<Output = Result<T, Trouble>>,
{
    let mut attempt = 1;
    loop {
        match work().await {
            Err(trouble) if trouble.is_transient() && attempt < ATTEMPTS => {
                if let Some(failure) = trouble.failure() {
                    tracing::warn!(attempt, error = %failure, "trying again after a failure while {doing}");
                }
                tokio::time::sleep(delay(attempt)).await;
                attempt += 1;
            }
            other => return other.map_err(|trouble| trouble.into_store(doing)),
        }
    }
}

/// 50, 150, 450, 1350 ms, less up to a half, so that two processes that met do not meet again.
fn delay(attempt: u32) -> Duration {
    let full = FIRST_DELAY.saturating_mul(3_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_DELAY);
    let draw = u32::try_from(RandomState::new().hash_one(attempt) % 512).unwrap_or_default();
    full.saturating_sub(full * draw / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_bounded() {
        for attempt in 1..20 {
            assert!(delay(attempt) >= FIRST_DELAY / 2 && delay(attempt) <= LONGEST_DELAY);
        }
    }
}
