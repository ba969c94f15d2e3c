//! Making, changing and widening replica tables.

use b24sync_domain::error::StoreError;
use b24sync_domain::field::{FieldDescription, FieldOption};
use b24sync_domain::mapping::schema::{ActualType, KnownTable, SchemaNeed, Widening, plan};
use b24sync_domain::mapping::{ColumnName, ColumnType, TimestampStyle};
use b24sync_domain::ports::RecordStore;

use crate::support::*;

fn fields(list: &[(&str, &str)]) -> Vec<FieldDescription> {
    list.iter().map(|(name, kind)| field(name, kind)).collect()
}

fn widening(column: &str, to: ColumnType) -> SchemaNeed {
    SchemaNeed::Widen(Widening { column: ColumnName::existing(column), to })
}

const COLUMNS: &str = "select string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position) from information_schema.columns where table_name = 'crm_deals'";

#[tokio::test]
async fn a_new_table_is_as_the_seed_draws_it() {
    let world = World::new().await;
    let described =
        fields(&[("TITLE", "string"), ("DATE_MODIFY", "datetime"), ("CURRENCY_ID", "crm_currency"), ("ID", "integer")]);
    let plan = world.table(&described).await;
    assert_eq!(
        world.ask(COLUMNS).await.unwrap(),
        "id integer, bitrix_id character varying, currency_id character varying, date_modify timestamp without time zone, title text, created_at timestamp without time zone, updated_at timestamp without time zone"
    );
    assert_eq!(
        world.rows("select indexname from pg_indexes where tablename = 'crm_deals' order by 1").await,
        ["crm_deals_bitrix_id_key", "crm_deals_pkey", "idx_crm_deals_date_modify"]
    );
    // Twice is once.
    world.store.ensure_table(&plan).await.unwrap();
    assert!(!world.plan(&described).await.changes_table());
}

#[tokio::test]
async fn timestamptz_is_a_choice_for_new_columns() {
    let world = World::new().await;
    let options = b24sync_adapter_postgres::StoreOptions { timestamps: TimestampStyle::TimestampTz, ..options() };
    let store = b24sync_adapter_postgres::PgStore::connect(&url(&world.database), options).await.unwrap();
    let known = store.known_table(deal()).await.unwrap();
    let described = fields(&[("DATE_MODIFY", "datetime")]);
    store.ensure_table(&plan(deal(), &described, &known, TimestampStyle::TimestampTz).unwrap()).await.unwrap();
    assert!(world.ask(COLUMNS).await.unwrap().matches("timestamp with time zone").count() == 3);
}

#[tokio::test]
async fn the_dictionary_remembers_labels_options_and_retired_fields() {
    let world = World::new().await;
    let mut stage = field("STAGE_ID", "crm_status");
    stage.label = Some("Стадия 'x' \\".to_owned());
    stage.options = vec![FieldOption { id: "NEW".to_owned(), value: "Новая".to_owned() }];
    world.table(&[stage.clone(), field("OLD", "money")]).await;
    let comment = "select col_description('crm_deals'::regclass, (select attnum from pg_attribute where attrelid = 'crm_deals'::regclass and attname = 'stage_id'))";
    assert_eq!(world.ask(comment).await.unwrap(), "Стадия 'x' \\");
    stage.label = Some("Stage".to_owned());
    world.table(&[stage.clone()]).await;
    assert_eq!(world.ask(comment).await.unwrap(), "Stage");
    assert_eq!(
        world.rows("select field, column_name, currency_column, bitrix_type, column_type, multiple, label, options, retired from b24sync.fields order by 1").await,
        [
            "OLD|old|old_currency|money|numeric|f|∅|[]|t",
            "STAGE_ID|stage_id|∅|crm_status|text|f|Stage|[{\"id\": \"NEW\", \"value\": \"Новая\"}]|f"
        ]
    );
    // What a person wrote is theirs.
    world.run_sql("comment on column crm_deals.stage_id is 'mine'").await;
    stage.label = Some("Other".to_owned());
    world.table(&[stage, field("OLD", "money")]).await;
    assert_eq!(world.ask(comment).await.unwrap(), "mine");
    assert_eq!(world.ask("select count(*) from b24sync.fields where retired").await.unwrap(), "0");
}

#[tokio::test]
async fn columns_widen_and_never_narrow() {
    let world = World::new().await;
    let plan = world.table(&fields(&[("A", "integer"), ("B", "integer"), ("C", "crm_currency")])).await;
    let needs =
        [widening("a", ColumnType::BigInt), widening("b", ColumnType::Numeric), widening("c", ColumnType::Text)];
    let wide = plan.clone().with_needs(&needs);
    world.store.ensure_table(&wide).await.unwrap();
    world.store.ensure_table(&wide).await.unwrap();
    let narrow = plan.with_needs(&[widening("b", ColumnType::BigInt)]);
    world.store.ensure_table(&narrow).await.unwrap();
    let types = "select column_name, data_type from information_schema.columns where table_name = 'crm_deals' and length(column_name) = 1 order by 1";
    assert_eq!(world.rows(types).await, ["a|bigint", "b|numeric", "c|text"]);
    assert_eq!(
        world.rows("select column_name, column_type from b24sync.fields order by 1").await,
        ["a|bigint", "b|numeric", "c|text"]
    );
}

#[tokio::test]
async fn a_column_that_a_view_uses_is_pinned_and_the_others_widen() {
    let world = World::new().await;
    let plan = world.table(&fields(&[("A", "integer"), ("B", "integer")])).await;
    world.run_sql("create view mine as select a from crm_deals").await;
    let wide =
        plan.with_needs(&[widening("a", ColumnType::BigInt), widening("b", ColumnType::BigInt), SchemaNeed::Overflow]);
    let refused = world.store.ensure_table(&wide).await;
    let Err(StoreError::CannotWiden { column, source }) = refused else { panic!("{refused:?}") };
    assert_eq!(column.as_str(), "a");
    assert!(source.to_string().contains("view"), "{source}");
    let known = world.store.known_table(deal()).await.unwrap();
    assert_eq!(known.pinned.iter().map(ColumnName::as_str).collect::<Vec<_>>(), ["a"]);
    let shape = known.shape.unwrap();
    let kind = |name: &str| shape.columns.iter().find(|(column, _)| column.as_str() == name).unwrap().1.clone();
    assert_eq!(kind("a"), ActualType::Known(ColumnType::Integer));
    assert_eq!(kind("b"), ActualType::Known(ColumnType::BigInt));
    assert_eq!(kind("_extra"), ActualType::Known(ColumnType::Jsonb));
    world.store.pin_column(deal(), &column).await.unwrap();
}

#[tokio::test]
async fn a_type_that_nobody_can_write_is_named() {
    let world = World::new().await;
    world
        .run_sql("create table crm_deals (id serial primary key, bitrix_id varchar(50) unique not null, title tsvector, price numeric(10,2), twice text generated always as ('x') stored)")
        .await;
    let shape = world.store.known_table(deal()).await.unwrap().shape.unwrap();
    let others: Vec<_> = shape
        .columns
        .iter()
        .filter_map(|(name, actual)| match actual {
            ActualType::Other(found) => Some(format!("{name} {found}")),
            ActualType::Known(_) => None,
        })
        .collect();
    assert_eq!(others, ["title tsvector", "price numeric(10,2)", "twice text generated always"]);
}

#[tokio::test]
async fn a_table_that_was_dropped_is_made_and_filled_again() {
    let running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(1, None, &["\"a\""])]).await;
    running.world.run_sql("drop table crm_deals").await;
    let read = running.world.token().await;
    assert!(matches!(running.try_commit(read, &[(1, None, &["\"a\""])]).await, Err(StoreError::Database { .. })));
    running.world.store.ensure_table(&running.plan).await.unwrap();
    assert_eq!(running.read_and_commit(&[(1, None, &["\"a\""])]).await.written, 1);
    // So is a column.
    running.world.run_sql("alter table crm_deals drop column title").await;
    running.world.table(&fields(&[("TITLE", "string")])).await;
    assert_eq!(running.read_and_commit(&[(1, None, &["\"a\""])]).await.written, 1);
    assert_eq!(running.world.rows("select bitrix_id, title from crm_deals").await, ["1|a"]);
}

#[tokio::test]
async fn a_table_of_another_kind_is_refused() {
    let cases = [
        ("create view crm_deals as select 1 as bitrix_id", "not a table"),
        ("create table crm_deals (id serial)", "no column `bitrix_id`"),
        ("create table crm_deals (bitrix_id bigint)", "has the type `bigint`"),
        ("create table crm_deals (bitrix_id text, created_at text)", "`created_at` has the type `text`"),
        ("create table crm_deals (bitrix_id text, mine text not null)", "`mine` is not null and has no default"),
        (
            "create table crm_deals (bitrix_id text); insert into crm_deals values ('7'), ('8'), ('8'), ('7'), ('9')",
            "more than once: 7, 8",
        ),
    ];
    for (sql, expected) in cases {
        let world = World::new().await;
        world.run_sql(sql).await;
        let plan =
            plan(deal(), &fields(&[("TITLE", "string")]), &KnownTable::default(), TimestampStyle::Timestamp).unwrap();
        let error = world.store.ensure_table(&plan).await.unwrap_err();
        assert!(matches!(error, StoreError::CannotAdopt { .. }) && error.to_string().contains(expected), "{error}");
    }
}

async fn wide(count: usize) {
    let names: Vec<String> = (0..count).map(|number| format!("UF_CRM_{number:04}")).collect();
    let kinds = ["string", "integer", "double", "boolean", "datetime", "date", "file", "crm_currency"];
    let list: Vec<(&str, &str)> =
        names.iter().enumerate().map(|(n, name)| (name.as_str(), kinds[n % kinds.len()])).collect();
    let running = Running::with(&list).await;
    let values = [
        "\"Текст\"",
        "7",
        "\"1.5\"",
        "\"Y\"",
        "\"2026-01-02T03:04:05+03:00\"",
        "\"2026-01-02\"",
        "{\"id\":5}",
        "\"RUB\"",
    ];
    let row: Vec<&str> = (0..count).map(|n| values[n % values.len()]).collect();
    let records: Vec<Record<'_>> = (1..=20).map(|id| (id, None, row.as_slice())).collect();
    assert_eq!(running.read_and_commit(&records).await.written, 20);
    assert_eq!(running.read_and_commit(&records).await.unchanged, 20);
    let filled =
        format!("select count(*) from crm_deals where uf_crm_0000 = 'Текст' and uf_crm_{:04} is not null", count - 1);
    assert_eq!(running.world.ask(&filled).await.unwrap(), "20");
}

#[tokio::test]
async fn a_table_may_have_300_columns() {
    wide(300).await;
}

#[tokio::test]
async fn a_table_may_have_700_columns() {
    wide(700).await;
}

#[tokio::test]
async fn two_processes_may_change_a_table_at_once() {
    let world = World::new().await;
    let described = fields(&[("TITLE", "string"), ("PRICE", "money"), ("DATE_MODIFY", "datetime")]);
    let plan = world.plan(&described).await;
    let attempts = (0..4).map(|_| world.store.ensure_table(&plan));
    for outcome in futures_util::future::join_all(attempts).await {
        outcome.unwrap();
    }
    // And one that has seen fewer fields.
    world.store.ensure_table(&world.plan(&described[..1]).await).await.unwrap();
    assert_eq!(world.ask("select count(*) from b24sync.fields where not retired").await.unwrap(), "1");
}

#[tokio::test]
async fn a_plan_that_another_process_has_overtaken_is_put_off() {
    let world = World::new().await;
    let early = world.plan(&fields(&[("A-B", "string")])).await;
    world.table(&fields(&[("A.B", "string"), ("A-B", "string")])).await;
    world.run_sql("update b24sync.fields set column_name = column_name || '_x'").await;
    let outcome = world.store.ensure_table(&early).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn any_schema_will_do() {
    let database = b24sync_pg_harness::TestDatabase::create().await;
    let name = schema("CRM \"данные\"");
    let migrate_options =
        b24sync_adapter_postgres::MigrateOptions { schema: name.clone(), default_interval_minutes: 45 };
    b24sync_adapter_postgres::migrate(&url(&database), &migrate_options).await.unwrap();
    let store_options = b24sync_adapter_postgres::StoreOptions { schema: name, ..options() };
    let store = b24sync_adapter_postgres::PgStore::connect(&url(&database), store_options).await.unwrap();
    let world = World { sql: database.client().await, store, database };
    let running = Running::on(world, &[("TITLE", "string"), ("DATE_MODIFY", "datetime")]).await;
    running.read_and_commit(&[(1, None, &["null", "\"a\""])]).await;
    assert_eq!(running.world.rows("select title from \"CRM \"\"данные\"\"\".crm_deals").await, ["a"]);
    assert_eq!(
        running.world.rows("select distinct sync_interval_minutes from \"CRM \"\"данные\"\"\".sync_config").await,
        ["45"]
    );
    assert_eq!(
        running
            .world
            .ask("select count(*) from information_schema.tables where table_schema = 'public'")
            .await
            .unwrap(),
        "0"
    );
}
