//! The inbox: hints of events, from their commit until they are applied or given up.

mod accept;
mod settle;
mod show;

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::inbox::{AT_ONCE, Backlog, Claimed, Outcome};
use b24sync_domain::ports::{Acceptance, Actor, Beat, EventInbox, HintFilter, InboxDepth, InboxEntry};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamptz};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::store::PgStore;
use crate::system_tables::SystemTables;
use crate::transaction::retrying;

/// The number of what a hint is about.
fn item(target: Target) -> i64 {
    match target {
        Target::Record(id) => id.get(),
        Target::Fields => 0,
    }
}

fn target(item: i64) -> Target {
    RecordId::new(item).map_or(Target::Fields, Target::Record)
}

fn all_entities() -> Vec<i16> {
    EntityType::all().map(EntityType::type_id).collect()
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

/// Entities whose events are switched off are left out: what waits for them stays.
async fn backlog(connection: &mut Connection, tables: &SystemTables) -> Result<Vec<Backlog>, Trouble> {
    let statement = sql("select e.entity, (select count(*) from (select from b24sync.hints h where h.entity = e.entity and h.dead_at is null and h.due_at <= clock_timestamp() limit ")
        .number(AT_ONCE)
        .text(") as due), (select count(*) from (select from b24sync.hints h where h.entity = e.entity and h.dead_at is null limit ")
        .number(AT_ONCE + 1)
        .text(") as pending), f.waits::float8 from ")
        .entities()
        .text(", lateral (select extract(epoch from clock_timestamp() - min(h.first_at)) as waits from b24sync.hints h where h.entity = e.entity and h.dead_at is null) as f where f.waits is not null and coalesce((select c.webhook_enabled from ")
        .table(tables.config())
        .text(" as c where c.entity_type = e.key), true) order by e.place")
        .rows::<(SmallInt, BigInt, BigInt, Double)>();
    let rows: Vec<(i16, i64, i64, f64)> = connection.load_rows(statement).await?;
    let small = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let known = rows.into_iter().filter_map(|(entity, due, pending, waits)| {
        let entity = EntityType::from_type_id(entity)?;
        Some(Backlog { entity, due: small(due), pending: small(pending), oldest: duration(waits) })
    });
    Ok(known.collect())
}

type ClaimedRow = (i64, i64, i32, bool, Option<DateTime<Utc>>, bool);

async fn due(connection: &mut Connection, entity: EntityType) -> Result<Vec<Claimed>, Trouble> {
    let statement = sql("select item_id, generation, attempts, deleted, sent_at, second_look from b24sync.hints where dead_at is null and due_at <= clock_timestamp() and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" order by due_at limit ")
        .bind::<BigInt, _>(i64::from(AT_ONCE))
        .rows::<(BigInt, BigInt, Integer, Bool, Nullable<Timestamptz>, Bool)>();
    let rows: Vec<ClaimedRow> = connection.load_rows(statement).await?;
    let claimed = |(item, generation, attempts, deleted, sent_at, second_look)| Claimed {
        target: target(item),
        generation,
        attempts: u32::try_from(attempts).unwrap_or_default(),
        deleted,
        sent_at,
        second_look,
    };
    Ok(rows.into_iter().map(claimed).collect())
}

/// Rows of instances that have been gone for a day go too.
async fn beat(connection: &mut Connection, holder: &str) -> Result<Beat, Trouble> {
    let statement = sql("with me as (select ")
        .bind::<Text, _>(holder)
        .text("::text as holder), gone as (delete from b24sync.receivers where alive_at < clock_timestamp() - interval '1 day'), noted as (insert into b24sync.receivers (holder, alive_at) select me.holder, clock_timestamp() from me on conflict (holder) do update set alive_at = excluded.alive_at returning alive_at) select (select extract(epoch from clock_timestamp() - r.alive_at) from b24sync.receivers r where r.holder = me.holder)::float8, (select extract(epoch from clock_timestamp() - max(r.alive_at)) from b24sync.receivers r where r.holder <> me.holder)::float8 from me, noted")
        .rows::<(Nullable<Double>, Nullable<Double>)>();
    let (own, others): (Option<f64>, Option<f64>) = connection.load_one(statement).await?;
    Ok(Beat { own: own.map(duration), others: others.map(duration) })
}

#[async_trait]
impl EventInbox for PgStore {
    async fn accept(&self, hints: &[Hint]) -> Result<Vec<Acceptance>, StoreError> {
        retrying("keeping events", || async {
            let mut connection = self.connections().lend().await?;
            accept::accept(&mut connection, self.tables(), hints).await
        })
        .await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        retrying("looking into the inbox", || async {
            let mut connection = self.connections().lend().await?;
            backlog(&mut connection, self.tables()).await
        })
        .await
    }

    async fn due(&self, entity: EntityType) -> Result<Vec<Claimed>, StoreError> {
        retrying("looking which events are due", || async {
            let mut connection = self.connections().lend().await?;
            due(&mut connection, entity).await
        })
        .await
    }

    async fn settle(&self, entity: EntityType, outcomes: &[(Claimed, Outcome)]) -> Result<(), StoreError> {
        retrying("settling events", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(settle::settle(&mut transaction, entity, outcomes)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn depth(&self) -> Result<Vec<InboxDepth>, StoreError> {
        retrying("looking how full the inbox is", || async {
            let mut connection = self.connections().lend().await?;
            show::depth(&mut connection).await
        })
        .await
    }

    async fn list(&self, filter: &HintFilter, offset: u64, limit: u32) -> Result<(Vec<InboxEntry>, u64), StoreError> {
        retrying("listing the inbox", || async {
            let mut connection = self.connections().lend().await?;
            show::list(&mut connection, filter, offset, limit).await
        })
        .await
    }

    async fn retry(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        retrying("making events due", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(show::retry(&mut transaction, filter, actor)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn discard(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        retrying("discarding events", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(show::discard(&mut transaction, filter, actor)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn beat(&self, holder: &str) -> Result<Beat, StoreError> {
        retrying("noting that events are taken in", || async {
            let mut connection = self.connections().lend().await?;
            beat(&mut connection, holder).await
        })
        .await
    }
}
