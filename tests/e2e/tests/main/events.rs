//! Events of the portal, from its sending them to the row.

use b24sync_portal_emulator::{Counts, Entity, Fault, FaultPlan, PortalConfig, UserFieldSpec, UserType};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::control_tables::{number, until};
use crate::listening::{QUIET, TOKEN, at_rest, equal, settled, subscribe};
use crate::running::{Service, token, until as until_so};
use crate::stage::Stage;

fn start(stage: &Stage) -> Service {
    Service::start_with(stage, &[("BITRIX_APPLICATION_TOKENS", TOKEN)])
}

fn small() -> PortalConfig {
    let counts = Counts { deals: 300, leads: 60, contacts: 60, companies: 40 };
    PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }
}

/// A portal whose events go to a service that is at rest.
async fn subscribed() -> (Stage, Client, Service) {
    let stage = Stage::new(small()).await;
    let client = stage.client().await;
    let service = start(&stage);
    at_rest(&client).await;
    subscribe(stage.portal(), &service.address);
    (stage, client, service)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_change_reaches_its_row_without_a_sync() {
    let (stage, client, _service) = subscribed().await;
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    let before = number(&client, syncs).await;
    let portal = stage.portal();
    for entity in [Entity::Deal, Entity::Contact, Entity::Lead, Entity::Company] {
        portal.edit_random(entity, 20, 7);
        let ids = portal.ids(entity);
        portal.delete(entity, ids[1]);
        portal.delete(entity, ids[3]);
        portal.restore(entity, ids[3]);
        portal.add(entity, [("TITLE", "made just now".into()), ("NAME", "new".into())]);
    }
    settled(stage.portal(), &client).await;
    equal(stage.portal(), &client).await;
    assert_eq!(number(&client, syncs).await, before, "only events brought it");
    let drained = "select count(*) from sync_logs where sync_type = 'webhook' and status = 'completed'";
    assert!(number(&client, drained).await >= 4);
    assert_eq!(portal.deliveries().answered.keys().copied().collect::<Vec<_>>(), [200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_field_gets_its_column_and_its_values_at_once() {
    let (stage, client, _service) = subscribed().await;
    let field = UserFieldSpec { filled: true, ..UserFieldSpec::new(UserType::String, "Источник заявки") };
    let name = stage.portal().add_user_field(Entity::Deal, &field);
    let column = name.to_lowercase();
    let sql = format!(
        "select count(*) from information_schema.columns where table_name = 'crm_deals' and column_name = '{column}'"
    );
    until(&client, "the column", &sql).await;
    settled(stage.portal(), &client).await;
    let filled = format!("select count(*) from crm_deals where {column} is not null having count(*) > 0");
    until(&client, "its values", &filled).await;
    until(&client, "rest", QUIET).await;
    equal(stage.portal(), &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_switched_off_are_not_applied_and_made_up_for_when_they_are_on_again() {
    let (stage, client, service) = subscribed().await;
    let (admin, viewer) = (token(Some("admin")), token(Some("viewer")));
    let set = |on: bool| {
        let change = json!({ "entity_type": "deal", "webhook_enabled": on });
        assert_eq!(service.ask("PUT", "/api/v1/sync/config", Some(&admin), Some(&change)).0, 200);
    };
    set(false);
    let id = stage.portal().ids(Entity::Deal)[0];
    stage.portal().edit(Entity::Deal, id, [("TITLE", "nobody is told".into())]);
    settled(stage.portal(), &client).await;
    let title = format!("select count(*) from crm_deals where bitrix_id = '{id}' and title = 'nobody is told'");
    assert_eq!(number(&client, &title).await, 0);
    assert_eq!(service.get("/api/v1/inbox", &viewer)["total"], Value::from(0));
    set(true);
    until(&client, "the title", &title).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nothing_proves_becomes_a_dead_letter_that_people_see_retry_and_discard() {
    let (stage, client, service) = subscribed().await;
    let (viewer, operator, admin) = (token(Some("viewer")), token(Some("operator")), token(Some("admin")));
    let ids = stage.portal().ids(Entity::Lead);
    // The user loses sight of all leads: nothing that is missing is proven to be gone.
    stage.portal().hide(Entity::Lead, &ids);
    stage.portal().delete(Entity::Lead, ids[0]);
    until(&client, "a failed attempt", "select count(*) from b24sync.hints where attempts > 0").await;
    let row = format!("select count(*) from crm_leads where bitrix_id = '{}'", ids[0]);
    assert_eq!(number(&client, &row).await, 1, "no row goes without a proof");
    // Eleven attempts later:
    client.batch_execute("update b24sync.hints set attempts = 11, due_at = now()").await.unwrap();
    until(&client, "a dead letter", "select count(*) from b24sync.hints where dead_at is not null").await;
    let listed = service.get("/api/v1/inbox?state=dead", &viewer);
    assert_eq!((&listed["total"], &listed["entries"][0]["attempts"]), (&Value::from(1), &Value::from(12)), "{listed}");
    assert_eq!(stage.run(&["inbox", "discard"]).await.code, Some(2), "of which entity?");
    let shown = stage.run(&["inbox", "list", "--dead"]).await.expect_success().stdout;
    assert!(shown.contains("lead") && shown.contains("dead") && shown.contains("proved"), "{shown}");
    stage.portal().unhide(Entity::Lead);
    let choice = json!({ "entity_type": "lead", "entity_id": ids[0].to_string() });
    let (status, retried) = service.ask("POST", "/api/v1/inbox/retry", Some(&operator), Some(&choice));
    assert_eq!((status, &retried["count"]), (200, &Value::from(1)), "{retried}");
    until(&client, "the end of the row", &row.replace("count(*)", "1 - count(*)")).await;
    assert_eq!(service.ask("POST", "/api/v1/inbox/discard", Some(&operator), Some(&json!({}))).0, 403);
    assert_eq!(service.ask("POST", "/api/v1/inbox/discard", Some(&admin), Some(&json!({}))).0, 422);
    assert_eq!(service.ask("POST", "/api/v1/inbox/discard", Some(&admin), Some(&json!({ "all": true }))).0, 200);
}

/// More than fit into a request, so that controls of the one are not in the other.
const WRONG_IMPORT: usize = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_came_last_and_are_deleted_together_are_gone_without_a_sync() {
    let (stage, client, _service) = subscribed().await;
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    let before = number(&client, syncs).await;
    let portal = stage.portal();
    let imported = || portal.add(Entity::Deal, [("TITLE", "of a wrong import".into())]);
    let imported: Vec<i64> = std::iter::repeat_with(imported).take(WRONG_IMPORT).collect();
    settled(portal, &client).await;
    for id in imported {
        portal.delete(Entity::Deal, id);
    }
    settled(portal, &client).await;
    equal(portal, &client).await;
    assert_eq!(number(&client, syncs).await, before, "only events brought it");
    assert_eq!(number(&client, "select count(*) from b24sync.hints").await, 0, "no dead letters");
    let failed = "select count(*) from sync_logs where sync_type = 'webhook' and status <> 'completed'";
    assert_eq!(number(&client, failed).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_while_its_record_is_being_read_is_not_forgotten_with_the_one_before() {
    let (stage, client, _service) = subscribed().await;
    let (portal, id) = (stage.portal(), stage.portal().ids(Entity::Deal)[0]);
    // The portal knows what it will say, and says it later.
    portal.set_faults(FaultPlan::always(Fault::Delay { milliseconds: 1_000 }));
    portal.reset_stats();
    portal.edit(Entity::Deal, id, [("TITLE", "first".into())]);
    until_so("a read of it", || portal.stats().by_method.contains_key("crm.item.list"));
    portal.edit(Entity::Deal, id, [("TITLE", "second".into())]);
    settled(portal, &client).await;
    assert_eq!(portal.stats().by_method["crm.item.list"], 2, "it was read again");
    equal(portal, &client).await;
}
