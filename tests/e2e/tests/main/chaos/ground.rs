//! Where it happens, and what must hold.
//!
//! Two of the entities are not scheduled: nothing but events brings their changes, so that an event that was lost after
//! its 200 shows. The other two are: what was refused or lost before its 200 must come by itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use b24sync_pg_harness::PgServer;
use b24sync_portal_emulator::{Counts, DeliveryPlan, Dialect, Entity, Portal, PortalConfig, RunningPortal};
use b24sync_testkit::proxy::Proxy;
use tokio_postgres::Client;

use super::life::Life;
use super::long;
use crate::compare::{differences, entity_differences};
use crate::control_tables::{log, number, until};
use crate::listening::{QUIET, TOKEN, subscribe};
use crate::running::{Service, figure, token};
use crate::stage::{between, finish, with_port};

pub(super) const DATABASE: &str = "replica";

/// How soon the service must be back after a fault.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// What a machine that runs other tests at the same time may add.
const BUSY: Duration = Duration::from_secs(10);

/// How soon what was missed must have come by itself.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(120);

/// Entities that only events change.
const BY_EVENTS_ALONE: [(Entity, &str); 2] = [(Entity::Deal, "crm_deals"), (Entity::Lead, "crm_leads")];

/// Entities that are synced as well.
const SCHEDULED: [(Entity, &str); 2] = [(Entity::Contact, "crm_contacts"), (Entity::Company, "crm_companies")];

/// A title by which a change is known that was made to see whether the service is back.
const BEACON: &str = "beacon";

/// A portal whose records change, the service, its database, and a proxy on each way.
pub(super) struct Ground {
    pub(super) server: PgServer,
    pub(super) portal: RunningPortal,
    pub(super) way_to_portal: Proxy,
    pub(super) way_to_database: Proxy,
    pub(super) way_to_service: Proxy,
    pub(super) service: Service,
    webhook: String,
    settings: Vec<(&'static str, String)>,
    life: Life,
    beacons: u32,
    backs: Vec<Duration>,
}

impl Ground {
    pub(super) async fn new() -> Ground {
        Ground::on(PgServer::private().await, Vec::new()).await
    }

    /// One with a server of the test's own, and with further settings of the service.
    pub(super) async fn on(server: PgServer, settings: Vec<(&'static str, String)>) -> Ground {
        let counts = Counts { deals: 400, leads: 300, contacts: 100, companies: 80 };
        let config = PortalConfig { counts, user_fields: 2, workers: 2, ..PortalConfig::default() };
        let portal = Portal::new(config).start().expect("the emulator listens");
        server.create_database(DATABASE).await;
        let way_to_portal = Proxy::before(portal.port()).await;
        let way_to_database = Proxy::before(server.port()).await;
        let webhook = with_port(&portal.webhook_url(), way_to_portal.port());
        let database = server.url(DATABASE);
        let run = async |arguments: &[&str]| {
            finish(between(&portal, &database, arguments)).await.expect_success();
        };
        run(&["migrate"]).await;
        for (entity, _) in BY_EVENTS_ALONE {
            run(&["config", "set", entity.name(), "--enabled", "false"]).await;
        }
        let command = serve(&portal, &with_port(&database, way_to_database.port()), &webhook, &settings);
        // The portal is claimed by the address that the service knows it by.
        let mut sync = between(&portal, &database, &["sync", "--all"]);
        sync.env("BITRIX_WEBHOOK_URL", &webhook);
        finish(sync).await.expect_success();
        let service = launch(command, &settings);
        let way_to_service = Proxy::before(port_of(&service)).await;
        portal.portal().set_delivery_plan(DeliveryPlan { parallel: 16, ..DeliveryPlan::default() });
        subscribe(portal.portal(), &format!("127.0.0.1:{}", way_to_service.port()));
        let life = Life::begin(portal.portal().clone());
        let ground = Ground {
            server,
            portal,
            way_to_portal,
            way_to_database,
            way_to_service,
            service,
            webhook,
            settings,
            life,
            beacons: 0,
            backs: Vec::new(),
        };
        ground.events(20).await;
        ground
    }

    pub(super) fn portal(&self) -> &Portal {
        self.portal.portal()
    }

    /// A connection past the proxy.
    pub(super) async fn client(&self) -> Client {
        self.server.client(DATABASE).await
    }

    /// The program with these arguments, run to its end.
    pub(super) async fn run(&self, arguments: &[&str]) -> crate::stage::Finished {
        let mut command = between(&self.portal, &self.server.url(DATABASE), arguments);
        command.env("BITRIX_WEBHOOK_URL", &self.webhook);
        finish(command).await
    }

    /// Gives the service another way to the portal from its next start on.
    pub(super) fn reach_portal_by(&mut self, port: u16) {
        self.webhook = with_port(&self.portal.webhook_url(), port);
    }

    /// Kills the service.
    pub(super) fn kill(&mut self) {
        self.way_to_service.refuse(true);
        self.service.kill();
    }

    /// Starts the service again, after a kill.
    pub(super) fn start(&mut self) {
        let database = with_port(&self.server.url(DATABASE), self.way_to_database.port());
        let command = serve(&self.portal, &database, &self.webhook, &self.settings);
        self.service = launch(command, &self.settings);
        self.way_to_service.lead_to(port_of(&self.service));
        self.way_to_service.refuse(false);
    }

    /// Returns after so many more events were sent, however they were answered.
    pub(super) async fn events(&self, count: u64) {
        let wanted = self.portal().deliveries().sent + count;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.portal().deliveries().sent < wanted {
            assert!(Instant::now() < deadline, "events are not sent: {:?}", self.portal().deliveries());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets the fault last so long, while life goes on.
    pub(super) async fn endure(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// How many events were answered with this status so far.
    pub(super) fn answered(&self, status: u16) -> u64 {
        self.portal().deliveries().answered.get(&status).copied().unwrap_or_default()
    }

    /// Waits until the service is back, and remembers how long after `since` that was: it says that it is ready, and a
    /// record that was made after `since` has its row. Events rest for a second, so that it is never much less than two.
    pub(super) async fn back(&mut self, since: Instant) {
        let client = self.client().await;
        let first = self.beacons;
        let sql = format!(
            "select count(*) from crm_deals where title like '{BEACON} %' and split_part(title, ' ', 2)::int >= {first}"
        );
        let mut lit: Option<Instant> = None;
        loop {
            assert!(since.elapsed() < Duration::from_secs(90), "not back: {:#?}", log(&client).await);
            if lit.is_none_or(|lit| lit.elapsed() > Duration::from_millis(500)) {
                let title = format!("{BEACON} {}", self.beacons);
                self.portal().add(Entity::Deal, [("TITLE", title.as_str().into())]);
                self.beacons += 1;
                lit = Some(Instant::now());
            }
            if number(&client, &sql).await > 0 && self.service.ask("GET", "/health/ready", None, None).0 == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let took = since.elapsed();
        let longest = if long() { BACK_WITHIN } else { BACK_WITHIN + BUSY };
        assert!(took <= longest, "back after {took:?}: {:#?}", log(&client).await);
        self.backs.push(took);
    }

    /// What must hold in the end, and the line of the table; `since` is when the last fault ended.
    pub(super) async fn holds(mut self, fault: &str, since: Instant) {
        self.life.end();
        let portal = self.portal().clone();
        assert!(portal.wait_for_deliveries(Duration::from_secs(60)), "{:?}", portal.deliveries());
        let client = self.client().await;
        until(&client, "an empty inbox", QUIET).await;
        for (entity, table) in BY_EVENTS_ALONE {
            nothing_is_lost(&portal, &client, entity, table).await;
        }
        let caught_up = caught_up(&portal, &client, since).await;
        self.run(&["sync", "deal", "lead", "--incremental"]).await.expect_success();
        self.run(&["sync", "deal", "lead", "--sweep"]).await.expect_success();
        let found = differences(&portal, &client, Dialect::Item).await;
        assert!(found.is_empty(), "I1: {} differences: {:#?}", found.len(), &found[..found.len().min(10)]);
        self.run(&["verify", "--all"]).await.expect_success();
        until(&client, "rest", QUIET).await;
        let open = "select count(*) from sync_logs where completed_at is null";
        assert_eq!(number(&client, open).await, 0, "I9: {:#?}", log(&client).await);
        self.tell(fault, caught_up);
    }

    /// One line of the table that `just chaos` shows.
    fn tell(&mut self, fault: &str, caught_up: Duration) {
        self.backs.sort();
        let deliveries = self.portal().deliveries();
        let accepted = self.answered(200);
        figure(&format!(
            "chaos | {fault:<58} | {:>5} | {:>6.1} | {:>6.1} | {:>9.1} | {accepted:>8} | {:>7}",
            self.backs.len(),
            self.backs[self.backs.len() / 2].as_secs_f64(),
            self.backs[self.backs.len() - 1].as_secs_f64(),
            caught_up.as_secs_f64(),
            deliveries.sent - accepted,
        ));
    }
}

fn serve(
    portal: &RunningPortal,
    database: &str,
    webhook: &str,
    settings: &[(&'static str, String)],
) -> std::process::Command {
    let mut command = between(portal, database, &["serve", "--host", "127.0.0.1", "--port", "0"]);
    command.env("BITRIX_APPLICATION_TOKENS", TOKEN).env("BITRIX_WEBHOOK_URL", webhook);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// Settings of its own may name another project.
fn launch(command: std::process::Command, settings: &[(&'static str, String)]) -> Service {
    let project = settings.iter().any(|(name, _)| *name == "SUPABASE_URL");
    if project { Service::launch_as_it_is(command) } else { Service::launch(command) }
}

fn port_of(service: &Service) -> u16 {
    service.address.rsplit(':').next().unwrap().parse().unwrap()
}

/// Ids of records all of whose events were answered with 200: of one that was not, nobody can know.
fn taken(portal: &Portal, entity: Entity) -> BTreeSet<i64> {
    let prefix = format!("ONCRM{}", entity.name().to_uppercase());
    let (mut taken, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for record in portal.delivery_records() {
        let of_a_record =
            record.event.strip_prefix(&prefix).is_some_and(|verb| ["ADD", "UPDATE", "DELETE"].contains(&verb));
        if let Some(id) = record.id.filter(|_| of_a_record) {
            if record.status == Some(200) { &mut taken } else { &mut refused }.insert(id);
        }
    }
    taken.difference(&refused).copied().collect()
}

/// I3: whatever differs had no 200, or is a dead letter.
async fn nothing_is_lost(portal: &Portal, client: &Client, entity: Entity, table: &str) {
    let mut found = Vec::new();
    entity_differences(portal, client, Dialect::Item, entity, table, &mut found).await;
    let dead = client.query("select item_id from b24sync.hints where dead_at is not null", &[]).await.unwrap();
    let dead: BTreeSet<i64> = dead.iter().map(|row| row.get(0)).collect();
    let taken = taken(portal, entity);
    assert!(taken.len() > 10, "that few events of {table} were answered with 200: {}", taken.len());
    let lost: Vec<&String> = found
        .iter()
        .filter(|line| {
            let id = line.split([' ', ':']).nth(1).and_then(|id| id.parse().ok());
            id.is_none_or(|id| taken.contains(&id) && !dead.contains(&id))
        })
        .collect();
    assert!(lost.is_empty(), "I3: answered with 200 and not applied: {:#?}", &lost[..lost.len().min(10)]);
}

/// Waits until the entities that are synced as well are equal, without a word from outside.
async fn caught_up(portal: &Portal, client: &Client, since: Instant) -> Duration {
    let deadline = Instant::now() + CAUGHT_UP_WITHIN;
    loop {
        let mut found = Vec::new();
        for (entity, table) in SCHEDULED {
            entity_differences(portal, client, Dialect::Item, entity, table, &mut found).await;
        }
        if found.is_empty() {
            return since.elapsed();
        }
        let shown = &found[..found.len().min(5)];
        assert!(Instant::now() < deadline, "{} are not made up for: {shown:#?} {:#?}", found.len(), log(client).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A token of a user who may look.
pub(super) fn viewer() -> String {
    token(Some("viewer"))
}
