//! The run log: `sync_logs` for the world, `b24sync.runs` for going on. Both change in one transaction, always.

mod board;
mod end;
mod gone;
mod logged;
mod open;
mod request;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::ports::{LoggedRun, Requested, RunLog, Standing, Step};
use b24sync_domain::progress::Watermark;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus};
use diesel::sql_types::{BigInt, Nullable, Timestamptz};

pub(crate) use logged::{Logged, LoggedColumns, logged_columns, logged_run};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::leases::{fence, lost};
use crate::sql::{ddl, sql};
use crate::store::PgStore;
use crate::system_tables::SystemTables;
use crate::transaction::retrying;

/// Records where a run stands after a step. A step that was recorded already changes nothing.
pub(crate) async fn advance(
    connection: &mut Connection,
    tables: &SystemTables,
    step: &Step,
    lease: &Lease,
) -> Result<(), Trouble> {
    let cursor = step.cursor.map(b24sync_domain::progress::Cursor::get);
    let statement = sql("update b24sync.runs as r set processed = greatest(r.processed, ")
        .bind::<BigInt, _>(i64::try_from(step.processed).unwrap_or(i64::MAX))
        .text("), cursor = greatest(r.cursor, ")
        .bind::<Nullable<BigInt>, _>(cursor)
        .text("), source_start = coalesce(r.source_start, ")
        .bind::<Timestamptz, _>(step.source_start)
        .text(
            "), quarantined = (select count(*) from b24sync.quarantine q where q.run_id = r.run_id) where r.run_id = ",
        )
        .bind::<BigInt, _>(step.run.0)
        .text(" and r.status = 'running' returning r.processed");
    let processed: Option<(i64,)> = connection.load_row(statement.rows::<(BigInt,)>()).await?;
    // A run that is not running any more was closed by somebody who found our lease run out.
    let (processed,) = processed.ok_or_else(|| lost(lease))?;
    let statement = sql("update ")
        .table(tables.logs())
        .text(" set records_processed = least(")
        .bind::<BigInt, _>(processed)
        .text(", 2147483647) where id = ")
        .bind::<BigInt, _>(step.run.0);
    connection.perform(statement).await?;
    Ok(())
}

#[async_trait]
impl RunLog for PgStore {
    async fn request(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        retrying("asking for a run", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(request::request(&mut transaction, self.tables(), (entity, kind), false)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn request_anew(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        retrying("asking for a run", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(request::request(&mut transaction, self.tables(), (entity, kind), true)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn withdraw(&self, run: RunId) -> Result<(), StoreError> {
        retrying("taking a wish back", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(request::withdraw(&mut transaction, self.tables(), run)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn remark(&self, run: RunId, remark: &str) -> Result<(), StoreError> {
        retrying("leaving a remark in the log", || async {
            let mut connection = self.connections().lend().await?;
            logged::remark(&mut connection, self.tables(), run, remark).await
        })
        .await
    }

    async fn find(&self, run: RunId) -> Result<Option<LoggedRun>, StoreError> {
        retrying("looking up a run", || async {
            let mut connection = self.connections().lend().await?;
            logged::find(&mut connection, self.tables(), run).await
        })
        .await
    }

    async fn open(&self, entity: EntityType, kind: RunKind, lease: &Lease) -> Result<Run, StoreError> {
        retrying("opening a run", || async {
            let mut transaction = self.begin().await?;
            let work = async {
                fence(&mut transaction, lease).await?;
                // Nobody wishes for a run while it is decided which one is opened.
                transaction.perform(ddl::lock_wishes(entity.type_id())).await?;
                Box::pin(open::open(&mut transaction, self.tables(), entity, kind)).await
            };
            let work = work.await;
            transaction.finish(work).await
        })
        .await
    }

    async fn rewind(&self, run: RunId, lease: &Lease) -> Result<ReadToken, StoreError> {
        retrying("taking a run back to its start", || async {
            let mut transaction = self.begin().await?;
            let work = open::rewind(&mut transaction, self.tables(), run, lease).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn standing(&self, entity: EntityType) -> Result<Option<Standing>, StoreError> {
        retrying("reading how far an entity is complete", || async {
            let mut connection = self.connections().lend().await?;
            end::standing(&mut connection, entity).await
        })
        .await
    }

    async fn complete(&self, run: RunId, watermark: Watermark, lease: &Lease) -> Result<RunStatus, StoreError> {
        retrying("completing a run", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(end::complete(&mut transaction, self.tables(), run, watermark, lease)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn end(&self, run: RunId, ending: &Ending, lease: &Lease) -> Result<(), StoreError> {
        retrying("ending a run", || async {
            let mut transaction = self.begin().await?;
            let work = end::end(&mut transaction, self.tables(), run, ending, lease).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn close_abandoned(&self) -> Result<u64, StoreError> {
        retrying("closing abandoned runs", || async {
            // Every look at the status asks for this, and there is hardly ever one.
            if !gone::some_are_abandoned(&mut *self.connections().lend().await?).await? {
                return Ok(0);
            }
            let mut transaction = self.begin().await?;
            let work = gone::close_abandoned(&mut transaction, self.tables()).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn recent(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError> {
        retrying("reading the run log", || async {
            let mut connection = self.connections().lend().await?;
            logged::recent(&mut connection, self.tables(), limit).await
        })
        .await
    }
}
