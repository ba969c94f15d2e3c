//! Three instances on one database, as several machines would have them: nginx before them, PgBouncer behind them, and a way
//! from each to the pooler that can be cut by itself.

use std::net::TcpStream;
use std::path::PathBuf;

use b24sync_portal_emulator::{DeliveryPlan, Portal};
use b24sync_testkit::proxy::Proxy;
use tokio_postgres::Client;

use super::balancer::{self, Balancer};
use super::pooler::{self, Pooler};
use super::ports::fixed_port;
use crate::listening::{TOKEN, subscribe};
use crate::running::{Service, figure, until};
use crate::stage::{Stage, between, with_port};

/// Instances of a cluster.
pub(super) const INSTANCES: usize = 3;

/// The token that `/metrics` is asked with.
const METRICS_TOKEN: &str = "figures-for-the-test";

/// nginx and PgBouncer, where this machine has both. A machine that runs CI has to.
pub(super) fn programs() -> Option<(PathBuf, PathBuf)> {
    let found = balancer::program().zip(pooler::program());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "CI needs nginx and PgBouncer 1.21 or newer (PGBOUNCER names it: see .ci/newer-pgbouncer)"
    );
    if found.is_none() {
        figure("no nginx or no PgBouncer 1.21 or newer on this machine: nothing was tested");
    }
    found
}

/// Everything from the portal to the database.
pub(super) struct Cluster {
    pub(super) services: Vec<Service>,
    /// The port of each instance, the same after each start.
    pub(super) ports: Vec<u16>,
    /// The way of each instance to the pooler.
    pub(super) ways: Vec<Proxy>,
    pub(super) balancer: Balancer,
    /// Dropped after those that use it.
    _pooler: Pooler,
    settings: Vec<(&'static str, String)>,
    pub(super) stage: Stage,
}

impl Cluster {
    /// Starts instances one after another, so that the first one leads, on a stage that is migrated.
    pub(super) async fn start(stage: Stage, settings: &[(&'static str, &str)]) -> Option<Cluster> {
        let (nginx, pgbouncer) = programs()?;
        let pooler = Pooler::start(&pgbouncer, &stage.database.url());
        let ports: Vec<u16> = (0..INSTANCES).map(|_| fixed_port()).collect();
        let mut ways = Vec::new();
        for _ in 0..INSTANCES {
            ways.push(Proxy::before(pooler.port).await);
        }
        let balancer = Balancer::start(&nginx, &ports);
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut cluster = Cluster { services: Vec::new(), ports, ways, balancer, _pooler: pooler, settings, stage };
        for number in 0..INSTANCES {
            let service = cluster.launch(number);
            cluster.services.push(service);
            cluster.until_ready(number);
        }
        Some(cluster)
    }

    /// An instance at its place.
    fn launch(&self, number: usize) -> Service {
        let url = with_port(&self.stage.database.url(), self.ways[number].port());
        let port = self.ports[number].to_string();
        let arguments = ["serve", "--host", "127.0.0.1", "--port", &port, "--no-migrate"];
        let mut command = between(&self.stage.portal, &url, &arguments);
        command
            .env("BITRIX_APPLICATION_TOKENS", TOKEN)
            .env("METRICS_TOKEN", METRICS_TOKEN)
            .env("API_TRUSTED_PROXIES", "127.0.0.1")
            .envs(self.settings.iter().map(|(name, value)| (*name, value)));
        Service::launch(command)
    }

    /// Starts an instance that has ended at its place again.
    pub(super) fn start_again(&mut self, number: usize) {
        self.services[number] = self.launch(number);
    }

    pub(super) fn is_ready(&self, number: usize) -> bool {
        TcpStream::connect(&self.services[number].address).is_ok()
            && self.services[number].ask("GET", "/health/ready", None, None).0 == 200
    }

    pub(super) fn until_ready(&self, number: usize) {
        until("readiness", || self.is_ready(number));
    }

    /// The portal's events go to nginx from now on.
    pub(super) fn subscribe(&self) {
        subscribe(self.portal(), &self.balancer.address);
        // As a portal with much to say: the answer to one event is not waited for before the next ones are sent.
        self.portal().set_delivery_plan(DeliveryPlan { parallel: 16, ..DeliveryPlan::default() });
    }

    pub(super) fn portal(&self) -> &Portal {
        self.stage.portal()
    }

    pub(super) async fn client(&self) -> Client {
        self.stage.client().await
    }

    /// A figure of an instance, summed over its labels; 0 where it says nothing.
    pub(super) fn metric(&self, number: usize, name: &str) -> f64 {
        let (status, text) = self.services[number].ask_text("GET", "/metrics", Some(METRICS_TOKEN), None);
        assert_eq!(status, 200, "{text}");
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Instances that believe that they schedule.
    pub(super) fn leaders(&self) -> Vec<usize> {
        (0..INSTANCES).filter(|number| self.metric(*number, "b24sync_scheduler_leader") > 0.0).collect()
    }

    /// The instance that has this lease, if it is one of these and the lease has not run out.
    pub(super) async fn holder(&self, client: &Client, scope: &str) -> Option<usize> {
        let sql =
            "select split_part(holder, '/', 2) from b24sync.leases where scope = $1 and expires_at > clock_timestamp()";
        let row = client.query_opt(sql, &[&scope]).await.unwrap()?;
        let process: String = row.get(0);
        self.services.iter().position(|service| service.id().to_string() == process)
    }

    /// Stops an instance as a deployment does, and starts it again at its place once it has ended.
    pub(super) fn restart(&mut self, number: usize) {
        self.services[number].terminate();
        assert_eq!(self.services[number].exit_code(), Some(0));
        self.start_again(number);
        self.until_ready(number);
    }
}
