//! Wider types for columns.

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::schema::{ActualType, Widening};
use b24sync_domain::mapping::{ColumnName, ColumnType};
use diesel::ExpressionMethods;
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::{Failure, Trouble};
use crate::schema::pinned_columns;
use crate::sql::catalog::CatalogColumn;
use crate::sql::{Table, ddl};
use crate::transaction::Transaction;

/// A widening that the database refused.
#[derive(Debug)]
pub(super) struct Refusal {
    column: ColumnName,
    failure: Failure,
}

impl Refusal {
    pub(super) fn into_store(self) -> StoreError {
        StoreError::CannotWiden { column: self.column, source: Box::new(self.failure) }
    }
}

/// Widens what is not wide enough yet. A refusal pins the column and leaves the others alone; returns the first.
pub(super) async fn widen_all(
    transaction: &mut Transaction,
    entity: EntityType,
    table: Table<'_>,
    columns: &[CatalogColumn],
    widenings: &[Widening],
) -> Result<Option<Refusal>, Trouble> {
    let mut first = None;
    for widening in widenings {
        let name = widening.column.as_str();
        let Some(column) = columns.iter().find(|column| column.name == name) else { continue };
        let failure = match need(&column.actual, widening.to) {
            Need::Nothing => continue,
            Need::Impossible => Some(Failure::ours("its type has no wider one")),
            Need::Widen => attempt(transaction, table, widening).await?,
        };
        if let Some(failure) = failure {
            tracing::warn!(entity = %entity, column = name, error = %failure, "a column cannot be widened");
            pin(transaction, entity, name).await?;
            first.get_or_insert(Refusal { column: widening.column.clone(), failure });
        }
    }
    Ok(first)
}

async fn attempt(
    transaction: &mut Transaction,
    table: Table<'_>,
    widening: &Widening,
) -> Result<Option<Failure>, Trouble> {
    transaction.savepoint().await?;
    match transaction.change(&ddl::widen(table, widening.column.as_str(), widening.to)).await {
        Ok(()) => transaction.release().await.map(|()| None),
        // Neither a lock that somebody holds nor a missing right says anything about the column.
        Err(Trouble::Failed(failure)) if !failure.is_transient() && !failure.is_forbidden() => {
            transaction.undo().await?;
            Ok(Some(failure))
        }
        Err(trouble) => Err(trouble),
    }
}

/// Remembers that a column cannot be widened.
pub(super) async fn pin(connection: &mut Connection, entity: EntityType, column: &str) -> Result<(), Trouble> {
    diesel::insert_into(pinned_columns::table)
        .values((pinned_columns::entity.eq(entity.type_id()), pinned_columns::column_name.eq(column)))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(())
}

/// What a widening asks of a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Widen,
    Impossible,
}

pub(super) fn need(actual: &ActualType, to: ColumnType) -> Need {
    let ActualType::Known(from) = actual else { return Need::Impossible };
    match (rank(*from), rank(to)) {
        (Some((family, from)), Some((other, to))) if family == other => {
            if from >= to {
                Need::Nothing
            } else {
                Need::Widen
            }
        }
        _ if *from == to => Need::Nothing,
        // Every value has a text.
        _ if to == ColumnType::Text => Need::Widen,
        _ => Need::Impossible,
    }
}

/// Family of types that hold one another, and the place in it.
fn rank(column_type: ColumnType) -> Option<(u8, u32)> {
    match column_type {
        ColumnType::SmallInt => Some((0, 0)),
        ColumnType::Integer => Some((0, 1)),
        ColumnType::BigInt => Some((0, 2)),
        ColumnType::Numeric => Some((0, 3)),
        ColumnType::Varchar(length) => Some((1, length)),
        ColumnType::Text => Some((1, u32::MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_narrowed() {
        let known = |from, to| need(&ActualType::Known(from), to);
        assert_eq!(known(ColumnType::Integer, ColumnType::BigInt), Need::Widen);
        assert_eq!(known(ColumnType::Numeric, ColumnType::BigInt), Need::Nothing);
        assert_eq!(known(ColumnType::Text, ColumnType::Varchar(10)), Need::Nothing);
        assert_eq!(known(ColumnType::Varchar(10), ColumnType::Text), Need::Widen);
        assert_eq!(known(ColumnType::Boolean, ColumnType::Text), Need::Widen);
        assert_eq!(known(ColumnType::Text, ColumnType::Boolean), Need::Impossible);
        assert_eq!(need(&ActualType::Other("uuid".to_owned()), ColumnType::Text), Need::Impossible);
    }
}
