//! What the self-test sees of a real database, migrated or not, for a login with more or fewer rights.

use std::time::Duration;

use b24sync_adapter_postgres::{DatabaseUrl, MigrateOptions, PgExaminer, migrate};
use b24sync_domain::doctor::facts::{Arrival, ObjectKind, Pooling};
use b24sync_domain::error::StoreError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::ports::{Actor, ArrivalStore, DatabaseExaminer, EventInbox, SettingsStore};
use b24sync_domain::settings::SettingsChange;
use b24sync_pg_harness::TestDatabase;

use crate::support::*;

fn examiner(url: &str) -> PgExaminer {
    PgExaminer::new(&DatabaseUrl::parse(url).unwrap(), MigrateOptions::default()).unwrap()
}

/// A login of this test's own without any rights; it goes with the test, unless that is killed.
struct Login {
    name: String,
    url: String,
    database: TestDatabase,
}

impl Login {
    async fn on(database: TestDatabase, options: &str) -> Login {
        let name = format!("weak_{}", database.name());
        let client = database.client().await;
        client.batch_execute(&format!("create role {name} login password 'weak' {options}")).await.unwrap();
        Login { url: database.role_url(&name, "weak"), name, database }
    }

    /// Runs this as the superuser, with ROLE for the login's name.
    async fn grant(&self, sql: &str) {
        self.database.client().await.batch_execute(&sql.replace("ROLE", &self.name)).await.unwrap();
    }

    async fn drop(self) {
        self.grant("reassign owned by ROLE to postgres; drop owned by ROLE; drop role ROLE").await;
    }
}

#[tokio::test]
async fn an_empty_database_is_seen_as_it_is_and_can_be_migrated() {
    let database = TestDatabase::create().await;
    let examiner = examiner(&database.url());
    let server = examiner.server().await.unwrap();
    assert!(server.superuser && !server.read_only && server.version_number >= 130_000, "{server:?}");
    assert_eq!((server.database.as_str(), server.encoding.as_str()), (database.name(), "UTF8"));
    assert_eq!(examiner.pooling().await.unwrap(), Pooling::Direct);
    let connections = examiner.connections().await.unwrap();
    assert!(connections.free > 0 && connections.ours >= 2, "{connections:?}");
    let rights = examiner.rights().await.unwrap();
    assert_eq!((rights.creates_schemas, rights.control_schema, rights.replica_schema), (true, None, Some(true)));
    let migrations = examiner.migrations().await.unwrap();
    assert!(migrations.untouched && migrations.pending.len() > 5, "{migrations:?}");
    examiner.migrate().await.unwrap();
    let migrations = examiner.migrations().await.unwrap();
    assert!(!migrations.untouched && migrations.pending.is_empty() && migrations.newer.is_none());
    assert_eq!(examiner.rights().await.unwrap().control_schema, Some(true));
    assert_eq!(examiner.open_objects().await.unwrap(), []);
    assert_eq!(examiner.broken_indexes().await.unwrap(), []);
}

#[tokio::test]
async fn a_database_of_another_version_is_recognised() {
    let world = World::new().await;
    let examiner = examiner(&world.database.url());
    world.run_sql("delete from b24sync.__diesel_schema_migrations where version = (select max(version) from b24sync.__diesel_schema_migrations)").await;
    let older = examiner.migrations().await.unwrap();
    assert!(older.pending.len() == 1 && !older.untouched && older.newer.is_none(), "{older:?}");
    world.run_sql("insert into b24sync.__diesel_schema_migrations (version) values ('20990101000000')").await;
    assert_eq!(examiner.migrations().await.unwrap().newer.as_deref(), Some("20990101000000"));
}

#[tokio::test]
async fn a_login_without_rights_is_told_what_it_lacks() {
    let database = TestDatabase::create().await;
    let login = Login::on(database, "").await;
    login
        .grant(&format!(
            "revoke create on schema public from public; revoke temporary on database {} from public",
            login.database.name()
        ))
        .await;
    let weak = examiner(&login.url);
    let server = weak.server().await.unwrap();
    assert!(!server.superuser && !server.bypasses_row_security, "{server:?}");
    let rights = weak.rights().await.unwrap();
    assert_eq!((rights.creates_schemas, rights.control_schema, rights.replica_schema), (false, None, Some(false)));
    assert!(matches!(weak.migrate().await, Err(StoreError::Forbidden { .. })));

    let strong = login.database.url();
    migrate(&DatabaseUrl::parse(&strong).unwrap(), &MigrateOptions::default()).await.unwrap();
    let rights = weak.rights().await.unwrap();
    assert_eq!(rights.control_schema, Some(false));
    assert!(
        rights.foreign.contains(&"b24sync.leases".to_owned()) && rights.closed.contains(&"public.sync_logs".to_owned()),
        "{rights:?}"
    );
    assert!(weak.migrations().await.is_err(), "it may not even look");

    login.grant("grant usage, create on schema b24sync, public to ROLE; grant select, insert, update, delete on all tables in schema b24sync, public to ROLE").await;
    let rights = weak.rights().await.unwrap();
    assert_eq!((rights.control_schema, rights.replica_schema), (Some(true), Some(true)));
    assert!(rights.closed.is_empty() && !rights.foreign.is_empty(), "{rights:?}");
    // Who is not the owner sees no row of it: row level security stands before the control tables as well.
    let migrations = weak.migrations().await.unwrap();
    assert!(!migrations.untouched && !migrations.pending.is_empty(), "{migrations:?}");
    drop(weak);
    login.drop().await;
}

#[tokio::test]
async fn limits_of_the_role_and_of_the_database_count() {
    let database = TestDatabase::create().await;
    let login = Login::on(database, "connection limit 3").await;
    let weak = examiner(&login.url);
    let facts = weak.connections().await.unwrap();
    assert_eq!((facts.free, facts.ours), (2, 1));
    let name = login.database.name();
    login.grant(&format!("alter database {name} connection limit 2")).await;
    // The statistics of a database may lag behind a connection that has just gone.
    assert!(weak.connections().await.unwrap().free <= 1);
    drop(weak);
    login.drop().await;
}

#[tokio::test]
async fn whatever_others_may_use_is_seen_and_only_what_nobody_shares_is_closed() {
    let world = World::new().await;
    world.database.supabase_roles().await;
    world.table(&[field("TITLE", "string")]).await;
    world
        .run_sql(
            "grant usage on schema b24sync to authenticated; grant select on b24sync.item_state to anon, public;
             grant usage on sequence b24sync.read_order to anon; create view b24sync.peep as select 1; grant select on b24sync.peep to anon;
             alter table b24sync.leases disable row level security;
             alter table crm_deals disable row level security; grant select on crm_deals to authenticated;
             grant usage on sequence crm_deals_id_seq to authenticated;
             create policy everybody on sync_logs for select using (true); grant select on sync_logs to anon;
             create table unrelated (id int); grant select on unrelated to anon;
             create table crm_leads (id int, bitrix_id text unique)",
        )
        .await;
    let examiner = examiner(&world.database.url());
    let open = examiner.open_objects().await.unwrap();
    let seen: Vec<_> = open
        .iter()
        .map(|o| {
            format!(
                "{} {:?} {} {} {} {} {}",
                o.name,
                o.kind,
                o.control,
                o.ours,
                o.grantees.join("+"),
                o.row_security,
                o.policies
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "b24sync Schema true true authenticated true 0",
            "b24sync.item_state Table true true anon+public true 0",
            "b24sync.leases Table true true  false 0",
            "b24sync.peep View true true anon true 0",
            "b24sync.read_order Sequence true true anon true 0",
            "public.crm_deals Table false true authenticated false 0",
            "public.crm_deals_id_seq Sequence false false authenticated true 0",
            "public.crm_leads Table false false  false 0",
            "public.sync_logs Table false false anon true 1",
        ]
    );
    examiner.close().await.unwrap();
    let left: Vec<_> =
        examiner.open_objects().await.unwrap().into_iter().map(|o| (o.name, o.kind, o.row_security)).collect();
    assert_eq!(
        left,
        [
            ("public.crm_deals".to_owned(), ObjectKind::Table, true),
            ("public.crm_deals_id_seq".to_owned(), ObjectKind::Sequence, true),
            ("public.crm_leads".to_owned(), ObjectKind::Table, false),
            ("public.sync_logs".to_owned(), ObjectKind::Table, true),
        ]
    );
}

#[tokio::test]
async fn an_index_that_was_not_finished_is_named() {
    let world = World::new().await;
    world.table(&[field("TITLE", "string")]).await;
    world.run_sql("insert into crm_deals (bitrix_id, title) values ('1', 'same'), ('2', 'same')").await;
    let failed = world.sql.batch_execute("create unique index concurrently half_made on crm_deals (title)").await;
    assert!(failed.is_err());
    let broken = examiner(&world.database.url()).broken_indexes().await.unwrap();
    assert_eq!(
        broken.iter().map(|i| (i.name.as_str(), i.table.as_str())).collect::<Vec<_>>(),
        [("public.half_made", "public.crm_deals")]
    );
}

async fn arrival(world: &World) -> Arrival {
    let arrivals = world.store.arrivals(Duration::from_secs(3_600)).await.unwrap();
    arrivals.into_iter().find(|arrival| arrival.entity == deal()).unwrap()
}

#[tokio::test]
async fn the_last_event_is_remembered_after_its_hint_is_gone() {
    let world = World::new().await;
    let hint = Hint { entity: deal(), target: Target::Record(id(7)), deleted: false, sent_at: None };
    assert_eq!(arrival(&world).await.last_event, None);
    let other = Hint { target: Target::Record(id(8)), ..hint };
    world.store.accept(&[hint, other, Hint { entity: "lead".parse().unwrap(), ..hint }]).await.unwrap();
    let noted = world.rows("select entity from b24sync.arrivals order by 1").await;
    assert_eq!(noted, ["1", "2"]);
    let first = arrival(&world).await.last_event.unwrap();
    world.run_sql("delete from b24sync.hints").await;
    world.store.accept(&[hint]).await.unwrap();
    assert_eq!(arrival(&world).await.last_event, Some(first), "once a minute is enough");
    world.run_sql("update b24sync.arrivals set last_at = last_at - interval '61 seconds'").await;
    world.store.accept(&[hint]).await.unwrap();
    assert!(arrival(&world).await.last_event.unwrap() >= first);
    // An event that is not let in proves nothing.
    world.run_sql("delete from b24sync.arrivals").await;
    let change =
        SettingsChange { entity: deal(), enabled: None, sync_interval_minutes: None, webhook_enabled: Some(false) };
    world.store.change(&change, &Actor { subject: "test".to_owned(), request: None }).await.unwrap();
    world.store.accept(&[hint]).await.unwrap();
    assert_eq!(arrival(&world).await.last_event, None);
}

#[tokio::test]
async fn changes_count_that_are_clearly_later_than_the_last_event_and_not_of_just_now() {
    let world = World::new().await;
    world.table(&[field("TITLE", "string")]).await;
    world
        .run_sql(
            "insert into b24sync.item_state (entity, item_id, read_seq, write_seq, modified) select 2, n, 1, 1, now() - make_interval(mins => m)
               from (values (1, 2), (2, 10), (3, 100), (4, 170), (5, 300), (6, null)) as t(n, m)",
        )
        .await;
    // The replica is as old as this test: what was changed before it says nothing.
    assert_eq!(arrival(&world).await.changed, 0);
    world.run_sql("update b24sync.replicas set created_at = now() - interval '1 day'").await;
    let never = arrival(&world).await;
    assert_eq!((never.last_event, never.changed), (None, 4));
    world.run_sql("insert into b24sync.arrivals values (2, now() - interval '3 hours')").await;
    let seen = arrival(&world).await;
    assert_eq!(seen.changed, 2, "those of 10 and of 100 minutes ago: {seen:?}");
    assert!(seen.newest_change.unwrap() > seen.last_event.unwrap());
    // Times that are shown half an hour ahead are older than they look.
    world.run_sql("insert into b24sync.portal_probes (entity, keyset, ahead_seconds, checked_at) values (2, true, 1800, now())").await;
    assert_eq!(
        arrival(&world).await.changed,
        2,
        "those shown as of 2 and of 10 minutes ago; that of 100 is too early now"
    );
}
