//! `/health`, `/health/live`, `/health/ready` without a token, and `/api/v1/status/health` with details.

use actix_web::{HttpResponse, HttpResponseBuilder, web};
use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{Health, HealthQuery, StatusQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::drain::Draining;
use crate::problem::Problem;

/// Whether the service can do its work, as the seed's front end reads it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    version: &'static str,
    scheduler: SchedulerBody,
}

/// The scheduler in this process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthScheduler)]
pub(crate) struct SchedulerBody {
    running: bool,
    jobs_count: usize,
}

/// A probe's answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProbeBody {
    status: &'static str,
}

/// Whether the service can do its work, with details.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetailsBody {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// `connected` or `disconnected`.
    database: &'static str,
    scheduler: SchedulerBody,
    /// Replica tables that there are.
    crm_tables: Vec<&'static str>,
}

fn word(health: &Health) -> &'static str {
    if health.is_healthy() { "healthy" } else { "unhealthy" }
}

fn ok_if(good: bool) -> HttpResponseBuilder {
    if good { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }
}

impl From<&Health> for SchedulerBody {
    fn from(health: &Health) -> SchedulerBody {
        SchedulerBody { running: health.scheduler_running, jobs_count: health.jobs }
    }
}

/// Whether the service can do its work.
#[utoipa::path(
    get, path = "/health", tag = "health",
    responses(
        (status = 200, description = "It can", body = HealthBody, example = json!({
            "status": "healthy", "version": "0.1.0", "scheduler": {"running": true, "jobs_count": 4}
        })),
        (status = 503, description = "It cannot", body = HealthBody, example = json!({
            "status": "unhealthy", "version": "0.1.0", "scheduler": {"running": true, "jobs_count": 4}
        }))
    )
)]
pub(crate) async fn health(query: web::Data<dyn HealthQuery>) -> HttpResponse {
    let health = query.health().await;
    let body = HealthBody {
        status: word(&health),
        version: env!("CARGO_PKG_VERSION"),
        scheduler: SchedulerBody::from(&health),
    };
    ok_if(health.is_healthy()).json(body)
}

/// Whether the process runs; asks nothing else.
#[utoipa::path(
    get, path = "/health/live", tag = "health",
    responses((status = 200, description = "It runs", body = ProbeBody, example = json!({"status": "alive"})))
)]
pub(crate) async fn live() -> web::Json<ProbeBody> {
    web::Json(ProbeBody { status: "alive" })
}

/// Whether to send requests here: the database answers, and the service is not about to stop.
#[utoipa::path(
    get, path = "/health/ready", tag = "health",
    responses(
        (status = 200, description = "Yes", body = ProbeBody, example = json!({"status": "ready"})),
        (status = 503, description = "No", body = ProbeBody, example = json!({"status": "draining"}))
    )
)]
pub(crate) async fn ready(query: web::Data<dyn HealthQuery>, draining: web::Data<Draining>) -> HttpResponse {
    let status = match draining.has_begun() {
        true => "draining",
        false if query.health().await.is_healthy() => "ready",
        false => "not_ready",
    };
    ok_if(status == "ready").json(ProbeBody { status })
}

/// Whether the service can do its work, with details.
#[utoipa::path(
    get, path = "/api/v1/status/health", tag = "status",
    responses(
        (status = 200, description = "It can", body = DetailsBody, example = json!({
            "status": "healthy", "database": "connected", "scheduler": {"running": true, "jobs_count": 4},
            "crm_tables": ["crm_deals"]
        })),
        (status = 503, description = "It cannot: the body is like that of 200, or a problem", body = DetailsBody,
            example = json!({
                "status": "unhealthy", "database": "disconnected", "scheduler": {"running": true, "jobs_count": 4},
                "crm_tables": []
            }))
    )
)]
pub(crate) async fn details(
    query: web::Data<dyn HealthQuery>,
    replica: web::Data<dyn StatusQuery>,
) -> Result<HttpResponse, Problem> {
    let health = query.health().await;
    let tables = if health.database { replica.tables().await? } else { Vec::new() };
    let body = DetailsBody {
        status: word(&health),
        database: if health.database { "connected" } else { "disconnected" },
        scheduler: SchedulerBody::from(&health),
        crm_tables: tables.into_iter().map(EntityType::table).collect(),
    };
    Ok(ok_if(health.is_healthy()).json(body))
}
