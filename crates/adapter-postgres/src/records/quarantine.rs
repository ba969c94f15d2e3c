//! Records that could not be stored: kept with the reason until a later read of them is stored.

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::rows::Rejection;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::RunId;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;

/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// Puts records into quarantine, unless a later read of them has been stored or refused already.
pub(super) async fn put(
    connection: &mut Connection,
    entity: EntityType,
    read: ReadToken,
    run: RunId,
    rejections: &[&Rejection],
) -> Result<(), Trouble> {
    if rejections.is_empty() {
        return Ok(());
    }
    let clean = |text: &str| text.replace('\0', "");
    let ids: Vec<i64> = rejections.iter().map(|rejection| rejection.id.get()).collect();
    let fields: Vec<Option<String>> =
        rejections.iter().map(|rejection| rejection.field.as_deref().map(clean)).collect();
    let reasons: Vec<String> =
        rejections.iter().map(|rejection| clean(&rejection.reason).chars().take(LONGEST_REASON).collect()).collect();
    let excerpts: Vec<Option<String>> =
        rejections.iter().map(|rejection| rejection.excerpt.as_deref().map(clean)).collect();
    let statement = sql("insert into b24sync.quarantine as q (entity, item_id, read_seq, field, reason, excerpt, run_id)\nselect ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", r.id, ")
        .bind::<BigInt, _>(read.0)
        .text(", r.field, r.reason, r.excerpt, ")
        .bind::<BigInt, _>(run.0)
        .text("\nfrom unnest(")
        .bind::<Array<BigInt>, _>(ids)
        .text("::bigint[], ")
        .bind::<Array<Nullable<Text>>, _>(fields)
        .text("::text[], ")
        .bind::<Array<Text>, _>(reasons)
        .text("::text[], ")
        .bind::<Array<Nullable<Text>>, _>(excerpts)
        .text("::text[]) as r(id, field, reason, excerpt)\nleft join b24sync.item_state as s on s.entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and s.item_id = r.id\nwhere s.item_id is null or (")
        .bind::<BigInt, _>(read.0)
        .text(" > s.read_seq and (")
        .bind::<BigInt, _>(read.0)
        .text(" > s.write_seq or s.deleted_at is null))\norder by r.id\non conflict (entity, item_id) do update set read_seq = excluded.read_seq, field = excluded.field, reason = excluded.reason, excerpt = excluded.excerpt, run_id = excluded.run_id, last_seen = now()\nwhere excluded.read_seq >= q.read_seq");
    connection.perform(statement).await?;
    Ok(())
}

/// Takes records out of quarantine that this read has stored.
pub(super) async fn heal(
    connection: &mut Connection,
    entity: EntityType,
    read: ReadToken,
    stored: &[RecordId],
) -> Result<(), Trouble> {
    if stored.is_empty() {
        return Ok(());
    }
    let statement = sql("delete from b24sync.quarantine where entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and item_id = any(")
        .bind::<Array<BigInt>, _>(crate::sql::arrays::IdArray(stored))
        .text(") and read_seq <= ")
        .bind::<BigInt, _>(read.0);
    connection.perform(statement).await?;
    Ok(())
}
