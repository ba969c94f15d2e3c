//! What the replica has of a range of records.

use diesel::sql_types::{BigInt, Bool, Bytea, Nullable, SmallInt};

use super::{Sql, Table, sql};

/// Id, hash, whether there is a row, whether it is in quarantine; of live records and of rows that were never read.
pub(crate) fn range(
    table: Option<Table<'_>>,
    keeps_deleted: bool,
    entity: i16,
    after: i64,
    up_to: i64,
    limit: i64,
) -> Sql<'_, (BigInt, Nullable<Bytea>, Bool, Bool)> {
    let statement = sql("with e as (select ")
        .bind::<SmallInt, _>(entity)
        .text("::smallint as entity, ")
        .bind::<BigInt, _>(after)
        .text("::bigint as after, ")
        .bind::<BigInt, _>(up_to)
        .text("::bigint as up_to),\nr as (");
    let statement = match table {
        Some(table) => statement
            .text("select case when t.bitrix_id ~ '^[1-9][0-9]{0,17}$' then t.bitrix_id::bigint end as id from ")
            .table(table)
            .text(if keeps_deleted { " as t where t.deleted_at is null" } else { " as t" }),
        None => statement.text("select null::bigint as id where false"),
    };
    statement
        .text("),\nk as (select i.item_id as id, i.hash from b24sync.item_state i, e where i.entity = e.entity and i.deleted_at is null and i.item_id > e.after and i.item_id <= e.up_to),\nl as (select r.id from r, e where r.id > e.after and r.id <= e.up_to)\nselect coalesce(k.id, l.id), k.hash, l.id is not null, exists (select from b24sync.quarantine q, e where q.entity = e.entity and q.item_id = coalesce(k.id, l.id))\nfrom k full join l on l.id = k.id order by 1 limit ")
        .bind::<BigInt, _>(limit)
        .rows()
}
