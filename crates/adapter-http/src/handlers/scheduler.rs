//! `/api/v1/status/scheduler`: what runs when.

use actix_web::web;
use b24sync_domain::ports::{Job, SchedulerQuery, SchedulerState};
use b24sync_domain::run::RunKind;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// How the scheduler stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulerAnswer {
    /// Whether some instance schedules.
    running: bool,
    job_count: usize,
    jobs: Vec<JobBody>,
    /// Which instance schedules.
    leader: Option<String>,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobBody {
    id: String,
    name: String,
    /// Null when the entity is switched off.
    next_run_time: Option<DateTime<Utc>>,
}

impl From<Job> for JobBody {
    fn from(job: Job) -> JobBody {
        let (entity, kind) = (job.entity.key(), job.kind);
        let id = if kind == RunKind::Incremental { format!("sync_{entity}") } else { format!("{kind}_{entity}") };
        JobBody { id, name: format!("{kind} sync of {entity}"), next_run_time: job.next_run }
    }
}

impl From<SchedulerState> for SchedulerAnswer {
    fn from(state: SchedulerState) -> SchedulerAnswer {
        SchedulerAnswer {
            running: state.running,
            job_count: state.jobs.len(),
            jobs: state.jobs.into_iter().map(JobBody::from).collect(),
            leader: state.leader,
        }
    }
}

/// What runs when, whichever instance schedules.
#[utoipa::path(
    get, path = "/api/v1/status/scheduler", tag = "status",
    responses((status = 200, description = "Its jobs", body = SchedulerAnswer, example = json!({
        "running": true, "job_count": 1, "jobs": [{
            "id": "sync_deal", "name": "incremental sync of deal", "next_run_time": "2026-01-31T10:30:00Z"
        }],
        "leader": "worker-1"
    })))
)]
pub(crate) async fn scheduler(query: web::Data<dyn SchedulerQuery>) -> Result<web::Json<SchedulerAnswer>, Problem> {
    Ok(web::Json(query.scheduler().await?.into()))
}
