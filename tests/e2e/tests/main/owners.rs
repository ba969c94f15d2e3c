//! I8: several processes on one database, and one portal to a database.

use std::process::Stdio;

use b24sync_portal_emulator::{Counts, Dialect, Entity, Fault, FaultPlan, Portal, PortalConfig};

use crate::compare::entity_differences;
use crate::stage::{Finished, Stage, finish};

fn only(finished: &Finished) -> serde_json::Value {
    let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(summaries.as_array().unwrap().len(), 1, "{summaries}");
    summaries[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_two_processes_asked_to_sync_the_same_entity_make_one_run_with_one_number() {
    let config = PortalConfig { counts: Counts::deals(6_000), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 60 }));
    stage.run(&["migrate"]).await.expect_success();
    let arguments = ["sync", "deal", "--output", "json"];
    let (one, two, three) = tokio::join!(stage.run(&arguments), stage.run(&arguments), stage.run(&arguments));
    let summaries = [one, two, three].map(|finished| only(&finished.expect_success()));
    let runs: Vec<i64> = summaries.iter().map(|summary| summary["run_id"].as_i64().unwrap()).collect();
    assert!(runs.iter().all(|run| *run == runs[0]), "{summaries:#?}");
    assert_eq!(summaries.iter().filter(|summary| summary["joined"] == false).count(), 1, "{summaries:#?}");
    let client = stage.client().await;
    assert_eq!(client.query_one("select count(*) from sync_logs", &[]).await.unwrap().get::<_, i64>(0), 1);
    let mut found = Vec::new();
    entity_differences(stage.portal(), &client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_process_that_waits_for_another_takes_over_when_that_one_is_killed() {
    let config = PortalConfig { counts: Counts::deals(6_000), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 100 }));
    stage.run(&["migrate"]).await.expect_success();
    let mut first = stage.command(&["sync", "deal"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let client = stage.client().await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let begun = "select count(*) from sync_logs where records_processed > 0";
    while client.query_one(begun, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(std::time::Instant::now() < deadline, "the sync never committed anything");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let second = stage.command(&["sync", "deal", "--output", "json"]);
    let (second, ()) = tokio::join!(finish(second), async {
        // It must be waiting by now, or it would find the other one dead at once; both are right.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        first.kill().unwrap();
        first.wait().unwrap();
    });
    let second = only(&second.expect_success());
    assert_eq!((second["resumed"].as_bool(), second["joined"].as_bool()), (Some(true), Some(false)));
    assert_eq!(client.query_one("select count(*) from sync_logs", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn another_portal_is_refused_until_the_operator_says_that_it_has_moved() {
    let small = || PortalConfig { counts: Counts::deals(20), user_fields: 0, ..PortalConfig::default() };
    let stage = Stage::new(small()).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let other = Portal::new(small()).start().unwrap();
    let elsewhere = |arguments: &[&str]| {
        let mut command = stage.command(arguments);
        command.env("BITRIX_WEBHOOK_URL", other.webhook_url());
        finish(command)
    };
    for arguments in [["sync", "deal"], ["verify", "deal"]] {
        let refused = elsewhere(&arguments).await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("--portal-moved"), "{}", refused.stderr);
    }
    elsewhere(&["sync", "deal", "--portal-moved"]).await.expect_success();
    elsewhere(&["sync", "deal", "--incremental"]).await.expect_success();
    assert_eq!(stage.run(&["sync", "deal"]).await.code, Some(1), "the old address is another portal now");
}
