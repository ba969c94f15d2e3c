//! `/api/v1/webhooks/…`: the portal's handlers of our events.

use actix_web::web;
use b24sync_domain::ports::{SettingsControl, WebhookRegistration};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::By;
use crate::params::Query;
use crate::problem::Problem;

/// Where the portal reaches this service.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HandlerParams {
    /// Address of this service as the portal sees it; without one, that of the setting `PUBLIC_URL`.
    #[param(example = "https://sync.example.com")]
    handler_base_url: Option<String>,
}

/// What became of a registration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegisterAnswer {
    /// `registered`, or `partial` when some events failed.
    status: &'static str,
    handler_url: String,
    /// Events that come from now on.
    registered: Vec<String>,
    failed: Vec<FailedEvent>,
}

/// An event that could not be bound.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedEvent {
    event: String,
    reason: String,
}

/// Binds every event that the service wants to its handler.
///
/// As an application of the portal only. With an incoming webhook, 409 says what to enter in the portal by hand.
#[utoipa::path(
    post, path = "/api/v1/webhooks/register", tag = "webhooks", params(HandlerParams),
    responses((status = 200, description = "Events that are bound now", body = RegisterAnswer, example = json!({
        "status": "registered", "handler_url": "https://sync.example.com/api/v1/webhooks/bitrix",
        "registered": ["ONCRMDEALADD", "ONCRMDEALUPDATE"], "failed": []
    })))
)]
pub(crate) async fn register(
    params: Query<HandlerParams>,
    by: By,
    registration: web::Data<dyn WebhookRegistration>,
    settings: web::Data<dyn SettingsControl>,
) -> Result<web::Json<RegisterAnswer>, Problem> {
    settings.audit("webhooks.register", None, &by.0).await?;
    let done = registration.register(params.0.handler_base_url).await?;
    let failed: Vec<_> = done.failed.into_iter().map(|(event, reason)| FailedEvent { event, reason }).collect();
    let status = if failed.is_empty() { "registered" } else { "partial" };
    let answer = RegisterAnswer { status, handler_url: done.handler_url, registered: done.registered, failed };
    Ok(web::Json(answer))
}

/// What became of the wish to hear no more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnregisterAnswer {
    /// `unregistered`.
    status: &'static str,
    /// Events that come no more.
    unregistered: Vec<String>,
}

/// Unbinds the handler.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/unregister", tag = "webhooks", params(HandlerParams),
    responses((status = 200, description = "Events that come no more", body = UnregisterAnswer, example = json!({
        "status": "unregistered", "unregistered": ["ONCRMDEALADD", "ONCRMDEALUPDATE"]
    })))
)]
pub(crate) async fn unregister(
    params: Query<HandlerParams>,
    by: By,
    registration: web::Data<dyn WebhookRegistration>,
    settings: web::Data<dyn SettingsControl>,
) -> Result<web::Json<UnregisterAnswer>, Problem> {
    settings.audit("webhooks.unregister", None, &by.0).await?;
    let unregistered = registration.unregister(params.0.handler_base_url).await?;
    Ok(web::Json(UnregisterAnswer { status: "unregistered", unregistered }))
}

/// Handlers that the portal has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegisteredAnswer {
    webhooks: Vec<HandlerBody>,
    count: usize,
}

/// A handler of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandlerBody {
    event: String,
    /// Where it is sent; null when it goes to the portal's offline queue.
    handler: Option<String>,
}

/// Handlers that the portal has for this application.
#[utoipa::path(
    get, path = "/api/v1/webhooks/registered", tag = "webhooks",
    responses((status = 200, description = "As the portal lists them", body = RegisteredAnswer, example = json!({
        "webhooks": [{
            "event": "ONCRMDEALADD", "handler": "https://sync.example.com/api/v1/webhooks/bitrix"
        }],
        "count": 1
    })))
)]
pub(crate) async fn registered(
    registration: web::Data<dyn WebhookRegistration>,
) -> Result<web::Json<RegisteredAnswer>, Problem> {
    let handlers = registration.registered().await?;
    let webhooks: Vec<_> =
        handlers.into_iter().map(|bound| HandlerBody { event: bound.event, handler: bound.handler }).collect();
    Ok(web::Json(RegisteredAnswer { count: webhooks.len(), webhooks }))
}
