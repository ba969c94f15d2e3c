//! The description of the interface (OpenAPI 3.1): answers from the handlers; roles and errors from the route table.

use std::time::Duration;

use serde_json::json;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Header, OpenApi, PathItem, Ref, RefOr, ResponseBuilder, SecurityRequirement};

use crate::auth;
use crate::handlers::{
    config, events, health, history, inbox, metrics, registration, scheduler, status, sync, validate, webhook,
};
use crate::problem::{Kind, MEDIA_TYPE, Problem, ProblemBody};
use crate::routes::{Access, Endpoint, endpoints};

/// For examples of answers that tell when to come again.
const MOMENT: Duration = Duration::from_secs(1);

/// Name of the bearer scheme.
const BEARER: &str = "bearer";

/// Name of the scheme of `/metrics`.
const METRICS: &str = "metrics";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Bitrix24 Sync Service",
        description = "Keeps an exact copy of a Bitrix24 CRM in PostgreSQL. Times are RFC 3339 in UTC; errors are \
            `application/problem+json` (RFC 9457)."
    ),
    paths(
        sync::start, sync::cancel, sync::running, status::status, config::read, config::change, validate::validate,
        history::history, status::stats, scheduler::scheduler, health::details, events::events, health::health,
        health::live, health::ready, metrics::metrics, webhook::receive, registration::register,
        registration::unregister, registration::registered, inbox::list, inbox::retry, inbox::discard
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "sync", description = "Syncs and their settings"),
        (name = "webhooks", description = "Events of the portal"),
        (name = "status", description = "What was done and how things stand"),
        (name = "health", description = "Probes, without a token")
    )
)]
struct Described;

/// The description of the interface, as pretty JSON.
pub fn openapi() -> String {
    let mut document = Described::openapi();
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.described) {
        if let Some(operation) = operation(&mut document, endpoint) {
            complete(operation, endpoint);
        }
    }
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of a Supabase session"))
        .build();
    let metrics =
        Http::builder().scheme(HttpAuthScheme::Bearer).description(Some("The value of METRICS_TOKEN")).build();
    let schemes = &mut document.components.get_or_insert_default().security_schemes;
    schemes.insert(BEARER.to_owned(), SecurityScheme::Http(bearer).into());
    schemes.insert(METRICS.to_owned(), SecurityScheme::Http(metrics).into());
    document.to_pretty_json().unwrap_or_default()
}

fn operation<'a>(document: &'a mut OpenApi, endpoint: &Endpoint) -> Option<&'a mut Operation> {
    let PathItem { get, put, post, delete, .. } = document.paths.paths.get_mut(endpoint.path)?;
    match endpoint.method.as_str() {
        "GET" => get.as_mut(),
        "PUT" => put.as_mut(),
        "POST" => post.as_mut(),
        "DELETE" => delete.as_mut(),
        _ => None,
    }
}

/// Adds what follows from the endpoint's place in the table.
fn complete(operation: &mut Operation, endpoint: &Endpoint) {
    let mut errors = vec![Problem::internal()];
    if endpoint.limited {
        errors.push(Problem::new(Kind::TooManyRequests, "too many requests; slow down").retry_after(MOMENT));
    }
    if let Access::Role(role) = endpoint.access {
        let scopes: [&str; 0] = [];
        operation.security = Some(vec![SecurityRequirement::new(BEARER, scopes)]);
        let text = operation.description.take().unwrap_or_default();
        operation.description = Some(format!("{text}\n\nNeeds the role `{role}`.").trim().to_owned());
        errors.extend([Problem::unauthorized(), auth::forbidden(role), auth::keys_unavailable()]);
    }
    if endpoint.access == Access::MetricsToken {
        let scopes: [&str; 0] = [];
        operation.security = Some(vec![SecurityRequirement::new(METRICS, scopes)]);
        errors.extend([
            Problem::unauthorized(),
            Problem::new(
                Kind::NotFound,
                "metrics are not served here: set METRICS_TOKEN, or ask the address of METRICS_BIND",
            ),
        ]);
    }
    if endpoint.path.contains("{entity}") {
        errors.push(Problem::new(
            Kind::UnknownEntity,
            "unknown entity `deel`; known entities are `company`, `contact`, `lead`, `deal`",
        ));
    }
    if endpoint.access == Access::Portal {
        errors.extend([
            Problem::new(Kind::Invalid, "`data[FIELDS][ID]` is missing"),
            Problem::new(Kind::Forbidden, "the application token or the portal is not one that this service knows"),
            Problem::new(Kind::BodyTimeout, "the body took too long to arrive"),
            Problem::new(Kind::TooLarge, "the body must have at most 65536 bytes"),
            Problem::new(Kind::UnsupportedMedia, "the body must not be compressed"),
            Problem::new(Kind::Unavailable, "the event could not be kept; a sync will make up for it"),
        ]);
    } else if operation.request_body.is_some() {
        errors.extend([
            Problem::new(Kind::Invalid, "the body is not acceptable: unknown field `x` at line 1 column 5"),
            Problem::new(Kind::BodyTimeout, "the body took too long to arrive"),
            Problem::new(Kind::TooLarge, "the body must have at most 1048576 bytes"),
            Problem::new(Kind::UnsupportedMedia, "the body must be application/json"),
        ]);
    }
    match (endpoint.method.as_str(), endpoint.path) {
        ("PUT", "/api/v1/sync/config") => errors.push(Problem::new(
            Kind::Unprocessable,
            "sync_interval_minutes is 2, but must be from 5 to 1440",
        )),
        (_, "/api/v1/webhooks/register" | "/api/v1/webhooks/unregister" | "/api/v1/webhooks/registered") => {
            errors.push(Problem::new(
                Kind::Conflict,
                "with an incoming webhook the portal's events are subscribed to by hand: open Developer resources → Other → Outgoing webhook …",
            ));
            if endpoint.method != "GET" {
                errors.push(Problem::new(Kind::Invalid, "the handler's address must be https"));
            }
        }
        ("POST", "/api/v1/inbox/retry" | "/api/v1/inbox/discard") => {
            errors.push(Problem::new(Kind::Unprocessable, "entity_id needs entity_type"));
            errors.push(Problem::new(
                Kind::UnknownEntity,
                "unknown entity `deel`; known entities are `company`, `contact`, `lead`, `deal`",
            ));
        }
        ("GET", "/api/v1/status/history" | "/api/v1/inbox") => errors.push(Problem::new(
            Kind::Invalid,
            "the parameter per_page is not acceptable: it must be from 1 to 100",
        )),
        ("GET", "/api/v1/sync/validate/{entity}") => errors.push(Problem::new(
            Kind::Conflict,
            "this database has the replica of the portal a.bitrix24.com, but BITRIX_WEBHOOK_URL leads to b.bitrix24.com",
        )),
        _ => {}
    }
    for problem in errors {
        add(operation, endpoint, &problem);
    }
}

fn add(operation: &mut Operation, endpoint: &Endpoint, problem: &Problem) {
    let instance = Some(endpoint.path.replace("{entity}", "deal"));
    let body = problem.body(instance, Some("0198c5d2b0b07a30a5d4f3c1c6c0b9a1".to_owned()));
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(Some(json!(body))).build();
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(described)) = responses.get_mut(&body.status.to_string()) {
        described.content.insert(MEDIA_TYPE.to_owned(), RefOr::T(content));
        return;
    }
    let mut answer = ResponseBuilder::new().description(body.title).content(MEDIA_TYPE, content);
    for name in problem.headers() {
        answer = answer.header(name, Header::default());
    }
    responses.insert(body.status.to_string(), RefOr::T(answer.build()));
}
