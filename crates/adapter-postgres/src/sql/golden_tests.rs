//! The text of every statement with a moving part, as it goes to the server.

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::cells::ColumnData;
use b24sync_domain::mapping::rows::Column;
use b24sync_domain::mapping::schema::NewColumn;
use b24sync_domain::mapping::{ColumnName, ColumnType, TimestampStyle};
use insta::assert_snapshot;

use super::upsert::RowTimes;
use super::*;

const TABLE: Table<'static> = Table { schema: "public", name: "crm_deals" };

const TYPES: [(&str, ColumnType); 12] = [
    ("title", ColumnType::Text),
    ("currency_id", ColumnType::Varchar(10)),
    ("sort", ColumnType::SmallInt),
    ("category_id", ColumnType::Integer),
    ("big", ColumnType::BigInt),
    ("opportunity", ColumnType::Numeric),
    ("opened", ColumnType::Boolean),
    ("date_modify", ColumnType::Timestamp),
    ("moved", ColumnType::TimestampTz),
    ("closedate", ColumnType::Date),
    ("utm", ColumnType::Jsonb),
    ("odd \"name\"", ColumnType::Json),
];

fn columns() -> Vec<NewColumn> {
    TYPES
        .iter()
        .map(|(name, column_type)| NewColumn { name: ColumnName::existing(*name), column_type: *column_type })
        .collect()
}

fn text<Row>(statement: &Sql<'_, Row>) -> String {
    let mut builder = PgQueryBuilder::default();
    statement.to_sql(&mut builder, &Pg).unwrap();
    builder.finish()
}

#[test]
fn upsert() {
    let cells: Vec<Column> = TYPES
        .iter()
        .map(|(name, column_type)| Column {
            name: ColumnName::existing(*name),
            column_type: *column_type,
            data: ColumnData::new(*column_type),
        })
        .collect();
    let times = RowTimes { created_zoned: true, ..RowTimes::default() };
    let statements = [text(&upsert::upsert(TABLE, times, &[], &cells)), text(&copy::copy(TABLE, &cells))];
    assert_snapshot!(statements.join(";\n"));
}

#[test]
fn guard() {
    let statements = [
        text(&guard::remembered(2, &[])),
        text(&guard::touch(2, 7, &[])),
        text(&guard::accept(2, 7, &[], &[], &[], &[])),
    ];
    assert_snapshot!(statements.join(";\n"));
}

#[test]
fn around_the_guard() {
    let ids = [RecordId::new(1).unwrap()];
    let statements = [
        text(&guard::fence("sync:deal".to_owned(), 3)),
        text(&guard::lock(2, &ids)),
        text(&guard::contested(2, 7, &ids)),
        text(&guard::present(TABLE, &ids)),
        text(&guard::forget_content(2)),
    ];
    assert_snapshot!(statements.join(";\n"));
}

#[test]
fn tables() {
    let deal: EntityType = "deal".parse().unwrap();
    let columns = columns();
    let column = ColumnName::existing("date_modify");
    let statements = [
        text(&ddl::create_table(TABLE, &columns, TimestampStyle::Timestamp)),
        text(&ddl::create_table(TABLE, &[], TimestampStyle::TimestampTz)),
        text(&ddl::add_columns(TABLE, columns.iter())),
        text(&ddl::add_time(TABLE, "updated_at", TimestampStyle::Timestamp)),
        text(&ddl::widen(TABLE, "odd \"name\"", ColumnType::Varchar(50))),
        text(&ddl::unique_index(TABLE, "bitrix_id")),
        text(&ddl::modified_index(deal, TABLE, &column)),
        text(&ddl::comment(TABLE, "title", "it's a \\ label")),
        text(&ddl::lock_entity(2)),
    ];
    assert_snapshot!(statements.join(";\n"));
}

#[test]
fn a_statement_depends_on_its_columns_and_not_on_its_values() {
    let column = |values: &[&str]| {
        let mut data = ColumnData::new(ColumnType::Text);
        for value in values {
            data.push(&b24sync_domain::mapping::value::Cell::Text((*value).into()));
        }
        [Column { name: ColumnName::existing("title"), column_type: ColumnType::Text, data }]
    };
    let one = [RecordId::new(1).unwrap()];
    let two = [RecordId::new(1).unwrap(), RecordId::new(2).unwrap()];
    let (few, many) = (column(&["a"]), column(&["b", "c"]));
    let times = RowTimes::default();
    assert_eq!(text(&upsert::upsert(TABLE, times, &one, &few)), text(&upsert::upsert(TABLE, times, &two, &many)));
}
