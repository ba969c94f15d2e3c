//! The read-order guard (CORRECTNESS 4.1) and what is asked around it.

use b24sync_domain::entity::RecordId;
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::rows::ContentHash;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Bytea, Nullable, SmallInt, Text, Timestamptz};

use super::arrays::{AnswerHashes, ContentHashes, IdArray, InstantArray};
use super::{Sql, Table, sql};

/// Holds the lease for the rest of the transaction; no row: it is lost (CORRECTNESS 4.7).
pub(crate) fn fence<'a>(scope: String, token: i64) -> Sql<'a, (Bool,)> {
    sql("select true from b24sync.leases where scope = ")
        .bind::<Text, _>(scope)
        .text(" and token = ")
        .bind::<BigInt, _>(token)
        .text(" and expires_at > clock_timestamp() for share")
        .rows()
}

/// Locks what is known of these records, in the order of their ids: id, hash.
pub(crate) fn lock(entity: i16, ids: &[RecordId]) -> Sql<'_, (BigInt, Nullable<Bytea>)> {
    sql("select item_id, hash from b24sync.item_state where entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text(") order by item_id for update")
        .rows()
}

/// The content that is remembered of live records: id, hash, hash of the answer. Locks nothing.
pub(crate) fn remembered(entity: i16, ids: &[RecordId]) -> Sql<'_, (BigInt, Bytea, Nullable<Bytea>)> {
    sql("select item_id, hash, answer from b24sync.item_state where entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text(") and hash is not null and deleted_at is null")
        .rows()
}

/// A record that was touched: id, content hash, hash of the answer.
pub(crate) type Touched = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// Step 1 of CORRECTNESS 4.1 for records whose content is the one that is remembered: id, and the hashes, which have to be
/// looked at again. Where nothing has changed, neither has the modification time, so that of the guard only the order of
/// the reads is left.
///
/// One number stands for all rows of a statement, here and in [`accept`]: it has to be drawn after the read that brought
/// them was over, and it is. There is no join here, because before the first `analyze` the planner would do it the wrong
/// way round.
pub(crate) fn touch(entity: i16, read: i64, ids: &[RecordId]) -> Sql<'_, (BigInt, Nullable<Bytea>, Nullable<Bytea>)> {
    sql("update b24sync.item_state set read_seq = ")
        .bind::<BigInt, _>(read)
        .text(", write_seq = (select nextval('b24sync.read_order')) where entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text(") and deleted_at is null and read_seq < ")
        .bind::<BigInt, _>(read)
        .text(" returning item_id, hash, answer")
        .rows()
}

/// Step 1 of CORRECTNESS 4.1: the ids that are accepted; the others are refused.
pub(crate) fn accept<'a>(
    entity: i16,
    read: i64,
    ids: &'a [RecordId],
    modified: &'a [Option<DateTime<Utc>>],
    hashes: &'a [ContentHash],
    answers: &'a [AnswerHash],
) -> Sql<'a, (BigInt,)> {
    sql("insert into b24sync.item_state as s (entity, item_id, read_seq, write_seq, modified, hash, answer)\nselect ")
        .bind::<SmallInt, _>(entity)
        .text(", item_id, ")
        .bind::<BigInt, _>(read)
        .text(", (select nextval('b24sync.read_order')), modified, hash, answer from unnest(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text("::bigint[], ")
        .bind::<Array<Nullable<Timestamptz>>, _>(InstantArray(modified))
        .text("::timestamptz[], ")
        .bind::<Array<Bytea>, _>(ContentHashes(hashes))
        .text("::bytea[], ")
        .bind::<Array<Bytea>, _>(AnswerHashes(answers))
        .text("::bytea[]) as t(item_id, modified, hash, answer) order by item_id\non conflict (entity, item_id) do update\n  set read_seq = excluded.read_seq, write_seq = excluded.write_seq,\n      modified = excluded.modified, hash = excluded.hash, answer = excluded.answer, deleted_at = null\nwhere excluded.read_seq > s.read_seq\n  and (excluded.read_seq > s.write_seq\n       or (s.deleted_at is null\n           and (s.modified is null or excluded.modified is null\n                or excluded.modified >= s.modified)))\nreturning s.item_id")
        .rows()
}

/// Which of the refused records lost only because the reads overlapped (step 3 of CORRECTNESS 4.1).
pub(crate) fn contested(entity: i16, read: i64, refused: &[RecordId]) -> Sql<'_, (BigInt,)> {
    sql("select item_id from b24sync.item_state where entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(IdArray(refused))
        .text(") and read_seq < ")
        .bind::<BigInt, _>(read)
        .text(" order by item_id")
        .rows()
}

/// Which of these records have a row in their table, whatever is remembered of them.
pub(crate) fn present<'a>(table: Table<'a>, ids: &[RecordId]) -> Sql<'a, (Text,)> {
    let ids: Vec<String> = ids.iter().map(|id| id.get().to_string()).collect();
    sql("select bitrix_id::text from ")
        .table(table)
        .text(" where bitrix_id = any(")
        .bind::<Array<Text>, _>(ids)
        .text(")")
        .rows()
}

/// Makes the entity's rows be written again, whatever they are: the table has lost them.
pub(crate) fn forget_content<'a>(entity: i16) -> Sql<'a> {
    sql("update b24sync.item_state set hash = null where hash is not null and entity = ").bind::<SmallInt, _>(entity)
}

/// The same for these records.
pub(crate) fn forget(entity: i16, ids: &[RecordId]) -> Sql<'_> {
    sql("update b24sync.item_state set hash = null where entity = ")
        .bind::<SmallInt, _>(entity)
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text(")")
}
