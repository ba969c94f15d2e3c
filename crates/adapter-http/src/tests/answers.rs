//! What each endpoint answers when all is well, and which port it asks for what.

use actix_web::http::Method;
use b24sync_domain::ports::{Cancelled, Health, History, HistoryFilter, MockHealthQuery, MockHistoryQuery, Started};
use b24sync_domain::ports::{MockInboxControl, MockSettingsControl, MockSyncControl};
use b24sync_domain::run::{RunId, RunKind};
use b24sync_domain::settings::SettingsChange;

use super::support::{Mocks, SUBJECT, answer, at, entity, get, json, request};

#[actix_web::test]
async fn answers_are_as_the_front_end_expects() {
    let api = Mocks::willing().api();
    for (name, path) in [
        ("running", "/api/v1/sync/running"),
        ("status", "/api/v1/sync/status"),
        ("config", "/api/v1/sync/config"),
        ("validate", "/api/v1/sync/validate/deal"),
        ("history", "/api/v1/status/history"),
        ("stats", "/api/v1/status/stats"),
        ("scheduler", "/api/v1/status/scheduler"),
        ("status_health", "/api/v1/status/health"),
        ("health", "/health"),
        ("health_live", "/health/live"),
        ("health_ready", "/health/ready"),
    ] {
        insta::assert_snapshot!(name, answer(&api, get(path, "viewer")).await.shown());
    }
    let started = answer(&api, request(Method::POST, "/api/v1/sync/start/deal", "operator")).await;
    insta::assert_snapshot!("start", started.shown());
    let cancelled = answer(&api, request(Method::POST, "/api/v1/sync/cancel/deal", "operator")).await;
    insta::assert_snapshot!("cancel", cancelled.shown());
    let change = r#"{"entity_type":"deal","sync_interval_minutes":15}"#;
    let changed = answer(&api, json(Method::PUT, "/api/v1/sync/config", "admin", change)).await;
    insta::assert_snapshot!("change", changed.shown());
}

#[actix_web::test]
async fn starting_asks_for_the_kind_and_is_audited_with_subject_and_request() {
    for (body, kind) in [
        ("", RunKind::Full),
        ("{}", RunKind::Full),
        (r#"{"sync_type":"full"}"#, RunKind::Full),
        (r#"{"sync_type":"incremental"}"#, RunKind::Incremental),
    ] {
        let mut mocks = Mocks::default();
        mocks
            .syncs
            .expect_start()
            .times(1)
            .withf(move |whose, what| *whose == entity("lead") && *what == kind)
            .returning(|_, _| Ok(Started { run: RunId(3), already_running: true }));
        mocks
            .settings
            .expect_audit()
            .times(1)
            .withf(|action, whose, actor| {
                action == "sync.start"
                    && *whose == Some(entity("lead"))
                    && actor.subject == SUBJECT
                    && actor.request.as_deref() == Some("test")
            })
            .returning(|_, _, _| Ok(()));
        let answer = answer(&mocks.api(), json(Method::POST, "/api/v1/sync/start/lead", "operator", body)).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("already_running")), "{body}");
        assert_eq!(answer.json()["sync_type"], kind.as_str());
    }
}

#[actix_web::test]
async fn what_cannot_be_audited_is_not_done() {
    let mut mocks = Mocks::default();
    let lost = || b24sync_domain::error::StoreError::Unavailable { doing: "auditing", source: "gone".into() };
    mocks.settings.expect_audit().returning(move |_, _, _| Err(lost()));
    let api = mocks.api();
    for path in ["/api/v1/sync/start/deal", "/api/v1/sync/cancel/deal"] {
        assert_eq!(answer(&api, request(Method::POST, path, "operator")).await.status, 503);
    }
}

fn cancelled(asked: Option<i64>, dequeued: &[i64]) -> Cancelled {
    Cancelled { asked: asked.map(RunId), dequeued: dequeued.iter().copied().map(RunId).collect() }
}

#[actix_web::test]
async fn cancelling_tells_what_became_of_it() {
    for (outcome, status, run, runs) in [
        (cancelled(Some(5), &[]), "cancelling", Some(5), serde_json::json!([5])),
        (cancelled(Some(5), &[6, 8]), "cancelling", Some(5), serde_json::json!([5, 6, 8])),
        (cancelled(None, &[6]), "dequeued", Some(6), serde_json::json!([6])),
        (cancelled(None, &[6, 8]), "dequeued", Some(8), serde_json::json!([6, 8])),
        (cancelled(None, &[]), "not_running", None, serde_json::json!([])),
    ] {
        let mut syncs = MockSyncControl::new();
        syncs.expect_cancel().returning(move |_| Ok(outcome.clone()));
        let mut settings = MockSettingsControl::new();
        settings.expect_audit().times(1).withf(|action, _, _| action == "sync.cancel").returning(|_, _, _| Ok(()));
        let api = Mocks { syncs, settings, ..Mocks::default() }.api();
        let answer = answer(&api, request(Method::POST, "/api/v1/sync/cancel/company", "operator")).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some(status)));
        assert_eq!(answer.json()["run_ids"], runs);
        assert_eq!(answer.json()["run_id"].as_i64(), run);
    }
}

#[actix_web::test]
async fn a_change_names_only_what_changes_and_who_wants_it() {
    let mut mocks = Mocks::default();
    let wanted = SettingsChange {
        entity: entity("deal"),
        enabled: Some(false),
        sync_interval_minutes: None,
        webhook_enabled: None,
    };
    mocks
        .settings
        .expect_change()
        .times(1)
        .withf(move |change, actor| *change == wanted && actor.subject == SUBJECT)
        .returning(|change, _| {
            Ok(b24sync_domain::settings::EntitySettings {
                entity: change.entity,
                enabled: false,
                sync_interval_minutes: 30,
                webhook_enabled: true,
                last_sync_at: None,
            })
        });
    let body = r#"{"entity_type":"deal","enabled":false,"webhook_enabled":null}"#;
    let answer = answer(&mocks.api(), json(Method::PUT, "/api/v1/sync/config", "admin", body)).await;
    assert_eq!((answer.status, answer.json()["enabled"].as_bool()), (200, Some(false)));
}

#[actix_web::test]
async fn history_is_asked_for_the_page_and_the_filters() {
    let mut history = MockHistoryQuery::new();
    let wanted = HistoryFilter {
        entity: Some("deal".to_owned()),
        status: Some("failed".to_owned()),
        kind: Some("full".to_owned()),
        from: Some(at("2026-01-01T00:00:00Z")),
        to: Some(at("2026-01-31T23:59:59.999999999Z")),
        offset: 40,
        limit: 20,
    };
    history.expect_history().times(1).withf(move |filter| *filter == wanted).returning(|_| Ok(History::default()));
    let api = Mocks { history, ..Mocks::default() }.api();
    let query = "page=3&per_page=20&entity_type=DEAL&status=failed&sync_type=full&date_from=2026-01-01T03:00:00%2B03:00&date_to=2026-01-31";
    let answer = answer(&api, get(&format!("/api/v1/status/history?{query}"), "viewer")).await;
    assert_eq!(answer.text(), r#"{"history":[],"total":0,"page":3,"per_page":20}"#);
}

#[actix_web::test]
async fn without_its_database_the_service_is_unhealthy_and_not_ready_but_alive() {
    let mut health = MockHealthQuery::new();
    health.expect_health().returning(|| Health { database: false, scheduler_running: false, jobs: 0 });
    let api = Mocks { health, ..Mocks::default() }.api();
    for (path, status, word) in [
        ("/health", 503, "unhealthy"),
        ("/health/ready", 503, "not_ready"),
        ("/health/live", 200, "alive"),
        ("/api/v1/status/health", 503, "unhealthy"),
    ] {
        let answer = answer(&api, get(path, "viewer")).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (status, Some(word)), "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[actix_web::test]
async fn a_queued_sync_is_shown_as_such_and_a_running_one_comes_first() {
    let mut mocks = Mocks::willing();
    mocks.syncs = MockSyncControl::new();
    mocks.syncs.expect_running().returning(|| {
        let mut queued = super::support::running_deal();
        queued.queued = true;
        let mut contact = queued.clone();
        contact.entity = entity("contact");
        Ok(vec![queued, super::support::running_deal(), contact])
    });
    let api = mocks.api();
    let status = answer(&api, get("/api/v1/sync/status", "viewer")).await.json();
    assert_eq!(status["overall_status"], "running");
    let words: Vec<_> = status["entities"].as_array().unwrap().iter().map(|entity| entity["status"].clone()).collect();
    assert_eq!(words, ["running", "queued", "idle"]);
    let running = answer(&api, get("/api/v1/sync/running", "viewer")).await.json();
    assert_eq!((&running["running_syncs"], &running["count"]), (&serde_json::json!(["deal", "contact"]), &3.into()));
}

#[actix_web::test]
async fn entities_are_known_in_whatever_case() {
    let mut mocks = Mocks::willing();
    mocks.inbox = MockInboxControl::new();
    mocks
        .inbox
        .expect_list()
        .times(1)
        .withf(|filter, _, _| filter.entity == Some(entity("deal")))
        .returning(|_, _, _| Ok((Vec::new(), 0)));
    let api = mocks.api();
    assert_eq!(answer(&api, get("/api/v1/inbox?entity_type=Deal", "viewer")).await.status, 200);
    assert_eq!(answer(&api, request(Method::POST, "/api/v1/sync/start/DEAL", "operator")).await.status, 202);
}
