//! Events of the portal, from its sending them to the row.

use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Dialect, Entity, OutgoingWebhook, PortalConfig, UserFieldSpec, UserType};
use serde_json::{Value, json};

use crate::compare::differences;
use crate::running::{Service, token};
use crate::stage::Stage;

const TOKEN: &str = "51856fefc120afa4b628cc82d3935cce";

/// Names of all events that instructions ask people to choose.
fn events() -> Vec<String> {
    let mut names = Vec::new();
    for entity in ["DEAL", "CONTACT", "LEAD", "COMPANY"] {
        names.extend(["ADD", "UPDATE", "DELETE"].map(|change| format!("ONCRM{entity}{change}")));
        let fields = ["ADD", "UPDATE", "DELETE", "SETENUMVALUES"];
        names.extend(fields.map(|change| format!("ONCRM{entity}USERFIELD{change}")));
    }
    names
}

/// A portal whose events go to the service.
fn subscribe(stage: &Stage, service: &Service) {
    stage.portal().add_outgoing_webhook(OutgoingWebhook {
        handler_url: format!("http://{}/api/v1/webhooks/bitrix", service.address),
        events: events(),
        application_token: TOKEN.to_owned(),
    });
}

fn start(stage: &Stage) -> Service {
    Service::start_with(stage, &[("BITRIX_APPLICATION_TOKENS", TOKEN)])
}

async fn number(stage: &Stage, sql: &str) -> i64 {
    stage.client().await.query_one(sql, &[]).await.map_or(0, |row| row.get(0))
}

async fn until(stage: &Stage, what: &str, sql: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while number(stage, sql).await == 0 {
        let late = Instant::now() > deadline;
        assert!(!late, "{what} did not happen: {:#?}; {:?}", log(stage).await, stage.portal().deliveries());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn log(stage: &Stage) -> Vec<String> {
    let sql = "select concat_ws(' ', id, entity_type, sync_type, status, records_processed, error_message) from sync_logs order by id";
    stage.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Nobody took events in before the service started, so that it sweeps everything.
const STARTED: &str = "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed' and sync_type = 'sweep') c where n = 4";
const QUIET: &str = "select case when exists (select from b24sync.hints where dead_at is null) or exists (select from sync_logs where status in ('running', 'queued')) then 0 else 1 end::bigint";

async fn settled(stage: &Stage) {
    assert!(stage.portal().wait_for_deliveries(Duration::from_secs(60)), "{:?}", stage.portal().deliveries());
    until(stage, "an empty inbox", QUIET).await;
}

async fn equal(stage: &Stage) {
    let found = differences(stage.portal(), &stage.client().await, Dialect::Item).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

fn small() -> PortalConfig {
    let counts = Counts { deals: 300, leads: 60, contacts: 60, companies: 40 };
    PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_change_reaches_its_row_without_a_sync() {
    let stage = Stage::new(small()).await;
    let service = start(&stage);
    until(&stage, "the first syncs", STARTED).await;
    until(&stage, "rest", QUIET).await;
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    let before = number(&stage, syncs).await;
    subscribe(&stage, &service);
    let portal = stage.portal();
    for entity in [Entity::Deal, Entity::Contact, Entity::Lead, Entity::Company] {
        portal.edit_random(entity, 20, 7);
        let ids = portal.ids(entity);
        portal.delete(entity, ids[1]);
        portal.delete(entity, ids[3]);
        portal.restore(entity, ids[3]);
        portal.add(entity, [("TITLE", "made just now".into()), ("NAME", "new".into())]);
    }
    settled(&stage).await;
    equal(&stage).await;
    assert_eq!(number(&stage, syncs).await, before, "only events brought it");
    let drained = "select count(*) from sync_logs where sync_type = 'webhook' and status = 'completed'";
    assert!(number(&stage, drained).await >= 4);
    assert_eq!(portal.deliveries().answered.keys().copied().collect::<Vec<_>>(), [200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_field_gets_its_column_and_its_values_at_once() {
    let stage = Stage::new(small()).await;
    let service = start(&stage);
    until(&stage, "the first syncs", STARTED).await;
    until(&stage, "rest", QUIET).await;
    subscribe(&stage, &service);
    let field = UserFieldSpec { filled: true, ..UserFieldSpec::new(UserType::String, "Источник заявки") };
    let name = stage.portal().add_user_field(Entity::Deal, &field);
    let column = name.to_lowercase();
    let sql = format!(
        "select count(*) from information_schema.columns where table_name = 'crm_deals' and column_name = '{column}'"
    );
    until(&stage, "the column", &sql).await;
    settled(&stage).await;
    let filled = format!("select count(*) from crm_deals where {column} is not null having count(*) > 0");
    until(&stage, "its values", &filled).await;
    until(&stage, "rest", QUIET).await;
    equal(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_switched_off_are_not_applied_and_made_up_for_when_they_are_on_again() {
    let stage = Stage::new(small()).await;
    let service = start(&stage);
    let (admin, viewer) = (token(Some("admin")), token(Some("viewer")));
    until(&stage, "the first syncs", STARTED).await;
    until(&stage, "rest", QUIET).await;
    subscribe(&stage, &service);
    let set = |on: bool| {
        let change = json!({ "entity_type": "deal", "webhook_enabled": on });
        assert_eq!(service.ask("PUT", "/api/v1/sync/config", Some(&admin), Some(&change)).0, 200);
    };
    set(false);
    let id = stage.portal().ids(Entity::Deal)[0];
    stage.portal().edit(Entity::Deal, id, [("TITLE", "nobody is told".into())]);
    settled(&stage).await;
    let title = format!("select count(*) from crm_deals where bitrix_id = '{id}' and title = 'nobody is told'");
    assert_eq!(number(&stage, &title).await, 0);
    assert_eq!(service.get("/api/v1/inbox", &viewer)["total"], Value::from(0));
    set(true);
    until(&stage, "the title", &title).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nothing_proves_becomes_a_dead_letter_that_people_see_retry_and_discard() {
    let stage = Stage::new(small()).await;
    let service = start(&stage);
    let (viewer, operator, admin) = (token(Some("viewer")), token(Some("operator")), token(Some("admin")));
    until(&stage, "the first syncs", STARTED).await;
    until(&stage, "rest", QUIET).await;
    subscribe(&stage, &service);
    let ids = stage.portal().ids(Entity::Lead);
    // The user loses sight of all leads: nothing that is missing is proven to be gone.
    stage.portal().hide(Entity::Lead, &ids);
    stage.portal().delete(Entity::Lead, ids[0]);
    until(&stage, "a failed attempt", "select count(*) from b24sync.hints where attempts > 0").await;
    let row = format!("select count(*) from crm_leads where bitrix_id = '{}'", ids[0]);
    assert_eq!(number(&stage, &row).await, 1, "no row goes without a proof");
    // Eleven attempts later:
    let client = stage.client().await;
    client.batch_execute("update b24sync.hints set attempts = 11, due_at = now()").await.unwrap();
    until(&stage, "a dead letter", "select count(*) from b24sync.hints where dead_at is not null").await;
    let listed = service.get("/api/v1/inbox?state=dead", &viewer);
    assert_eq!((&listed["total"], &listed["entries"][0]["attempts"]), (&Value::from(1), &Value::from(12)), "{listed}");
    let shown = stage.run(&["inbox", "list", "--dead"]).await.expect_success().stdout;
    assert!(shown.contains("lead") && shown.contains("dead") && shown.contains("proved"), "{shown}");
    stage.portal().unhide(Entity::Lead);
    let choice = json!({ "entity_type": "lead", "entity_id": ids[0].to_string() });
    let (status, retried) = service.ask("POST", "/api/v1/inbox/retry", Some(&operator), Some(&choice));
    assert_eq!((status, &retried["count"]), (200, &Value::from(1)), "{retried}");
    until(&stage, "the end of the row", &row.replace("count(*)", "1 - count(*)")).await;
    assert_eq!(service.ask("POST", "/api/v1/inbox/discard", Some(&operator), Some(&json!({}))).0, 403);
    assert_eq!(service.ask("POST", "/api/v1/inbox/discard", Some(&admin), Some(&json!({}))).0, 200);
}
