//! Who may call what: generated from the route table.

use b24sync_domain::access::Role;

use super::support::{Mocks, answer, json, request};
use crate::routes::{Access, Endpoint, endpoints};
use crate::{Api, ApiSettings};

/// What becomes of a token.
#[derive(Clone, Copy)]
enum Known {
    Refused,
    As(Option<Role>),
}

const CALLERS: [(&str, Known); 6] = [
    ("", Known::Refused),
    ("forged", Known::Refused),
    ("nobody", Known::As(None)),
    ("viewer", Known::As(Some(Role::Viewer))),
    ("operator", Known::As(Some(Role::Operator))),
    ("admin", Known::As(Some(Role::Admin))),
];

/// A request that the endpoint accepts.
async fn status_of(api: &Api, endpoint: &Endpoint, token: &str) -> u16 {
    let path = endpoint.path.replace("{entity}", "deal").replace("{file:.*}", "index.html");
    let request = match path.as_str() {
        // A stream that does not end is not read to its end.
        "/api/v1/events" => return events_status(api, token).await,
        "/api/v1/sync/config" if endpoint.method == "PUT" => {
            json(endpoint.method.clone(), &path, token, r#"{"entity_type":"deal","enabled":true}"#)
        }
        "/api/v1/webhooks/register" | "/api/v1/webhooks/unregister" => {
            let path = format!("{path}?handler_base_url=https://sync.example.com");
            request(endpoint.method.clone(), &path, token)
        }
        "/api/v1/inbox/discard" => json(endpoint.method.clone(), &path, token, r#"{"entity_type":"deal"}"#),
        "/api/v1/webhooks/bitrix" => request(endpoint.method.clone(), &path, token)
            .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
            .set_payload("event=ONCRMDEALUPDATE&data[FIELDS][ID]=7&auth[application_token]=portal"),
        _ => request(endpoint.method.clone(), &path, token),
    };
    answer(api, request).await.status
}

async fn events_status(api: &Api, token: &str) -> u16 {
    let service = actix_web::test::init_service(crate::server::app(api)).await;
    let request = super::support::get("/api/v1/events", token).to_request();
    actix_web::test::call_service(&service, request).await.status().as_u16()
}

#[actix_web::test]
async fn every_endpoint_lets_in_its_role_and_those_above_and_nobody_else() {
    let unlimited = crate::RateLimit { per_minute: std::num::NonZeroU32::MAX, burst: std::num::NonZeroU32::MAX };
    let settings = ApiSettings {
        failed_auth: unlimited,
        per_subject: unlimited,
        application_tokens: vec![crate::TokenDigest::of("portal")],
        metrics_token: Some(crate::TokenDigest::of("the watchers' token")),
        ..ApiSettings::default()
    };
    let api = Mocks::willing().api_with(settings);
    let mut lines = Vec::new();
    for endpoint in endpoints() {
        let mut line = format!("{:4} {:34}", endpoint.method.as_str(), endpoint.path);
        for (token, known) in CALLERS {
            let status = status_of(&api, endpoint, token).await;
            let refusal = match (endpoint.access, known) {
                // No user's token is good for figures, an admin's neither.
                (Access::Role(_), Known::Refused) | (Access::MetricsToken, _) => Some(401),
                (Access::Role(needed), Known::As(role)) if role < Some(needed) => Some(403),
                _ => None,
            };
            match refusal {
                Some(refusal) => assert_eq!(status, refusal, "{line} {token}"),
                None => assert!(status < 400, "{line} {token}: {status}"),
            }
            line.extend([" ", if token.is_empty() { "none" } else { token }, "=", &status.to_string()]);
        }
        lines.push(line);
    }
    insta::assert_snapshot!("matrix", lines.join("\n"));
}

#[actix_web::test]
async fn refused_callers_reach_no_port() {
    // Mocks without expectations panic when they are called; that would be a 500.
    let api = Mocks::default().api();
    for endpoint in endpoints() {
        let Access::Role(needed) = endpoint.access else { continue };
        assert_eq!(status_of(&api, endpoint, "").await, 401, "{}", endpoint.path);
        assert_eq!(status_of(&api, endpoint, "nobody").await, 403, "{}", endpoint.path);
        if needed > Role::Viewer {
            assert_eq!(status_of(&api, endpoint, "viewer").await, 403, "{}", endpoint.path);
        }
    }
}

#[actix_web::test]
async fn figures_are_for_whoever_has_their_token_and_for_nobody_where_there_is_none() {
    let settings = ApiSettings { metrics_token: Some(crate::TokenDigest::of("watcher")), ..ApiSettings::default() };
    let api = Mocks::willing().api_with(settings);
    let given = answer(&api, super::support::get("/metrics", "watcher")).await;
    assert_eq!((given.status, given.text().as_str()), (200, "b24sync_database_up 1\n"));
    assert!(given.header("content-type").starts_with("text/plain; version=0.0.4"));
    let closed = Mocks::willing().api();
    for token in ["", "watcher", "admin"] {
        assert_eq!(answer(&closed, super::support::get("/metrics", token)).await.status, 404);
    }
}
