//! I4, I5: deletions arrive, and restored records come back. What a portal that lies costs is in `lies`.

use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth};

use crate::compare::{differences, entity_differences};
use crate::stage::{Finished, Stage, finish};

async fn synced(deals: u64) -> Stage {
    let config = PortalConfig { counts: Counts::deals(deals), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    stage
}

async fn rows(stage: &Stage) -> i64 {
    stage.client().await.query_one("select count(*) from crm_deals", &[]).await.unwrap().get(0)
}

fn deleted(finished: &Finished) -> u64 {
    let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    summaries[0]["rows_deleted"].as_u64().unwrap()
}

#[tokio::test]
async fn i5_deleted_records_lose_their_rows_and_restored_ones_get_them_back() {
    for (api, dialect) in [("item", Dialect::Item), ("classic", Dialect::Classic)] {
        let stage = Stage::new(PortalConfig::default()).await;
        let sync = || {
            let mut command = stage.command(&["sync", "--all", "--output", "json"]);
            command.env("BITRIX_CRM_API", api);
            command
        };
        finish(sync()).await.expect_success();
        let mut gone = Vec::new();
        for entity in [Entity::Deal, Entity::Lead, Entity::Contact, Entity::Company] {
            for id in stage.portal().ids(entity).into_iter().step_by(9) {
                stage.portal().delete(entity, id);
                gone.push((entity, id));
            }
        }
        finish(sync()).await.expect_success();
        let found = differences(stage.portal(), &stage.client().await, dialect).await;
        assert!(found.is_empty(), "{api}: {:#?}", &found[..found.len().min(10)]);
        for (entity, id) in gone.into_iter().step_by(3) {
            stage.portal().restore(entity, id);
        }
        finish(sync()).await.expect_success();
        let found = differences(stage.portal(), &stage.client().await, dialect).await;
        assert!(found.is_empty(), "{api}: {:#?}", &found[..found.len().min(10)]);
    }
}

#[tokio::test]
async fn i4_named_records_are_stored_and_taken_out_in_both_dialects() {
    for (api, dialect) in [("item", Dialect::Item), ("classic", Dialect::Classic)] {
        let stage = Stage::new(PortalConfig { counts: Counts::deals(200), ..PortalConfig::default() }).await;
        let run = |arguments: &[&str]| {
            let mut command = stage.command(arguments);
            command.env("BITRIX_CRM_API", api);
            finish(command)
        };
        run(&["sync", "deal"]).await.expect_success();
        let ids = stage.portal().ids(Entity::Deal);
        stage.portal().edit(Entity::Deal, ids[3], [("TITLE", Truth::from("changed"))]);
        stage.portal().delete(Entity::Deal, ids[5]);
        let added = stage.portal().add(Entity::Deal, [("TITLE", Truth::from("added"))]);
        let named = format!("{},{},{added}", ids[3], ids[5]);
        let finished = run(&["sync", "deal", "--id", &named, "--output", "json"]).await.expect_success();
        assert_eq!(deleted(&finished), 1);
        let mut found = Vec::new();
        let client = stage.client().await;
        entity_differences(stage.portal(), &client, dialect, Entity::Deal, "crm_deals", &mut found).await;
        assert!(found.is_empty(), "{api}: {:#?}", &found[..found.len().min(10)]);
    }
}

#[tokio::test]
async fn i4_a_mass_deletion_waits_until_an_operator_confirms_the_run() {
    let stage = synced(300).await;
    for id in stage.portal().ids(Entity::Deal).into_iter().take(60) {
        stage.portal().delete(Entity::Deal, id);
    }
    let finished = stage.run(&["sync", "deal"]).await;
    assert_eq!((finished.code, rows(&stage).await), (Some(1), 300));
    assert!(finished.stderr.contains("--confirm-deletes"), "{}", finished.stderr);
    let run = finished.stderr.split("run ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    for wrong in ["1", "4711"] {
        let refused = stage.run(&["sync", "deal", "--confirm-deletes", wrong]).await;
        assert_eq!((refused.code, rows(&stage).await), (Some(2), 300), "{}", refused.stderr);
    }
    let finished = stage.run(&["sync", "deal", "--confirm-deletes", &run, "--output", "json"]).await.expect_success();
    assert_eq!((deleted(&finished), rows(&stage).await), (60, 240));
}

#[tokio::test]
async fn i4_a_sweep_takes_out_what_is_gone_and_brings_what_nobody_saw() {
    for (api, dialect) in [("item", Dialect::Item), ("classic", Dialect::Classic)] {
        let stage =
            Stage::new(PortalConfig { counts: Counts::deals(3_000), user_fields: 3, ..PortalConfig::default() }).await;
        let run = |arguments: &[&str]| {
            let mut command = stage.command(arguments);
            command.env("BITRIX_CRM_API", api);
            finish(command)
        };
        run(&["sync", "deal"]).await.expect_success();
        let gone: Vec<i64> = stage.portal().ids(Entity::Deal).into_iter().step_by(75).collect();
        for id in &gone {
            stage.portal().delete(Entity::Deal, *id);
        }
        let client = stage.client().await;
        // A row and what is known of it are lost: only a listing of ids finds that.
        let lost = stage.portal().ids(Entity::Deal)[7];
        let sql = format!(
            "delete from crm_deals where bitrix_id = '{lost}'; delete from b24sync.item_state where entity = 2 and item_id = {lost}"
        );
        client.batch_execute(&sql).await.unwrap();
        stage.portal().reset_stats();
        let finished = run(&["sync", "deal", "--sweep", "--output", "json"]).await.expect_success();
        assert_eq!(deleted(&finished), u64::try_from(gone.len()).unwrap());
        let requests = stage.portal().stats().http_requests;
        assert!(requests <= 8, "{requests} requests for 3,000 ids, 40 deletions and a record");
        let mut found = Vec::new();
        entity_differences(stage.portal(), &client, dialect, Entity::Deal, "crm_deals", &mut found).await;
        assert!(found.is_empty(), "{api}: {:#?}", &found[..found.len().min(10)]);
    }
}

#[tokio::test]
async fn i5_with_delete_mode_soft_rows_stay_with_the_time_of_their_deletion_and_come_back() {
    let stage =
        Stage::new(PortalConfig { counts: Counts::deals(100), user_fields: 1, ..PortalConfig::default() }).await;
    let run = async |arguments: &[&str]| {
        let mut command = stage.command(arguments);
        command.env("DELETE_MODE", "soft");
        finish(command).await.expect_success()
    };
    run(&["sync", "deal"]).await;
    let ids = stage.portal().ids(Entity::Deal);
    for id in &ids[..5] {
        stage.portal().delete(Entity::Deal, *id);
    }
    assert_eq!(deleted(&run(&["sync", "deal", "--output", "json"]).await), 5);
    let client = stage.client().await;
    let marked = async || {
        let sql = "select bitrix_id::bigint from crm_deals where deleted_at is not null order by 1";
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect::<Vec<i64>>()
    };
    assert_eq!((marked().await, rows(&stage).await), (ids[..5].to_vec(), 100));
    let zones = "select count(*) from crm_deals where deleted_at between timezone('utc', now()) - interval '1 hour' and timezone('utc', now())";
    assert_eq!(client.query_one(zones, &[]).await.unwrap().get::<_, i64>(0), 5, "in UTC, as everywhere");
    run(&["verify", "deal"]).await;
    let status = run(&["status", "--output", "json"]).await.stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let deal = status["entities"].as_array().unwrap().iter().find(|entity| entity["entity"] == "deal").unwrap().clone();
    assert_eq!(deal["rows"], 95, "deleted records are not counted");
    assert_eq!(deleted(&run(&["sync", "deal", "--output", "json"]).await), 0, "they are deleted once");
    stage.portal().restore(Entity::Deal, ids[2]);
    run(&["sync", "deal"]).await;
    assert_eq!(marked().await, [ids[0], ids[1], ids[3], ids[4]]);
    // Back in hard mode, a restored record is a live row all the same, and a new deletion takes its row.
    stage.portal().restore(Entity::Deal, ids[3]);
    stage.portal().delete(Entity::Deal, ids[9]);
    stage.run(&["sync", "deal"]).await.expect_success();
    assert_eq!((marked().await, rows(&stage).await), (vec![ids[0], ids[1], ids[4]], 99));
    stage.run(&["verify", "deal"]).await.expect_success();
}

#[tokio::test]
async fn i4_named_records_go_although_the_records_that_were_seen_last_are_gone_too_and_never_too_many() {
    let stage = synced(400).await;
    let ids = stage.portal().ids(Entity::Deal);
    // The control record of old was the lowest id of the last batch.
    for id in &ids[..5] {
        stage.portal().delete(Entity::Deal, *id);
    }
    let named = |ids: &[i64]| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let finished = stage.run(&["sync", "deal", "--id", &named(&ids[..1]), "--output", "json"]).await.expect_success();
    assert_eq!(deleted(&finished), 1);
    let finished = stage.run(&["sync", "deal", "--id", &named(&ids[1..5]), "--output", "json"]).await.expect_success();
    assert_eq!(deleted(&finished), 4);
    for id in &ids[5..205] {
        stage.portal().delete(Entity::Deal, *id);
    }
    for arguments in [vec!["sync", "deal", "--id", &named(&ids[5..205])], vec!["verify", "deal", "--repair"]] {
        let held = stage.run(&arguments).await;
        assert_eq!((held.code, rows(&stage).await), (Some(1), 395), "{}", held.stdout);
        assert!(held.stderr.contains("run `b24sync sync ENTITY` and confirm the run"), "{}", held.stderr);
    }
}

#[tokio::test]
async fn i4_an_entity_whose_records_are_all_gone_is_emptied_when_an_operator_confirms_it() {
    let stage = synced(30).await;
    for id in stage.portal().ids(Entity::Deal) {
        stage.portal().delete(Entity::Deal, id);
    }
    let finished = stage.run(&["sync", "deal"]).await;
    assert_eq!((finished.code, rows(&stage).await), (Some(1), 30));
    let run = finished.stderr.split("run ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let finished = stage.run(&["sync", "deal", "--confirm-deletes", &run, "--output", "json"]).await.expect_success();
    assert_eq!((deleted(&finished), rows(&stage).await), (30, 0));
    stage.run(&["sync", "deal"]).await.expect_success();
}

#[tokio::test]
async fn a_row_that_something_holds_fast_holds_no_other_and_says_why() {
    let stage = synced(100).await;
    let ids = stage.portal().ids(Entity::Deal);
    let client = stage.client().await;
    let sql = format!(
        "create table child (deal integer references crm_deals (id)); \
         insert into child select id from crm_deals where bitrix_id = '{}'",
        ids[3]
    );
    client.batch_execute(&sql).await.unwrap();
    stage.portal().delete(Entity::Deal, ids[3]);
    stage.portal().delete(Entity::Deal, ids[4]);
    let finished = stage.run(&["sync", "deal", "--output", "json"]).await.expect_success();
    assert_eq!((deleted(&finished), rows(&stage).await), (1, 99));
    assert!(finished.stdout.contains("completed_with_quarantine"), "{}", finished.stdout);
    let listed = stage.run(&["quarantine", "list", "deal"]).await.expect_success().stdout;
    assert!(listed.contains("cannot be deleted"), "{listed}");
    client.batch_execute("drop table child").await.unwrap();
    stage.run(&["sync", "deal", "--sweep"]).await.expect_success();
    assert_eq!(rows(&stage).await, 98);
    assert!(stage.run(&["quarantine", "list"]).await.expect_success().stdout.contains("empty"));
}

#[tokio::test]
async fn a_record_that_could_never_be_stored_leaves_the_quarantine_when_it_is_deleted() {
    for how in ["--full", "--sweep"] {
        let config = PortalConfig { counts: Counts::deals(50), poison: 3, ..PortalConfig::default() };
        let stage = Stage::new(config).await;
        stage.run(&["sync", "deal"]).await.expect_success();
        let poisoned = "select item_id from b24sync.quarantine where entity = 2 order by 1";
        let client = stage.client().await;
        let poisoned: Vec<i64> = client.query(poisoned, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(poisoned.len(), 3);
        stage.portal().delete(Entity::Deal, poisoned[0]);
        stage.run(&["sync", "deal", how]).await.expect_success();
        let left = "select count(*) from b24sync.quarantine where entity = 2";
        assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 2, "{how}");
    }
}

#[tokio::test]
async fn a_sweep_and_verify_look_at_the_table_itself() {
    let stage = synced(200).await;
    let client = stage.client().await;
    let ids = stage.portal().ids(Entity::Deal);
    let sql = format!(
        "delete from crm_deals where bitrix_id = '{}'; update crm_deals set title = 'by hand' where bitrix_id in ('{}', '{}')",
        ids[7], ids[9], ids[11]
    );
    client.batch_execute(&sql).await.unwrap();
    let found = stage.run(&["verify", "deal", "--output", "json"]).await;
    let found_json: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(
        (found.code, found_json[0]["missing"].as_u64(), found_json[0]["altered"].as_u64()),
        (Some(3), Some(1), Some(2))
    );
    stage.run(&["sync", "deal", "--sweep"]).await.expect_success();
    assert_eq!(rows(&stage).await, 200);
    stage.run(&["verify", "deal", "--repair"]).await.expect_success();
    let mut found = Vec::new();
    entity_differences(stage.portal(), &client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

#[tokio::test]
async fn a_column_deleted_at_of_the_users_own_is_not_taken_for_ours() {
    let stage = synced(10).await;
    let client = stage.client().await;
    client.batch_execute("alter table crm_deals add column deleted_at timestamp default '2020-01-01'").await.unwrap();
    let mut command = stage.command(&["sync", "deal"]);
    command.env("DELETE_MODE", "soft");
    let refused = finish(command).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("DELETE_MODE"), "{}", refused.stderr);
    stage.run(&["sync", "deal"]).await.expect_success();
    let kept = "select count(*) from crm_deals where deleted_at = '2020-01-01'";
    assert_eq!(client.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 10);
}
