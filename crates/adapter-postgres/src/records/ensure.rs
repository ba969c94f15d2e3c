//! Brings a replica table to a plan.

use std::collections::HashSet;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::mapping::column::OVERFLOW_COLUMN;
use b24sync_domain::mapping::schema::{
    ActualType, FieldChange, NewColumn, RereadScope, SchemaPlan, StoredField, Target,
};
use b24sync_domain::mapping::{ColumnName, ColumnType};
use b24sync_domain::settings::DeleteMode;
use diesel::sql_types::{Bool, Oid, SmallInt, Text};
use diesel::{OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl as _;

use super::widen::{self, Refusal};
use super::{dictionary, drift, known};
use crate::connection::Connection;
use crate::error::Trouble;
use crate::schema::replicas;
use crate::sql::catalog::{self, CatalogColumn, Relation};
use crate::sql::{Table, access, ddl, guard, sql};
use crate::store::PgStore;
use crate::transaction::{Transaction, retrying};

/// Columns of every replica table that do not come from the portal.
const OUR_COLUMNS: [&str; 5] = ["id", "bitrix_id", "created_at", "updated_at", "deleted_at"];

/// The field whose change stands for a change of all of them.
const ID_FIELD: &str = "ID";

/// Characters that an id may have.
const LONGEST_ID: u32 = 19;

pub(super) async fn ensure(store: &PgStore, plan: &SchemaPlan) -> Result<(), StoreError> {
    let refusal = retrying("changing a table", || async {
        let mut transaction = Transaction::begin_change(store.connections()).await?;
        let work = Box::pin(bring(&mut transaction, store, plan)).await;
        transaction.finish(work).await
    })
    .await?;
    match refusal {
        Some(refusal) => Err(refusal.into_store()),
        None => Ok(()),
    }
}

async fn bring(transaction: &mut Transaction, store: &PgStore, plan: &SchemaPlan) -> Result<Option<Refusal>, Trouble> {
    let entity = plan.entity;
    let table = store.table(entity);
    transaction.perform(ddl::lock_entity(entity.type_id())).await?;
    let stored = known::stored_fields(transaction, entity).await?;
    dictionary::refuse_stale(&plan.dictionary, &stored)?;
    let wanted = wanted_columns(plan);
    let relation = if let Some(relation) = catalog::relation(transaction, table).await? {
        let lost = adopt(transaction, store, table, &relation, &wanted, &stored).await?;
        remember(transaction, entity, table, &relation, false, lost).await?;
        relation
    } else {
        let relation = create(transaction, store, table, &wanted).await?;
        remember(transaction, entity, table, &relation, true, true).await?;
        relation
    };
    keep_deleted(transaction, store, entity, table, &relation).await?;
    let columns = catalog::columns(transaction, relation.oid).await?;
    let refusal = widen::widen_all(transaction, entity, table, &columns, &plan.widen).await?;
    if let Some(column) = modified_column(plan) {
        transaction.change(&ddl::modified_index(entity, table, column)).await?;
    }
    let columns = catalog::columns(transaction, relation.oid).await?;
    for (column, label) in dictionary::new_comments(transaction, entity, &plan.dictionary, &columns).await? {
        transaction.change(&ddl::comment(table, column.as_str(), &label)).await?;
    }
    dictionary::store(transaction, entity, &plan.dictionary, &columns).await?;
    drift::remember(transaction, entity, &plan.changes).await?;
    Ok(refusal)
}

/// Where rows of deleted records are to stay, the table gets the column that tells them from the others.
async fn keep_deleted(
    transaction: &mut Transaction,
    store: &PgStore,
    entity: EntityType,
    table: Table<'_>,
    relation: &Relation,
) -> Result<(), Trouble> {
    if store.deletes() == DeleteMode::Hard {
        return Ok(());
    }
    let columns = catalog::columns(transaction, relation.oid).await?;
    match columns.iter().find(|column| column.name == "deleted_at") {
        None => transaction.change(&ddl::add_deleted_at(table, store.timestamps())).await?,
        Some(_) if keeps_deleted(transaction, entity).await? => {}
        Some(_) => {
            let reason = "it has a column `deleted_at` of its own, which DELETE_MODE=soft needs: rename that column, or use DELETE_MODE=hard";
            return Err(cannot(table, reason.to_owned()));
        }
    }
    let statement = sql("update b24sync.replicas set keeps_deleted = true where not keeps_deleted and entity = ")
        .bind::<SmallInt, _>(entity.type_id());
    transaction.perform(statement).await?;
    Ok(())
}

async fn keeps_deleted(connection: &mut Connection, entity: EntityType) -> Result<bool, Trouble> {
    let keeps: Option<bool> =
        replicas::table.find(entity.type_id()).select(replicas::keeps_deleted).first(connection).await.optional()?;
    Ok(keeps.unwrap_or_default())
}

fn is_time(column: &CatalogColumn) -> bool {
    matches!(column.actual, ActualType::Known(ColumnType::Timestamp | ColumnType::TimestampTz))
}

/// Every column that the plan writes, once.
pub(super) fn wanted_columns(plan: &SchemaPlan) -> Vec<NewColumn> {
    let mut seen = HashSet::new();
    let targets = plan.mapping.fields.iter().flat_map(|field| std::iter::once(&field.target).chain(&field.currency));
    let mapped = targets.filter_map(|target| match target {
        Target::Column { name, column_type, .. } => Some(NewColumn { name: name.clone(), column_type: *column_type }),
        Target::Overflow => None,
    });
    let overflow = plan
        .mapping
        .overflow
        .then(|| NewColumn { name: ColumnName::existing(OVERFLOW_COLUMN), column_type: ColumnType::Jsonb });
    mapped.chain(plan.add.iter().cloned()).chain(overflow).filter(|column| seen.insert(column.name.clone())).collect()
}

pub(super) fn modified_column(plan: &SchemaPlan) -> Option<&ColumnName> {
    let field = plan.mapping.fields.iter().find(|field| field.field.as_str() == plan.entity.modified_field())?;
    match &field.target {
        Target::Column { name, .. } => Some(name),
        Target::Overflow => None,
    }
}

async fn create(
    connection: &mut Connection,
    store: &PgStore,
    table: Table<'_>,
    wanted: &[NewColumn],
) -> Result<Relation, Trouble> {
    connection.change(&ddl::create_table(table, wanted, store.timestamps())).await?;
    let relation = catalog::relation(connection, table).await?;
    let relation = relation.ok_or_else(|| cannot(table, "it went away while it was made".to_owned()))?;
    access::close_table(connection, table, relation.oid).await?;
    Ok(relation)
}

fn cannot(table: Table<'_>, reason: String) -> Trouble {
    StoreError::CannotAdopt { table: table.name.to_owned(), reason }.into()
}

/// Adds what a table that is there lacks. Returns whether it lost a column whose contents are not read again.
async fn adopt(
    connection: &mut Connection,
    store: &PgStore,
    table: Table<'_>,
    relation: &Relation,
    wanted: &[NewColumn],
    stored: &[StoredField],
) -> Result<bool, Trouble> {
    if !relation.is_table() {
        return Err(cannot(table, "it is not a table".to_owned()));
    }
    let columns = catalog::columns(connection, relation.oid).await?;
    refuse_unfit(table, &columns, wanted)?;
    for name in ["created_at", "updated_at"] {
        if !columns.iter().any(|column| column.name == name) {
            connection.change(&ddl::add_time(table, name, store.timestamps())).await?;
        }
    }
    let missing: Vec<&NewColumn> =
        wanted.iter().filter(|wanted| !columns.iter().any(|column| column.name == wanted.name.as_str())).collect();
    if !missing.is_empty() {
        connection.change(&ddl::add_columns(table, missing.iter().copied())).await?;
    }
    if !catalog::is_unique(connection, relation.oid, "bitrix_id").await? {
        let duplicates = catalog::duplicates(connection, table, "bitrix_id").await?;
        if !duplicates.is_empty() {
            let reason = format!("`bitrix_id` must be unique, but holds more than once: {}", duplicates.join(", "));
            return Err(cannot(table, reason));
        }
        connection.change(&ddl::unique_index(table, "bitrix_id")).await?;
    }
    let filled_before = |name: &ColumnName| {
        let known = |field: &StoredField| field.column.as_ref() == Some(name) || field.currency.as_ref() == Some(name);
        name.as_str() == OVERFLOW_COLUMN || stored.iter().any(known)
    };
    Ok(missing.iter().any(|column| filled_before(&column.name)))
}

fn refuse_unfit(table: Table<'_>, columns: &[CatalogColumn], wanted: &[NewColumn]) -> Result<(), Trouble> {
    let Some(id) = columns.iter().find(|column| column.name == "bitrix_id") else {
        return Err(cannot(table, "it has no column `bitrix_id`".to_owned()));
    };
    let fits = match id.actual {
        ActualType::Known(ColumnType::Text) => true,
        ActualType::Known(ColumnType::Varchar(length)) => length >= LONGEST_ID,
        _ => false,
    };
    if !fits {
        return Err(cannot(table, format!("its column `bitrix_id` has the type `{}`, not varchar(50)", id.written)));
    }
    let times = columns.iter().filter(|column| column.name == "created_at" || column.name == "updated_at");
    if let Some(column) = times.into_iter().find(|column| !is_time(column)) {
        return Err(cannot(table, format!("its column `{}` has the type `{}`", column.name, column.written)));
    }
    let written = |name: &str| {
        OUR_COLUMNS.iter().any(|ours| *ours == name && name != "id" && name != "deleted_at")
            || wanted.iter().any(|column| column.name.as_str() == name)
    };
    match columns.iter().find(|column| column.not_null && !column.has_default && !written(&column.name)) {
        Some(column) => Err(cannot(table, format!("its column `{}` is not null and has no default", column.name))),
        None => Ok(()),
    }
}

/// Remembers which table the entity has. Another one than before, or one that lost something, is filled again.
async fn remember(
    connection: &mut Connection,
    entity: EntityType,
    table: Table<'_>,
    relation: &Relation,
    created: bool,
    lost: bool,
) -> Result<(), Trouble> {
    let before: Option<(u32, bool)> = replicas::table
        .find(entity.type_id())
        .select((replicas::relation, replicas::ours))
        .first(connection)
        .await
        .optional()?;
    let same = before.is_some_and(|(oid, _)| oid == relation.oid);
    if lost || !same {
        let rows = connection.perform(guard::forget_content(entity.type_id())).await?;
        if rows > 0 {
            tracing::warn!(entity = %entity, rows, "the table is not the one that was filled; all rows are written again");
            let everything = FieldChange { field: FieldName::new(ID_FIELD), scope: RereadScope::Rewrite };
            drift::remember(connection, entity, &[everything]).await?;
        }
    }
    let ours = created || before.is_some_and(|(_, ours)| ours);
    if ours && !created && !relation.row_security {
        tracing::warn!(entity = %entity, "row level security was off on a table of ours; switching it on");
        connection.change(&sql("alter table ").table(table).text(" enable row level security")).await?;
    }
    let statement = sql("insert into b24sync.replicas (entity, table_schema, table_name, relation, ours) values (")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", ")
        .bind::<Text, _>(table.schema)
        .text(", ")
        .bind::<Text, _>(table.name)
        .text(", ")
        .bind::<Oid, _>(relation.oid)
        .text(", ")
        .bind::<Bool, _>(ours)
        .text(") on conflict (entity) do update set table_schema = excluded.table_schema, table_name = excluded.table_name, relation = excluded.relation, ours = excluded.ours, keeps_deleted = replicas.keeps_deleted and not ")
        // A new table has no column `deleted_at` until it is added.
        .bind::<Bool, _>(created);
    connection.perform(statement).await?;
    Ok(())
}
