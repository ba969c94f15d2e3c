//! I1, I4, I7, I9: a COMMIT that takes effect and is never answered changes neither rows nor the honesty of the run.

use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth};
use b24sync_testkit::proxy::Proxy;
use tokio_postgres::Client;

use crate::compare::entity_differences;
use crate::stage::{Finished, Stage, finish, port_of, with_port};

/// More transactions than one sync has.
const MANY: usize = 100;

/// Runs `arguments` once for each COMMIT it makes, and loses the answer to exactly that one.
async fn losing_each_commit(stage: &Stage, arguments: &[&str], mut before: impl AsyncFnMut(usize)) -> usize {
    let proxy = Proxy::before(port_of(&stage.database.url())).await;
    let client = stage.client().await;
    for commit in 0..MANY {
        before(commit).await;
        let lost_before = proxy.lost();
        proxy.lose_answers("COMMIT", commit, 1);
        let run = async || {
            let mut command = stage.command(arguments);
            command.env("DATABASE_URL", with_port(&stage.database.url(), proxy.port()));
            finish(command).await
        };
        let runs_before = runs(&client).await;
        let mut finished = run().await;
        proxy.heal();
        if finished.code != Some(0) && runs(&client).await == runs_before {
            // Connecting tries nothing twice; nothing was begun that could be dishonest.
            finished = run().await;
        }
        assert_eq!(finished.code, Some(0), "I9: the answer to COMMIT {commit} was lost: {}", finished.stderr);
        assert_honest(&client, &finished, commit).await;
        let mut found = Vec::new();
        let (entity, table) = (Entity::Deal, "crm_deals");
        entity_differences(stage.portal(), &client, Dialect::Item, entity, table, &mut found).await;
        assert!(found.is_empty(), "I1: COMMIT {commit} lost: {:#?}", &found[..found.len().min(5)]);
        if proxy.lost() == lost_before {
            return commit;
        }
    }
    unreachable!("a sync of {MANY} transactions");
}

/// Runs that the log knows of.
async fn runs(client: &Client) -> i64 {
    let exists = "select to_regclass('sync_logs') is not null";
    if !client.query_one(exists, &[]).await.unwrap().get::<_, bool>(0) {
        return 0;
    }
    client.query_one("select count(*) from sync_logs", &[]).await.unwrap().get(0)
}

/// What the program prints about its runs is what the log says of them.
async fn assert_honest(client: &Client, finished: &Finished, commit: usize) {
    let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let summary = &summaries[0];
    let query = "select status, records_processed from sync_logs where id = $1::bigint::int";
    let row = client.query_one(query, &[&summary["run_id"].as_i64().unwrap()]).await.unwrap();
    let (status, processed): (String, i64) = (row.get(0), row.get::<_, Option<i32>>(1).unwrap_or_default().into());
    assert_eq!(Some(status.as_str()), summary["status"].as_str(), "I9: COMMIT {commit} lost");
    assert_eq!(Some(processed), summary["records_processed"].as_i64(), "I9: COMMIT {commit} lost: {processed}");
    let open = "select count(*) from sync_logs where status = 'running'";
    assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0, "I9: COMMIT {commit} lost");
}

#[tokio::test]
async fn i9_the_answer_to_any_commit_of_a_full_sync_may_be_lost() {
    let config = PortalConfig { counts: Counts::deals(300), user_fields: 6, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    let client = stage.client().await;
    let commits = losing_each_commit(&stage, &["sync", "deal", "--output", "json"], async |_| {
        // From nothing each time, the service's own tables included.
        let sql = "drop schema if exists b24sync cascade; \
                   drop table if exists crm_deals, sync_logs, sync_state, sync_config";
        client.batch_execute(sql).await.unwrap();
    })
    .await;
    assert!(commits >= 4, "{commits} transactions: opening, the table, the records, the end");
}

#[tokio::test]
async fn i9_the_answer_to_any_commit_of_an_incremental_sync_may_be_lost() {
    let config = PortalConfig { counts: Counts::deals(300), user_fields: 6, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let arguments = ["sync", "deal", "--incremental", "--output", "json"];
    let commits = losing_each_commit(&stage, &arguments, async |commit| {
        stage.portal().edit_random(Entity::Deal, 20, u64::try_from(commit).unwrap());
        stage.portal().import_with_old_dates(Entity::Deal, [("TITLE", Truth::from("imported"))], 1_500_000_000, 1);
    })
    .await;
    assert!(commits >= 3, "{commits} transactions: opening, the records, the end");
}

#[tokio::test]
async fn i9_the_answer_to_any_commit_of_a_sync_that_deletes_may_be_lost() {
    let config = PortalConfig { counts: Counts::deals(600), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let commits = losing_each_commit(&stage, &["sync", "deal", "--output", "json"], async |commit| {
        let ids = stage.portal().ids(Entity::Deal);
        for id in ids.iter().skip(commit).step_by(60) {
            stage.portal().delete(Entity::Deal, *id);
        }
    })
    .await;
    assert!(commits >= 4, "{commits} transactions: opening, the records, the deletions, the end");
}
