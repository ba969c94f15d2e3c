use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Dialect, Entity, Fault, FaultPlan, PortalConfig, RateLimit, Truth};

use crate::compare::differences;
use crate::stage::Stage;

#[tokio::test]
async fn i1_a_portal_whose_every_seventh_answer_is_spoilt_is_copied_completely() {
    let counts = Counts { deals: 4_000, leads: 1_500, contacts: 1_500, companies: 1_500 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 12, ..PortalConfig::default() }).await;
    stage.portal().set_faults(FaultPlan::rotating(7));
    stage.run(&["sync", "--all"]).await.expect_success();
    let found = differences(stage.portal(), &stage.client().await, Dialect::Item).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

#[tokio::test]
async fn i9_a_dishonest_listing_fails_the_run_and_keeps_what_was_honest() {
    for fault in [Fault::WrongOrder, Fault::IgnoredFilter] {
        let config = PortalConfig { counts: Counts::deals(3_000), user_fields: 3, ..PortalConfig::default() };
        let stage = Stage::new(config).await;
        stage.portal().set_faults(FaultPlan::always(fault.clone()));
        let finished = stage.run(&["sync", "deal"]).await;
        assert_eq!(finished.code, Some(1), "{fault:?}: {}", finished.stderr);
        let client = stage.client().await;
        let status: String = client.query_one("select status from sync_logs", &[]).await.unwrap().get(0);
        assert_eq!(status, "failed", "{fault:?}");
        stage.portal().set_faults(FaultPlan::none());
        stage.run(&["sync", "deal"]).await.expect_success();
        let found = differences_of_deals(&stage).await;
        assert!(found.is_empty(), "{fault:?}: {:#?}", &found[..found.len().min(10)]);
    }
}

#[tokio::test]
async fn i1_short_pages_in_the_middle_lose_no_record() {
    let config = PortalConfig { counts: Counts::deals(2_000), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::every(3, Fault::ShortPage));
    stage.run(&["sync", "deal"]).await.expect_success();
    let found = differences_of_deals(&stage).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

#[tokio::test]
async fn i12_a_portal_that_limits_us_slows_the_sync_and_does_not_fail_it() {
    let config = PortalConfig { counts: Counts::deals(1_500), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_rate(Some(RateLimit { per_second: 1.0, burst: 2.0 }));
    stage.run(&["sync", "deal"]).await.expect_success();
    assert!(stage.portal().stats().throttled > 0, "the limit was never met");
    let found = differences_of_deals(&stage).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

#[tokio::test]
async fn i12_a_sync_that_keeps_to_the_limits_is_never_refused() {
    let config = PortalConfig { counts: Counts::deals(1_500), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_rate(Some(RateLimit { per_second: 5.0, burst: 20.0 }));
    let mut command = stage.command(&["sync", "deal"]);
    command.env("BITRIX_RATE_PER_SECOND", "5").env("BITRIX_RATE_BURST", "20");
    crate::stage::finish(command).await.expect_success();
    assert_eq!(stage.portal().stats().throttled, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i7_ctrl_c_stops_cleanly_and_the_next_sync_goes_on() {
    let config = PortalConfig { counts: Counts::deals(10_000), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 100 }));
    let child = stage
        .command(&["sync", "deal", "--output", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let client = stage.client().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the sync never committed anything");
        let query = "select count(*) from sync_logs where records_processed > 0";
        if client.query_one(query, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let finished: crate::stage::Finished =
        tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap().into();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("the same command goes on from here"), "{}", finished.stderr);
    let status: String = client.query_one("select status from sync_logs", &[]).await.unwrap().get(0);
    assert_eq!(status, "cancelled");
    stage.portal().set_faults(FaultPlan::none());
    let finished = stage.run(&["sync", "deal", "--output", "json"]).await.expect_success();
    let summary: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(summary[0]["resumed"], true);
    let found = differences_of_deals(&stage).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_waits_for_the_portals_limits_stops_when_asked_to() {
    let config = PortalConfig { counts: Counts::deals(100), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::always(Fault::error("OPERATION_TIME_LIMIT")));
    let child = stage.command(&["sync", "deal"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let client = stage.client().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the run never began");
        let query = "select count(*) from sync_logs where status = 'running'";
        if client.query_one(query, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let asked = Instant::now();
    let finished: crate::stage::Finished =
        tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap().into();
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("execution time"), "it says what it waits for: {}", finished.stderr);
    let status: String = client.query_one("select status from sync_logs", &[]).await.unwrap().get(0);
    assert_eq!(status, "cancelled");
}

#[tokio::test]
async fn i1_a_sync_goes_on_while_records_change_under_it() {
    let config = PortalConfig { counts: Counts::deals(5_000), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 10 }));
    let portal = stage.portal().clone();
    let changes = tokio::task::spawn_blocking(move || {
        for seed in 0..200 {
            portal.edit_random(Entity::Deal, 5, seed);
            portal.add(Entity::Deal, [("TITLE", Truth::from("added meanwhile"))]);
        }
    });
    stage.run(&["sync", "deal"]).await.expect_success();
    changes.await.unwrap();
    stage.run(&["sync", "deal"]).await.expect_success();
    let found = differences_of_deals(&stage).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

async fn differences_of_deals(stage: &Stage) -> Vec<String> {
    let mut found = Vec::new();
    let client = stage.client().await;
    let (entity, table) = (Entity::Deal, "crm_deals");
    crate::compare::entity_differences(stage.portal(), &client, Dialect::Item, entity, table, &mut found).await;
    found
}
