//! Records that were answered as they were when their rows were written: of these there is nothing to write.

use std::collections::HashMap;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::record::ReadToken;

use super::apply;
use crate::connection::Connection;
use crate::error::{Failure, Trouble};
use crate::sql::guard::Touched;
use crate::sql::{Table, guard};
use crate::transaction::Transaction;

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// This read is their last one from now on.
    pub(super) stored: Vec<RecordId>,
    /// To be read again.
    pub(super) contested: Vec<RecordId>,
}

/// The answers by which the rows of these records were written, as far as the table has the rows.
pub(super) async fn answers(
    connection: &mut Connection,
    table: Table<'_>,
    entity: EntityType,
    ids: &[RecordId],
) -> Result<HashMap<RecordId, AnswerHash>, Trouble> {
    let remembered: Vec<(i64, Vec<u8>, Option<Vec<u8>>)> =
        connection.load_rows(guard::remembered(entity.type_id(), ids)).await?;
    let known = remembered.into_iter().filter_map(|(id, _, answer)| Some((RecordId::new(id)?, read(answer)?)));
    let mut known: HashMap<RecordId, AnswerHash> = known.collect();
    let ids: Vec<RecordId> = known.keys().copied().collect();
    // A user may have emptied the table.
    let there = apply::still_there(connection, table, &ids).await?;
    known.retain(|id, _| there.contains(id));
    Ok(known)
}

fn read(answer: Option<Vec<u8>>) -> Option<AnswerHash> {
    <[u8; 16]>::try_from(answer?).ok().map(AnswerHash)
}

/// Remembers that `read` has seen these records. Fails as overtaken where one has been written by another answer since
/// it was looked what is remembered of it.
pub(super) async fn see(
    transaction: &mut Transaction,
    entity: EntityType,
    read: ReadToken,
    same: &[(RecordId, AnswerHash)],
) -> Result<Seen, Trouble> {
    if same.is_empty() {
        return Ok(Seen::default());
    }
    let ids = ids(same);
    let touched: Vec<Touched> = transaction.load_rows(guard::touch(entity.type_id(), read.0, &ids)).await?;
    let touched: HashMap<i64, Option<Vec<u8>>> =
        touched.into_iter().map(|(id, hash, answer)| (id, hash.and(answer))).collect();
    let is_other = |(id, answer): &(RecordId, AnswerHash)| {
        touched.get(&id.get()).is_some_and(|known| known.as_deref() != Some(answer.0.as_slice()))
    };
    if same.iter().any(is_other) {
        return Err(Failure::overtaken().into());
    }
    let (stored, others): (Vec<RecordId>, Vec<RecordId>) =
        ids.into_iter().partition(|id| touched.contains_key(&id.get()));
    let contested = apply::contested(transaction, entity.type_id(), read.0, &others).await?;
    Ok(Seen { stored, contested })
}

/// None of them is what it is said to be: all are read again.
pub(super) fn doubted(same: &[(RecordId, AnswerHash)]) -> Seen {
    Seen { stored: Vec::new(), contested: ids(same) }
}

fn ids(same: &[(RecordId, AnswerHash)]) -> Vec<RecordId> {
    same.iter().map(|(id, _)| *id).collect()
}
