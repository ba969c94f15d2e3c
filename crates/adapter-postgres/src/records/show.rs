//! What a replica table is, and what would become of it. Changes nothing.

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::field::{FieldName, FieldOption};
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::schema::{NewColumn, SchemaPlan};
use b24sync_domain::ports::{KnownField, SchemaStore};
use b24sync_domain::settings::DeleteMode;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Bool, Nullable, SmallInt, Text, Timestamptz};

use super::widen::{self, Need};
use super::{dictionary, ensure};
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::catalog::{self, CatalogColumn};
use crate::sql::{ddl, sql};
use crate::store::PgStore;
use crate::transaction::retrying;

type FieldRow = (
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    bool,
    Option<String>,
    String,
    DateTime<Utc>,
    DateTime<Utc>,
    bool,
    bool,
);
type FieldColumns = (
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    Nullable<Text>,
    Bool,
    Nullable<Text>,
    Text,
    Timestamptz,
    Timestamptz,
    Bool,
    Bool,
);

fn known_field(row: FieldRow) -> KnownField {
    let (
        field,
        column,
        currency,
        bitrix_type,
        column_type,
        multiple,
        label,
        options,
        first_seen,
        last_seen,
        retired,
        pending,
    ) = row;
    KnownField {
        field: FieldName::new(field),
        column: column.map(ColumnName::existing),
        currency: currency.map(ColumnName::existing),
        bitrix_type,
        column_type,
        multiple,
        label,
        options: field_options(&options),
        first_seen,
        last_seen,
        retired,
        pending,
    }
}

/// Options as the dictionary keeps them; what somebody else wrote there is left out.
fn field_options(json: &str) -> Vec<FieldOption> {
    let options: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let text =
        |option: &serde_json::Value, key: &str| option.get(key).and_then(|value| value.as_str().map(str::to_owned));
    let read = |option: &serde_json::Value| {
        Some(FieldOption { id: text(option, "id")?, value: text(option, "value").unwrap_or_default() })
    };
    options.iter().filter_map(read).collect()
}

async fn statements(connection: &mut Connection, store: &PgStore, plan: &SchemaPlan) -> Result<Vec<String>, Trouble> {
    let (mut texts, columns) = match catalog::relation(connection, store.table(plan.entity)).await? {
        Some(relation) => {
            let columns = catalog::columns(connection, relation.oid).await?;
            (changes(store, plan, &columns)?, columns)
        }
        None => (creation(store, plan)?, Vec::new()),
    };
    let columns = with_new(columns, &ensure::wanted_columns(plan));
    for (column, label) in dictionary::new_comments(connection, plan.entity, &plan.dictionary, &columns).await? {
        texts.push(ddl::comment(store.table(plan.entity), column.as_str(), &label).to_text()?);
    }
    Ok(texts)
}

/// How a table that is not there is made.
fn creation(store: &PgStore, plan: &SchemaPlan) -> Result<Vec<String>, Trouble> {
    let table = store.table(plan.entity);
    let wanted = ensure::wanted_columns(plan);
    let mut texts = vec![ddl::create_table(table, &wanted, store.timestamps()).to_text()?];
    if store.deletes() == DeleteMode::Soft {
        texts.push(ddl::add_deleted_at(table, store.timestamps()).to_text()?);
    }
    texts.push(sql("alter table ").table(table).text(" enable row level security").to_text()?);
    if let Some(column) = ensure::modified_column(plan) {
        texts.push(ddl::modified_index(plan.entity, table, column).to_text()?);
    }
    Ok(texts)
}

/// How a table that is there gets to the plan.
fn changes(store: &PgStore, plan: &SchemaPlan, columns: &[CatalogColumn]) -> Result<Vec<String>, Trouble> {
    let table = store.table(plan.entity);
    let wanted = ensure::wanted_columns(plan);
    let lacks = |name: &str| !columns.iter().any(|column| column.name == name);
    let mut texts = Vec::new();
    for name in ["created_at", "updated_at"].into_iter().filter(|name| lacks(name)) {
        texts.push(ddl::add_time(table, name, store.timestamps()).to_text()?);
    }
    let missing: Vec<&NewColumn> = wanted.iter().filter(|column| lacks(column.name.as_str())).collect();
    if !missing.is_empty() {
        texts.push(ddl::add_columns(table, missing.into_iter()).to_text()?);
    }
    if store.deletes() == DeleteMode::Soft && lacks("deleted_at") {
        texts.push(ddl::add_deleted_at(table, store.timestamps()).to_text()?);
    }
    for widening in &plan.widen {
        let column = columns.iter().find(|column| column.name == widening.column.as_str());
        if column.is_some_and(|column| widen::need(&column.actual, widening.to) == Need::Widen) {
            texts.push(ddl::widen(table, widening.column.as_str(), widening.to).to_text()?);
        }
    }
    Ok(texts)
}

/// The columns as they will be.
fn with_new(mut columns: Vec<CatalogColumn>, wanted: &[NewColumn]) -> Vec<CatalogColumn> {
    for column in wanted {
        if !columns.iter().any(|known| known.name == column.name.as_str()) {
            columns.push(CatalogColumn::planned(column.name.as_str(), column.column_type));
        }
    }
    columns
}

#[async_trait]
impl SchemaStore for PgStore {
    async fn dictionary(&self, entity: EntityType) -> Result<Vec<KnownField>, StoreError> {
        retrying("reading the data dictionary", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select f.field, f.column_name, f.currency_column, f.bitrix_type, f.column_type, f.multiple, f.label, f.options::text, f.first_seen, f.last_seen, f.retired, c.field is not null from b24sync.fields f left join b24sync.field_changes c on c.entity = f.entity and c.field = f.field where f.entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .text(" order by f.field")
                .rows::<FieldColumns>();
            let rows: Vec<FieldRow> = connection.load_rows(statement).await?;
            Ok(rows.into_iter().map(known_field).collect())
        })
        .await
    }

    async fn statements(&self, plan: &SchemaPlan) -> Result<Vec<String>, StoreError> {
        retrying("planning changes of a table", || async {
            let mut connection = self.connections().lend().await?;
            Box::pin(statements(&mut connection, self, plan)).await
        })
        .await
    }
}
