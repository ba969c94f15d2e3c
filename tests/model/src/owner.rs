//! Owners: machines that sync the same entity again and again, whose processes are stopped, stand still and die.

use std::sync::{Arc, Mutex};

use b24sync_application::Ports;
use b24sync_application::backfill::backfill;
use b24sync_application::by_id::sync_by_ids;
use b24sync_application::hints::Drainer;
use b24sync_application::incremental::incremental;
use b24sync_application::sweep::sweep;
use b24sync_domain::error::{Chain, SyncError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{Instances, RunEvent, RunObserver};
use b24sync_domain::run::RunSummary;
use b24sync_testkit::build::{deal, id};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::chance::millis_of;
use crate::source::ModelSource;
use crate::store::ModelStore;
use crate::world::{World, lock};

/// A process: its name, and whether it stands still.
#[derive(Debug)]
pub struct Process {
    name: Mutex<String>,
    still_until: Mutex<Instant>,
}

impl Process {
    /// Its name at present; a restart changes it.
    pub fn name(&self) -> String {
        lock(&self.name).clone()
    }

    /// Waits while the process stands still: nothing that it does reaches anybody.
    pub async fn gate(&self) {
        let until = *lock(&self.still_until);
        if until > Instant::now() {
            sleep_until(until).await;
        }
    }

    fn stand_still(&self, world: &World) {
        let millis = world.chance.between(35_000..=90_000);
        world.audit(|audit| {
            audit.count("paused");
            audit.note(&self.name(), || format!("stands still for {millis} ms"));
        });
        *lock(&self.still_until) = Instant::now() + millis_of(millis);
    }
}

/// What a sync does.
#[derive(Debug, Clone)]
pub enum Task {
    /// Since the watermark.
    Incremental,
    /// Everything.
    Full,
    /// Ids alone.
    Sweep,
    /// These records.
    ByIds(Vec<i64>),
    /// What events named.
    Drain,
}

/// One machine.
pub struct Owner {
    world: Arc<World>,
    machine: &'static str,
    process: Arc<Process>,
    ports: Ports,
    drainer: Drainer,
    restarts: u32,
}

struct Identity {
    world: Arc<World>,
    process: Arc<Process>,
    machine: &'static str,
}

impl Instances for Identity {
    fn me(&self) -> String {
        self.process.name()
    }

    fn is_gone(&self, holder: &str) -> bool {
        // Nobody knows of processes on other machines.
        holder.starts_with(self.machine) && lock(&self.world.gone).contains(holder)
    }
}

impl RunObserver for Identity {
    fn on(&self, _event: &RunEvent) {}
}

impl Owner {
    /// A machine with this name, running its first process.
    pub fn new(world: &Arc<World>, machine: &'static str) -> Owner {
        let name = Mutex::new(format!("{machine}0"));
        let process = Arc::new(Process { name, still_until: Mutex::new(Instant::now()) });
        let source = ModelSource { world: Arc::clone(world), process: Arc::clone(&process) };
        let store = Arc::new(ModelStore { world: Arc::clone(world), process: Arc::clone(&process) });
        let identity = Arc::new(Identity { world: Arc::clone(world), process: Arc::clone(&process), machine });
        let ports = Ports {
            source: Arc::new(source),
            order: Arc::<ModelStore>::clone(&store),
            records: Arc::<ModelStore>::clone(&store),
            deletions: Arc::<ModelStore>::clone(&store),
            drift: Arc::<ModelStore>::clone(&store),
            portals: Arc::<ModelStore>::clone(&store),
            runs: Arc::<ModelStore>::clone(&store),
            board: Arc::<ModelStore>::clone(&store),
            leases: Arc::<ModelStore>::clone(&store),
            instances: Arc::<Identity>::clone(&identity),
            observer: identity,
        };
        let drainer = Drainer::new(ports.clone(), store, TimestampStyle::Timestamp);
        Owner { world: Arc::clone(world), machine, process, ports, drainer, restarts: 0 }
    }

    /// Its ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Syncs now and then until the end of the random phase.
    pub async fn live(mut self, end: Instant) {
        while Instant::now() < end && self.world.audit(|audit| audit.violation().is_none()) {
            if self.world.hints && self.world.chance.one_in(2) {
                self.world.chance.wait(500..=5_000).await;
                self.under_weather(&Task::Drain).await;
                continue;
            }
            let pause = if self.world.chance.one_in(6) { 200_000..=500_000 } else { 1_000..=60_000 };
            self.world.chance.wait(pause).await;
            let task = self.choose();
            self.under_weather(&task).await;
        }
    }

    fn choose(&self) -> Task {
        match self.world.chance.between(0..=10) {
            0..=5 => Task::Incremental,
            6..=7 => Task::Full,
            8 => Task::Sweep,
            _ => {
                let highest = self.world.portal(|portal| portal.last_id()).max(1);
                let count = self.world.chance.between(1..=4);
                // Ids that the portal has yet to give out are among them.
                Task::ByIds((0..count).map(|_| self.world.chance.between(1..=highest + 3)).collect())
            }
        }
    }

    /// A sync that may meet its stop, stand still or lose its process.
    async fn under_weather(&mut self, task: &Task) {
        let weather = self.world.weather();
        let chance = self.world.chance.clone();
        let moment = |odds: u32| {
            let at = chance.between(0..=15_000);
            chance.one_in(odds).then(|| millis_of(at))
        };
        let (crash, pause, stop) = (moment(weather.crashes), moment(weather.pauses), moment(weather.stops));
        let cancel = CancellationToken::new();
        let after = async |delay| match delay {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        };
        let trouble = async {
            tokio::join!(
                async {
                    after(pause).await;
                    self.process.stand_still(&self.world);
                },
                async {
                    after(stop).await;
                    cancel.cancel();
                }
            );
        };
        let crashed = tokio::select! {
            biased;
            () = after(crash) => true,
            _ = self.sync(task, &cancel) => false,
            () = async { trouble.await; std::future::pending().await } => false,
        };
        if crashed {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let old = self.process.name();
        self.restarts += 1;
        *lock(&self.process.name) = format!("{}{}", self.machine, self.restarts);
        *lock(&self.process.still_until) = Instant::now();
        let known = self.world.chance.one_in(2);
        if known {
            lock(&self.world.gone).insert(old.clone());
        }
        self.world.audit(|audit| {
            audit.count("crashed");
            audit.note(&old, || format!("dies; others know: {known}"));
        });
    }

    /// One sync, to its end; `None` for a drain, which is as many runs as it takes.
    ///
    /// # Errors
    /// Those of the sync.
    pub async fn sync(&self, task: &Task, stop: &CancellationToken) -> Result<Option<RunSummary>, SyncError> {
        let style = TimestampStyle::Timestamp;
        let name = self.process.name();
        self.world.audit(|audit| audit.note(&name, || format!("begins {task:?}")));
        let result = match task {
            Task::Incremental => incremental(&self.ports, deal(), style, stop).await.map(Some),
            Task::Sweep => sweep(&self.ports, deal(), style, stop).await.map(Some),
            Task::Full => backfill(&self.ports, deal(), style, None, stop).await.map(Some),
            Task::ByIds(ids) => {
                let ids: Vec<_> = ids.iter().copied().map(id).collect();
                sync_by_ids(&self.ports, deal(), &ids, style, stop).await.map(Some)
            }
            Task::Drain => self.drainer.drain(deal(), stop).await.map(|_| None),
        };
        self.world.audit(|audit| match &result {
            Ok(None) => audit.note(&name, || "has drained".to_owned()),
            Ok(Some(summary)) => {
                audit.note(&name, || format!("is told: {summary:?}"));
                audit.told(&name, summary.run.0, summary.status);
            }
            Err(error) => {
                audit.count("failed");
                audit.note(&name, || format!("fails: {}", Chain(error)));
            }
        });
        result
    }
}
