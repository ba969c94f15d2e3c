//! The self-test over a database and a portal that answer as they are told, or not at all.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_application::doctor::{
    DatabasePremises, PortalPremises, Premises, ProjectPremises, Replica, ReplicaOpener, ServicePremises, Unusable,
    examine,
};
use b24sync_domain::application::Mode;
use b24sync_domain::doctor::facts::{
    Arrival, BrokenIndex, ConnectionFacts, MigrationFacts, ObjectKind, OpenObject, Pooling, RightsFacts, ServerFacts,
};
use b24sync_domain::doctor::{Finding, Report, Verdict, catalogue};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::ports::{
    Clock, DatabaseExaminer, EventInbox, KeySetExaminer, LeaseStore, MockArrivalStore, MockKeySetExaminer, PortalStore,
    RunLog, StatusStore,
};
use b24sync_domain::run::RunKind;
use b24sync_testkit::build::{deal, deal_fields, id, portal_time};
use b24sync_testkit::observe::NamedInstance;
use b24sync_testkit::source::FakeSource;
use b24sync_testkit::store::FakeStore;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Now, for everybody who is not told otherwise.
fn now() -> DateTime<Utc> {
    portal_time(0).with_timezone(&Utc)
}

struct Now;

impl Clock for Now {
    fn now(&self) -> DateTime<Utc> {
        now()
    }
}

/// What a database says, and what was done to it.
struct Database {
    silent: bool,
    server: ServerFacts,
    pooling: Pooling,
    connections: ConnectionFacts,
    rights: RightsFacts,
    migrations: MigrationFacts,
    open: Vec<OpenObject>,
    broken: Vec<BrokenIndex>,
    /// Whether it refuses to be changed.
    stubborn: bool,
    done: Vec<&'static str>,
}

impl Default for Database {
    fn default() -> Database {
        Database {
            silent: false,
            server: ServerFacts {
                version: "17.2".to_owned(),
                version_number: 170_002,
                encoding: "UTF8".to_owned(),
                time_zone: "UTC".to_owned(),
                clock: now(),
                database: "crm".to_owned(),
                role: "b24sync".to_owned(),
                superuser: false,
                bypasses_row_security: false,
                read_only: false,
                fragile: false,
            },
            pooling: Pooling::Direct,
            connections: ConnectionFacts { free: 80, ours: 0 },
            rights: RightsFacts {
                creates_schemas: true,
                control_schema: Some(true),
                replica_schema: Some(true),
                ..RightsFacts::default()
            },
            migrations: MigrationFacts::default(),
            open: Vec::new(),
            broken: Vec::new(),
            stubborn: false,
            done: Vec::new(),
        }
    }
}

#[derive(Clone, Default)]
struct Examiner(Arc<Mutex<Database>>);

impl Examiner {
    fn with(change: impl FnOnce(&mut Database)) -> Examiner {
        let examiner = Examiner::default();
        change(&mut examiner.database());
        examiner
    }

    fn database(&self) -> MutexGuard<'_, Database> {
        self.0.lock().unwrap()
    }

    async fn answer<T>(&self, of: impl FnOnce(&Database) -> T) -> Result<T, StoreError> {
        let silent = self.database().silent;
        if silent {
            std::future::pending::<()>().await;
        }
        Ok(of(&self.database()))
    }

    fn change(&self, what: &'static str, change: impl FnOnce(&mut Database)) -> Result<(), StoreError> {
        let mut database = self.database();
        if database.stubborn {
            return Err(StoreError::Forbidden { doing: "changing it", source: "must be owner".into() });
        }
        database.done.push(what);
        change(&mut database);
        Ok(())
    }
}

#[async_trait]
impl DatabaseExaminer for Examiner {
    async fn server(&self) -> Result<ServerFacts, StoreError> {
        self.answer(|database| database.server.clone()).await
    }

    async fn pooling(&self) -> Result<Pooling, StoreError> {
        self.answer(|database| database.pooling).await
    }

    async fn connections(&self) -> Result<ConnectionFacts, StoreError> {
        self.answer(|database| database.connections).await
    }

    async fn rights(&self) -> Result<RightsFacts, StoreError> {
        self.answer(|database| database.rights.clone()).await
    }

    async fn migrations(&self) -> Result<MigrationFacts, StoreError> {
        self.answer(|database| database.migrations.clone()).await
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        self.change("migrate", |database| database.migrations = MigrationFacts::default())
    }

    async fn open_objects(&self) -> Result<Vec<OpenObject>, StoreError> {
        self.answer(|database| database.open.clone()).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.change("close", |database| {
            database.open.retain(|object| !object.control);
            database.open.iter_mut().filter(|object| object.ours).for_each(|object| object.row_security = true);
            database.open.retain(|object| !object.grantees.is_empty() || !object.row_security);
        })
    }

    async fn broken_indexes(&self) -> Result<Vec<BrokenIndex>, StoreError> {
        self.answer(|database| database.broken.clone()).await
    }
}

/// Opens the same store each time.
struct Opener {
    store: Arc<FakeStore>,
    instance: Arc<NamedInstance>,
    arrivals: Vec<Arrival>,
}

#[async_trait]
impl ReplicaOpener for Opener {
    async fn open(&self) -> Result<Replica, StoreError> {
        let mut arrivals = MockArrivalStore::new();
        let found = self.arrivals.clone();
        arrivals.expect_arrivals().returning(move |_| Ok(found.clone()));
        let store = &self.store;
        Ok(Replica {
            status: Arc::<FakeStore>::clone(store),
            portals: Arc::<FakeStore>::clone(store),
            runs: Arc::<FakeStore>::clone(store),
            board: Arc::<FakeStore>::clone(store),
            leases: Arc::<FakeStore>::clone(store),
            instances: Arc::<NamedInstance>::clone(&self.instance),
            inbox: Arc::<FakeStore>::clone(store),
            arrivals: Arc::new(arrivals),
            application: None,
        })
    }
}

/// A portal, a database and a store in which nothing is wrong until a test says so.
struct Clinic {
    examiner: Examiner,
    portal: FakeSource,
    store: Arc<FakeStore>,
    instance: Arc<NamedInstance>,
    arrivals: Vec<Arrival>,
    tokens: usize,
}

impl Clinic {
    fn new() -> Clinic {
        Clinic::of(Examiner::default())
    }

    fn of(examiner: Examiner) -> Clinic {
        let portal = FakeSource::new(deal_fields());
        portal.put(3, 1, &[("TITLE", "\"one\"")]);
        let instance = Arc::new(NamedInstance::new("me"));
        Clinic { examiner, portal, store: Arc::default(), instance, arrivals: Vec::new(), tokens: 0 }
    }

    fn premises(&self) -> Premises {
        let opener = Opener {
            store: Arc::clone(&self.store),
            instance: Arc::clone(&self.instance),
            arrivals: self.arrivals.clone(),
        };
        Premises {
            problems: Vec::new(),
            database: Ok(DatabasePremises {
                examiner: Arc::new(self.examiner.clone()),
                opener: Arc::new(opener),
                private: false,
                connections: 15,
            }),
            portal: PortalPremises {
                mode: Some(Mode::Webhook),
                source: Some(Arc::new(self.portal.clone())),
                rate_per_second: 2.0,
                rate_burst: 50,
            },
            service: ServicePremises {
                project: None,
                host: "127.0.0.1".to_owned(),
                metrics_bind: None,
                metrics_token: false,
                application_tokens: self.tokens,
            },
            clock: Arc::new(Now),
        }
    }

    async fn look(&self) -> Report {
        examine(&self.premises(), false).await
    }

    async fn mend(&self) -> Report {
        examine(&self.premises(), true).await
    }
}

/// The worst finding of a check.
fn worst<'a>(report: &'a Report, name: &str) -> &'a Finding {
    let found = report.findings.iter().filter(|finding| finding.check.name() == name);
    let found = found.max_by_key(|finding| finding.verdict);
    assert!(found.is_some(), "no {name} in {report:#?}");
    found.unwrap()
}

fn has(report: &Report, name: &str) -> bool {
    report.findings.iter().any(|finding| finding.check.name() == name)
}

#[tokio::test]
async fn every_check_of_the_catalogue_is_made_and_each_trouble_has_a_cure() {
    let mut clinic = Clinic::new();
    clinic.arrivals =
        vec![Arrival { entity: deal(), last_event: Some(now()), counted_from: None, changed: 0, newest_change: None }];
    let mut premises = clinic.premises();
    premises.service.project = Some(project(1, false, None));
    let report = examine(&premises, false).await;
    let elsewhere = [catalogue::EVENTS_HANDLERS];
    for check in catalogue::ALL.iter().filter(|check| !elsewhere.contains(check)) {
        assert!(has(&report, check.name()), "{check}");
    }
    assert!(report.findings.iter().all(|finding| finding.cure.is_some() == (finding.verdict != Verdict::Ok)));
    assert_ne!(report.verdict(), Verdict::Fail, "{report:#?}");
}

#[tokio::test]
async fn what_a_database_lacks_is_judged() {
    type Change = fn(&mut Database);
    let cases: [(&str, Verdict, &str, Change); 17] = [
        ("database.version", Verdict::Fail, "12.9", |d| {
            d.server.version = "12.9".to_owned();
            d.server.version_number = 120_009;
        }),
        ("database.encoding", Verdict::Fail, "SQL_ASCII", |d| d.server.encoding = "SQL_ASCII".to_owned()),
        ("database.writable", Verdict::Fail, "standby", |d| d.server.read_only = true),
        ("database.durable", Verdict::Warn, "fsync", |d| d.server.fragile = true),
        ("database.clock", Verdict::Warn, "60 s behind", |d| d.server.clock = now() - TimeDelta::seconds(60)),
        ("database.clock", Verdict::Ok, "agrees", |d| d.server.clock = now() + TimeDelta::seconds(9)),
        ("database.role", Verdict::Warn, "superuser", |d| d.server.superuser = true),
        ("database.role", Verdict::Warn, "does not hold", |d| d.server.bypasses_row_security = true),
        ("database.pooler", Verdict::Ok, "fine", |d| d.pooling = Pooling::Transaction { keeps_statements: Some(true) }),
        ("database.pooler", Verdict::Fail, "prepared", |d| {
            d.pooling = Pooling::Transaction { keeps_statements: Some(false) };
        }),
        ("database.pooler", Verdict::Fail, "statements", |d| d.pooling = Pooling::Statement),
        ("database.connections", Verdict::Warn, "room for 14", |d| {
            d.connections = ConnectionFacts { free: 12, ours: 2 };
        }),
        ("database.connections", Verdict::Ok, "room for 15", |d| d.connections = ConnectionFacts { free: 0, ours: 15 }),
        ("database.rights", Verdict::Fail, "create schemas", |d| {
            d.rights = RightsFacts { creates_schemas: false, control_schema: None, ..d.rights.clone() };
        }),
        ("database.rights", Verdict::Fail, "does not own", |d| d.rights.foreign = vec!["public.crm_deals".to_owned()]),
        ("database.migrated", Verdict::Fail, "newer", |d| d.migrations.newer = Some("2031".to_owned())),
        ("database.indexes", Verdict::Fail, "deals_key of public.crm_deals", |d| {
            d.broken = vec![BrokenIndex { name: "deals_key".to_owned(), table: "public.crm_deals".to_owned() }];
        }),
    ];
    for (name, verdict, words, change) in cases {
        let report = Clinic::of(Examiner::with(change)).look().await;
        let finding = worst(&report, name);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(finding.seen.contains(words), "{finding:?}");
        assert!(has(&report, "portal.reachable") && has(&report, "events.endpoint"), "{name} stops nothing");
    }
}

#[tokio::test]
async fn a_schema_may_be_missing_to_one_who_may_create_it() {
    let report = Clinic::of(Examiner::with(|d| d.rights.control_schema = None)).look().await;
    assert_eq!(worst(&report, "database.rights").verdict, Verdict::Ok);
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_what_never_answers() {
    let clinic = Clinic::of(Examiner::with(|d| d.silent = true));
    clinic.portal.fall_silent();
    let began = Instant::now();
    let report = clinic.look().await;
    for name in ["database.reachable", "portal.reachable"] {
        let finding = worst(&report, name);
        assert!(finding.verdict == Verdict::Fail && finding.seen.starts_with("no answer within"), "{finding:?}");
    }
    assert!(has(&report, "api.bind") && has(&report, "events.endpoint"));
    assert!(began.elapsed() <= Duration::from_secs(40), "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_a_database_the_rest_is_looked_at() {
    let mut premises = Clinic::new().premises();
    premises.database = Err(Unusable { seen: "no such thing".to_owned(), cure: "make one".to_owned() });
    premises.problems = vec!["PORT: `x` is not a number".to_owned(), "HOST: `` is none".to_owned()];
    let report = examine(&premises, true).await;
    assert_eq!(worst(&report, "database.reachable").seen, "no such thing");
    assert_eq!(worst(&report, "portal.reachable").verdict, Verdict::Ok);
    assert_eq!(report.findings.iter().filter(|f| f.check == catalogue::SETTINGS_VALID).count(), 2);
    assert!(!has(&report, "replica.portal"));
}

#[tokio::test]
async fn tables_of_another_version_are_mended_only_on_request_and_never_a_newer_ones() {
    let pending = |d: &mut Database| d.migrations.pending = vec!["2030".to_owned()];
    let clinic = Clinic::of(Examiner::with(pending));
    let report = clinic.look().await;
    assert_eq!(worst(&report, "database.migrated").verdict, Verdict::Fail);
    assert!(!has(&report, "replica.portal") && clinic.examiner.database().done.is_empty());
    let report = clinic.mend().await;
    let finding = worst(&report, "database.migrated");
    assert!(finding.fixed && finding.verdict == Verdict::Ok && has(&report, "replica.portal"), "{finding:?}");

    let stubborn = Clinic::of(Examiner::with(|d| {
        pending(d);
        d.stubborn = true;
    }));
    let report = stubborn.mend().await;
    assert!(worst(&report, "database.migrated").seen.contains("must be owner"));

    let newer = Clinic::of(Examiner::with(|d| {
        pending(d);
        d.migrations.newer = Some("2031".to_owned());
    }));
    assert_eq!(newer.mend().await.verdict(), Verdict::Fail);
    assert!(newer.examiner.database().done.is_empty());
}

fn object(name: &str, control: bool, ours: bool, grantees: &[&str], row_security: bool) -> OpenObject {
    OpenObject {
        name: name.to_owned(),
        kind: ObjectKind::Table,
        control,
        ours,
        grantees: grantees.iter().map(|&name| name.to_owned()).collect(),
        row_security,
        policies: 0,
    }
}

#[tokio::test]
async fn only_what_nobody_shares_is_closed() {
    let clinic = Clinic::of(Examiner::with(|d| {
        d.open = vec![
            object("b24sync.leases", true, true, &["anon"], true),
            object("public.crm_deals", false, true, &["authenticated"], false),
            object("public.crm_leads", false, false, &["public"], false),
        ];
    }));
    let report = clinic.look().await;
    assert_eq!(worst(&report, "database.grants").seen, "web roles or PUBLIC have rights on b24sync.leases (anon)");
    assert!(worst(&report, "database.row_security").seen.contains("public.crm_deals"));
    assert!(clinic.examiner.database().done.is_empty());
    let report = clinic.mend().await;
    assert_eq!(clinic.examiner.database().done, ["close"]);
    let grants: Vec<_> = report.findings.iter().filter(|f| f.check == catalogue::DATABASE_GRANTS).collect();
    assert_eq!(
        grants.iter().map(|f| (f.verdict, f.fixed)).collect::<Vec<_>>(),
        [(Verdict::Ok, true), (Verdict::Warn, false), (Verdict::Warn, false),]
    );
    assert!(worst(&report, "database.row_security").fixed);
    // Nothing is left to do, so that nothing is done.
    clinic.mend().await;
    assert_eq!(clinic.examiner.database().done, ["close"]);
}

#[tokio::test]
async fn what_cannot_be_closed_stays_a_failure() {
    let clinic = Clinic::of(Examiner::with(|d| {
        d.open = vec![object("b24sync.leases", true, true, &["anon"], true)];
        d.stubborn = true;
    }));
    let report = clinic.mend().await;
    let said: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f.check == catalogue::DATABASE_GRANTS)
        .map(|f| (f.verdict, f.seen.as_str()))
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].1.starts_with("could not be closed") && said.iter().all(|(verdict, _)| *verdict == Verdict::Fail));
}

#[tokio::test]
async fn a_run_of_a_process_that_is_gone_is_closed_on_request() {
    let clinic = Clinic::new();
    let ttl = Duration::from_secs(30);
    let grant = clinic.store.acquire(Scope::Sync(deal()), "other", ttl).await.unwrap();
    let Grant::Granted(lease) = grant else { panic!("{grant:?}") };
    clinic.store.open(deal(), RunKind::Full, &lease).await.unwrap();
    assert_eq!(worst(&clinic.look().await, "replica.abandoned").verdict, Verdict::Ok);
    clinic.instance.bury("other");
    let report = clinic.look().await;
    assert_eq!(worst(&report, "replica.abandoned").verdict, Verdict::Warn);
    assert!(worst(&clinic.mend().await, "replica.abandoned").fixed);
    assert_eq!(clinic.store.recent(1).await.unwrap()[0].status, "interrupted");
}

#[tokio::test]
async fn a_run_that_waits_needs_somebody_who_does_it() {
    let clinic = Clinic::new();
    clinic.store.request(deal(), RunKind::Full).await.unwrap();
    assert_eq!(worst(&clinic.look().await, "replica.queue").verdict, Verdict::Fail);
    clinic.store.acquire(Scope::Scheduler, "leader", Duration::from_secs(30)).await.unwrap();
    let report = clinic.look().await;
    assert_eq!(
        (worst(&report, "replica.queue").verdict, worst(&report, "replica.scheduler").verdict),
        (Verdict::Ok, Verdict::Ok)
    );
    clinic.instance.bury("leader");
    assert_eq!(worst(&clinic.look().await, "replica.queue").verdict, Verdict::Fail);
}

#[tokio::test]
async fn tables_of_another_portal_drift_and_dead_letters_are_told() {
    let clinic = Clinic::new();
    clinic.store.claim("old.example", false).await.unwrap();
    clinic.store.keep_drift(deal(), 1, 0, 2).await.unwrap();
    let hint = Hint { entity: deal(), target: Target::Record(id(3)), deleted: false, sent_at: None };
    clinic.store.accept(&[hint]).await.unwrap();
    let report = clinic.look().await;
    assert!(worst(&report, "replica.portal").seen.contains("old.example"));
    let drift = worst(&report, "replica.drift");
    assert_eq!(
        (drift.verdict, drift.entity, drift.cure.as_deref()),
        (Verdict::Warn, Some(deal()), Some("run `b24sync verify deal --repair`"))
    );
    assert_eq!(worst(&report, "events.backlog").verdict, Verdict::Ok);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_waits_long_is_told() {
    let clinic = Clinic::new();
    let hint = Hint { entity: deal(), target: Target::Record(id(3)), deleted: false, sent_at: None };
    clinic.store.accept(&[hint]).await.unwrap();
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(worst(&clinic.look().await, "events.backlog").seen, "1 wait, the oldest for 5 minutes");
}

fn silent(last_event: Option<DateTime<Utc>>, changed: u64) -> Arrival {
    Arrival { entity: deal(), last_event, counted_from: None, changed, newest_change: (changed > 0).then(now) }
}

#[tokio::test]
async fn silence_is_told_where_events_were_asked_for() {
    for (tokens, arrival, expected) in [
        (0, silent(None, 5), None),
        (1, silent(None, 5), Some(Verdict::Warn)),
        (0, silent(Some(now()), 5), Some(Verdict::Warn)),
        (1, silent(Some(now()), 0), Some(Verdict::Ok)),
        (1, silent(None, 0), Some(Verdict::Ok)),
    ] {
        let mut clinic = Clinic::new();
        (clinic.tokens, clinic.arrivals) = (tokens, vec![arrival]);
        let report = clinic.look().await;
        let found = report.findings.iter().find(|finding| finding.check == catalogue::EVENTS_ARRIVE);
        assert_eq!(found.map(|finding| finding.verdict), expected, "{tokens} {arrival:?}");
    }
}

fn project(keys: usize, has_secret: bool, secret_weakness: Option<&'static str>) -> ProjectPremises {
    let mut examiner = MockKeySetExaminer::new();
    examiner.expect_issuer().returning(|| "https://xyz.supabase.co/auth/v1".to_owned());
    examiner.expect_published_keys().returning(move || Ok(keys));
    let keys: Arc<dyn KeySetExaminer> = Arc::new(examiner);
    ProjectPremises { keys, has_secret, secret_weakness, default_role: None }
}

#[tokio::test]
async fn a_project_needs_keys_or_a_secret_that_nobody_knows() {
    for (project, keys, secret) in [
        (project(1, false, None), Verdict::Ok, Verdict::Ok),
        (project(0, true, None), Verdict::Ok, Verdict::Ok),
        (project(0, false, None), Verdict::Fail, Verdict::Ok),
        (project(1, true, Some("is that of an example")), Verdict::Ok, Verdict::Fail),
    ] {
        let mut premises = Clinic::new().premises();
        premises.service.project = Some(project);
        let report = examine(&premises, false).await;
        assert_eq!((worst(&report, "api.keys").verdict, worst(&report, "api.secret").verdict), (keys, secret));
    }
}

#[tokio::test]
async fn a_portal_whose_clock_is_far_away_is_told_from_a_machine_whose_clock_is() {
    let clinic = Clinic::new();
    clinic.portal.set_clock(600);
    assert!(
        worst(&clinic.look().await, "portal.clock").seen.ends_with("600 s ahead of this machine's and the database's")
    );
    // The machine is wrong: portal and database agree.
    let clinic = Clinic::of(Examiner::with(|d| d.server.clock = now() + TimeDelta::seconds(600)));
    clinic.portal.set_clock(600);
    assert!(worst(&clinic.look().await, "portal.clock").seen.ends_with("600 s ahead of this machine's"));
}

#[tokio::test]
async fn what_a_user_does_not_see_any_more_is_told() {
    let clinic = Clinic::new();
    assert_eq!(worst(&clinic.look().await, "portal.readable").verdict, Verdict::Ok);
    let everything: Vec<EntityType> = EntityType::all().collect();
    let readable: Vec<_> =
        clinic.look().await.findings.into_iter().filter(|f| f.check == catalogue::PORTAL_READABLE).collect();
    assert_eq!(readable.len(), 1, "those that say the same are one: {readable:?}");
    assert!(everything.iter().all(|entity| readable[0].seen.contains(entity.key())));
}
