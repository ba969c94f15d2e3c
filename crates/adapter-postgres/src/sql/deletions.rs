//! Statements about records that are gone.

use b24sync_domain::entity::RecordId;
use diesel::sql_types::{Array, BigInt, Bool, SmallInt};

use super::arrays::IdArray;
use super::upsert::{RowTimes, now};
use super::{Sql, Table, sql};

/// Live records that no read since `since` has seen, and rows that no read has ever seen; not those that such a read
/// has put into quarantine.
pub(crate) fn unseen(table: Table<'_>, entity: i16, since: i64, after: i64, limit: i64) -> Sql<'_, (BigInt,)> {
    sql("select u.id from (\n  select i.item_id as id from b24sync.item_state i where i.deleted_at is null and i.entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and i.read_seq < ")
        .bind::<BigInt, _>(since)
        // Texts are compared, and only what is left over is looked at as a number: a whole table is cheap to join, but
        // not to convert.
        .text("\n  union\n  select case when r.bitrix_id ~ '^[1-9][0-9]{0,17}$' then r.bitrix_id::bigint end from (\n    select t.bitrix_id from ")
        .table(table)
        .text(" as t where not exists (select from b24sync.item_state i where i.item_id::text = t.bitrix_id and i.entity = ")
        .bind::<SmallInt, _>(entity)
        .text(")) r\n  union\n  select q.item_id from b24sync.quarantine q where q.entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and not exists (select from b24sync.item_state i where i.entity = q.entity and i.item_id = q.item_id and i.deleted_at is null)\n) u where u.id > ")
        .bind::<BigInt, _>(after)
        .text("\n  and not exists (select from b24sync.quarantine q where q.item_id = u.id and q.entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and q.read_seq >= ")
        .bind::<BigInt, _>(since)
        .text(")\norder by u.id limit ")
        .bind::<BigInt, _>(limit)
        .rows()
}

/// Live records of a range and those in quarantine that were never stored, each with whether it has a row.
pub(crate) fn live_ids(table: Table<'_>, entity: i16, after: i64, up_to: i64) -> Sql<'_, (BigInt, Bool)> {
    sql("with e as (select ")
        .bind::<SmallInt, _>(entity)
        .text("::smallint as entity, ")
        .bind::<BigInt, _>(after)
        .text("::bigint as after, ")
        .bind::<BigInt, _>(up_to)
        .text("::bigint as up_to)\nselect u.id, exists (select from ")
        .table(table)
        .text(" as t where t.bitrix_id = u.id::text) from (\n  select i.item_id as id from b24sync.item_state i, e where i.entity = e.entity and i.deleted_at is null and i.item_id > e.after and i.item_id <= e.up_to\n  union\n  select q.item_id from b24sync.quarantine q, e where q.entity = e.entity and q.item_id > e.after and q.item_id <= e.up_to and not exists (select from b24sync.item_state i where i.entity = e.entity and i.item_id = q.item_id and i.deleted_at is null)\n) u order by u.id")
        .rows()
}

/// Tombstones for records that a by-id read did not find (CORRECTNESS 4.1); the ids of those that got one.
pub(crate) fn tombstones(entity: i16, read: i64, ids: &[RecordId]) -> Sql<'_, (BigInt,)> {
    sql("insert into b24sync.item_state as s (entity, item_id, read_seq, write_seq, deleted_at)\nselect ")
        .bind::<SmallInt, _>(entity)
        .text(", id, ")
        .bind::<BigInt, _>(read)
        .text(", nextval('b24sync.read_order'), clock_timestamp() from unnest(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text("::bigint[]) as t(id) order by id\non conflict (entity, item_id) do update\n  set read_seq = excluded.read_seq, write_seq = nextval('b24sync.read_order'),\n      modified = null, hash = null, deleted_at = coalesce(s.deleted_at, excluded.deleted_at)\nwhere excluded.read_seq > s.read_seq and (excluded.read_seq > s.write_seq or s.deleted_at is not null)\nreturning s.item_id")
        .rows()
}

/// Deletes the rows of these records.
pub(crate) fn delete_rows<'a>(table: Table<'a>, ids: &'a [RecordId]) -> Sql<'a> {
    sql("delete from ")
        .table(table)
        .text(" as t using unnest(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text("::bigint[]) as u(id) where t.bitrix_id = u.id::text")
}

/// Marks the rows of these records as deleted now, those that are so already left as they are.
pub(crate) fn mark_rows<'a>(table: Table<'a>, times: RowTimes, zoned: bool, ids: &'a [RecordId]) -> Sql<'a> {
    sql("update ")
        .table(table)
        .text(" as t set deleted_at = ")
        .text(now(zoned))
        .text(", updated_at = ")
        .text(now(times.updated_zoned))
        .text(" from unnest(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text("::bigint[]) as u(id) where t.bitrix_id = u.id::text and t.deleted_at is null")
}

/// A record that is gone cannot be stored any better later.
pub(crate) fn leave_quarantine(entity: i16, ids: &[RecordId]) -> Sql<'_> {
    sql("delete from b24sync.quarantine where entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text(")")
}
