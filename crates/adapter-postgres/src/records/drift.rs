//! Changes of fields until they have reached all records (CORRECTNESS 4.6).

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::schema::{FieldChange, PendingChange, RereadScope};
use b24sync_domain::ports::DriftStore;
use b24sync_domain::progress::Cursor;
use b24sync_domain::run::RunId;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::leases::fence;
use crate::sql::{guard, sql};
use crate::store::PgStore;
use crate::transaction::retrying;

/// Remembers changes, where there are records that do not know of them.
pub(super) async fn remember(
    connection: &mut Connection,
    entity: EntityType,
    changes: &[FieldChange],
) -> Result<(), Trouble> {
    if changes.is_empty() {
        return Ok(());
    }
    let statement = sql("insert into b24sync.field_changes as c (entity, field, scope)\nselect ")
        .bind::<SmallInt, _>(entity.type_id())
        .text("::smallint, u.field, u.scope from unnest(")
        .bind::<Array<Text>, _>(changes.iter().map(|change| change.field.as_str()).collect::<Vec<_>>())
        .text("::text[], ")
        .bind::<Array<Text>, _>(changes.iter().map(|change| change.scope.as_str()).collect::<Vec<_>>())
        .text("::text[]) as u(field, scope) where exists (select from b24sync.item_state i where i.entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(")\non conflict (entity, field) do update set cursor = 0, covered_by = null, since = now(), scope = case when 'rewrite' in (c.scope, excluded.scope) then 'rewrite' when 'compare' in (c.scope, excluded.scope) then 'compare' else 'values' end");
    connection.perform(statement).await?;
    if changes.iter().any(|change| change.scope == RereadScope::Rewrite) {
        connection.perform(guard::forget_content(entity.type_id())).await?;
    }
    Ok(())
}

/// Forgets the changes that a full run has brought to every record.
pub(crate) async fn forget_covered(connection: &mut Connection, run: RunId) -> Result<(), Trouble> {
    let statement = sql("delete from b24sync.field_changes where covered_by = ").bind::<BigInt, _>(run.0);
    connection.perform(statement).await?;
    Ok(())
}

type PendingRow = (String, String, i64, Option<i64>);

fn pending(row: PendingRow) -> Result<PendingChange, Trouble> {
    let (field, word, cursor, covered_by) = row;
    let scope = RereadScope::ALL.into_iter().find(|scope| scope.as_str() == word);
    let scope = scope.ok_or(StoreError::Inconsistent { table: "b24sync.field_changes", column: "scope" })?;
    Ok(PendingChange {
        change: FieldChange { field: FieldName::new(field), scope },
        cursor: Cursor::after(cursor),
        covered_by: covered_by.map(RunId),
    })
}

async fn advance(
    connection: &mut Connection,
    entity: EntityType,
    fields: &[FieldName],
    cursor: Option<Cursor>,
) -> Result<(), Trouble> {
    let statement = match cursor {
        Some(cursor) => sql("update b24sync.field_changes set cursor = ").bind::<BigInt, _>(cursor.get()),
        None => sql("delete from b24sync.field_changes"),
    };
    let statement = statement
        .text(" where scope = 'values' and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and field = any(")
        .bind::<Array<Text>, _>(fields.iter().map(FieldName::as_str).collect::<Vec<_>>())
        .text(")");
    connection.perform(statement).await?;
    Ok(())
}

#[async_trait]
impl DriftStore for PgStore {
    async fn pending(&self, entity: EntityType) -> Result<Vec<PendingChange>, StoreError> {
        retrying("looking for changes of fields", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select field, scope, cursor, covered_by from b24sync.field_changes where entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .text(" order by field")
                .rows::<(Text, Text, BigInt, Nullable<BigInt>)>();
            let rows: Vec<PendingRow> = connection.load_rows(statement).await?;
            rows.into_iter().map(pending).collect()
        })
        .await
    }

    async fn cover(&self, entity: EntityType, run: RunId, lease: &Lease) -> Result<(), StoreError> {
        retrying("noting which run brings changes of fields", || async {
            let mut transaction = self.begin().await?;
            let work = async {
                fence(&mut transaction, lease).await?;
                let statement = sql("update b24sync.field_changes set covered_by = ")
                    .bind::<BigInt, _>(run.0)
                    .text(" where entity = ")
                    .bind::<SmallInt, _>(entity.type_id());
                transaction.perform(statement).await?;
                Ok(())
            };
            let work = work.await;
            transaction.finish(work).await
        })
        .await
    }

    async fn advance(
        &self,
        entity: EntityType,
        fields: &[FieldName],
        cursor: Option<Cursor>,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        retrying("noting how far a new field is filled", || async {
            let mut transaction = self.begin().await?;
            let work = async {
                fence(&mut transaction, lease).await?;
                advance(&mut transaction, entity, fields, cursor).await
            };
            let work = work.await;
            transaction.finish(work).await
        })
        .await
    }
}
