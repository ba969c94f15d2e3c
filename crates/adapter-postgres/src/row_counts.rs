//! How many rows replica tables have: exact where counting is cheap, some seconds old where it is not.
//!
//! PostgreSQL counts by reading. A table of 100,000 wide rows takes longer than a whole answer of the API should, on a
//! machine that is busy syncing even more so, and a dashboard asks every few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use b24sync_domain::entity::EntityType;
use diesel::sql_types::{BigInt, SmallInt};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::{Trouble, chain};
use crate::sql::sql;
use crate::store::PgStore;

/// Tables with fewer rows are counted each time.
const MANY: i64 = 5_000;

/// Of the time, counting takes at most one part in so many: all else that is asked meanwhile is slower for it.
const SHARE: u32 = 100;

/// A count that is so much older than it should be is not shown any more.
const GRACE: Duration = Duration::from_secs(10);

/// The last counts of large tables.
#[derive(Default)]
pub(crate) struct RowCounts {
    known: Mutex<HashMap<i16, Counted>>,
    /// Held by the one that counts while others wait for what it finds.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Counted {
    rows: i64,
    at: Instant,
    took: Duration,
    /// Whether somebody counts again.
    recounting: bool,
}

/// What is to be done about a count that is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// In the background.
    Soon,
    Now,
}

impl Counted {
    fn due(&self, now: Instant) -> Due {
        let (age, good_for) = (now.duration_since(self.at), self.took * SHARE);
        if self.rows < MANY || age > good_for + GRACE {
            Due::Now
        } else if age > good_for && !self.recounting {
            Due::Soon
        } else {
            Due::Nothing
        }
    }
}

impl RowCounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<i16, Counted>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last count, and what is to be done about it.
    fn known(&self, entity: EntityType) -> (i64, Due) {
        let known = self.lock().get(&entity.type_id()).copied();
        known.map_or((0, Due::Now), |counted| (counted.rows, counted.due(Instant::now())))
    }

    fn set_recounting(&self, entity: EntityType, recounting: bool) {
        if let Some(counted) = self.lock().get_mut(&entity.type_id()) {
            counted.recounting = recounting;
        }
    }
}

/// The rows of live records in these tables, all of which exist; with each, whether rows of deleted records are kept in it.
pub(crate) async fn rows(
    connection: &mut Connection,
    store: &PgStore,
    tables: &[(EntityType, bool)],
) -> Result<HashMap<EntityType, i64>, Trouble> {
    let counts = store.row_counts();
    let mut rows = HashMap::new();
    let mut small = Vec::new();
    for &(entity, keeps_deleted) in tables {
        match counts.known(entity) {
            (count, Due::Nothing) => {
                rows.insert(entity, count);
            }
            (count, Due::Soon) => {
                recount_in_background(store.clone(), entity, keeps_deleted);
                rows.insert(entity, count);
            }
            (count, Due::Now) if count < MANY => small.push((entity, keeps_deleted)),
            (_, Due::Now) => {
                rows.insert(entity, count_large(connection, store, entity, keeps_deleted).await?);
            }
        }
    }
    if !small.is_empty() {
        rows.extend(count(connection, store, &small).await?);
    }
    Ok(rows)
}

/// Counts, unless somebody else just did.
async fn count_large(
    connection: &mut Connection,
    store: &PgStore,
    entity: EntityType,
    keeps_deleted: bool,
) -> Result<i64, Trouble> {
    let counts = store.row_counts();
    let _turn = counts.turn.lock().await;
    match counts.known(entity) {
        (_, Due::Now) => {
            Ok(count(connection, store, &[(entity, keeps_deleted)]).await?.get(&entity).copied().unwrap_or(0))
        }
        (rows, _) => Ok(rows),
    }
}

#[expect(clippy::disallowed_methods, reason = "the task counts once and ends; nobody waits for it")]
fn recount_in_background(store: PgStore, entity: EntityType, keeps_deleted: bool) {
    store.row_counts().set_recounting(entity, true);
    tokio::spawn(async move {
        if let Err(trouble) = recount(&store, entity, keeps_deleted).await {
            let error = trouble.into_store("counting rows");
            tracing::debug!(entity = %entity, error = %chain(&error), "the rows could not be counted");
        }
        store.row_counts().set_recounting(entity, false);
    });
}

/// With one process of the server: several count sooner, but answers to others are late meanwhile.
async fn recount(store: &PgStore, entity: EntityType, keeps_deleted: bool) -> Result<(), Trouble> {
    let mut transaction = store.begin().await?;
    let work = async {
        transaction.perform(sql("set local max_parallel_workers_per_gather = 0")).await?;
        count(&mut transaction, store, &[(entity, keeps_deleted)]).await
    };
    let counted = work.await;
    transaction.finish(counted).await.map(|_rows| ())
}

async fn count(
    connection: &mut Connection,
    store: &PgStore,
    tables: &[(EntityType, bool)],
) -> Result<HashMap<EntityType, i64>, Trouble> {
    let mut statement = sql("");
    for (position, &(entity, keeps_deleted)) in tables.iter().enumerate() {
        statement = statement
            .text(if position == 0 { "select " } else { " union all select " })
            .entity(entity)
            .text(", count(*) from ")
            .table(store.table(entity))
            .text(if keeps_deleted { " where deleted_at is null" } else { "" });
    }
    let begun = Instant::now();
    let found: Vec<(i16, i64)> = connection.load_rows(statement.rows::<(SmallInt, BigInt)>()).await?;
    let (at, took) = (Instant::now(), begun.elapsed());
    let mut known = store.row_counts().lock();
    for (type_id, rows) in &found {
        known.insert(*type_id, Counted { rows: *rows, at, took, recounting: false });
    }
    Ok(found.into_iter().filter_map(|(id, rows)| Some((EntityType::from_type_id(id)?, rows))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tables_are_counted_seldom_and_small_ones_each_time() {
        let at = Instant::now();
        let large = Counted { rows: 100_000, at, took: Duration::from_millis(100), recounting: false };
        let after = |seconds| at + Duration::from_secs(seconds);
        assert_eq!(large.due(after(9)), Due::Nothing);
        assert_eq!(large.due(after(11)), Due::Soon);
        assert_eq!(Counted { recounting: true, ..large }.due(after(11)), Due::Nothing);
        assert_eq!(large.due(after(21)), Due::Now);
        assert_eq!(Counted { rows: 4_999, ..large }.due(at), Due::Now);
    }
}
