//! A process dies in the middle of a sync while people look at it: another one goes on with it all the same.

use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Fault, FaultPlan, PortalConfig};
use tokio_postgres::Client;

use crate::control_tables::{log, number, until};
use crate::listening::deals_are_equal;
use crate::running::{Service, token};
use crate::stage::Stage;

/// How long the log may say that a run is on when nobody is at it.
const BELIEVED: Duration = Duration::from_secs(10);

/// Which of them is at the sync of deals.
async fn at_work(client: &Client, services: &[Service; 2]) -> usize {
    let holder = "select holder from b24sync.leases where scope = 'sync:deal' and expires_at > clock_timestamp()";
    let holder: String = client.query_one(holder, &[]).await.unwrap().get(0);
    let is_at_it = |service: &Service| holder.split('/').nth(1) == Some(&service.id().to_string());
    services.iter().position(is_at_it).expect("one of them is at it")
}

/// Looks in every way that there is.
async fn look(stage: &Stage, service: &Service, token: &str) {
    for path in ["/api/v1/sync/running", "/api/v1/sync/status", "/api/v1/status/stats", "/health"] {
        service.ask("GET", path, Some(token), None);
    }
    stage.run(&["status"]).await.expect_success();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i7_a_killed_run_that_people_look_at_is_gone_on_with_and_the_log_tells_the_truth() {
    let stage =
        Stage::new(PortalConfig { counts: Counts::deals(9_000), user_fields: 3, ..PortalConfig::default() }).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 250 }));
    let mut services = [Service::start(&stage), Service::start(&stage)];
    let client = stage.client().await;
    let begun =
        "select count(*) from sync_logs where entity_type = 'deal' and status = 'running' and records_processed > 0";
    until(&client, "a sync of deals", begun).await;
    let run = number(&client, "select max(id)::bigint from sync_logs where entity_type = 'deal'").await;
    let dead = at_work(&client, &services).await;
    services[dead].kill();
    let killed = Instant::now();
    let process = services[dead].id();
    let (survivor, token) = (&services[1 - dead], token(Some("viewer")));
    let nobodys = format!(
        "select count(*) from sync_logs where id = {run} and status = 'running' and not exists (select from b24sync.leases where scope = 'sync:deal' and expires_at > clock_timestamp() and holder not like '%/{process}/%')"
    );
    let completed = format!("select count(*) from sync_logs where id = {run} and status = 'completed'");
    let mut untrue: Option<Instant> = None;
    while number(&client, &completed).await == 0 {
        look(&stage, survivor, &token).await;
        untrue = (number(&client, &nobodys).await > 0).then(|| untrue.unwrap_or_else(Instant::now));
        assert!(untrue.is_none_or(|since| since.elapsed() < BELIEVED), "nobody is at it: {:#?}", log(&client).await);
        assert!(killed.elapsed() < Duration::from_secs(60), "nobody finishes it: {:#?}", log(&client).await);
    }
    stage.portal().set_faults(FaultPlan::none());
    deals_are_equal(stage.portal(), &client).await;
    let opened = number(&client, &format!("select opened::bigint from b24sync.runs where run_id = {run}")).await;
    assert_eq!(opened, 2, "{:#?}", log(&client).await);
}
