//! The data dictionary: which field has which column, and what people call it.

use std::collections::{HashMap, HashSet};

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldOption;
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::schema::{DictionaryEntry, StoredField};
use diesel::sql_types::{Array, Bool, Nullable, SmallInt, Text};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::schema::fields;
use crate::sql::catalog::CatalogColumn;
use crate::sql::{Table, ddl, sql};

/// Refuses a plan that gives a field another column than the dictionary has for it: another process was faster, and
/// saw other fields.
pub(super) fn refuse_stale(plan: &[DictionaryEntry], stored: &[StoredField]) -> Result<(), Trouble> {
    let columns: HashMap<_, _> = stored.iter().map(|field| (&field.field, field.column.as_ref())).collect();
    let moved = plan.iter().any(|entry| match (columns.get(&entry.description.name), &entry.column) {
        (Some(Some(stored)), Some(planned)) => *stored != planned,
        _ => false,
    });
    if !moved {
        return Ok(());
    }
    let source = "another process has just changed the table; the next attempt sees it".into();
    Err(StoreError::Unavailable { doing: "changing a table", source }.into())
}

/// Whether a field of the plan was away and comes back. Rows that were stored meanwhile keep its old values, and the
/// content that is remembered of them does not say so.
pub(super) async fn brings_back(
    connection: &mut Connection,
    entity: EntityType,
    plan: &[DictionaryEntry],
) -> Result<bool, Trouble> {
    let names: Vec<String> = plan.iter().map(|entry| clean(entry.description.name.as_str())).collect();
    let back: i64 = fields::table
        .filter(fields::entity.eq(entity.type_id()))
        .filter(fields::field.eq_any(names))
        .filter(fields::retired.eq(true))
        .count()
        .get_result(connection)
        .await?;
    Ok(back > 0)
}

/// Brings the dictionary to the plan. Types are those that the columns have, not those that were wished for.
pub(super) async fn store(
    connection: &mut Connection,
    entity: EntityType,
    plan: &[DictionaryEntry],
    columns: &[CatalogColumn],
) -> Result<(), Trouble> {
    let types: HashMap<&str, &str> =
        columns.iter().map(|column| (column.name.as_str(), column.written.as_str())).collect();
    let text = |name: &ColumnName| name.as_str().to_owned();
    let each = |value: fn(&DictionaryEntry) -> Option<String>| plan.iter().map(value).collect::<Vec<_>>();
    let names = || plan.iter().map(|entry| clean(entry.description.name.as_str())).collect::<Vec<_>>();
    let column_types: Vec<Option<String>> = plan
        .iter()
        .map(|entry| {
            let column = entry.column.as_ref()?;
            let actual = types.get(column.as_str()).map(|written| (*written).to_owned());
            actual.or_else(|| entry.column_type.map(|column_type| column_type.to_string()))
        })
        .collect();
    let statement = sql("insert into b24sync.fields as f (entity, field, column_name, currency_column, bitrix_type, column_type, multiple, label, options)\nselect ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", u.field, u.column_name, u.currency_column, u.bitrix_type, u.column_type, u.multiple, u.label, u.options::jsonb\nfrom unnest(")
        .bind::<Array<Text>, _>(names())
        .text("::text[], ")
        .bind::<Array<Nullable<Text>>, _>(plan.iter().map(|entry| entry.column.as_ref().map(text)).collect::<Vec<_>>())
        .text("::text[], ")
        .bind::<Array<Nullable<Text>>, _>(plan.iter().map(|entry| entry.currency.as_ref().map(text)).collect::<Vec<_>>())
        .text("::text[], ")
        .bind::<Array<Nullable<Text>>, _>(each(|entry| Some(clean(&entry.description.type_name))))
        .text("::text[], ")
        .bind::<Array<Nullable<Text>>, _>(column_types)
        .text("::text[], ")
        .bind::<Array<Bool>, _>(plan.iter().map(|entry| entry.description.multiple).collect::<Vec<_>>())
        .text("::boolean[], ")
        .bind::<Array<Nullable<Text>>, _>(each(|entry| entry.description.label.as_deref().map(clean)))
        .text("::text[], ")
        .bind::<Array<Nullable<Text>>, _>(each(|entry| Some(options_json(&entry.description.options))))
        .text("::text[]) as u(field, column_name, currency_column, bitrix_type, column_type, multiple, label, options)\non conflict (entity, field) do update set column_name = coalesce(f.column_name, excluded.column_name), currency_column = coalesce(f.currency_column, excluded.currency_column), bitrix_type = excluded.bitrix_type, column_type = excluded.column_type, multiple = excluded.multiple, label = excluded.label, options = excluded.options, last_seen = now(), retired = false");
    connection.perform(statement).await?;
    diesel::update(fields::table)
        .filter(fields::entity.eq(entity.type_id()))
        .filter(fields::field.ne_all(names()))
        .filter(fields::retired.eq(false))
        .set(fields::retired.eq(true))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes labels as comments: where there is none, or an older one of ours. What a person wrote stays.
pub(super) async fn comment(
    connection: &mut Connection,
    entity: EntityType,
    table: Table<'_>,
    plan: &[DictionaryEntry],
    columns: &[CatalogColumn],
) -> Result<(), Trouble> {
    let ours: Vec<(Option<String>, Option<String>)> = fields::table
        .filter(fields::entity.eq(entity.type_id()))
        .select((fields::column_name, fields::label))
        .load(connection)
        .await?;
    let ours: HashSet<(String, String)> = ours.into_iter().filter_map(|(column, label)| column.zip(label)).collect();
    let comments: HashMap<&str, Option<&str>> =
        columns.iter().map(|column| (column.name.as_str(), column.comment.as_deref())).collect();
    for entry in plan {
        let (Some(column), Some(label)) = (&entry.column, &entry.description.label) else { continue };
        let label = clean(label);
        let replaceable = match comments.get(column.as_str()) {
            None => false,
            Some(None) => true,
            Some(Some(comment)) => {
                *comment != label && ours.contains(&(column.as_str().to_owned(), (*comment).to_owned()))
            }
        };
        if replaceable && !label.is_empty() {
            connection.change(&ddl::comment(table, column.as_str(), &label)).await?;
        }
    }
    Ok(())
}

/// Text that PostgreSQL can store.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

fn options_json(options: &[FieldOption]) -> String {
    let options: Vec<serde_json::Value> = options
        .iter()
        .map(|option| serde_json::json!({ "id": clean(&option.id), "value": clean(&option.value) }))
        .collect();
    serde_json::Value::Array(options).to_string()
}
