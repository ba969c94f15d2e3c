//! Errors: their form, and what they tell.

use actix_web::http::Method;
use b24sync_domain::error::{SourceError, StoreError, SyncError};
use b24sync_domain::ports::{MockMappingQuery, MockStatusQuery, MockSyncControl};

use super::support::{Answer, Mocks, answer, entity, get, json, request};

/// That it is a problem with all its members.
fn check(answer: &Answer, status: u16) -> serde_json::Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["status"], status);
    assert_eq!(body["detail"], body["message"]);
    assert!(body["type"].as_str().unwrap().starts_with("urn:b24sync:problem:"));
    assert!(!body["title"].as_str().unwrap().is_empty());
    assert_eq!(body["request_id"], "test");
    body
}

fn lost() -> StoreError {
    StoreError::Unavailable { doing: "reading settings", source: "password=hunter2 at 10.0.0.5".into() }
}

#[actix_web::test]
async fn an_unknown_entity_is_answered_with_the_known_ones() {
    let api = Mocks::default().api();
    for (method, path, token) in [
        (Method::POST, "/api/v1/sync/start/deel", "operator"),
        (Method::POST, "/api/v1/sync/cancel/deel", "operator"),
        (Method::GET, "/api/v1/sync/validate/deel", "viewer"),
    ] {
        let answer = answer(&api, request(method, path, token)).await;
        let body = check(&answer, 404);
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains("`deel`") && detail.contains("known entities are `company`, `contact`, `lead`, `deal`"),
            "{detail}"
        );
        assert_eq!(body["instance"], path);
    }
    let long =
        answer(&api, request(Method::POST, &format!("/api/v1/sync/start/{}", "x".repeat(3000)), "operator")).await;
    assert!(check(&long, 404)["detail"].as_str().unwrap().len() < 400);
}

#[actix_web::test]
async fn unacceptable_bodies_are_named() {
    let api = Mocks::default().api();
    let start = "/api/v1/sync/start/deal";
    for (body, named) in [
        (r#"{"sync_type":"sweep"}"#, "sweep"),
        (r#"{"sync_type":"full","force":true}"#, "`force`"),
        (r#"{"sync_type":"full","sync_type":"full"}"#, "duplicate field `sync_type`"),
        ("[]", "object"),
        (r#"["full"]"#, "object"),
        ("null", "object"),
        ("{", "EOF"),
        ("nonsense", "object"),
        ("\u{feff}{}", "object"),
    ] {
        let body = check(&answer(&api, json(Method::POST, start, "operator", body)).await, 400);
        assert!(body["detail"].as_str().unwrap().contains(named), "{body}");
    }
    let form = request(Method::POST, start, "operator").set_payload("sync_type=full");
    check(&answer(&api, form).await, 415);
    let packed = json(Method::POST, start, "operator", "{}").insert_header(("Content-Encoding", "gzip"));
    check(&answer(&api, packed).await, 415);
    let many = json(Method::POST, start, "operator", &format!("{{\"{}\":1}}", "x".repeat(10_000)));
    assert!(check(&answer(&api, many).await, 400)["detail"].as_str().unwrap().len() < 400);
}

#[actix_web::test]
async fn settings_out_of_bounds_are_named() {
    let api = Mocks::default().api();
    for (body, status, named) in [
        (r#"{"entity_type":"deal","sync_interval_minutes":4}"#, 422, "sync_interval_minutes"),
        (r#"{"entity_type":"deal","sync_interval_minutes":1441}"#, 422, "sync_interval_minutes"),
        (r#"{"entity_type":"deal","sync_interval_minutes":99999999999}"#, 422, "sync_interval_minutes"),
        (r#"{"entity_type":"deal"}"#, 422, "nothing to change"),
        (r#"{"entity_type":"deel","enabled":true}"#, 422, "entity_type"),
        (r#"{"entity_type":"deal","enabled":"yes"}"#, 400, "boolean"),
        (r#"{"entity_type":"deal","interval":5}"#, 400, "`interval`"),
        ("", 400, "`entity_type`"),
    ] {
        let body = check(&answer(&api, json(Method::PUT, "/api/v1/sync/config", "admin", body)).await, status);
        assert!(body["detail"].as_str().unwrap().contains(named), "{body}");
    }
}

#[actix_web::test]
async fn unacceptable_parameters_are_named() {
    let api = Mocks::default().api();
    for (query, named) in [
        ("page=0", "page"),
        ("page=-1", "the parameter page is not acceptable: `-1` is no number from 1 to 4294967295"),
        ("page=1.5", "the parameter page is not acceptable"),
        ("page=", "the parameter page is not acceptable"),
        ("per_page=99999999999", "the parameter per_page is not acceptable: `99999999999` is no number from 1 to 100"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("entity_type=deel", "entity_type"),
        ("status=paused", "status"),
        ("sync_type=half", "sync_type"),
        ("date_from=yesterday", "date_from"),
        ("date_to=2026-02-30", "date_to"),
        ("date_from=-4713-01-01", "the parameter date_from is not acceptable: years are from 0001 to 9999"),
        ("date_to=-9999-12-31", "the parameter date_to is not acceptable: years"),
        ("date_to=0000-12-31", "the parameter date_to is not acceptable: years"),
        ("date_from=%2B262142-12-31", "the parameter date_from is not acceptable: years"),
        ("date_from=0001-01-01T00:00:00%2B14:00", "the parameter date_from is not acceptable: years"),
        ("date_to=9999-12-31T23:59:59-14:00", "the parameter date_to is not acceptable: years"),
        ("date_from=2026-02-01&date_to=2026-01-01", "date_from"),
        ("limit=5", "there is no parameter `limit` here; there are `page`, `per_page`, `entity_type`"),
        ("page=1&page=2", "the parameter page is not acceptable: it is there more than once"),
    ] {
        let uri = format!("/api/v1/status/history?{query}");
        let body = check(&answer(&api, get(&uri, "viewer")).await, 400);
        assert!(body["detail"].as_str().unwrap().contains(named), "{query}: {body}");
        assert_eq!(body["instance"], "/api/v1/status/history");
    }
}

#[actix_web::test]
async fn parameters_of_other_paths_are_named_as_plainly() {
    let api = Mocks::default().api();
    for (method, path, named) in [
        (
            Method::GET,
            "/api/v1/inbox?state=gone",
            "the parameter state is not acceptable: it must be `pending` or `dead`",
        ),
        (Method::GET, "/api/v1/inbox?per_page=x", "the parameter per_page is not acceptable"),
        (
            Method::DELETE,
            "/api/v1/webhooks/unregister?url=x",
            "there is no parameter `url` here; there is `handler_base_url`",
        ),
    ] {
        let body = check(&answer(&api, request(method, path, "admin")).await, 400);
        assert!(body["detail"].as_str().unwrap().contains(named), "{path}: {body}");
    }
}

#[actix_web::test]
async fn discarding_must_say_what() {
    let api = Mocks::willing().api();
    for body in ["", "{}", r#"{"state":"dead"}"#, r#"{"all":false}"#] {
        let body = check(&answer(&api, json(Method::POST, "/api/v1/inbox/discard", "admin", body)).await, 422);
        assert!(body["detail"].as_str().unwrap().contains("give entity_type, or all as true"), "{body}");
    }
    for body in [r#"{"all":true}"#, r#"{"entity_type":"deal"}"#, r#"{"all":true,"state":"pending"}"#] {
        assert_eq!(
            answer(&api, json(Method::POST, "/api/v1/inbox/discard", "admin", body)).await.status,
            200,
            "{body}"
        );
    }
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Mocks::default().api();
    for path in ["/", "/api/v1", "/api/v1/sync/start", "/api/v1/sync/start/a/b", "/health/", "/metrics", "/%00"] {
        assert_eq!(check(&answer(&api, get(path, "")).await, 404)["title"], "Not found", "{path}");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/health", "GET, HEAD"),
        (Method::GET, "/api/v1/sync/start/deal", "POST"),
        (Method::POST, "/api/v1/sync/config", "GET, HEAD, PUT"),
        (Method::HEAD, "/api/v1/sync/cancel/deal", "POST"),
        (Method::HEAD, "/api/v1/events", "GET"),
    ] {
        let answer = answer(&api, request(method, path, "")).await;
        check(&answer, 405);
        assert_eq!(answer.header("allow"), allow);
    }
}

#[actix_web::test]
async fn every_refused_token_gets_the_same_answer() {
    let api = Mocks::default().api();
    let path = "/api/v1/sync/status";
    let plain = answer(&api, get(path, "")).await;
    check(&plain, 401);
    assert_eq!(plain.header("www-authenticate"), "Bearer");
    let header = |value: &'static str| get(path, "").insert_header(("Authorization", value));
    for refused in [
        get(path, "forged"),
        header("Basic YTpi"),
        header("Bearer"),
        header("Bearer "),
        header(""),
        header("viewer"),
        get(path, "viewer").append_header(("Authorization", "Bearer viewer")),
        get("/api/v1/sync/status?access_token=viewer", ""),
    ] {
        let answer = answer(&api, refused).await;
        assert_eq!((answer.status, answer.text()), (401, plain.text()));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[actix_web::test]
async fn a_role_that_is_not_enough_is_told_which_one_is() {
    let api = Mocks::default().api();
    let answer = answer(&api, request(Method::PUT, "/api/v1/sync/config", "operator")).await;
    assert_eq!(check(&answer, 403)["detail"], "this needs the role `admin`");
}

#[actix_web::test]
async fn missing_keys_are_not_the_callers_fault() {
    let answer = answer(&Mocks::default().api(), get("/api/v1/sync/status", "keyless")).await;
    check(&answer, 503);
    assert_eq!(answer.header("retry-after"), "5");
}

#[actix_web::test]
async fn store_errors_tell_nothing_of_the_inside() {
    let mut status = MockStatusQuery::new();
    status.expect_overview().times(1).returning(|| Err(lost()));
    status.expect_overview().returning(|| Err(StoreError::Database { doing: "x", source: "hunter2".into() }));
    let api = Mocks { status, ..Mocks::default() }.api();
    let unavailable = answer(&api, get("/api/v1/status/stats", "viewer")).await;
    check(&unavailable, 503);
    assert_eq!(unavailable.header("retry-after"), "5");
    let internal = answer(&api, get("/api/v1/status/stats", "viewer")).await;
    check(&internal, 500);
    for text in [unavailable.text(), internal.text()] {
        assert!(
            !text.contains("hunter2") && !text.contains("10.0.0.5") && !text.contains("reading settings"),
            "{text}"
        );
    }
}

#[actix_web::test]
async fn a_check_that_the_portal_does_not_answer_is_503_and_a_conflict_is_told() {
    let deal = entity("deal");
    let mut mapping = MockMappingQuery::new();
    mapping.expect_check().times(1).returning(move |_| {
        let source = SourceError::Unavailable { method: "crm.item.list".to_owned(), source: "secret".into() };
        Err(SyncError::Source { entity: deal, source })
    });
    mapping.expect_check().times(1).returning(|_| {
        Err(SyncError::AnotherPortal { known: "a.bitrix24.com".to_owned(), given: "b.bitrix24.com".to_owned() })
    });
    mapping.expect_check().returning(move |_| Err(SyncError::MissingField { entity: deal, field: "ID" }));
    let api = Mocks { mapping, ..Mocks::default() }.api();
    let path = "/api/v1/sync/validate/deal";
    let unavailable = answer(&api, get(path, "viewer")).await;
    check(&unavailable, 503);
    assert!(!unavailable.text().contains("secret"));
    assert!(
        check(&answer(&api, get(path, "viewer")).await, 409)["detail"].as_str().unwrap().contains("a.bitrix24.com")
    );
    check(&answer(&api, get(path, "viewer")).await, 500);
}

#[actix_web::test]
async fn a_panic_is_a_500_and_the_next_request_is_served() {
    let mut syncs = MockSyncControl::new();
    syncs.expect_running().times(1).returning(|| panic!("the secret is hunter2"));
    syncs.expect_running().returning(|| Ok(Vec::new()));
    let api = Mocks { syncs, ..Mocks::default() }.api();
    let broken = answer(&api, get("/api/v1/sync/running", "viewer")).await;
    check(&broken, 500);
    assert!(!broken.text().contains("hunter2"));
    check(&answer(&api, get("/api/v1/sync/running", "panic")).await, 500);
    assert_eq!(answer(&api, get("/api/v1/sync/running", "viewer")).await.status, 200);
}
