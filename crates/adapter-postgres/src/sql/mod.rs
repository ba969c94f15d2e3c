//! SQL text. Nothing else builds any.
//!
//! A [`Sql`] is put together from constant text, identifiers, types of the closed [`ColumnType`], and binds; there is
//! no way to put a run-time string into it as text. The statement cache of a connection goes by the text, so that one
//! prepared statement serves each table and column set.

pub(crate) mod access;
pub(crate) mod arrays;
pub(crate) mod budget;
pub(crate) mod catalog;
pub(crate) mod compare;
pub(crate) mod copy;
pub(crate) mod ddl;
pub(crate) mod deletions;
pub(crate) mod fingerprints;
pub(crate) mod guard;
mod numeric;
pub(crate) mod upsert;

use std::borrow::Cow;
use std::marker::PhantomData;

use b24sync_domain::entity::EntityType;
use b24sync_domain::mapping::ColumnType;
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;
use diesel_async::SimpleAsyncConnection;

use crate::connection::Connection;
use crate::error::{Failure, Trouble};

/// A statement whose rows have the type `Row` (a tuple of SQL types).
pub(crate) struct Sql<'a, Row = ()> {
    parts: Vec<Part<'a>>,
    row: PhantomData<fn() -> Row>,
}

enum Part<'a> {
    Text(&'static str),
    Identifier(Cow<'a, str>),
    Number(u32),
    Literal(Cow<'a, str>),
    Bind(Box<dyn QueryFragment<Pg> + Send + Sync + 'a>),
}

/// Starts a statement.
pub(crate) fn sql<'a>(text: &'static str) -> Sql<'a> {
    Sql { parts: vec![Part::Text(text)], row: PhantomData }
}

impl<'a> Sql<'a> {
    /// Appends constant text.
    pub(crate) fn text(mut self, text: &'static str) -> Self {
        self.parts.push(Part::Text(text));
        self
    }

    /// Appends a quoted name.
    pub(crate) fn name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.parts.push(Part::Identifier(name.into()));
        self
    }

    /// Appends `"schema"."table"`.
    pub(crate) fn table(self, table: Table<'a>) -> Self {
        self.name(table.schema).text(".").name(table.name)
    }

    /// Appends the catalogue's entities as a relation `e(entity, key, name, place)`: number, name, table, order. They are
    /// constants, because the plan of a prepared statement without binds is made once, and making it takes longer than
    /// carrying it out.
    pub(crate) fn entities(mut self) -> Self {
        for (place, entity) in (0_u32..).zip(EntityType::all()) {
            self = self.text(if place == 0 { "(values (" } else { ", (" }).entity(entity).text(", ");
            self = self
                .literal(entity.key())
                .text("::text, ")
                .literal(entity.table())
                .text("::text, ")
                .number(place)
                .text(")");
        }
        self.text(") as e(entity, key, name, place)")
    }

    /// Appends an entity's number as a constant.
    pub(crate) fn entity(self, entity: EntityType) -> Self {
        self.number(u32::from(entity.type_id().unsigned_abs())).text("::smallint")
    }

    /// Appends a number as a constant.
    pub(crate) fn number(mut self, number: u32) -> Self {
        self.parts.push(Part::Number(number));
        self
    }

    /// Appends the name of a type.
    pub(crate) fn column_type(mut self, column_type: ColumnType) -> Self {
        self.parts.push(Part::Text(type_name(column_type)));
        match column_type {
            ColumnType::Varchar(length) => self.number(length).text(")"),
            _ => self,
        }
    }

    /// Appends a string constant; only for what is constant or for statements that take no binds (`comment on`).
    pub(crate) fn literal(mut self, value: impl Into<Cow<'a, str>>) -> Self {
        self.parts.push(Part::Literal(value.into()));
        self
    }

    /// Appends a bind.
    pub(crate) fn bind<ST, T>(self, value: T) -> Self
    where
        ST: Send + Sync + 'a,
        T: ToSql<ST, Pg> + Send + Sync + 'a,
        Pg: HasSqlType<ST>,
    {
        self.fragment(Value { value, sql_type: PhantomData::<fn() -> ST> })
    }

    /// Appends a fragment.
    pub(crate) fn fragment(mut self, fragment: impl QueryFragment<Pg> + Send + Sync + 'a) -> Self {
        self.parts.push(Part::Bind(Box::new(fragment)));
        self
    }

    /// Says what the rows look like.
    pub(crate) fn rows<Row>(self) -> Sql<'a, Row> {
        Sql { parts: self.parts, row: PhantomData }
    }

    /// The text, for statements that cannot be prepared.
    pub(crate) fn to_text(&self) -> QueryResult<String> {
        let mut builder = PgQueryBuilder::default();
        self.to_sql(&mut builder, &Pg)?;
        Ok(builder.finish())
    }
}

/// A table's full name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table<'a> {
    pub(crate) schema: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Table<'a> {
    pub(crate) fn new(schema: &'a str, name: &'a str) -> Table<'a> {
        Table { schema, name }
    }
}

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "text",
        ColumnType::Varchar(_) => "varchar(",
        ColumnType::SmallInt => "smallint",
        ColumnType::Integer => "integer",
        ColumnType::BigInt => "bigint",
        ColumnType::Numeric => "numeric",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
        ColumnType::TimestampTz => "timestamptz",
        ColumnType::Date => "date",
        ColumnType::Jsonb => "jsonb",
        ColumnType::Json => "json",
    }
}

impl<Row> QueryFragment<Pg> for Sql<'_, Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_sql(text),
                Part::Identifier(name) => out.push_identifier(name)?,
                Part::Number(number) => out.push_sql(&number.to_string()),
                Part::Literal(value) => out.push_sql(&quoted(value)),
                Part::Bind(bind) => bind.walk_ast(out.reborrow())?,
            }
        }
        Ok(())
    }
}

impl<Row> QueryId for Sql<'_, Row> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Row> Query for Sql<'_, Row> {
    type SqlType = Row;
}

/// A bind of the SQL type `ST`.
struct Value<ST, T> {
    value: T,
    sql_type: PhantomData<fn() -> ST>,
}

impl<ST, T> QueryFragment<Pg> for Value<ST, T>
where
    T: ToSql<ST, Pg>,
    Pg: HasSqlType<ST>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<ST, T>(&self.value)
    }
}

/// A string constant that means the same whatever `standard_conforming_strings` says.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 4);
    text.push_str("E'");
    for character in value.chars().filter(|character| *character != '\0') {
        if matches!(character, '\'' | '\\') {
            text.push(character);
        }
        text.push(character);
    }
    text.push('\'');
    text
}

impl Connection {
    /// Runs a prepared statement; returns how many rows it touched.
    pub(crate) async fn perform(&mut self, statement: Sql<'_>) -> Result<usize, Trouble> {
        Ok(diesel_async::RunQueryDsl::execute(statement, self).await?)
    }

    /// Runs a statement that cannot be prepared or would not be worth it.
    pub(crate) async fn change(&mut self, statement: &Sql<'_>) -> Result<(), Trouble> {
        let text = statement.to_text()?;
        Ok(self.batch_execute(&text).await?)
    }

    /// Loads rows.
    pub(crate) async fn load_rows<Row, T>(&mut self, statement: Sql<'_, Row>) -> Result<Vec<T>, Trouble>
    where
        Row: Send + 'static,
        Pg: QueryMetadata<Row>,
        T: FromSqlRow<Row, Pg> + Send + 'static,
    {
        use diesel::row::Row as _;
        use diesel_async::AsyncConnectionCore;
        use futures_util::TryStreamExt;

        let rows = AsyncConnectionCore::load(self, statement).await?;
        let rows: Vec<T> = rows
            .and_then(|row| {
                debug_assert!(row.field_count() > 0);
                let row = T::build_from_row(&row).map_err(diesel::result::Error::DeserializationError);
                std::future::ready(row)
            })
            .try_collect()
            .await?;
        Ok(rows)
    }

    /// Loads at most one row.
    pub(crate) async fn load_row<Row, T>(&mut self, statement: Sql<'_, Row>) -> Result<Option<T>, Trouble>
    where
        Row: Send + 'static,
        Pg: QueryMetadata<Row>,
        T: FromSqlRow<Row, Pg> + Send + 'static,
    {
        Ok(self.load_rows(statement).await?.into_iter().next())
    }

    /// Loads the one row that there always is.
    pub(crate) async fn load_one<Row, T>(&mut self, statement: Sql<'_, Row>) -> Result<T, Trouble>
    where
        Row: Send + 'static,
        Pg: QueryMetadata<Row>,
        T: FromSqlRow<Row, Pg> + Send + 'static,
    {
        self.load_row(statement).await?.ok_or_else(|| Failure::ours("a statement returned no row").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_quoted_for_every_setting() {
        assert_eq!(quoted("it's \\ a\0b"), r"E'it''s \\ ab'");
    }

    #[test]
    fn names_are_quoted() {
        let text = sql("select 1 from ").table(Table::new("a\"b", "c d")).to_text().unwrap();
        assert_eq!(text, "select 1 from \"a\"\"b\".\"c d\"");
    }
}

#[cfg(test)]
#[path = "golden_tests.rs"]
mod golden_tests;
