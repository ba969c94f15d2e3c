//! What benches see of writing: the statement for a batch with all its binds, without a database.

use b24sync_domain::mapping::rows::RowBatch;
use diesel::result::QueryResult;

use crate::connection;
use crate::sql::Table;
use crate::sql::upsert::{self, RowTimes};

/// Bytes of the statement that writes these rows, and of its binds.
///
/// # Errors
/// What diesel cannot serialise.
pub fn encode(rows: &RowBatch) -> QueryResult<usize> {
    let table = Table::new("public", "crm_deals");
    connection::encoded(&upsert::upsert(table, RowTimes::default(), &rows.ids, &rows.columns))
}
