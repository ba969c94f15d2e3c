//! Ports that answer, an application over them, and answers in a form to compare.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use async_trait::async_trait;
use b24sync_domain::access::{Identity, Refusal, Role};
use b24sync_domain::application::{BoundHandler, Registration};
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::event::Target;
use b24sync_domain::ports::{
    Acceptance, Authenticator, Cancelled, EntityOverview, FieldCheck, Happening, Health, History, InboxEntry, Job,
    LoggedRun, MappingCheck, MockApplicationControl, MockEventIntake, MockHappenings, MockHealthQuery,
    MockHistoryQuery, MockInboxControl, MockMappingQuery, MockMetricsQuery, MockSchedulerQuery, MockSettingsControl,
    MockStatusQuery, MockSyncControl, MockWebhookRegistration, RunningSync, SchedulerState, Started,
};
use b24sync_domain::run::{RunId, RunKind};
use b24sync_domain::settings::EntitySettings;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use crate::server::app;
use crate::{Api, ApiPorts, ApiSettings};

/// Subject of every caller in tests.
pub(super) const SUBJECT: &str = "6f1c2d3e-0000-4000-8000-000000000001";

/// Knows a token for each role, `nobody` who has none, and `keyless`, for whom keys cannot be had.
struct Tokens;

#[async_trait]
impl Authenticator for Tokens {
    async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        match token {
            "nobody" => Ok(Identity { subject: SUBJECT.to_owned(), role: None }),
            "keyless" => Err(Refusal::KeysUnavailable),
            "panic" => panic!("the authenticator panics"),
            role => {
                let role: Role = role.parse().map_err(|_unknown| Refusal::Signature)?;
                Ok(Identity { subject: SUBJECT.to_owned(), role: Some(role) })
            }
        }
    }

    fn forget_keys(&self) {}
}

/// Mocked ports, without expectations.
#[derive(Default)]
pub(super) struct Mocks {
    pub(super) syncs: MockSyncControl,
    pub(super) status: MockStatusQuery,
    pub(super) history: MockHistoryQuery,
    pub(super) scheduler: MockSchedulerQuery,
    pub(super) settings: MockSettingsControl,
    pub(super) mapping: MockMappingQuery,
    pub(super) happenings: MockHappenings,
    pub(super) health: MockHealthQuery,
    pub(super) metrics: MockMetricsQuery,
    pub(super) intake: MockEventIntake,
    pub(super) inbox: MockInboxControl,
    pub(super) application: MockApplicationControl,
    pub(super) registration: MockWebhookRegistration,
}

impl Mocks {
    /// Ports that answer whatever they are asked.
    pub(super) fn willing() -> Mocks {
        let mut mocks = Mocks::default();
        mocks.syncs.expect_start().returning(|_, _| Ok(Started { run: RunId(17), already_running: false }));
        mocks.syncs.expect_cancel().returning(|_| Ok(Cancelled { asked: Some(RunId(17)), dequeued: Vec::new() }));
        mocks.syncs.expect_running().returning(|| Ok(vec![running_deal()]));
        mocks.status.expect_overview().returning(|| Ok(overview()));
        mocks.status.expect_tables().returning(|| Ok(vec![entity("deal"), entity("contact")]));
        mocks.history.expect_history().returning(|_| Ok(History { runs: vec![failed_run()], total: 41 }));
        mocks.scheduler.expect_scheduler().returning(|| Ok(scheduler()));
        mocks.settings.expect_settings().returning(|| Ok(vec![settings_of("deal"), settings_of("contact")]));
        mocks.settings.expect_default_interval_minutes().return_const(30);
        mocks.settings.expect_change().returning(|change, _| {
            let mut settings = settings_of(change.entity.key());
            settings.sync_interval_minutes = change.sync_interval_minutes.unwrap_or(30);
            Ok(settings)
        });
        mocks.settings.expect_audit().returning(|_, _, _| Ok(()));
        mocks.mapping.expect_check().returning(|entity| Ok(check(entity)));
        mocks.happenings.expect_listen().returning(|| Box::pin(happenings().chain(stream::pending())));
        mocks.health.expect_health().returning(|| Health { database: true, scheduler_running: true, jobs: 4 });
        mocks.metrics.expect_exposition().returning(|| "b24sync_database_up 1\n".to_owned());
        mocks.intake.expect_take().returning(|_| Ok(Acceptance::Stored));
        mocks.inbox.expect_list().returning(|_, _, _| Ok((vec![dead_letter()], 41)));
        mocks.inbox.expect_retry().returning(|_, _| Ok(3));
        mocks.inbox.expect_discard().returning(|_, _| Ok(3));
        mocks.application.expect_application_token().returning(|| Ok(None));
        mocks.registration.expect_register().returning(|base| {
            let base = base.unwrap_or_else(|| "https://named.example".to_owned());
            let handler_url = format!("{base}/api/v1/webhooks/bitrix");
            let registered = vec!["ONCRMDEALADD".to_owned()];
            let failed = vec![("ONCRMDEALDELETE".to_owned(), "no such event".to_owned())];
            Ok(Registration { handler_url, registered, failed })
        });
        mocks.registration.expect_unregister().returning(|_| Ok(vec!["ONCRMDEALADD".to_owned()]));
        mocks.registration.expect_registered().returning(|| {
            let handler = Some("https://sync.example.com/api/v1/webhooks/bitrix".to_owned());
            Ok(vec![BoundHandler { event: "ONCRMDEALADD".to_owned(), handler }])
        });
        mocks
    }

    pub(super) fn ports(self) -> ApiPorts {
        ApiPorts {
            syncs: Arc::new(self.syncs),
            status: Arc::new(self.status),
            history: Arc::new(self.history),
            scheduler: Arc::new(self.scheduler),
            settings: Arc::new(self.settings),
            mapping: Arc::new(self.mapping),
            happenings: Arc::new(self.happenings),
            health: Arc::new(self.health),
            metrics: Arc::new(self.metrics),
            intake: Arc::new(self.intake),
            inbox: Arc::new(self.inbox),
            application: Arc::new(self.application),
            registration: Arc::new(self.registration),
            authenticator: Arc::new(Tokens),
        }
    }

    pub(super) fn api(self) -> Api {
        self.api_with(ApiSettings::default())
    }

    /// The switch is kept for good: nothing drains.
    pub(super) fn api_with(self, settings: ApiSettings) -> Api {
        let (api, switch) = Api::new(self.ports(), settings);
        std::mem::forget(switch);
        api
    }
}

pub(super) fn entity(name: &str) -> EntityType {
    name.parse().unwrap()
}

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(super) fn running_deal() -> RunningSync {
    RunningSync {
        run: RunId(17),
        entity: entity("deal"),
        kind: RunKind::Full,
        queued: false,
        stopping: false,
        step: "reading".to_owned(),
        processed: 2500,
        expected: Some(10_000),
        per_second: Some(1250.5),
        remaining: Some(Duration::from_millis(6_400)),
        started_at: at("2026-01-31T10:00:00Z"),
        holder: Some("worker-1".to_owned()),
    }
}

pub(super) fn failed_run() -> LoggedRun {
    LoggedRun {
        id: RunId(16),
        entity: "contact".to_owned(),
        kind: "incremental".to_owned(),
        status: "failed".to_owned(),
        processed: 12,
        error: Some("portal unreachable".to_owned()),
        started_at: Some(at("2026-01-31T09:00:00Z")),
        completed_at: Some(at("2026-01-31T09:00:05.250Z")),
    }
}

fn dead_letter() -> InboxEntry {
    InboxEntry {
        entity: entity("deal"),
        target: Target::Record(RecordId::new(123).unwrap()),
        first_at: at("2026-01-31T10:00:00Z"),
        last_at: at("2026-01-31T10:00:01Z"),
        due_at: at("2026-01-31T16:00:00Z"),
        attempts: 12,
        error: Some("the portal does not show the record".to_owned()),
        dead_at: Some(at("2026-01-31T15:00:00Z")),
    }
}

fn settings_of(name: &str) -> EntitySettings {
    EntitySettings {
        entity: entity(name),
        enabled: true,
        sync_interval_minutes: 30,
        webhook_enabled: true,
        last_sync_at: Some(at("2026-01-31T09:30:00Z")),
    }
}

fn overview() -> Vec<EntityOverview> {
    let of = |name: &str| EntityOverview {
        entity: entity(name),
        settings: settings_of(name),
        rows: Some(10_000),
        quarantined: 1,
        last_run: None,
        watermark: Some(at("2026-01-31T09:29:30Z")),
        lag: Some(Duration::from_secs(90)),
        newest_change_age: Some(Duration::from_secs(600)),
        drift: None,
    };
    let empty = |name: &str| EntityOverview { rows: None, quarantined: 0, watermark: None, lag: None, ..of(name) };
    vec![
        EntityOverview { last_run: Some(LoggedRun { entity: "deal".to_owned(), ..failed_run() }), ..of("deal") },
        EntityOverview { last_run: Some(failed_run()), ..of("contact") },
        EntityOverview { settings: EntitySettings { last_sync_at: None, ..settings_of("lead") }, ..empty("lead") },
    ]
}

fn scheduler() -> SchedulerState {
    let job = |name: &str, kind, next_run| Job { entity: entity(name), kind, next_run };
    SchedulerState {
        running: true,
        leader: Some("worker-1".to_owned()),
        jobs: vec![
            job("deal", RunKind::Incremental, Some(at("2026-01-31T10:30:00Z"))),
            job("deal", RunKind::Sweep, Some(at("2026-02-01T03:00:00Z"))),
            job("lead", RunKind::Incremental, None),
        ],
    }
}

fn check(entity: EntityType) -> MappingCheck {
    let field = |column: &str, invalid| FieldCheck {
        column: column.to_owned(),
        field: column.to_uppercase(),
        samples: vec!["aaa 000".to_owned()],
        valid: 50 - invalid,
        invalid,
        errors: if invalid > 0 { vec!["not a number".to_owned()] } else { Vec::new() },
    };
    MappingCheck { entity, records: 50, fields: vec![field("title", 0), field("opened", 0), field("opportunity", 3)] }
}

fn happenings() -> impl futures_util::Stream<Item = Happening> + Send {
    stream::iter([Happening::Running(Arc::from([running_deal()])), Happening::Ended(failed_run())])
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: actix_web::http::header::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// Status, media type and body, to compare with a snapshot.
    pub(super) fn shown(&self) -> String {
        let body = serde_json::to_string_pretty(&self.json()).unwrap();
        format!("{} {}\n{body}", self.status, self.header("content-type"))
    }
}

/// A request with the number `test` and, unless it is empty, this token.
pub(super) fn request(method: Method, uri: &str, token: &str) -> TestRequest {
    let request = TestRequest::default().method(method).uri(uri).insert_header(("X-Request-Id", "test"));
    let request = request.peer_addr("192.0.2.1:4711".parse().unwrap());
    if token.is_empty() { request } else { request.insert_header(("Authorization", format!("Bearer {token}"))) }
}

pub(super) fn get(uri: &str, token: &str) -> TestRequest {
    request(Method::GET, uri, token)
}

pub(super) fn json(method: Method, uri: &str, token: &str, body: &str) -> TestRequest {
    request(method, uri, token).insert_header(("Content-Type", "application/json")).set_payload(body.to_owned())
}

/// The answer to one request.
pub(super) async fn answer(api: &Api, request: TestRequest) -> Answer {
    let service = init_service(app(api)).await;
    let response = call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: read_body(response).await.to_vec() }
}
