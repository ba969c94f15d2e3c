//! Questions to PostgreSQL's catalogue.

use b24sync_domain::entity::EntityType;
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::schema::ActualType;
use diesel::sql_types::{Bool, Integer, Nullable, Oid, SmallInt, Text};

use super::upsert::RowTimes;
use super::{Sql, Table, sql};
use crate::connection::Connection;
use crate::error::Trouble;

/// A relation under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    /// `r` table, `p` partitioned table, `v` view, and so on.
    pub(crate) kind: String,
    pub(crate) row_security: bool,
}

impl Relation {
    pub(crate) fn is_table(&self) -> bool {
        self.kind == "r" || self.kind == "p"
    }
}

/// The relation of this name, if there is one.
pub(crate) async fn relation(connection: &mut Connection, table: Table<'_>) -> Result<Option<Relation>, Trouble> {
    let statement = sql("select c.oid, c.relkind::text, c.relrowsecurity from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = ")
        .bind::<Text, _>(table.schema)
        .text(" and c.relname = ")
        .bind::<Text, _>(table.name)
        .rows::<(Oid, Text, Bool)>();
    let row: Option<(u32, String, bool)> = connection.load_row(statement).await?;
    Ok(row.map(|(oid, kind, row_security)| Relation { oid, kind, row_security }))
}

/// Whether there is a schema of this name.
pub(crate) async fn has_schema(connection: &mut Connection, schema: &str) -> Result<bool, Trouble> {
    let statement = sql("select exists (select from pg_catalog.pg_namespace where nspname = ")
        .bind::<Text, _>(schema)
        .text(")")
        .rows::<(Bool,)>();
    let (found,): (bool,) = connection.load_one(statement).await?;
    Ok(found)
}

/// A column as the catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CatalogColumn {
    pub(crate) name: String,
    pub(crate) actual: ActualType,
    /// As PostgreSQL writes the type.
    pub(crate) written: String,
    pub(crate) not_null: bool,
    /// Whether an insert may leave it out.
    pub(crate) has_default: bool,
    pub(crate) comment: Option<String>,
}

impl CatalogColumn {
    /// A column as it will be once it is made.
    pub(crate) fn planned(name: &str, column_type: ColumnType) -> CatalogColumn {
        CatalogColumn {
            name: name.to_owned(),
            actual: ActualType::Known(column_type),
            written: column_type.to_string(),
            not_null: false,
            has_default: false,
            comment: None,
        }
    }
}

type ColumnRow = (String, String, i32, String, bool, bool, bool, Option<String>);

/// The columns of a relation, in order.
pub(crate) async fn columns(connection: &mut Connection, relation: u32) -> Result<Vec<CatalogColumn>, Trouble> {
    let statement = sql("select a.attname::text, case when t.typnamespace = 'pg_catalog'::regnamespace then t.typname::text else '' end, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef or a.attidentity <> '', a.attgenerated <> '' or a.attidentity = 'a', col_description(a.attrelid, a.attnum) from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid where a.attrelid = ")
        .bind::<Oid, _>(relation)
        .text(" and a.attnum > 0 and not a.attisdropped order by a.attnum")
        .rows::<(Text, Text, Integer, Text, Bool, Bool, Bool, Nullable<Text>)>();
    let rows: Vec<ColumnRow> = connection.load_rows(statement).await?;
    let columns =
        rows.into_iter().map(|(name, type_name, modifier, written, not_null, default, generated, comment)| {
            let actual = match known_type(&type_name, modifier) {
                Some(known) if !generated => ActualType::Known(known),
                _ => ActualType::Other(if generated { format!("{written} generated always") } else { written.clone() }),
            };
            CatalogColumn { name, actual, written, not_null, has_default: default, comment }
        });
    Ok(columns.collect())
}

/// The type, if it is one that takes every value of its kind unchanged. `numeric(10,2)` and `char(5)` do not: they
/// round and pad without a word.
fn known_type(name: &str, modifier: i32) -> Option<ColumnType> {
    match (name, modifier) {
        ("text", _) | ("varchar", -1) => Some(ColumnType::Text),
        // The modifier counts its own four bytes.
        ("varchar", modifier) => u32::try_from(modifier - 4).ok().map(ColumnType::Varchar),
        ("int2", _) => Some(ColumnType::SmallInt),
        ("int4", _) => Some(ColumnType::Integer),
        ("int8", _) => Some(ColumnType::BigInt),
        ("numeric", -1) => Some(ColumnType::Numeric),
        ("bool", _) => Some(ColumnType::Boolean),
        // The portal's times are whole seconds, so that no precision is too small.
        ("timestamp", _) => Some(ColumnType::Timestamp),
        ("timestamptz", _) => Some(ColumnType::TimestampTz),
        ("date", _) => Some(ColumnType::Date),
        ("jsonb", _) => Some(ColumnType::Jsonb),
        ("json", _) => Some(ColumnType::Json),
        _ => None,
    }
}

/// Whether `on conflict (column)` finds an index: unique, on this column alone, on all rows, checked at once.
pub(crate) async fn is_unique(connection: &mut Connection, relation: u32, column: &str) -> Result<bool, Trouble> {
    let statement = sql("select exists (select from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] where i.indrelid = ")
        .bind::<Oid, _>(relation)
        .text(" and i.indisunique and i.indisvalid and i.indimmediate and i.indnkeyatts = 1 and i.indexprs is null and i.indpred is null and a.attname = ")
        .bind::<Text, _>(column)
        .text(")")
        .rows::<(Bool,)>();
    let (unique,): (bool,) = connection.load_one(statement).await?;
    Ok(unique)
}

/// Up to five values that a column holds more than once.
pub(crate) async fn duplicates(
    connection: &mut Connection,
    table: Table<'_>,
    column: &str,
) -> Result<Vec<String>, Trouble> {
    let statement = sql("select t.")
        .name(column)
        .text("::text from ")
        .table(table)
        .text(" as t where t.")
        .name(column)
        .text(" is not null group by t.")
        .name(column)
        .text(" having count(*) > 1 order by 1 limit 5")
        .rows::<(Text,)>();
    let rows: Vec<(String,)> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(|(value,)| value).collect())
}

/// The columns that say when a row of this entity's table was written or deleted.
pub(crate) async fn row_times(
    connection: &mut Connection,
    table: Table<'_>,
    entity: EntityType,
) -> Result<RowTimes, Trouble> {
    let statement = sql("select a.attname::text, a.atttypid = 'pg_catalog.timestamptz'::regtype, coalesce((select r.keeps_deleted from b24sync.replicas r where r.entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text("), false) from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = ")
        .bind::<Text, _>(table.schema)
        .text(" and c.relname = ")
        .bind::<Text, _>(table.name)
        .text(" and a.attname in ('created_at', 'updated_at', 'deleted_at')")
        .rows::<(Text, Bool, Bool)>();
    let columns: Vec<(String, bool, bool)> = connection.load_rows(statement).await?;
    let zoned = |name: &str| columns.iter().find(|(column, ..)| column == name).map(|(_, zoned, _)| *zoned);
    let keeps_deleted = columns.iter().any(|(_, _, keeps)| *keeps);
    Ok(RowTimes {
        created_zoned: zoned("created_at").unwrap_or_default(),
        updated_zoned: zoned("updated_at").unwrap_or_default(),
        deleted_zoned: zoned("deleted_at").filter(|_| keeps_deleted),
    })
}

/// Version of the server as a number, `150018`.
pub(crate) fn server_version<'a>() -> Sql<'a, (Integer,)> {
    sql("select current_setting('server_version_num')::integer").rows()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_rounds_or_pads_is_not_known() {
        assert_eq!(known_type("numeric", 655_366), None);
        assert_eq!(known_type("bpchar", 9), None);
        assert_eq!(known_type("float8", -1), None);
        assert_eq!(known_type("varchar", 54), Some(ColumnType::Varchar(50)));
        assert_eq!(known_type("varchar", -1), Some(ColumnType::Text));
    }
}
