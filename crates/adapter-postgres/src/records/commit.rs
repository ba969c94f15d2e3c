//! One batch: rows, quarantine and progress, in one transaction.

use b24sync_domain::entity::RecordId;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::rows::{MappedBatch, Rejection};
use b24sync_domain::ports::{Commit, Step};
use diesel_async::SimpleAsyncConnection as _;

use super::apply::{self, Destination, Trust};
use super::quarantine;
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
    retrying(DOING, || async {
        match once(store, batch, step, lease, Trust::Full).await {
            Err(trouble) if trouble.is_about_data() => once(store, batch, step, lease, Trust::None).await,
            other => other,
        }
    })
    .await
}

/// A batch that breaks its own promise would be stored wrongly, or not at all.
fn check(batch: &MappedBatch) -> Result<(), Failure> {
    let rising = batch.rows.ids.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let even = batch.rows.columns.iter().all(|column| column.data.len() == batch.rows.len());
    if rising && even && batch.rows.modified.len() == batch.rows.len() && batch.rows.hashes.len() == batch.rows.len() {
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
    trust: Trust,
) -> Result<Commit, Trouble> {
    let mut transaction = store.begin().await?;
    let work = Box::pin(work(&mut transaction, store, batch, step, lease, trust)).await;
    transaction.finish(work).await
}

async fn work(
    transaction: &mut Transaction,
    store: &PgStore,
    batch: &MappedBatch,
    step: &Step,
    lease: &Lease,
    trust: Trust,
) -> Result<Commit, Trouble> {
    let rows = &batch.rows;
    let (entity, read) = (rows.entity, rows.read);
    fence(transaction, lease).await?;
    let rejected: Vec<RecordId> = batch.rejected.iter().map(|rejection| rejection.id).collect();
    apply::lock(transaction, entity, &rejected).await?;
    let destination = Destination { table: store.table(entity), times: row_times(transaction, store, batch).await? };
    let applied = match trust {
        Trust::Full => Box::pin(apply::all(transaction, destination, rows)).await?,
        Trust::None => {
            // What a user deferred to the commit must be known while there is still a choice.
            transaction.batch_execute("set constraints all immediate").await?;
            Box::pin(apply::in_halves(transaction, destination, rows)).await?
        }
    };
    let rejections: Vec<&Rejection> = batch.rejected.iter().chain(&applied.refused).collect();
    quarantine::put(transaction, entity, read, step.run, &rejections).await?;
    quarantine::heal(transaction, entity, read, &applied.stored).await?;
    runs::advance(transaction, store.tables(), step, lease).await?;
    Ok(Commit {
        written: applied.written,
        unchanged: applied.unchanged,
        contested: applied.contested,
        refused: applied.refused,
    })
}

async fn row_times(transaction: &mut Transaction, store: &PgStore, batch: &MappedBatch) -> Result<RowTimes, Trouble> {
    if batch.rows.is_empty() {
        return Ok(RowTimes::default());
    }
    catalog::row_times(transaction, store.table(batch.rows.entity), batch.rows.entity).await
}
