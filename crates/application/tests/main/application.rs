//! The service as an application, over a portal in memory.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_application::service::application::{
    ApplicationOptions, ApplicationPorts, ApplicationService, ByHand, HandlerUrl, events,
};
use b24sync_application::service::intake::Signals;
use b24sync_domain::application::{ApplicationError, BoundHandler, Installation, Mode, OfflineBatch, TokenError};
use b24sync_domain::error::{ErrorKind, SourceError, StoreError};
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::lease::Scope;
use b24sync_domain::ports::{
    ApplicationControl, EventInbox, EventSubscriptions, HintFilter, LeaseStore, MockEventInbox, OfflineQueue,
    PortalGrant, RegistrationStore, RunBoard, WebhookRegistration,
};
use b24sync_domain::run::RunKind;
use b24sync_domain::secret::Secret;
use b24sync_testkit::build::{deal, id};
use b24sync_testkit::observe::NamedInstance;
use b24sync_testkit::store::FakeStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const BASE: &str = "https://sync.example.com";
const HANDLER: &str = "https://sync.example.com/api/v1/webhooks/bitrix";

/// What the portal knows of the application.
#[derive(Default)]
struct Knowledge {
    installed: bool,
    handlers: BTreeSet<BoundHandler>,
    /// Events that it refuses to bind, online or not.
    refused: BTreeSet<String>,
    no_queue: bool,
    /// Rows that nobody reserved, and reservations.
    free: VecDeque<Hint>,
    reserved: Vec<(String, Vec<Hint>)>,
    blind: Vec<(b24sync_domain::entity::EntityType, bool)>,
    /// How often clearing fails before it works.
    failing_clears: u32,
    takes: u32,
}

#[derive(Clone, Default)]
struct Portal(Arc<Mutex<Knowledge>>);

impl Portal {
    fn installed() -> Portal {
        let portal = Portal::default();
        portal.know().installed = true;
        portal
    }

    fn know(&self) -> MutexGuard<'_, Knowledge> {
        self.0.lock().unwrap()
    }

    /// What the portal knows, if it lets the application in.
    fn ask(&self) -> Result<MutexGuard<'_, Knowledge>, SourceError> {
        let known = self.know();
        if known.installed { Ok(known) } else { Err(SourceError::Token(TokenError::NotInstalled)) }
    }

    fn count(&self) -> (usize, usize) {
        let known = self.know();
        let offline = known.handlers.iter().filter(|bound| bound.handler.is_none()).count();
        (known.handlers.len() - offline, offline)
    }

    fn queue(&self, numbers: impl IntoIterator<Item = i64>) {
        let hint = |number| Hint { entity: deal(), target: Target::Record(id(number)), deleted: false, sent_at: None };
        self.know().free.extend(numbers.into_iter().map(hint));
    }

    fn rows(&self) -> (usize, usize) {
        let known = self.know();
        (known.free.len(), known.reserved.iter().map(|(_, rows)| rows.len()).sum())
    }
}

#[async_trait]
impl EventSubscriptions for Portal {
    async fn list(&self) -> Result<Vec<BoundHandler>, SourceError> {
        Ok(self.ask()?.handlers.iter().cloned().collect())
    }

    async fn bind(&self, handlers: &[BoundHandler]) -> Result<Vec<Option<String>>, SourceError> {
        let mut known = self.ask()?;
        let bind = |handler: &BoundHandler| {
            let way = if handler.handler.is_some() { "online" } else { "offline" };
            if known.refused.contains(&handler.event) || known.refused.contains(way) {
                return Some(format!("no {way} events"));
            }
            known.handlers.insert(handler.clone());
            None
        };
        Ok(handlers.iter().map(bind).collect())
    }

    async fn unbind(&self, handlers: &[BoundHandler]) -> Result<(), SourceError> {
        let mut known = self.ask()?;
        known.handlers.retain(|bound| !handlers.contains(bound));
        Ok(())
    }
}

#[async_trait]
impl OfflineQueue for Portal {
    async fn is_available(&self) -> Result<bool, SourceError> {
        Ok(!self.ask()?.no_queue)
    }

    async fn take(&self, limit: u16) -> Result<Option<OfflineBatch>, SourceError> {
        let mut known = self.ask()?;
        known.takes += 1;
        let rows = known.free.len().min(limit.into());
        let hints: Vec<Hint> = known.free.drain(..rows).collect();
        let blind = std::mem::take(&mut known.blind);
        if hints.is_empty() && blind.is_empty() {
            return Ok(None);
        }
        let process_id = format!("process {}", known.takes);
        known.reserved.push((process_id.clone(), hints.clone()));
        Ok(Some(OfflineBatch { process_id: Some(process_id), hints, blind, unknown: 0 }))
    }

    async fn interrupted(&self) -> Result<Vec<String>, SourceError> {
        Ok(self.ask()?.reserved.iter().map(|(process, _)| process.clone()).collect())
    }

    async fn again(&self, process_id: &str) -> Result<Option<OfflineBatch>, SourceError> {
        let known = self.ask()?;
        let rows = known.reserved.iter().find(|(process, _)| process == process_id);
        Ok(rows.map(|(process, hints)| OfflineBatch {
            process_id: Some(process.clone()),
            hints: hints.clone(),
            blind: Vec::new(),
            unknown: 0,
        }))
    }

    async fn clear(&self, process_id: &str) -> Result<(), SourceError> {
        let mut known = self.ask()?;
        if known.failing_clears > 0 {
            known.failing_clears -= 1;
            let method = "event.offline.clear".to_owned();
            return Err(SourceError::Unavailable { method, source: "it was told to".into() });
        }
        known.reserved.retain(|(process, _)| process != process_id);
        Ok(())
    }
}

#[async_trait]
impl PortalGrant for Portal {
    async fn install(&self, installation: &Installation) -> Result<(), TokenError> {
        if installation.access_token.expose() == "forged" {
            return Err(TokenError::NotProven { problem: "the portal does not take its token" });
        }
        self.know().installed = true;
        Ok(())
    }

    async fn redeem(&self, _: &Secret, _: Option<String>) -> Result<(), TokenError> {
        self.know().installed = true;
        Ok(())
    }

    async fn revoke(&self) -> Result<(), TokenError> {
        self.know().installed = false;
        Ok(())
    }

    async fn application_token(&self) -> Result<Option<Secret>, TokenError> {
        Ok(self.know().installed.then(|| Secret::new("t0k3n")))
    }

    fn authorize_url(&self, state: &str) -> Option<String> {
        Some(format!("https://portal.example/oauth/authorize/?state={state}"))
    }
}

struct Stand {
    portal: Portal,
    store: Arc<FakeStore>,
    signals: Arc<Signals>,
    stop: CancellationToken,
}

impl Stand {
    fn on(portal: Portal) -> Stand {
        Stand { portal, store: Arc::default(), signals: Arc::default(), stop: CancellationToken::new() }
    }

    fn service(&self, name: &str) -> ApplicationService {
        self.service_with(name, ApplicationOptions::default())
    }

    fn service_with(&self, name: &str, options: ApplicationOptions) -> ApplicationService {
        ApplicationService::new(self.ports(name), options, Arc::clone(&self.signals))
    }

    fn ports(&self, name: &str) -> ApplicationPorts {
        let (portal, store) = (|| Arc::new(self.portal.clone()), || Arc::<FakeStore>::clone(&self.store));
        ApplicationPorts {
            grant: portal(),
            subscriptions: portal(),
            queue: portal(),
            registrations: store(),
            inbox: store(),
            runs: store(),
            leases: store(),
            instances: Arc::new(NamedInstance::new(name)),
        }
    }

    /// A service that is tended in the background.
    fn tended(&self, name: &str) -> ApplicationService {
        let (service, stop) = (self.service(name), self.stop.clone());
        let tending = service.clone();
        TaskTracker::new().spawn(async move { tending.tend(&stop).await });
        service
    }

    async fn hints(&self) -> Vec<Target> {
        let (entries, _) = self.store.list(&HintFilter::default(), 0, 1_000).await.unwrap();
        let mut targets: Vec<Target> = entries.into_iter().map(|entry| entry.target).collect();
        targets.sort_unstable();
        targets
    }
}

fn records(numbers: impl IntoIterator<Item = i64>) -> Vec<Target> {
    numbers.into_iter().map(|number| Target::Record(id(number))).collect()
}

fn installation(access_token: &str) -> Installation {
    Installation {
        access_token: Secret::new(access_token),
        refresh_token: Secret::new("r"),
        expires_in: 3_600,
        application_token: Secret::new("t0k3n"),
        member_id: "m".to_owned(),
        server_endpoint: None,
    }
}

/// Waits, in virtual time, for at most `seconds`.
async fn within(seconds: u64, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..seconds {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(is_so().await, "not within {seconds} s: {what}");
}

const ONLINE: usize = 33;
const OFFLINE: usize = 29;

#[tokio::test]
async fn registering_binds_every_event_and_remembers_where() {
    let stand = Stand::on(Portal::installed());
    let service = stand.service("one");
    for _ in 0..2 {
        let registration = service.register(Some(format!("{BASE}/"))).await.unwrap();
        assert_eq!(registration.handler_url, HANDLER);
        assert_eq!((registration.registered.len(), registration.failed.len()), (ONLINE, 0));
        assert_eq!(stand.portal.count(), (ONLINE, OFFLINE));
    }
    assert_eq!(stand.store.handler().await.unwrap().as_deref(), Some(HANDLER));
    assert_eq!(service.registered().await.unwrap().len(), ONLINE + OFFLINE);
    assert!(!stand.signals.take_gap(), "nothing was missed");
}

#[tokio::test]
async fn what_cannot_be_bound_is_told_event_by_event() {
    let stand = Stand::on(Portal::installed());
    stand.portal.know().refused.extend(["ONCRMDEALADD".to_owned(), "offline".to_owned()]);
    let registration = stand.service("one").register(Some(BASE.to_owned())).await.unwrap();
    assert_eq!(registration.registered.len(), ONLINE - 1);
    let failed: Vec<(&str, &str)> =
        registration.failed.iter().map(|(event, reason)| (event.as_str(), reason.as_str())).collect();
    assert_eq!(failed, [("ONCRMDEALADD", "no online events"), ("offline queue", "no offline events")]);
}

#[tokio::test]
async fn a_portal_without_a_queue_sends_events_all_the_same() {
    let stand = Stand::on(Portal::installed());
    stand.portal.know().no_queue = true;
    let registration = stand.service("one").register(Some(BASE.to_owned())).await.unwrap();
    assert_eq!(stand.portal.count(), (ONLINE - 1, 0), "nobody needs to be woken for a queue that is not there");
    let [(event, reason)] = registration.failed.as_slice() else { panic!("{registration:?}") };
    assert!(event == "offline queue" && reason.contains("rest_offline_extended"), "{reason}");
}

#[tokio::test]
async fn another_address_replaces_the_one_before() {
    let stand = Stand::on(Portal::installed());
    let service = stand.service("one");
    service.register(Some(BASE.to_owned())).await.unwrap();
    service.register(Some("https://other.example".to_owned())).await.unwrap();
    assert_eq!(stand.portal.count(), (ONLINE, OFFLINE));
    // Of an address that is not the current one only its own handlers go.
    assert_eq!(service.unregister(Some(BASE.to_owned())).await.unwrap(), Vec::<String>::new());
    assert_eq!(stand.portal.count(), (ONLINE, OFFLINE));
    let unbound = service.unregister(Some("https://other.example".to_owned())).await.unwrap();
    assert_eq!((unbound.len(), stand.portal.count()), (ONLINE, (0, 0)));
    assert_eq!(stand.store.handler().await.unwrap(), None);
}

#[tokio::test]
async fn an_address_that_cannot_work_changes_nothing() {
    let stand = Stand::on(Portal::installed());
    let service = stand.service("one");
    for base in ["http://sync.example.com", "https://localhost:8080", "nonsense"] {
        let error = service.register(Some(base.to_owned())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(service.unregister(Some(base.to_owned())).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let unnamed = service.register(None).await.unwrap_err();
    assert_eq!(
        (unnamed.kind(), unnamed.to_string().as_str()),
        (ErrorKind::Invalid, "the handler's address is not known")
    );
    assert_eq!((stand.store.handler().await.unwrap(), stand.portal.count()), (None, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn handlers_that_vanish_are_bound_again_within_the_hour() {
    let stand = Stand::on(Portal::installed());
    let service = stand.tended("one");
    service.register(Some(BASE.to_owned())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    stand.portal.know().handlers.clear();
    within(3_610, "they are back", async || stand.portal.count() == (ONLINE, OFFLINE)).await;
    assert!(stand.signals.take_gap(), "events may have been missed");
    // What was unregistered stays so.
    service.unregister(Some(BASE.to_owned())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8_000)).await;
    assert_eq!(stand.portal.count(), (0, 0));
}

/// The portal tells its handlers of the new version first, and removes them then.
#[tokio::test(start_paused = true)]
async fn after_an_update_handlers_are_looked_after_more_than_once() {
    let stand = Stand::on(Portal::installed());
    // Somebody else leads: whoever hears of it does it.
    stand.store.acquire(Scope::Application, "another", Duration::from_secs(30)).await.unwrap();
    let service = stand.tended("one");
    service.register(Some(BASE.to_owned())).await.unwrap();
    stand.portal.know().handlers.clear();
    service.updated().await.unwrap();
    within(1, "they are back", async || stand.portal.count() == (ONLINE, OFFLINE)).await;
    stand.portal.know().handlers.clear();
    within(65, "they are back once more", async || stand.portal.count() == (ONLINE, OFFLINE)).await;
}

#[tokio::test(start_paused = true)]
async fn an_installation_starts_everything_and_a_removal_ends_it() {
    let stand = Stand::on(Portal::default());
    let handler = HandlerUrl::below(BASE, false).unwrap();
    let options = ApplicationOptions { handler: Some(handler), ..ApplicationOptions::default() };
    let service = stand.service_with("one", options);
    let (tending, stop) = (service.clone(), stand.stop.clone());
    let tended = TaskTracker::new().spawn(async move { tending.tend(&stop).await });
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(stand.portal.know().takes, 0, "without tokens the portal is left alone");
    assert!(service.application_token().await.unwrap().is_none());
    let error = service.installed(installation("forged")).await.unwrap_err();
    assert!(matches!(error, ApplicationError::NotOurs { .. }), "{error:?}");
    assert_eq!(stand.store.handler().await.unwrap(), None);
    let error = service.register(Some(BASE.to_owned())).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Conflict, "the application has no right to call the portal")
    );
    stand.portal.queue([1]);
    service.installed(installation("good")).await.unwrap();
    within(3, "handlers are bound", async || stand.portal.count() == (ONLINE, OFFLINE)).await;
    within(3, "the queue is empty", async || stand.portal.rows() == (0, 0)).await;
    assert_eq!(service.application_token().await.unwrap().unwrap().expose(), "t0k3n");
    service.uninstalled(true).await.unwrap();
    stand.portal.queue([2]);
    let takes = stand.portal.know().takes;
    tokio::time::sleep(Duration::from_secs(8_000)).await;
    assert_eq!(stand.portal.know().takes, takes);
    // Somebody authorises it again.
    service.exchange_code(Secret::new("c0de"), None).await.unwrap();
    within(3, "the queue is empty", async || stand.portal.rows() == (0, 0)).await;
    assert_eq!(stand.hints().await, records([1, 2]));
    stand.stop.cancel();
    tokio::time::timeout(Duration::from_secs(1), tended).await.expect("it stops at once").unwrap();
    assert!(stand.store.holder(Scope::Application).await.unwrap().is_none(), "the lease was given back");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_emptied_by_who_leads_and_by_who_is_woken() {
    let stand = Stand::on(Portal::installed());
    let leader = stand.tended("one");
    within(2, "it leads", async || stand.store.holder(Scope::Application).await.unwrap().is_some()).await;
    let other = stand.tended("two");
    tokio::time::sleep(Duration::from_secs(5)).await;
    // More than one round takes at a time.
    stand.portal.queue(1..=1_234);
    other.offline_events();
    within(3, "the woken one fetches", async || stand.portal.rows() == (0, 0)).await;
    assert_eq!(stand.store.depth().await.unwrap().iter().map(|depth| depth.pending).sum::<u64>(), 1_234);
    // The wake-up is an event like others: it may never come.
    stand.portal.queue([5_000]);
    within(61, "the leader looks by itself", async || stand.portal.rows() == (0, 0)).await;
    drop(leader);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_storing_and_clearing_loses_nothing() {
    let stand = Stand::on(Portal::installed());
    stand.portal.queue([7, 8]);
    stand.portal.know().failing_clears = u32::MAX;
    let dying = stand.service("one");
    let stop = CancellationToken::new();
    let (tending, stopping) = (dying.clone(), stop.clone());
    let task = TaskTracker::new().spawn(async move { tending.tend(&stopping).await });
    within(5, "it was stored", async || stand.hints().await == records([7, 8])).await;
    task.abort();
    let _ = task.await;
    assert_eq!(stand.portal.rows(), (0, 2), "and is still reserved");
    stand.store.expire_leases();
    stand.portal.know().failing_clears = 0;
    let _survivor = stand.tended("two");
    within(65, "the reservation is cleared", async || stand.portal.rows() == (0, 0)).await;
    assert_eq!(stand.hints().await, records([7, 8]));
}

/// A process died after it had reserved rows and before it stored what they say.
#[tokio::test(start_paused = true)]
async fn a_crash_before_storing_loses_nothing_either() {
    let stand = Stand::on(Portal::installed());
    stand.portal.queue([7]);
    assert!(stand.portal.take(50).await.unwrap().is_some());
    let _survivor = stand.tended("two");
    within(65, "the reservation is cleared", async || stand.portal.rows() == (0, 0)).await;
    assert_eq!(stand.hints().await, records([7]));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_is_not_cleared() {
    let stand = Stand::on(Portal::installed());
    stand.portal.queue([7]);
    let mut inbox = MockEventInbox::new();
    let refusal = || StoreError::Unavailable { doing: "testing", source: "it was told to".into() };
    inbox.expect_accept().times(1..).returning(move |_| Err(refusal()));
    let service = ApplicationService::new(
        ApplicationPorts { inbox: Arc::new(inbox), ..stand.ports("one") },
        ApplicationOptions::default(),
        Arc::clone(&stand.signals),
    );
    let (tending, stop) = (service.clone(), stand.stop.clone());
    TaskTracker::new().spawn(async move { tending.tend(&stop).await });
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(stand.portal.rows(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn changes_without_a_name_make_syncs_follow() {
    let stand = Stand::on(Portal::installed());
    stand.portal.know().blind = vec![(deal(), false), (deal(), true)];
    let _service = stand.tended("one");
    within(3, "it is cleared", async || stand.portal.know().takes > 0 && stand.portal.know().reserved.is_empty()).await;
    let mut waiting: Vec<RunKind> = stand.store.waiting().await.unwrap().into_iter().map(|(_, kind)| kind).collect();
    waiting.sort_by_key(ToString::to_string);
    assert_eq!(waiting, [RunKind::Incremental, RunKind::Sweep]);
}

#[tokio::test]
async fn with_an_incoming_webhook_a_person_is_told_what_to_do() {
    let by_hand = ByHand::new(false, None);
    let told = |error: ApplicationError| {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        error.advice().to_owned()
    };
    let register = told(by_hand.register(Some(BASE.to_owned())).await.unwrap_err());
    assert!(register.contains(HANDLER) && register.contains("Outgoing webhook"), "{register}");
    assert!(events(Mode::Webhook).iter().all(|event| register.contains(event)));
    assert!(told(by_hand.unregister(Some(BASE.to_owned())).await.unwrap_err()).contains(HANDLER));
    assert!(told(by_hand.register(None).await.unwrap_err()).contains("https://ADDRESS-OF-THIS-SERVICE/api/v1"));
    assert!(told(by_hand.registered().await.unwrap_err()).contains("https://ADDRESS-OF-THIS-SERVICE/api/v1"));
    assert!(told(by_hand.installed(installation("good")).await.unwrap_err()).contains("Outgoing webhook"));
    assert_eq!(by_hand.register(Some("http://x".to_owned())).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(by_hand.application_token().await.unwrap().is_none() && by_hand.authorize_url("s").is_none());
    let named = ByHand::new(false, HandlerUrl::below("https://named.example", false).ok());
    assert!(told(named.unregister(None).await.unwrap_err()).contains("https://named.example/api/v1/webhooks/bitrix"));
    assert!(told(named.registered().await.unwrap_err()).contains("https://named.example/api/v1/webhooks/bitrix"));
}

#[tokio::test]
async fn handlers_that_are_missing_are_named_and_nothing_is_bound() {
    let stand = Stand::on(Portal::installed());
    let service = stand.service("me");
    assert_eq!(service.missing().await.unwrap(), None, "nobody registered");
    service.register(Some(BASE.to_owned())).await.unwrap();
    assert_eq!(service.missing().await.unwrap(), Some(BTreeSet::new()));
    let gone = BoundHandler { event: "ONCRMDEALADD".to_owned(), handler: Some(HANDLER.to_owned()) };
    assert!(stand.portal.know().handlers.remove(&gone));
    assert_eq!(service.missing().await.unwrap(), Some(BTreeSet::from(["ONCRMDEALADD".to_owned()])));
    assert!(!stand.portal.know().handlers.contains(&gone));
}
