//! Headers, origins, request numbers, compression, the documentation page and the access log.

use std::io;
use std::sync::{Arc, Mutex};

use actix_web::App;
use actix_web::http::Method;
use actix_web::test::{call_service, init_service, read_body_json};

use super::support::{Mocks, answer, get, request};
use crate::ApiSettings;

#[actix_web::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let api = Mocks::willing().api();
    for (path, token) in
        [("/health", ""), ("/api/v1/sync/status", "viewer"), ("/api/v1/sync/status", ""), ("/nowhere", "")]
    {
        let answer = answer(&api, get(path, token)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-request-id"), "test");
    }
}

#[actix_web::test]
async fn only_harmless_request_numbers_are_accepted() {
    let api = Mocks::willing().api();
    let longest = "a".repeat(64);
    for (given, accepted) in [
        ("req-1_A", true),
        (longest.as_str(), true),
        ("", false),
        ("a b", false),
        ("a\u{e9}", false),
        ("<script>", false),
        (&format!("{longest}a"), false),
    ] {
        let request = get("/health", "").insert_header(("X-Request-Id", given));
        let seen = answer(&api, request).await.header("x-request-id").to_owned();
        assert_eq!(seen == given, accepted, "{given} became {seen}");
        assert!((1..=64).contains(&seen.len()));
    }
}

#[actix_web::test]
async fn only_configured_origins_may_call_and_never_with_cookies() {
    let settings =
        ApiSettings { allowed_origins: vec!["https://crm.example.com".to_owned()], ..ApiSettings::default() };
    let api = Mocks::willing().api_with(settings);
    let preflight = |origin: &'static str, method: &'static str| {
        request(Method::OPTIONS, "/api/v1/sync/config", "")
            .insert_header(("Origin", origin))
            .insert_header(("Access-Control-Request-Method", method))
            .insert_header(("Access-Control-Request-Headers", "authorization,content-type"))
    };
    assert_eq!(answer(&api, preflight("https://crm.example.com", "DELETE")).await.status, 200);
    let allowed = answer(&api, preflight("https://crm.example.com", "PUT")).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://crm.example.com");
    assert_eq!(allowed.header("access-control-max-age"), "3600");
    assert_eq!(allowed.header("access-control-allow-credentials"), "");
    for (origin, method, named) in [
        ("https://evil.example.com", "PUT", "`https://evil.example.com`, which API_ALLOWED_ORIGINS does not list"),
        ("http://crm.example.com", "PUT", "`http://crm.example.com`"),
        ("null", "PUT", "`null`"),
        ("https://crm.example.com.evil.com", "PUT", "API_ALLOWED_ORIGINS"),
        ("https://crm.example.com", "PATCH", "the method `PATCH`"),
    ] {
        let refused = answer(&api, preflight(origin, method)).await;
        assert_eq!((refused.status, refused.header("content-type")), (400, "application/problem+json"), "{origin}");
        let body = refused.json();
        assert!(body["status"] == 400 && body["detail"].as_str().unwrap().contains(named), "{body}");
    }
    let path = "/api/v1/sync/running";
    let read = answer(&api, get(path, "viewer").insert_header(("Origin", "https://crm.example.com"))).await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, "https://crm.example.com"));
    let failed = answer(&api, get(path, "").insert_header(("Origin", "https://crm.example.com"))).await;
    assert_eq!((failed.status, failed.header("access-control-allow-origin")), (401, "https://crm.example.com"));
    let foreign = answer(&api, get(path, "viewer").insert_header(("Origin", "https://evil.example.com"))).await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[actix_web::test]
async fn without_configured_origins_no_page_may_call() {
    let api = Mocks::willing().api();
    let answer = answer(&api, get("/health", "").insert_header(("Origin", "https://crm.example.com"))).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
}

#[actix_web::test]
async fn answers_are_compressed_for_those_who_can_read_it() {
    let api = Mocks::willing().api();
    let packed = answer(&api, get("/api/v1/openapi.json", "").insert_header(("Accept-Encoding", "gzip"))).await;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    let plain = answer(&api, get("/api/v1/openapi.json", "")).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert!(packed.body.len() * 4 < plain.body.len());
    for nothing in ["identity;q=0, *;q=0", "identity;q=0, br;q=0", "*;q=0", "br, identity;q=0"] {
        let anyhow = answer(&api, get("/health", "").insert_header(("Accept-Encoding", nothing))).await;
        assert_eq!((anyhow.status, anyhow.header("content-encoding")), (200, ""), "{nothing}");
    }
    let picky = get("/api/v1/openapi.json", "").insert_header(("Accept-Encoding", "identity;q=0, gzip"));
    assert_eq!(answer(&api, picky).await.header("content-encoding"), "gzip");
}

#[actix_web::test]
async fn the_documentation_page_is_served_under_a_policy_of_its_own() {
    let api = Mocks::willing().api();
    let redirect = answer(&api, get("/docs", "")).await;
    assert_eq!((redirect.status, redirect.header("location")), (308, "/docs/"));
    let page = answer(&api, get("/docs/", "")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    let page = page.text();
    assert!(!page.contains("<style") && !page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(page.matches("<script").count() == page.matches("<script src=").count(), "{page}");
    for file in ["swagger-initializer.js", "swagger-ui.css", "swagger-ui-bundle.js"] {
        let answer = answer(&api, get(&format!("/docs/{file}"), "")).await;
        assert!(answer.status == 200 && page.contains(file), "{file}");
    }
    let script = answer(&api, get("/docs/swagger-initializer.js", "")).await.text();
    assert!(script.contains("/api/v1/openapi.json"), "{script}");
    for path in ["/docs/nothing", "/docs/../Cargo.toml", "/docs/%2e%2e/Cargo.toml"] {
        assert_eq!(answer(&api, get(path, "")).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn endpoints_mounted_into_another_application_keep_their_guard() {
    let api = Mocks::willing().api();
    let mounted = App::new().configure(|config| crate::routes::configure(config, &api));
    let service = init_service(mounted).await;
    let refused = call_service(&service, get("/api/v1/sync/status", "").to_request()).await;
    assert_eq!(refused.status(), 401);
    let body: serde_json::Value = read_body_json(refused).await;
    assert_eq!((&body["instance"], &body["request_id"]), (&"/api/v1/sync/status".into(), &"test".into()));
    let allowed = call_service(&service, get("/api/v1/sync/status", "viewer").to_request()).await;
    assert_eq!(allowed.status(), 200);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn the_log_has_route_status_number_and_subject_but_no_query_and_no_token() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let api = Mocks::willing().api();
    let _ = answer(&api, get("/api/v1/sync/validate/deal", "viewer")).await;
    let _ = answer(&api, get("/api/v1/events?access_token=canary-in-query", "")).await;
    let _ = answer(&api, get("/api/v1/sync/status?canary=canary", "canary-in-header")).await;
    drop(guard);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("validate")).unwrap_or_else(|| panic!("{log}"));
    for part in [
        "request.id=test",
        "GET",
        "/api/v1/sync/validate/{entity}",
        "http.status=200",
        "duration_ms=",
        super::support::SUBJECT,
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(log.contains("http.status=401") && log.contains("reason=\"signature\""), "{log}");
    assert!(!log.contains("canary"), "{log}");
}
