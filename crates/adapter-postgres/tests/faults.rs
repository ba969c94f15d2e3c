//! A database that is away, wrong, slow or interrupted.

use std::time::Duration;

use b24sync_adapter_postgres::{DatabaseUrl, PgStore, migrate};
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::ports::{ReadOrder, RecordStore};
use b24sync_pg_harness::TestDatabase;

use crate::support::*;

async fn refused(address: &str) -> StoreError {
    let url = DatabaseUrl::parse(address).unwrap();
    let error = PgStore::connect(&url, options()).await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(!text.contains("SECRET"), "{text}");
    error
}

#[tokio::test]
async fn each_way_of_not_getting_in_has_its_own_error() {
    let database = TestDatabase::create().await;
    let address = database.url();
    let (_, server) = address.rsplit_once('@').unwrap();
    let (host, name) = server.rsplit_once('/').unwrap();
    let wrong = refused(&format!("postgresql://postgres:SECRET@{server}")).await;
    assert!(matches!(wrong, StoreError::LoginRefused { .. }), "{wrong:?}");
    let away = refused(&format!("postgresql://postgres:SECRET@127.0.0.1:1/{name}")).await;
    assert!(matches!(away, StoreError::Unavailable { .. }), "{away:?}");
    let missing = refused(&address.replace(server, &format!("{host}/nowhere"))).await;
    assert!(matches!(missing, StoreError::Unavailable { .. }), "{missing:?}");
    assert!(Chain(&missing).to_string().contains("nowhere"), "{missing:?}");
    let plain = refused(&format!("{address}?sslmode=require")).await;
    assert!(matches!(plain, StoreError::Unavailable { .. }), "{plain:?}");
    assert!(Chain(&plain).to_string().contains("sslmode=disable"), "{}", Chain(&plain));
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let database = TestDatabase::create().await;
    let role = format!("poor_{}", database.name());
    let sql = database.client().await;
    sql.batch_execute(&format!("create role {role} login password 'pw'")).await.unwrap();
    let url = DatabaseUrl::parse(&database.role_url(&role, "pw")).unwrap();
    let error = migrate(&url, &b24sync_adapter_postgres::MigrateOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");
    assert!(Chain(&error).to_string().contains("permission denied"), "{}", Chain(&error));
    migrate(&crate::support::url(&database), &b24sync_adapter_postgres::MigrateOptions::default()).await.unwrap();
    let error = PgStore::connect(&url, options()).await.unwrap_err();
    assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");
    sql.batch_execute(&format!("drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn a_role_without_rights_on_the_database_may_use_schemas_that_were_made_for_it() {
    let database = TestDatabase::create().await;
    let role = format!("owner_{}", database.name());
    let sql = database.client().await;
    sql.batch_execute(&format!(
        "create role {role} login password 'pw'; create schema b24sync authorization {role}; create schema crm authorization {role}"
    ))
    .await
    .unwrap();
    let url = DatabaseUrl::parse(&database.role_url(&role, "pw")).unwrap();
    let migration = b24sync_adapter_postgres::MigrateOptions { schema: schema("crm"), default_interval_minutes: 30 };
    migrate(&url, &migration).await.unwrap();
    let store_options = b24sync_adapter_postgres::StoreOptions { schema: schema("crm"), ..options() };
    let world =
        World { store: PgStore::connect(&url, store_options).await.unwrap(), sql: database.client().await, database };
    let running = Running::on(world, &[("TITLE", "string")]).await;
    assert_eq!(running.read_and_commit(&[(1, None, &["\"a\""])]).await.written, 1);
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_connection_is_cut_happens_once() {
    let running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(1, None, &["\"a\""])]).await;
    let blocker = running.world.database.client().await;
    blocker.batch_execute("begin; select from b24sync.item_state for update").await.unwrap();
    let read = running.world.token().await;
    let records: &[Record<'_>] = &[(1, None, &["\"b\""]), (2, None, &["\"c\""])];
    let cut = async {
        // The commit waits for the blocker; then everybody is thrown out.
        let watcher = running.world.database.client().await;
        let waiting =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.world.database.terminate_backends().await
    };
    let (commit, cut) = tokio::join!(running.commit(read, records), cut);
    assert!(cut >= 2);
    assert_eq!((commit.written, commit.unchanged), (2, 0));
    let sql = running.world.database.client().await;
    let rows = sql.query("select title from crm_deals order by bitrix_id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["b", "c"]);
    let row = sql.query_one("select processed, cursor from b24sync.runs", &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_cut_connections_loses_nothing() {
    let running = Running::with(&[("TITLE", "string")]).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let storm = async {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            running.world.database.terminate_backends().await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    let work = async {
        let mut done = 0;
        for page in 0..40_i64 {
            let records: Vec<Record<'_>> = (1..=20).map(|n| (page * 20 + n, None, ["\"a\""].as_slice())).collect();
            // A port gives up after five attempts; its caller comes again.
            loop {
                let Ok(read) = running.world.store.next().await else { continue };
                match running.try_commit(read, &records).await {
                    Ok(_) => break done += 20,
                    Err(StoreError::Unavailable { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        done
    };
    let ((), done) = tokio::join!(storm, work);
    let sql = running.world.database.client().await;
    let row = sql
        .query_one("select (select count(*) from crm_deals), processed, cursor from b24sync.runs", &[])
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (done, done, done));
}

#[tokio::test]
async fn a_table_that_somebody_holds_is_waited_for() {
    let world = World::new().await;
    let plan = world.table(&[field("TITLE", "string")]).await;
    let blocker = world.database.client().await;
    blocker.batch_execute("begin; lock table crm_deals in access share mode").await.unwrap();
    let wider = world.plan(&[field("TITLE", "string"), field("NEW", "string")]).await;
    let release = async {
        tokio::time::sleep(Duration::from_millis(2_300)).await;
        blocker.batch_execute("commit").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(world.store.ensure_table(&wider), release);
    outcome.unwrap();
    assert!(plan.mapping.fields.len() < wider.mapping.fields.len());
}

#[tokio::test]
async fn a_cancelled_commit_leaves_no_open_transaction() {
    let running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(1, None, &["\"a\""])]).await;
    let blocker = running.world.database.client().await;
    blocker.batch_execute("begin; select from b24sync.item_state for update").await.unwrap();
    let read = running.world.token().await;
    let records: &[Record<'_>] = &[(1, None, &["\"b\""])];
    let commit = running.try_commit(read, records);
    assert!(tokio::time::timeout(Duration::from_millis(200), commit).await.is_err());
    blocker.batch_execute("commit").await.unwrap();
    assert_eq!(running.commit(read, records).await.written, 1);
}
