//! What an instance does besides answering requests, each in a task that ends with the service.

use std::sync::Arc;
use std::time::Duration;

use b24sync_application::Ports;
use b24sync_application::hints::Drainer;
use b24sync_application::service::application::{ApplicationService, ByHand, HandlerUrl};
use b24sync_application::service::drain::drain;
use b24sync_application::service::gaps;
use b24sync_application::service::intake::{Signals, intake};
use b24sync_application::service::scheduler::schedule;
use b24sync_application::service::worker::Worker;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{ApplicationControl, EventIntake, WebhookRegistration};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::wiring::Database;

/// Schedules and does syncs, and applies events, until `stop` is cancelled.
pub fn start_work(
    database: &Database,
    ports: Ports,
    timestamps: TimestampStyle,
    reconcile: Duration,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let worker = Worker::new(database.service_ports(), ports.clone(), timestamps);
    let (work, lead, apply) = (stop.clone(), stop.clone(), stop.clone());
    tasks.spawn(async move { worker.work(&work).await });
    let service_ports = database.service_ports();
    tasks.spawn(async move { schedule(&service_ports, reconcile, &lead).await });
    let inbox = database.inbox();
    let drainer = Arc::new(Drainer::new(ports, Arc::clone(&inbox), timestamps));
    tasks.spawn(async move { drain(inbox.as_ref(), &drainer, &apply).await });
}

/// Takes events in until `served` is cancelled: the server must have ended by then. Where the portal is let in at all,
/// makes up for events that nobody took in.
pub fn start_intake(
    database: &Database,
    signals: Arc<Signals>,
    receives: bool,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    served: &CancellationToken,
) -> Arc<dyn EventIntake> {
    let (service, committer) = intake(database.inbox(), Arc::clone(&signals));
    let served = served.clone();
    tasks.spawn(async move { committer.commit(&served).await });
    if receives {
        let (ports, inbox, stop) = (database.service_ports(), database.inbox(), stop.clone());
        tasks.spawn(async move { gaps::watch(&ports, inbox.as_ref(), &signals, &stop).await });
    }
    Arc::new(service)
}

/// What the portal and people tell the service about its handlers.
pub struct Subscriptions {
    /// The service as an application of the portal.
    pub application: Arc<dyn ApplicationControl>,
    /// The portal's handlers.
    pub registration: Arc<dyn WebhookRegistration>,
}

impl Subscriptions {
    /// With an incoming webhook, people subscribe to the events.
    pub fn by_hand(allow_loopback: bool, handler: Option<HandlerUrl>) -> Subscriptions {
        let by_hand = ByHand::new(allow_loopback, handler);
        Subscriptions { application: Arc::new(by_hand.clone()), registration: Arc::new(by_hand) }
    }

    /// An application looks after its handlers and its queue until `stop` is cancelled.
    pub fn of_application(service: ApplicationService, tasks: &TaskTracker, stop: &CancellationToken) -> Subscriptions {
        let (tended, stop) = (service.clone(), stop.clone());
        tasks.spawn(async move { tended.tend(&stop).await });
        Subscriptions { application: Arc::new(service.clone()), registration: Arc::new(service) }
    }
}
