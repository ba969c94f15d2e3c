//! Keeping events: one statement and one commit for all that came together.

use std::collections::{BTreeMap, HashSet};

use b24sync_domain::event::Hint;
use b24sync_domain::ports::Acceptance;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};

use super::item;
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::system_tables::SystemTables;

/// The columns of hints, ready to be bound; each record once.
#[derive(Default)]
struct Columns {
    entities: Vec<i16>,
    keys: Vec<&'static str>,
    items: Vec<i64>,
    deleted: Vec<bool>,
    sent_at: Vec<Option<DateTime<Utc>>>,
}

impl Columns {
    /// Of several hints of one record, the last one tells whether it is gone.
    fn new(hints: &[Hint]) -> Columns {
        let mut merged: BTreeMap<(i16, i64), Hint> = BTreeMap::new();
        for hint in hints {
            let known = merged.entry((hint.entity.type_id(), item(hint.target))).or_insert(*hint);
            *known = Hint { sent_at: known.sent_at.max(hint.sent_at), ..*hint };
        }
        let mut columns = Columns::default();
        for ((entity, item), hint) in merged {
            columns.entities.push(entity);
            columns.keys.push(hint.entity.key());
            columns.items.push(item);
            columns.deleted.push(hint.deleted);
            columns.sent_at.push(hint.sent_at);
        }
        columns
    }
}

/// Whether the commit waits for the disk is a setting that roles and poolers may have changed: this statement's does.
///
/// A hint that failed before keeps its turn: an event does not make it any better. A dead letter lives again.
///
/// That an event came is noted once a minute: more often, those who take events in at the same time would wait for each
/// other at that row.
pub(super) async fn accept(
    connection: &mut Connection,
    tables: &SystemTables,
    hints: &[Hint],
) -> Result<Vec<Acceptance>, Trouble> {
    let columns = Columns::new(hints);
    let statement = sql("with durable as materialized (select set_config('synchronous_commit', 'on', true) as setting),\nkept as (insert into b24sync.hints as h (entity, item_id, generation, first_at, last_at, due_at, deleted, sent_at)\nselect t.entity, t.item_id, nextval('b24sync.read_order'), clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '1 second', t.deleted, t.sent_at\nfrom durable, unnest(")
        .bind::<Array<SmallInt>, _>(columns.entities)
        .text("::smallint[], ")
        .bind::<Array<Text>, _>(columns.keys)
        .text("::text[], ")
        .bind::<Array<BigInt>, _>(columns.items)
        .text("::bigint[], ")
        .bind::<Array<Bool>, _>(columns.deleted)
        .text("::boolean[], ")
        .bind::<Array<Nullable<Timestamptz>>, _>(columns.sent_at)
        .text("::timestamptz[]) as t(entity, key, item_id, deleted, sent_at)\nwhere durable.setting = 'on' and coalesce((select c.webhook_enabled from ")
        .table(tables.config())
        .text(" as c where c.entity_type = t.key), true)\norder by t.entity, t.item_id\non conflict (entity, item_id) do update set\n  generation = excluded.generation,\n  first_at = case when h.dead_at is null then h.first_at else excluded.first_at end,\n  last_at = excluded.last_at,\n  due_at = case when h.dead_at is not null then excluded.due_at when h.attempts > 0 then h.due_at else least(h.first_at + interval '5 seconds', excluded.due_at) end,\n  deleted = excluded.deleted,\n  sent_at = greatest(h.sent_at, excluded.sent_at),\n  second_look = false,\n  attempts = case when h.dead_at is null then h.attempts else 0 end,\n  error = case when h.dead_at is null then h.error end,\n  dead_at = null\nreturning h.entity, h.item_id),\nnoted as (insert into b24sync.arrivals (entity, last_at) select k.entity, clock_timestamp() from (select distinct entity from kept) k where not exists (select from b24sync.arrivals a where a.entity = k.entity and a.last_at > clock_timestamp() - interval '1 minute') order by k.entity on conflict (entity) do update set last_at = excluded.last_at)\nselect entity, item_id from kept")
        .rows::<(SmallInt, BigInt)>();
    let stored: Vec<(i16, i64)> = connection.load_rows(statement).await?;
    let stored: HashSet<(i16, i64)> = stored.into_iter().collect();
    let acceptance = |hint: &Hint| {
        if stored.contains(&(hint.entity.type_id(), item(hint.target))) {
            Acceptance::Stored
        } else {
            Acceptance::SwitchedOff
        }
    };
    Ok(hints.iter().map(acceptance).collect())
}
