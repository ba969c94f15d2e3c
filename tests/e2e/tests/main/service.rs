//! The running service: what is due is done by whichever instance is alive, and the log tells the truth throughout.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Dialect, Entity, Fault, FaultPlan, PortalConfig};
use tokio_postgres::Client;

use crate::compare::differences;
use crate::control_tables::{log, number, until};
use crate::listening::deals_are_equal;
use crate::stage::Stage;

/// An instance that ends with the test.
struct Instance(Child);

impl Instance {
    fn start(stage: &Stage, arguments: &[&str]) -> Instance {
        let mut command = stage.command(&[&["serve", "--host", "127.0.0.1", "--port", "0"], arguments].concat());
        Instance(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    async fn terminate(mut self) -> Option<i32> {
        std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end on SIGTERM");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const ALL_DONE: &str = "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed') c where n = 4";

fn small() -> PortalConfig {
    let counts = Counts { deals: 200, leads: 80, contacts: 90, companies: 30 };
    PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_syncs_everything_and_follows_its_settings() {
    let stage = Stage::new(small()).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.run(&["config", "set", "lead", "--enabled", "false"]).await.expect_success();
    let instance = Instance::start(&stage, &[]);
    let client = stage.client().await;
    let three = ALL_DONE.replace("n = 4", "n = 3");
    until(&client, "the first syncs", &three).await;
    assert_eq!(number(&client, "select count(*) from sync_logs where entity_type = 'lead'").await, 0);
    stage.run(&["config", "set", "lead", "--enabled", "true"]).await.expect_success();
    until(&client, "the sync that was switched on", ALL_DONE).await;
    let found = differences(stage.portal(), &client, Dialect::Item).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
    // Half an hour passes for the deals: their next sync is an incremental one.
    stage.portal().edit_random(Entity::Deal, 20, 5);
    client.batch_execute("update b24sync.runs set started_at = started_at - interval '40 minutes'").await.unwrap();
    let next = "select count(*) from sync_logs where entity_type = 'deal' and sync_type = 'incremental' and status = 'completed'";
    until(&client, "the next sync", next).await;
    let found = differences(stage.portal(), &client, Dialect::Item).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
    assert_eq!(instance.terminate().await, Some(0));
    assert_eq!(number(&client, "select count(*) from sync_logs where status in ('running', 'queued')").await, 0);
}

async fn in_the_middle_of_deals(client: &Client) {
    until(
        client,
        "a sync of deals",
        "select count(*) from sync_logs where entity_type = 'deal' and status = 'running' and records_processed > 0",
    )
    .await;
}

fn slow() -> PortalConfig {
    PortalConfig { counts: Counts::deals(9_000), user_fields: 3, ..PortalConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i7_an_instance_that_is_killed_loses_nothing_and_another_finishes_its_run() {
    let stage = Stage::new(slow()).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 120 }));
    let mut first = Instance::start(&stage, &[]);
    let client = stage.client().await;
    in_the_middle_of_deals(&client).await;
    let run = number(&client, "select max(id)::bigint from sync_logs where entity_type = 'deal'").await;
    first.kill();
    let second = Instance::start(&stage, &[]);
    until(
        &client,
        "the end of the run",
        &format!("select count(*) from sync_logs where id = {run} and status = 'completed'"),
    )
    .await;
    stage.portal().set_faults(FaultPlan::none());
    deals_are_equal(stage.portal(), &client).await;
    assert_eq!(
        number(&client, "select count(*) from sync_logs where entity_type = 'deal'").await,
        1,
        "{:#?}",
        log(&client).await
    );
    assert_eq!(second.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_stops_hands_its_run_over_and_an_api_instance_does_none() {
    let stage = Stage::new(slow()).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 120 }));
    let first = Instance::start(&stage, &["--role", "worker"]);
    let api = Instance::start(&stage, &["--role", "api"]);
    let client = stage.client().await;
    in_the_middle_of_deals(&client).await;
    let run = number(&client, "select max(id)::bigint from sync_logs where entity_type = 'deal'").await;
    assert_eq!(first.terminate().await, Some(0));
    let status = format!("select count(*) from sync_logs where id = {run} and status = 'queued'");
    assert_eq!(number(&client, &status).await, 1, "{:#?}", log(&client).await);
    let second = Instance::start(&stage, &[]);
    until(
        &client,
        "the end of the run",
        &format!("select count(*) from sync_logs where id = {run} and status = 'completed'"),
    )
    .await;
    stage.portal().set_faults(FaultPlan::none());
    deals_are_equal(stage.portal(), &client).await;
    assert_eq!((second.terminate().await, api.terminate().await), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_schedules_and_another_takes_over_within_35_seconds() {
    let stage = Stage::new(small()).await;
    stage.run(&["migrate"]).await.expect_success();
    let mut instances = [Instance::start(&stage, &[]), Instance::start(&stage, &[])];
    let client = stage.client().await;
    until(&client, "the first syncs", ALL_DONE).await;
    let full = "select count(*) from sync_logs";
    assert_eq!(number(&client, full).await, 4, "nothing is done twice: {:#?}", log(&client).await);
    let leader: String =
        client.query_one("select holder from b24sync.leases where scope = 'scheduler'", &[]).await.unwrap().get(0);
    let pid = leader.split('/').nth(1).unwrap().to_owned();
    let position = instances.iter().position(|instance| instance.0.id().to_string() == pid).unwrap();
    instances[position].kill();
    let killed = Instant::now();
    let taken = format!(
        "select count(*) from b24sync.leases where scope = 'scheduler' and holder <> '{leader}' and expires_at > clock_timestamp()"
    );
    until(&client, "the takeover", &taken).await;
    assert!(killed.elapsed() < Duration::from_secs(35), "{:?}", killed.elapsed());
}

#[tokio::test]
async fn settings_are_exported_applied_and_shown_and_history_is_searched() {
    let stage = Stage::new(small()).await;
    stage.run(&["migrate"]).await.expect_success();
    let exported = stage.run(&["config", "export"]).await.expect_success().stdout;
    insta::assert_snapshot!(exported.lines().take(5).collect::<Vec<_>>().join("\n"));
    let file = std::env::temp_dir().join(format!("b24sync-config-{}.yaml", std::process::id()));
    std::fs::write(&file, "entities:\n  deal:\n    sync_interval_minutes: 5\n  lead:\n    enabled: false\n").unwrap();
    let path = file.to_str().unwrap();
    let dry = stage.run(&["config", "apply", path, "--dry-run"]).await.expect_success().stdout;
    insta::assert_snapshot!(dry, @r"
    deal.sync_interval_minutes: 30 → 5 (not done)
    lead.enabled: true → false (not done)
    ");
    stage.run(&["config", "apply", path]).await.expect_success();
    assert_eq!(stage.run(&["config", "apply", path]).await.expect_success().stdout.trim(), "✓ nothing to change");
    std::fs::write(&file, "entities:\n  deal:\n    sync_interval_minutes: 2\n").unwrap();
    let refused = stage.run(&["config", "apply", path]).await;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("from 5 to 1440"), "{}", refused.stderr);
    std::fs::write(&file, "entities:\n  deal:\n    interval: 7\n").unwrap();
    let refused = stage.run(&["config", "apply", path]).await;
    assert!(refused.code == Some(2) && refused.stderr.contains("interval"), "{}", refused.stderr);
    std::fs::remove_file(&file).unwrap();
    let audited = "select count(*) from b24sync.audit where subject = 'cli' and action = 'config.set'";
    assert_eq!(number(&stage.client().await, audited).await, 2);
    stage.run(&["sync", "company"]).await.expect_success();
    stage.run(&["sync", "company", "--incremental"]).await.expect_success();
    let history = stage.run(&["history", "company", "--type", "full", "--output", "json"]).await.expect_success();
    let history: serde_json::Value = serde_json::from_str(&history.stdout).unwrap();
    assert_eq!((history.as_array().unwrap().len(), history[0]["records_processed"].as_i64()), (1, Some(30)));
    assert_eq!(stage.run(&["history", "--status", "lost"]).await.code, Some(2));
}
