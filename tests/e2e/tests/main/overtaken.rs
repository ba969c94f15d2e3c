//! I8: several processes on one database, and an owner that comes back when another has taken its place.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Dialect, Entity, Fault, FaultPlan, PortalConfig, Truth};
use tokio_postgres::Client;

use crate::compare::{differences, entity_differences};
use crate::stage::{Finished, Stage};

async fn assert_deals_equal(stage: &Stage, client: &Client) {
    let mut found = Vec::new();
    entity_differences(stage.portal(), client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
    assert!(found.is_empty(), "I1: {} differences: {:#?}", found.len(), &found[..found.len().min(5)]);
}

/// Waits until `sql`, which counts, counts something.
async fn until(client: &Client, what: &str, sql: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while client.query_one(sql, &[]).await.map_or(0, |row| row.get::<_, i64>(0)) == 0 {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn start(stage: &Stage, arguments: &[&str]) -> Child {
    stage.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn end(child: Child) -> Finished {
    tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap().into()
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "no process to send {name} to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_two_processes_that_sync_the_same_at_the_same_time_leave_the_right_rows() {
    let counts = Counts { deals: 900, leads: 200, contacts: 200, companies: 100 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 6, ..PortalConfig::default() }).await;
    // The first round meets an empty database, the others a full one that has to follow changes.
    for (seed, how) in [(1, "--full"), (2, "--full"), (3, "--incremental"), (4, "--incremental")] {
        for entity in [Entity::Deal, Entity::Lead, Entity::Contact, Entity::Company] {
            stage.portal().edit_random(entity, 30, seed);
        }
        let rivals = [start(&stage, &["sync", "--all", how]), start(&stage, &["sync", "--all", how])];
        let [first, second] = rivals.map(end);
        let ended = [first.await, second.await];
        let text = || format!("{how}: {}\n{}", ended[0].stderr, ended[1].stderr);
        assert!(!ended.iter().any(|rival| rival.stderr.contains("panicked")), "{}", text());
        assert!(ended.iter().any(|rival| rival.code == Some(0)), "I8: neither of the two got through\n{}", text());
        let client = stage.client().await;
        let found = differences(stage.portal(), &client, Dialect::Item).await;
        assert!(found.is_empty(), "I1, I2: {how}: {:#?}", &found[..found.len().min(5)]);
        let open = "select count(*) from sync_logs where status = 'running'";
        assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0, "I9: {how}");
    }
}

/// Stops the process where it waits for the portal: a transaction of a process that is stopped would keep its locks.
async fn pause_between_transactions(child: &Child, client: &Client) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the process was never caught between two transactions");
        signal(child, "-STOP");
        let busy = "select count(*) from pg_stat_activity \
                    where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";
        if client.query_one(busy, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            return;
        }
        signal(child, "-CONT");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// A full sync that was stopped in its middle, with a lease that has run out and a portal that has changed since.
async fn paused_owner(stage: &Stage, client: &Client) -> Child {
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 60 }));
    let owner = start(stage, &["sync", "deal", "--output", "json"]);
    until(client, "a commit", "select count(*) from sync_logs where records_processed > 0").await;
    pause_between_transactions(&owner, client).await;
    let open = "select count(*) from sync_logs where status = 'running'";
    assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 1, "the owner was stopped too late");
    client.execute("update b24sync.leases set expires_at = clock_timestamp()", &[]).await.unwrap();
    stage.portal().set_faults(FaultPlan::none());
    let ids = stage.portal().ids(Entity::Deal);
    stage.portal().bulk_edit_in_one_second(Entity::Deal, &ids[ids.len() - 400..]);
    stage.portal().edit(Entity::Deal, ids[0], [("TITLE", Truth::from("changed while the owner slept"))]);
    for id in &ids[ids.len() - 10..] {
        stage.portal().delete(Entity::Deal, *id);
    }
    owner
}

fn big() -> PortalConfig {
    PortalConfig { counts: Counts::deals(12_000), user_fields: 3, ..PortalConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_an_owner_that_slept_beyond_its_lease_cannot_commit_after_another_completed() {
    let stage = Stage::new(big()).await;
    let client = stage.client().await;
    let owner = paused_owner(&stage, &client).await;
    stage.run(&["sync", "deal", "--output", "json"]).await.expect_success();
    // The other went on with the owner's run: records below its cursor were not read again.
    stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    assert_deals_equal(&stage, &client).await;
    let logs = "select jsonb_agg(to_jsonb(l) order by id)::text from sync_logs l";
    let progress = "select jsonb_agg(to_jsonb(p))::text from b24sync.entity_progress p";
    let runs = "select jsonb_agg(to_jsonb(r) order by run_id)::text from b24sync.runs r";
    let remembered = async || {
        let mut texts = Vec::new();
        for sql in [logs, progress, runs] {
            texts.push(client.query_one(sql, &[]).await.unwrap().get::<_, String>(0));
        }
        texts
    };
    let before = remembered().await;
    signal(&owner, "-CONT");
    let woken = end(owner).await;
    assert_eq!(woken.code, Some(1), "I8: the owner that slept claims to have ended well: {}", woken.stdout);
    assert!(!woken.stderr.contains("panicked"), "{}", woken.stderr);
    assert!(woken.stderr.contains("lease"), "I9: it does not say why: {}", woken.stderr);
    assert_eq!(remembered().await, before, "I8: the owner that slept changed cursor, watermark or run state");
    assert_deals_equal(&stage, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_an_owner_that_slept_beyond_its_lease_cannot_commit_while_another_works() {
    let stage = Stage::new(big()).await;
    let client = stage.client().await;
    let owner = paused_owner(&stage, &client).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 30 }));
    let other = start(&stage, &["sync", "deal", "--output", "json"]);
    until(&client, "the takeover", "select count(*) from b24sync.leases where token > 1 and expires_at > now()").await;
    signal(&owner, "-CONT");
    let (woken, other) = (end(owner).await, end(other).await);
    assert_eq!(woken.code, Some(1), "I8: the owner that slept claims to have ended well: {}", woken.stdout);
    assert!(!woken.stderr.contains("panicked"), "{}", woken.stderr);
    let other = other.expect_success();
    let summaries: serde_json::Value = serde_json::from_str(&other.stdout).unwrap();
    let query = "select status from sync_logs where id = $1::bigint::int";
    let status = client.query_one(query, &[&summaries[0]["run_id"].as_i64().unwrap()]).await.unwrap();
    assert_eq!(status.get::<_, String>(0), "completed", "I8, I9: the owner that slept ended the other's run");
    stage.portal().set_faults(FaultPlan::none());
    stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    assert_deals_equal(&stage, &client).await;
}
