//! A database of the Python service is taken over as it is.

use b24sync_adapter_postgres::{MigrateOptions, migrate, pending_migrations, plan};
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldDescription;
use b24sync_domain::ports::RunLog;
use b24sync_domain::progress::Watermark;
use b24sync_pg_harness::TestDatabase;

use crate::support::*;

const PYTHON: &str = "
create table sync_config (
  id serial primary key, entity_type varchar(50) not null unique, enabled boolean not null,
  sync_interval_minutes integer not null, webhook_enabled boolean not null, last_sync_at timestamptz,
  created_at timestamptz not null, updated_at timestamptz not null, note text);
insert into sync_config values (1, 'deal', false, 15, true, null, now(), now(), 'mine');
create table sync_state (
  entity_type varchar(50) primary key, last_modified_date timestamptz, total_records integer not null,
  updated_at timestamptz not null);
insert into sync_state values ('deal', '2025-01-01 00:00:00+00', 2, now());
create table sync_logs (
  id bigserial primary key, entity_type varchar(50) not null, sync_type varchar(20) not null,
  status varchar(20) not null, records_processed integer, error_message text, started_at timestamp not null,
  completed_at timestamp, duration double precision);
insert into sync_logs (entity_type, sync_type, status, started_at) values
  ('deal', 'full', 'running', '2025-01-01 00:00:00'), ('deal', 'full', 'completed', '2025-01-02 00:00:00');
create table crm_deals (
  id serial primary key, bitrix_id varchar(50) not null, title varchar(20), stage_id varchar(50), opportunity numeric,
  date_modify timestamptz, mine text, created_at timestamptz default now(), updated_at timestamptz);
create index idx_crm_deals_bitrix_id on crm_deals (bitrix_id);
insert into crm_deals (bitrix_id, title, mine) values ('1', 'old', 'keep'), ('99', 'gone?', 'keep too');
grant select on crm_deals to public;
";

fn described() -> Vec<FieldDescription> {
    [
        ("TITLE", "string"),
        ("STAGE_ID", "crm_status"),
        ("OPPORTUNITY", "double"),
        ("DATE_MODIFY", "datetime"),
        ("NEW", "integer"),
    ]
    .iter()
    .map(|(name, kind)| field(name, kind))
    .collect()
}

#[tokio::test]
async fn nothing_is_lost_and_syncs_go_on() {
    let (world, report) = World::adopted(PYTHON).await;
    let of = |table: &str| report.adopted.iter().find(|adopted| adopted.table == table).unwrap().changes.clone();
    assert!(of("sync_config").is_empty());
    assert_eq!(of("sync_state"), ["added the column `id`", "added the column `created_at`"]);
    assert_eq!(
        of("sync_logs"),
        [
            "widened the column `sync_type` to varchar(50)",
            "widened the column `status` to varchar(50)",
            "closed 1 runs that were marked as running"
        ]
    );
    assert_eq!(report.exposed.len(), 1);
    assert_eq!(
        (report.exposed[0].table.as_str(), report.exposed[0].readers.as_slice()),
        ("crm_deals", ["public".to_owned()].as_slice())
    );
    // Settings stay, the other entities get theirs.
    assert_eq!(
        world.rows("select entity_type, enabled, sync_interval_minutes, note from sync_config order by 1").await,
        ["company|t|30|∅", "contact|t|30|∅", "deal|f|15|mine", "lead|t|30|∅"]
    );
    let plan = world.table(&described()).await;
    let lease = world.lease().await;
    let run = world.run(&lease).await;
    let running = Running { world, plan, lease, run };
    let values: &[&str] = &["\"2026-01-02T03:04:05+03:00\"", "5", "\"10.5\"", "\"NEW\"", "\"new title\""];
    let commit = running.read_and_commit(&[(1, Some("2026-01-02T00:04:05Z"), values)]).await;
    assert_eq!(commit.written, 1);
    let world = &running.world;
    assert_eq!(
        world.rows("select id, bitrix_id, title, stage_id, opportunity, mine, new, updated_at > now() - interval '1 minute', date_modify = '2026-01-02 00:04:05+00' from crm_deals order by id").await,
        ["1|1|new title|NEW|10.5|keep|5|t|t", "2|99|gone?|∅|∅|keep too|∅|∅|∅"]
    );
    world.store.complete(running.run.id, Watermark(at("2026-01-01T00:00:00Z")), &running.lease).await.unwrap();
    assert_eq!(
        world.rows("select last_modified_date = '2026-01-02 00:04:05+00', total_records from sync_state").await,
        ["t|1"]
    );
    let types = "select string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position) from information_schema.columns where table_name = 'crm_deals'";
    assert_eq!(
        world.ask(types).await.unwrap(),
        "id integer, bitrix_id character varying, title character varying, stage_id character varying, opportunity numeric, date_modify timestamp with time zone, mine text, created_at timestamp with time zone, updated_at timestamp with time zone, new integer"
    );
    let runs = world.store.recent(10).await.unwrap();
    let statuses: Vec<_> = runs.iter().map(|run| (run.id.0, run.status.as_str())).collect();
    assert_eq!(statuses, [(3, "completed"), (2, "completed"), (1, "interrupted")]);
    // The grants of a table of others are theirs.
    assert_eq!(world.ask("select has_table_privilege('public', 'crm_deals', 'select')").await.unwrap(), "t");
}

#[tokio::test]
async fn a_plan_says_what_the_migration_does_and_changes_nothing() {
    let database = TestDatabase::create().await;
    let sql = database.client().await;
    sql.batch_execute(PYTHON).await.unwrap();
    let columns = async || -> i64 {
        let all = "select count(*) from information_schema.columns where table_schema in ('public', 'b24sync')";
        sql.query_one(all, &[]).await.unwrap().get(0)
    };
    let before = columns().await;
    let planned = plan(&url(&database), &MigrateOptions::default()).await.unwrap();
    assert_eq!(columns().await, before);
    let running = "select count(*) from sync_logs where status = 'running'";
    assert_eq!(sql.query_one(running, &[]).await.unwrap().get::<_, i64>(0), 1);
    assert_eq!(migrate(&url(&database), &MigrateOptions::default()).await.unwrap(), planned);
}

#[tokio::test]
async fn a_second_migration_finds_nothing_to_do() {
    let (world, first) = World::adopted(PYTHON).await;
    assert!(!first.applied.is_empty());
    let second = migrate(&url(&world.database), &MigrateOptions::default()).await.unwrap();
    assert!(second.applied.is_empty() && second.adopted.is_empty(), "{second:?}");
    assert!(pending_migrations(&url(&world.database)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_named_and_nothing_is_changed() {
    let cases = [
        (
            "create table sync_state (entity_type text, total_records int); insert into sync_state values ('deal', 1), ('deal', 2)",
            "sync_state",
            "more than once: deal",
        ),
        (
            "create table sync_logs (id integer not null, entity_type text)",
            "sync_logs",
            "`id` is not null and has no default",
        ),
        ("create table sync_config (entity_type text, enabled text)", "sync_config", "`enabled` has the type `text`"),
        ("create table sync_config (id serial)", "sync_config", "no column `entity_type`"),
        ("create view sync_logs as select 1", "sync_logs", "not a table"),
        ("create view crm_deals as select 1", "crm_deals", "not a table"),
    ];
    for (sql, expected, reason) in cases {
        let database = TestDatabase::create().await;
        database.client().await.batch_execute(sql).await.unwrap();
        let error = migrate(&url(&database), &MigrateOptions::default()).await.unwrap_err();
        let StoreError::CannotAdopt { table, .. } = &error else { panic!("{error:?}") };
        assert!(table == expected && error.to_string().contains(reason), "{error}");
        let left = database
            .client()
            .await
            .query_one("select count(*) from pg_namespace where nspname = 'b24sync'", &[])
            .await
            .unwrap();
        assert_eq!(left.get::<_, i64>(0), 0);
    }
}

#[tokio::test]
async fn processes_may_migrate_at_once() {
    let database = TestDatabase::create().await;
    let pending = pending_migrations(&url(&database)).await.unwrap().len();
    let url = url(&database);
    let options = MigrateOptions::default();
    let reports = futures_util::future::join_all((0..4).map(|_| migrate(&url, &options))).await;
    let applied: usize = reports.into_iter().map(|report| report.unwrap().applied.len()).sum();
    assert_eq!(applied, pending);
    let places = "select string_agg(table_schema, ',') from information_schema.tables where table_name = '__diesel_schema_migrations'";
    let row = database.client().await.query_one(places, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "b24sync");
}

#[tokio::test]
async fn a_database_that_does_not_fit_is_refused() {
    let database = TestDatabase::create().await;
    let connect = || b24sync_adapter_postgres::PgStore::connect(Box::leak(Box::new(url(&database))), options());
    assert!(matches!(connect().await, Err(StoreError::NotMigrated)));
    migrate(&url(&database), &MigrateOptions::default()).await.unwrap();
    connect().await.unwrap();
    let sql = database.client().await;
    sql.batch_execute("insert into b24sync.__diesel_schema_migrations (version) values ('99990101000000')")
        .await
        .unwrap();
    let newer = connect().await;
    assert!(matches!(&newer, Err(StoreError::TooNew { version }) if version == "99990101000000"), "{newer:?}");
    assert!(matches!(migrate(&url(&database), &MigrateOptions::default()).await, Err(StoreError::TooNew { .. })));
    sql.batch_execute("truncate b24sync.__diesel_schema_migrations").await.unwrap();
    assert!(matches!(connect().await, Err(StoreError::NotMigrated)));
}

#[tokio::test]
async fn migrations_go_back_down() {
    let database = TestDatabase::create().await;
    migrate(&url(&database), &MigrateOptions::default()).await.unwrap();
    let sql = database.client().await;
    for down in [
        include_str!("../migrations/2026-01-10-000000_answers/down.sql"),
        include_str!("../migrations/2026-01-09-000000_abandoned/down.sql"),
        include_str!("../migrations/2026-01-08-120000_arrivals/down.sql"),
        include_str!("../migrations/2026-01-08-000000_pacing/down.sql"),
        include_str!("../migrations/2026-01-07-000000_application/down.sql"),
        include_str!("../migrations/2026-01-06-000000_inbox/down.sql"),
        include_str!("../migrations/2026-01-05-000000_drift/down.sql"),
        include_str!("../migrations/2026-01-04-000000_service/down.sql"),
        include_str!("../migrations/2026-01-03-000000_always_equal/down.sql"),
        include_str!("../migrations/2026-01-02-000000_new_record_floor/down.sql"),
        include_str!("../migrations/2026-01-01-000000_control_schema/down.sql"),
    ] {
        sql.batch_execute(down).await.unwrap();
    }
    sql.batch_execute("truncate b24sync.__diesel_schema_migrations").await.unwrap();
    migrate(&url(&database), &MigrateOptions::default()).await.unwrap();
}
