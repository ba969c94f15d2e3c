//! The one table of paths, methods and roles.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::guard::{self, AnyGuard};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpRequest, HttpResponse, Route, web};
use b24sync_domain::access::Role;

use crate::handlers::{
    config, docs, events, health, history, inbox, metrics, registration, scheduler, status, sync, validate, webhook,
};
use crate::problem::{Kind, Problem};
use crate::server::Api;

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// Callers with this role, or one that may do more.
    Role(Role),
    /// Whoever has the token for metrics; nobody where there is none.
    MetricsToken,
    /// The portal, by a token in the body, which the handler compares.
    Portal,
}

/// A path and a method.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// Whether the answer is a stream of events. `EventSource` cannot send headers, so that the token may stand in the
    /// query.
    pub(crate) stream: bool,
    /// Whether requests without a token are counted. They are not where the answer costs nothing and a refusal would look
    /// like a dead process.
    pub(crate) limited: bool,
    /// Whether it is part of the interface that OpenAPI describes.
    pub(crate) described: bool,
    handler: fn() -> Route,
}

impl Endpoint {
    const fn new(method: Method, path: &'static str, access: Access, handler: fn() -> Route) -> Endpoint {
        Endpoint { method, path, access, stream: false, limited: true, described: true, handler }
    }

    const fn streaming(mut self) -> Endpoint {
        self.stream = true;
        self
    }

    const fn unlimited(mut self) -> Endpoint {
        self.limited = false;
        self
    }

    const fn not_described(mut self) -> Endpoint {
        self.described = false;
        self
    }

    /// Whether an answer without its body makes sense.
    fn answers_head(&self) -> bool {
        self.method == Method::GET && !self.stream
    }

    fn methods(&self) -> AnyGuard {
        let guard = guard::Any(guard::Method(self.method.clone()));
        if self.answers_head() { guard.or(guard::Head()) } else { guard }
    }
}

const PUBLIC: Access = Access::Public;
const VIEWER: Access = Access::Role(Role::Viewer);
const OPERATOR: Access = Access::Role(Role::Operator);
const ADMIN: Access = Access::Role(Role::Admin);

static TABLE: [Endpoint; 26] = [
    Endpoint::new(Method::POST, "/api/v1/sync/start/{entity}", OPERATOR, || web::to(sync::start)),
    Endpoint::new(Method::POST, "/api/v1/sync/cancel/{entity}", OPERATOR, || web::to(sync::cancel)),
    Endpoint::new(Method::GET, "/api/v1/sync/running", VIEWER, || web::to(sync::running)),
    Endpoint::new(Method::GET, "/api/v1/sync/status", VIEWER, || web::to(status::status)),
    Endpoint::new(Method::GET, "/api/v1/sync/config", VIEWER, || web::to(config::read)),
    Endpoint::new(Method::PUT, "/api/v1/sync/config", ADMIN, || web::to(config::change)),
    Endpoint::new(Method::GET, "/api/v1/sync/validate/{entity}", VIEWER, || web::to(validate::validate)),
    Endpoint::new(Method::GET, "/api/v1/status/history", VIEWER, || web::to(history::history)),
    Endpoint::new(Method::GET, "/api/v1/status/stats", VIEWER, || web::to(status::stats)),
    Endpoint::new(Method::GET, "/api/v1/status/scheduler", VIEWER, || web::to(scheduler::scheduler)),
    Endpoint::new(Method::GET, "/api/v1/status/health", VIEWER, || web::to(health::details)),
    Endpoint::new(Method::POST, "/api/v1/webhooks/bitrix", Access::Portal, || web::to(webhook::receive)),
    Endpoint::new(Method::POST, "/api/v1/webhooks/register", ADMIN, || web::to(registration::register)),
    Endpoint::new(Method::DELETE, "/api/v1/webhooks/unregister", ADMIN, || web::to(registration::unregister)),
    Endpoint::new(Method::GET, "/api/v1/webhooks/registered", VIEWER, || web::to(registration::registered)),
    Endpoint::new(Method::GET, "/api/v1/inbox", VIEWER, || web::to(inbox::list)),
    Endpoint::new(Method::POST, "/api/v1/inbox/retry", OPERATOR, || web::to(inbox::retry)),
    Endpoint::new(Method::POST, "/api/v1/inbox/discard", ADMIN, || web::to(inbox::discard)),
    Endpoint::new(Method::GET, "/api/v1/events", VIEWER, || web::to(events::events)).streaming(),
    Endpoint::new(Method::GET, "/api/v1/openapi.json", PUBLIC, || web::to(docs::openapi)).not_described(),
    Endpoint::new(Method::GET, "/docs", PUBLIC, || web::to(docs::redirect)).not_described(),
    Endpoint::new(Method::GET, "/docs/{file:.*}", PUBLIC, || web::to(docs::file)).not_described(),
    Endpoint::new(Method::GET, "/metrics", Access::MetricsToken, || web::to(metrics::metrics)),
    Endpoint::new(Method::GET, "/health", PUBLIC, || web::to(health::health)),
    Endpoint::new(Method::GET, "/health/live", PUBLIC, || web::to(health::live)).unlimited(),
    Endpoint::new(Method::GET, "/health/ready", PUBLIC, || web::to(health::ready)),
];

/// Every endpoint that there is.
pub fn endpoints() -> &'static [Endpoint] {
    &TABLE
}

/// Mounts every endpoint, with its limits and its role. What [`build`](crate::build) adds around them (headers, CORS,
/// compression, the access log, problems for unknown paths) is left to the application.
pub fn configure(config: &mut web::ServiceConfig, api: &Api) {
    api.provide(config);
    let mut mounted: Vec<&str> = Vec::new();
    for endpoint in &TABLE {
        if !mounted.contains(&endpoint.path) {
            mounted.push(endpoint.path);
            config.service(resource(endpoint.path, api));
        }
    }
}

/// All methods of one path.
fn resource(path: &'static str, api: &Api) -> actix_web::Resource {
    let allow = allowed(path);
    let refuse = move |request: HttpRequest| {
        let answer = Problem::method_not_allowed(&allow).respond(&request);
        async move { answer }
    };
    let mut resource = web::resource(path).default_service(web::to(refuse));
    for endpoint in TABLE.iter().filter(|endpoint| endpoint.path == path) {
        resource = resource.route(guarded(endpoint, api));
    }
    resource
}

/// The endpoint's handler behind the gate; there is no other way to a handler.
fn guarded(endpoint: &'static Endpoint, api: &Api) -> Route {
    let gate = Arc::clone(&api.gate);
    (endpoint.handler)().guard(endpoint.methods()).wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
        let gate = Arc::clone(&gate);
        async move { gate.pass(endpoint, request, next).await }
    }))
}

/// Methods of a path, as in `Allow`.
fn allowed(path: &str) -> String {
    let mut methods = Vec::new();
    for endpoint in TABLE.iter().filter(|endpoint| endpoint.path == path) {
        methods.push(endpoint.method.as_str());
        if endpoint.answers_head() {
            methods.push("HEAD");
        }
    }
    methods.join(", ")
}

/// The answer to a path that is not in the table.
pub(crate) async fn not_found(request: HttpRequest) -> HttpResponse {
    Problem::new(Kind::NotFound, "there is no such path; /docs lists those that there are").respond(&request)
}
