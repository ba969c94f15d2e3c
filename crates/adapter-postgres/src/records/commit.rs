//! One batch: rows, quarantine and progress, in one transaction.

use std::sync::atomic::{AtomicBool, Ordering};

use b24sync_domain::entity::RecordId;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::rows::{MappedBatch, Rejection};
use b24sync_domain::ports::{Commit, Step};
use diesel_async::SimpleAsyncConnection as _;

use super::apply::{self, Destination, Trust};
use super::{quarantine, same};
use crate::error::{Failure, Trouble};
use crate::leases::fence;
use crate::runs;
use crate::sql::catalog;
use crate::sql::upsert::RowTimes;
use crate::store::PgStore;
use crate::transaction::{Transaction, retrying};

const DOING: &str = "committing records";

#[tracing::instrument(name = "db.commit", skip_all, fields(entity = %batch.rows.entity, rows = batch.rows.len(), run.id = %step.run, lease.token = lease.token))]
pub(super) async fn commit(
    store: &PgStore,
    batch: &MappedBatch,
    step: &Step,
    lease: &Lease,
) -> Result<Commit, StoreError> {
    check(batch).map_err(|failure| failure.into_store(DOING))?;
    // Once another transaction was quicker, what was known before it is not believed any more.
    let overtaken = AtomicBool::new(false);
    retrying(DOING, || async {
        let same = if overtaken.load(Ordering::Relaxed) { Trust::None } else { Trust::Full };
        let done = match once(store, batch, step, lease, Belief { rows: Trust::Full, same }).await {
            Err(trouble) if trouble.is_about_data() => {
                once(store, batch, step, lease, Belief { rows: Trust::None, same }).await
            }
            other => other,
        };
        if done.as_ref().is_err_and(Trouble::is_overtaken) {
            overtaken.store(true, Ordering::Relaxed);
        }
        done
    })
    .await
}

/// What of a batch is believed at an attempt.
#[derive(Clone, Copy)]
struct Belief {
    /// That the database accepts its rows.
    rows: Trust,
    /// That records are as they are remembered, where it was looked before.
    same: Trust,
}

/// A batch that breaks its own promise would be stored wrongly, or not at all.
fn check(batch: &MappedBatch) -> Result<(), Failure> {
    let rising = batch.rows.ids.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let even = batch.rows.columns.iter().all(|column| column.data.len() == batch.rows.len());
    let lengths = [batch.rows.modified.len(), batch.rows.hashes.len(), batch.rows.answers.len()];
    if rising && even && lengths.iter().all(|length| *length == batch.rows.len()) {
        Ok(())
    } else {
        Err(Failure::ours("a batch whose ids do not rise, or whose columns differ in length"))
    }
}

async fn once(
    store: &PgStore,
    batch: &MappedBatch,
    step: &Step,
    lease: &Lease,
    belief: Belief,
) -> Result<Commit, Trouble> {
    let mut transaction = store.begin().await?;
    let work = Box::pin(work(&mut transaction, store, batch, step, lease, belief)).await;
    transaction.finish(work).await
}

async fn work(
    transaction: &mut Transaction,
    store: &PgStore,
    batch: &MappedBatch,
    step: &Step,
    lease: &Lease,
    belief: Belief,
) -> Result<Commit, Trouble> {
    let rows = &batch.rows;
    let (entity, read) = (rows.entity, rows.read);
    fence(transaction, lease).await?;
    let rejected: Vec<RecordId> = batch.rejected.iter().map(|rejection| rejection.id).collect();
    apply::lock(transaction, entity, &rejected).await?;
    let seen = match belief.same {
        Trust::Full => same::see(transaction, entity, read, &batch.same).await?,
        Trust::None => same::doubted(&batch.same),
    };
    let destination = Destination { table: store.table(entity), times: row_times(transaction, store, batch).await? };
    let applied = match belief.rows {
        Trust::Full => Box::pin(apply::all(transaction, destination, rows)).await?,
        Trust::None => {
            // What a user deferred to the commit must be known while there is still a choice.
            transaction.batch_execute("set constraints all immediate").await?;
            Box::pin(apply::in_halves(transaction, destination, rows)).await?
        }
    };
    let rejections: Vec<&Rejection> = batch.rejected.iter().chain(&applied.refused).collect();
    quarantine::put(transaction, entity, read, step.run, &rejections).await?;
    let unchanged = apply::count(seen.stored.len());
    let stored = [applied.stored, seen.stored].concat();
    quarantine::heal(transaction, entity, read, &stored).await?;
    runs::advance(transaction, store.tables(), step, lease).await?;
    Ok(Commit {
        written: applied.written,
        unchanged: applied.unchanged + unchanged,
        contested: [applied.contested, seen.contested].concat(),
        refused: applied.refused,
    })
}

async fn row_times(transaction: &mut Transaction, store: &PgStore, batch: &MappedBatch) -> Result<RowTimes, Trouble> {
    if batch.rows.is_empty() {
        return Ok(RowTimes::default());
    }
    catalog::row_times(transaction, store.table(batch.rows.entity), batch.rows.entity).await
}
