use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Dialect, Entity, Fault, FaultPlan, PortalConfig};

use crate::compare::entity_differences;
use crate::stage::Stage;

/// Kills the program with SIGKILL at random moments of a sync of 20,000 records; the next sync goes on from the cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i7_a_sync_that_was_killed_at_twenty_random_moments_goes_on_and_loses_nothing() {
    let config = PortalConfig { counts: Counts::deals(20_000), user_fields: 12, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    // Answers that take a while, so that the moments spread over reading, mapping and writing.
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 20 }));
    let began = Instant::now();
    stage.run(&["sync", "deal"]).await.expect_success();
    let whole = began.elapsed();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut resumed = 0;
    for round in 0..20 {
        wipe(&stage).await;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = whole.mul_f64(f64::from(u32::try_from(random >> 40).unwrap()) / f64::from(1_u32 << 24));
        let killed_at = kill_after(&stage, moment).await;
        let finished = stage.run(&["sync", "deal", "--output", "json"]).await.expect_success();
        let summary: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        resumed += u32::from(summary[0]["resumed"] == true);
        if let Some(cursor) = killed_at {
            assert!(summary[0]["resumed"] == true || cursor == 0, "round {round}: {summary}");
        }
        let mut found = Vec::new();
        let client = stage.client().await;
        entity_differences(stage.portal(), &client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
        assert!(found.is_empty(), "round {round}, killed after {moment:?}: {:#?}", &found[..found.len().min(5)]);
        let open = "select count(*) from sync_logs where status = 'running'";
        assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0, "round {round}");
    }
    assert!(resumed >= 5, "only {resumed} of 20 moments fell into the sync itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i9_a_run_whose_process_was_killed_is_not_shown_as_running() {
    let config = PortalConfig { counts: Counts::deals(20_000), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 50 }));
    stage.run(&["migrate"]).await.expect_success();
    let mut child = stage.command(&["sync", "deal"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let client = stage.client().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the sync never committed anything");
        let query = "select count(*) from sync_logs where records_processed > 0";
        if client.query_one(query, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = async || {
        let finished = stage.run(&["status", "--output", "json"]).await.expect_success();
        let entities: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        let deal = entities["entities"].as_array().unwrap().iter().find(|entity| entity["entity"] == "deal").unwrap();
        deal["last_run"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status().await, "running", "its process is alive");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(status().await, "interrupted");
    let finished = stage.run(&["sync", "deal", "--output", "json"]).await.expect_success();
    let summary: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(summary[0]["resumed"], true);
}

/// Empties what the sync fills, as if nothing had been read yet.
async fn wipe(stage: &Stage) {
    let sql = "drop table if exists crm_deals; \
               truncate b24sync.item_state, b24sync.runs, b24sync.fields, b24sync.field_changes, b24sync.leases; \
               truncate sync_logs";
    stage.client().await.batch_execute(sql).await.unwrap();
}

/// Starts a sync and kills it after `moment`; the cursor it had reached, or `None` if it had ended by then.
async fn kill_after(stage: &Stage, moment: Duration) -> Option<i64> {
    let mut child = stage
        .command(&["sync", "deal"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(moment).await;
    let ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    if ended {
        return None;
    }
    let cursor = stage.client().await.query_opt("select cursor from b24sync.runs where status = 'running'", &[]).await;
    Some(cursor.unwrap().map_or(0, |row| row.get(0)))
}
