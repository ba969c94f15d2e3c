//! Nobody reads what we make until an operator grants it (I14).

use b24sync_adapter_postgres::{MigrateOptions, PgStore, migrate};
use b24sync_pg_harness::TestDatabase;

use crate::support::*;

/// What Supabase does with every new table and sequence.
const DEFAULTS: &str = "
grant usage on schema public to anon, authenticated;
alter default privileges in schema public grant all on tables to anon, authenticated;
alter default privileges in schema public grant all on sequences to anon, authenticated;
alter default privileges grant all on tables to anon, authenticated;
alter default privileges grant all on sequences to anon, authenticated;
alter default privileges grant usage on schemas to anon, authenticated;
";

async fn assert_closed(world: &World) {
    for role in ["anon", "authenticated", "public"] {
        let open = format!(
            "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('public', 'b24sync') and c.relkind in ('r', 'p', 'v', 'm')
               and has_table_privilege('{role}', c.oid, 'select, insert, update, delete, truncate, references, trigger')"
        );
        assert_eq!(world.rows(&open).await, [""; 0], "{role}");
        let open = format!(
            "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('public', 'b24sync') and case c.relkind when 'S'
               then has_sequence_privilege('{role}', c.oid, 'usage, select, update') else false end"
        );
        assert_eq!(world.rows(&open).await, [""; 0], "{role}");
        let usage = format!("select has_schema_privilege('{role}', 'b24sync', 'usage, create')");
        assert_eq!(world.ask(&usage).await.unwrap(), "f", "{role}");
    }
    let unprotected = "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('public', 'b24sync') and c.relkind in ('r', 'p') and not c.relrowsecurity";
    assert_eq!(world.rows(unprotected).await, [""; 0]);
    // Not by privileges alone: as the role itself.
    for role in ["anon", "authenticated"] {
        for table in ["public.crm_deals", "public.sync_logs", "public.sync_config", "b24sync.item_state"] {
            let attempt = format!("set local role {role}; select * from {table}");
            let client = world.database.client().await;
            client.batch_execute("begin").await.unwrap();
            let error = client.batch_execute(&attempt).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "42501", "{role} {table}");
        }
    }
}

#[tokio::test]
async fn nothing_is_readable_after_any_change_of_tables() {
    let database = TestDatabase::create().await;
    database.supabase_roles().await;
    database.client().await.batch_execute(DEFAULTS).await.unwrap();
    migrate(&url(&database), &MigrateOptions::default()).await.unwrap();
    let store = PgStore::connect(&url(&database), options()).await.unwrap();
    let world = World { sql: database.client().await, store, database };
    let mut fields = vec![field("TITLE", "string")];
    world.table(&fields).await;
    assert_closed(&world).await;
    fields.push(field("PRICE", "money"));
    world.table(&fields).await;
    assert_closed(&world).await;
    world.run_sql("drop table crm_deals").await;
    world.table(&fields).await;
    assert_closed(&world).await;
    let report = migrate(&url(&world.database), &MigrateOptions::default()).await.unwrap();
    assert!(report.exposed.is_empty(), "{report:?}");
    assert_closed(&world).await;
}

#[tokio::test]
async fn what_an_operator_granted_stays_granted_and_row_security_comes_back() {
    let database = TestDatabase::create().await;
    database.supabase_roles().await;
    migrate(&url(&database), &MigrateOptions::default()).await.unwrap();
    let store = PgStore::connect(&url(&database), options()).await.unwrap();
    let world = World { sql: database.client().await, store, database };
    world.table(&[field("TITLE", "string")]).await;
    world.run_sql("grant select on crm_deals to authenticated; alter table crm_deals disable row level security").await;
    world.table(&[field("TITLE", "string"), field("NEW", "string")]).await;
    assert_eq!(world.ask("select has_table_privilege('authenticated', 'crm_deals', 'select')").await.unwrap(), "t");
    assert_eq!(world.ask("select relrowsecurity from pg_class where relname = 'crm_deals'").await.unwrap(), "t");
    let report = migrate(&url(&world.database), &MigrateOptions::default()).await.unwrap();
    assert_eq!(report.exposed[0].readers, ["authenticated"]);
}
