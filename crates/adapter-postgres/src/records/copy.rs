//! New rows → table, by `COPY`.

use b24sync_domain::mapping::rows::RowBatch;

use super::apply;
use crate::error::{Failure, Trouble};
use crate::sql::Table;
use crate::sql::copy::{self, RowWriter};
use crate::transaction::Transaction;

/// Rows for which a `COPY` is worth its round trips.
const MIN_ROWS_TO_COPY: usize = 50;

/// Bytes of a `COPY` that are sent at once.
const COPY_BYTES: usize = 64 * 1024;

/// Copies rows of which nothing is known into a table that we made, which is what a first load consists of; `None` where
/// that is not possible. Should the table have one of them after all, it is refused like bad data.
pub(super) async fn rows(
    transaction: &mut Transaction,
    table: Table<'_>,
    rows: &RowBatch,
    keep: &[bool],
) -> Result<Option<u64>, Trouble> {
    let kept = keep.iter().filter(|keep| **keep).count();
    if kept < MIN_ROWS_TO_COPY {
        return Ok(None);
    }
    let Some((now,)) = transaction.load_row(copy::time_for_our_table(rows.entity)).await? else { return Ok(None) };
    let mut writer = RowWriter::new(&rows.columns, now);
    let mut copying = transaction.copy_in(&copy::copy(table, &rows.columns)).await?;
    for ((row, id), _) in rows.ids.iter().enumerate().zip(keep).filter(|(_, keep)| **keep) {
        if writer.row(*id, row).is_none() {
            return Err(Failure::not_for_copy().into());
        }
        if writer.len() >= COPY_BYTES {
            copying.send(writer.take()).await?;
        }
    }
    writer.end();
    copying.send(writer.take()).await?;
    let copied = copying.finish().await?;
    apply::complete(usize::try_from(copied).unwrap_or(usize::MAX), kept)?;
    Ok(Some(copied))
}
