//! The inbox for people: how full it is, what is in it, and what they do about it.

use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{Actor, HintFilter, InboxDepth, InboxEntry};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamptz};

use super::{all_entities, duration, item, target};
use crate::connection::Connection;
use crate::error::Trouble;
use crate::settings::remember;
use crate::sql::{Sql, sql};

pub(super) async fn depth(connection: &mut Connection) -> Result<Vec<InboxDepth>, Trouble> {
    let statement = sql("select e.entity, count(h.entity) filter (where h.dead_at is null), count(h.dead_at), extract(epoch from clock_timestamp() - min(h.first_at) filter (where h.dead_at is null))::float8 from ")
        .entities()
        .text(" left join b24sync.hints h on h.entity = e.entity group by e.entity, e.place order by e.place")
        .rows::<(SmallInt, BigInt, BigInt, Nullable<Double>)>();
    let rows: Vec<(i16, i64, i64, Option<f64>)> = connection.load_rows(statement).await?;
    let number = |count: i64| u64::try_from(count).unwrap_or_default();
    let known = rows.into_iter().filter_map(|(entity, pending, dead, oldest)| {
        let entity = EntityType::from_type_id(entity)?;
        Some(InboxDepth { entity, pending: number(pending), dead: number(dead), oldest: oldest.map(duration) })
    });
    Ok(known.collect())
}

/// Appends the condition.
fn matching<'a>(statement: Sql<'a>, filter: &HintFilter) -> Sql<'a> {
    let entities = filter.entity.map_or_else(all_entities, |entity| vec![entity.type_id()]);
    statement
        .text(" where h.entity = any(")
        .bind::<Array<SmallInt>, _>(entities)
        .text("::smallint[]) and h.item_id = coalesce(")
        .bind::<Nullable<BigInt>, _>(filter.target.map(item))
        .text("::bigint, h.item_id) and (h.dead_at is not null) = coalesce(")
        .bind::<Nullable<Bool>, _>(filter.dead)
        .text("::boolean, h.dead_at is not null)")
}

type EntryRow = (i16, i64, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>, i32, Option<String>, Option<DateTime<Utc>>);
type EntryColumns =
    (SmallInt, BigInt, Timestamptz, Timestamptz, Timestamptz, Integer, Nullable<Text>, Nullable<Timestamptz>);

pub(super) async fn list(
    connection: &mut Connection,
    filter: &HintFilter,
    offset: u64,
    limit: u32,
) -> Result<(Vec<InboxEntry>, u64), Trouble> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let select = sql(
        "select h.entity, h.item_id, h.first_at, h.last_at, h.due_at, h.attempts, h.error, h.dead_at from b24sync.hints h",
    );
    let statement = matching(select, filter)
        .text(" order by h.first_at, h.entity, h.item_id limit ")
        .bind::<BigInt, _>(i64::from(limit))
        .text(" offset ")
        .bind::<BigInt, _>(offset)
        .rows::<EntryColumns>();
    let rows: Vec<EntryRow> = connection.load_rows(statement).await?;
    let count = matching(sql("select count(*) from b24sync.hints h"), filter).rows::<(BigInt,)>();
    let (total,): (i64,) = connection.load_one(count).await?;
    let entry = |(entity, item, first_at, last_at, due_at, attempts, error, dead_at): EntryRow| {
        Some(InboxEntry {
            entity: EntityType::from_type_id(entity)?,
            target: target(item),
            first_at,
            last_at,
            due_at,
            attempts: u32::try_from(attempts).unwrap_or_default(),
            error,
            dead_at,
        })
    };
    Ok((rows.into_iter().filter_map(entry).collect(), u64::try_from(total).unwrap_or_default()))
}

pub(super) async fn retry(connection: &mut Connection, filter: &HintFilter, actor: &Actor) -> Result<u64, Trouble> {
    let update = sql(
        "update b24sync.hints as h set dead_at = null, attempts = 0, error = null, second_look = false, first_at = clock_timestamp(), due_at = clock_timestamp()",
    );
    let count = connection.perform(matching(update, filter)).await?;
    note(connection, "inbox.retry", filter, count, actor).await
}

pub(super) async fn discard(connection: &mut Connection, filter: &HintFilter, actor: &Actor) -> Result<u64, Trouble> {
    let delete = sql("delete from b24sync.hints as h");
    let count = connection.perform(matching(delete, filter)).await?;
    note(connection, "inbox.discard", filter, count, actor).await
}

async fn note(
    connection: &mut Connection,
    action: &'static str,
    filter: &HintFilter,
    count: usize,
    actor: &Actor,
) -> Result<u64, Trouble> {
    let detail = serde_json::json!({
        "target": filter.target.map(|target| target.to_string()), "dead": filter.dead, "count": count,
    });
    remember(connection, action, filter.entity, &detail, actor).await?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}
