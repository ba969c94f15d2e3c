use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth};

use crate::compare::{differences, entity_differences};
use crate::stage::{Stage, finish};

async fn synced(config: PortalConfig) -> Stage {
    let stage = Stage::new(config).await;
    stage.run(&["sync", "--all"]).await.expect_success();
    stage
}

async fn assert_equal(stage: &Stage, dialect: Dialect) {
    let found = differences(stage.portal(), &stage.client().await, dialect).await;
    assert!(found.is_empty(), "{} differences, the first: {:#?}", found.len(), &found[..found.len().min(10)]);
}

#[tokio::test]
async fn i1_edits_additions_and_back_dated_imports_arrive_with_one_incremental_sync() {
    for (api, dialect) in [("item", Dialect::Item), ("classic", Dialect::Classic)] {
        let stage = Stage::new(PortalConfig::default()).await;
        let sync = |how: &'static str| {
            let mut command = stage.command(&["sync", "--all", how, "--output", "json"]);
            command.env("BITRIX_CRM_API", api);
            command
        };
        finish(sync("--full")).await.expect_success();
        for (seed, entity) in [Entity::Deal, Entity::Lead, Entity::Contact, Entity::Company].into_iter().enumerate() {
            let portal = stage.portal();
            portal.edit_random(entity, 40, u64::try_from(seed).unwrap());
            for _ in 0..60 {
                portal.import_with_old_dates(
                    entity,
                    [("COMMENTS", Truth::from("imported"))],
                    1_500_000_000,
                    1_500_000_100,
                );
            }
            portal.add(entity, [("COMMENTS", Truth::from("added"))]);
        }
        let finished = finish(sync("--incremental")).await.expect_success();
        let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(summaries[0]["sync_type"], "incremental");
        assert_equal(&stage, dialect).await;
    }
}

#[tokio::test]
async fn an_incremental_sync_over_nothing_costs_two_requests_an_entity_and_writes_no_row() {
    let stage = synced(PortalConfig::default()).await;
    stage.portal().reset_stats();
    let finished = stage.run(&["sync", "--all", "--incremental", "--output", "json"]).await.expect_success();
    let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    for summary in summaries.as_array().unwrap() {
        assert_eq!((summary["status"].as_str(), summary["rows_written"].as_u64()), (Some("completed"), Some(0)));
    }
    let requests = stage.portal().stats().http_requests;
    assert!(requests <= 8, "{requests} requests for four entities");
    let empty = synced(PortalConfig { counts: Counts::deals(0), ..PortalConfig::default() }).await;
    empty.portal().reset_stats();
    empty.run(&["sync", "--all", "--incremental"]).await.expect_success();
    let requests = empty.portal().stats().http_requests;
    assert!(requests <= 8, "{requests} requests for four entities without records");
}

#[tokio::test]
async fn i6_five_hundred_deals_edited_in_one_second_arrive_whatever_the_clocks_say() {
    for skew in [-5, 0, 5] {
        let config = PortalConfig {
            counts: Counts::deals(1_200),
            user_fields: 3,
            clock_skew_seconds: skew,
            ..PortalConfig::default()
        };
        let stage = synced(config).await;
        let ids: Vec<i64> = stage.portal().ids(Entity::Deal).into_iter().skip(330).take(500).collect();
        stage.portal().bulk_edit_in_one_second(Entity::Deal, &ids);
        stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
        assert_equal(&stage, Dialect::Item).await;
    }
}

#[tokio::test]
async fn i1_five_thousand_random_changes_on_twenty_thousand_records_arrive_with_one_incremental_sync_and_one_sweep() {
    let config = PortalConfig { counts: Counts::deals(20_000), user_fields: 3, ..PortalConfig::default() };
    let stage = synced(config).await;
    let portal = stage.portal();
    let ids = portal.ids(Entity::Deal);
    for seed in 0..50 {
        portal.edit_random(Entity::Deal, 86, seed);
        for _ in 0..10 {
            portal.import_with_old_dates(Entity::Deal, [], 1_500_000_000, 1_500_000_000);
        }
        for turn in 0..4 {
            let id = ids[usize::try_from(seed).unwrap() * 400 + turn * 97];
            portal.delete(Entity::Deal, id);
            if turn == 3 {
                portal.restore(Entity::Deal, id);
            }
        }
    }
    stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    stage.run(&["sync", "deal", "--sweep"]).await.expect_success();
    let mut found = Vec::new();
    let client = stage.client().await;
    entity_differences(stage.portal(), &client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
    stage.run(&["verify", "deal"]).await.expect_success();
}

/// A wish that was answered with a number is a promise, like an event that was answered with 200.
#[tokio::test]
async fn i3_a_wish_for_a_sync_that_was_accepted_survives_the_process_that_made_it() {
    let config = PortalConfig { counts: Counts::deals(50), user_fields: 0, ..PortalConfig::default() };
    let stage = synced(config).await;
    // As a process leaves it that is killed between its wish and its work.
    let wish = "with l as (insert into sync_logs (entity_type, sync_type, status, records_processed, started_at) \
                values ('deal', 'incremental', 'queued', 0, timezone('utc', now())) returning id) \
                insert into b24sync.runs (run_id, entity, kind, status, start_seq, opened) \
                select id, 2, 'incremental', 'queued', nextval('b24sync.read_order'), 0 from l returning run_id";
    let client = stage.client().await;
    let wished: i64 = client.query_one(wish, &[]).await.unwrap().get(0);
    stage.run(&["status"]).await.expect_success();
    let status = "select status from sync_logs where id = $1::bigint::int";
    assert_eq!(client.query_one(status, &[&wished]).await.unwrap().get::<_, String>(0), "queued");
    let finished = stage.run(&["sync", "deal", "--incremental", "--output", "json"]).await.expect_success();
    let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(summaries[0]["run_id"].as_i64(), Some(wished));
    assert_eq!(client.query_one(status, &[&wished]).await.unwrap().get::<_, String>(0), "completed");
}
