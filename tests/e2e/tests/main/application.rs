//! The service as a local application: installed by the portal, bound by itself, and fed from the offline queue.

use b24sync_portal_emulator::{Application, Counts, DeliveryPlan, Entity, PortalConfig};
use serde_json::Value;

use crate::control_tables::until;
use crate::listening::{QUIET, equal, settled};
use crate::running::{Service, token};
use crate::stage::Stage;

const ID: &str = "local.674ab1c2d3e4f5.12345678";
const SECRET: &str = "the-key-on-the-applications-card";
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

async fn stage() -> Stage {
    let counts = Counts { deals: 200, leads: 30, contacts: 30, companies: 20 };
    Stage::new(PortalConfig { counts, user_fields: 2, ..PortalConfig::default() }).await
}

fn portal_url(stage: &Stage) -> String {
    let webhook = stage.portal.webhook_url();
    let host = webhook.split("/rest/").next().unwrap();
    host.to_owned()
}

fn settings(stage: &Stage) -> Vec<(&'static str, String)> {
    vec![
        ("BITRIX_WEBHOOK_URL", String::new()),
        ("BITRIX_PORTAL_URL", portal_url(stage)),
        ("BITRIX_CLIENT_ID", ID.to_owned()),
        ("BITRIX_CLIENT_SECRET", SECRET.to_owned()),
        ("BITRIX_TOKEN_KEY", KEY.to_owned()),
    ]
}

fn start(stage: &Stage) -> Service {
    let settings = settings(stage);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Service::start_with(stage, &settings)
}

fn install(stage: &Stage, service: &Service) {
    stage.portal().install_application(Application {
        client_id: ID.to_owned(),
        client_secret: SECRET.to_owned(),
        install_url: Some(format!("http://{}/api/v1/webhooks/bitrix", service.address)),
        ..Application::default()
    });
}

const SYNCED: &str = "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed' and sync_type = 'full') c where n = 4";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_installed_syncs_registers_and_hears_of_every_change() {
    let stage = stage().await;
    let service = start(&stage);
    let client = stage.client().await;
    let (admin, viewer) = (token(Some("admin")), token(Some("viewer")));
    install(&stage, &service);
    until(&client, "the first syncs", SYNCED).await;
    let register = format!("/api/v1/webhooks/register?handler_base_url=http://{}", service.address);
    let (status, registered) = service.ask("POST", &register, Some(&admin), None);
    assert_eq!((status, registered["failed"].as_array().map(Vec::len)), (200, Some(0)), "{registered}");
    let listed = service.get("/api/v1/webhooks/registered", &viewer);
    assert!(listed["count"].as_i64().unwrap() > 30, "{listed}");
    until(&client, "rest", QUIET).await;
    let portal = stage.portal();
    portal.edit_random(Entity::Deal, 20, 3);
    let ids = portal.ids(Entity::Deal);
    portal.edit(Entity::Deal, ids[0], [("CATEGORY_ID", 1.into())]);
    portal.delete(Entity::Lead, portal.ids(Entity::Lead)[2]);
    portal.add(Entity::Contact, [("NAME", "new".into())]);
    settled(stage.portal(), &client).await;
    equal(stage.portal(), &client).await;
    // An hour later: one renewal, whoever needs it.
    portal.expire_access_tokens();
    portal.edit_random(Entity::Deal, 5, 4);
    settled(stage.portal(), &client).await;
    equal(stage.portal(), &client).await;
    assert_eq!(portal.oauth_stats().refreshes, 1);
    // The new version loses its handlers; they are bound again.
    portal.update_application();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while portal.handlers().len() < 60 {
        assert!(std::time::Instant::now() < deadline, "{} handlers", portal.handlers().len());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let secrets = [SECRET, KEY, portal.application_tokens().unwrap().refresh_token.as_str()].map(str::to_owned);
    let stored: Vec<u8> =
        client.query_one("select sealed from b24sync.application where sealed is not null", &[]).await.unwrap().get(0);
    let stored = String::from_utf8_lossy(&stored).into_owned();
    assert!(secrets.iter().all(|secret| !stored.contains(secret)), "tokens are sealed");
}

/// What the self-test says of the handlers, and of access to the portal.
async fn doctor(stage: &Stage) -> (Value, Value) {
    let mut command = stage.command(&["doctor", "--output", "json"]);
    command.envs(settings(stage));
    let finished = crate::stage::finish(command).await;
    assert!(![SECRET, KEY].iter().any(|secret| finished.stdout.contains(secret)), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let found = |name: &str| report["checks"].as_array().unwrap().iter().find(|line| line["name"] == name).cloned();
    (found("portal.reachable").unwrap(), found("events.handlers").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_self_test_misses_handlers_and_tokens() {
    let stage = stage().await;
    let service = start(&stage);
    let client = stage.client().await;
    let (portal, _) = doctor(&stage).await;
    assert_eq!(portal["verdict"], "fail", "{portal}");
    assert!(portal["seen"].as_str().unwrap().contains("not installed"), "{portal}");
    install(&stage, &service);
    until(&client, "the tokens", "select count(*) from b24sync.application where sealed is not null").await;
    let (portal, handlers) = doctor(&stage).await;
    assert_eq!((portal["verdict"].as_str(), handlers["verdict"].as_str()), (Some("ok"), Some("warn")), "{handlers}");
    let register = format!("/api/v1/webhooks/register?handler_base_url=http://{}", service.address);
    assert_eq!(service.ask("POST", &register, Some(&token(Some("admin"))), None).0, 200);
    let (_, handlers) = doctor(&stage).await;
    assert_eq!(handlers["verdict"], "ok", "{handlers}");
    // Nobody is there to bind again what the new version loses.
    drop(service);
    stage.portal().update_application();
    let (_, handlers) = doctor(&stage).await;
    assert_eq!(handlers["verdict"], "fail", "{handlers}");
    assert!(handlers["seen"].as_str().unwrap().contains("no handler for ON"), "{handlers}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_were_all_lost_come_from_the_offline_queue() {
    let stage = stage().await;
    let service = start(&stage);
    let client = stage.client().await;
    let admin = token(Some("admin"));
    install(&stage, &service);
    until(&client, "the first syncs", SYNCED).await;
    let register = format!("/api/v1/webhooks/register?handler_base_url=http://{}", service.address);
    assert_eq!(service.ask("POST", &register, Some(&admin), None).0, 200);
    until(&client, "rest", QUIET).await;
    let portal = stage.portal();
    portal.set_delivery_plan(DeliveryPlan { lost_percent: 100, ..DeliveryPlan::default() });
    portal.edit_random(Entity::Deal, 20, 3);
    portal.delete(Entity::Deal, portal.ids(Entity::Deal)[5]);
    assert!(!portal.offline_events().is_empty());
    // Only the wake-up gets through.
    portal.set_delivery_plan(DeliveryPlan::default());
    portal.edit(Entity::Company, portal.ids(Entity::Company)[0], [("TITLE", "wakes".into())]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(90);
    while !portal.offline_events().is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", portal.offline_events().len());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    settled(stage.portal(), &client).await;
    equal(stage.portal(), &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_is_removed_stops_and_says_so() {
    let stage = stage().await;
    let service = start(&stage);
    let client = stage.client().await;
    let (admin, operator) = (token(Some("admin")), token(Some("operator")));
    install(&stage, &service);
    until(&client, "the first syncs", SYNCED).await;
    let register = format!("/api/v1/webhooks/register?handler_base_url=http://{}", service.address);
    assert_eq!(service.ask("POST", &register, Some(&admin), None).0, 200);
    until(&client, "rest", QUIET).await;
    stage.portal().uninstall_application(false);
    until(&client, "the end of the tokens", "select count(*) from b24sync.application where sealed is null").await;
    assert_eq!(service.ask("POST", "/api/v1/sync/start/deal", Some(&operator), None).0, 202);
    until(
        &client,
        "the failure",
        "select count(*) from sync_logs where status = 'failed' and error_message like '%not installed%'",
    )
    .await;
    let (status, problem) = service.ask("POST", &register, Some(&admin), None);
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("install"), "{problem}");
    // And back again.
    install(&stage, &service);
    let (_, started) = service.ask("POST", "/api/v1/sync/start/deal", Some(&operator), None);
    assert_ne!(started, Value::Null);
    until(&client, "the sync after", "select count(*) from sync_logs where id = (select max(id) from sync_logs where entity_type = 'deal' and sync_type = 'full') and status = 'completed'").await;
}
