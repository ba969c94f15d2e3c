//! `/api/v1/sync/{start,cancel,running}`: starting, stopping and watching syncs.

use actix_web::{HttpResponse, web};
use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{Cancelled, RunningSync, SettingsControl, SyncControl};
use b24sync_domain::run::RunKind;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::By;
use crate::body::Body;
use crate::params::KnownEntity;
use crate::problem::Problem;

/// Which sync to start.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StartRequest {
    /// `full` reads every record, `incremental` what changed.
    sync_type: SyncType,
}

/// What a sync reads.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SyncType {
    #[default]
    Full,
    Incremental,
}

impl From<SyncType> for RunKind {
    fn from(kind: SyncType) -> RunKind {
        match kind {
            SyncType::Full => RunKind::Full,
            SyncType::Incremental => RunKind::Incremental,
        }
    }
}

/// The sync that fulfils the wish.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartAnswer {
    /// `started`, or `already_running`: one that serves the wish is on or queued.
    status: &'static str,
    entity: &'static str,
    sync_type: &'static str,
    message: String,
    run_id: i64,
}

/// Starts a sync, unless one that serves the wish is on or queued.
///
/// Returns at once; watch it with `/sync/running` or `/events`. The body may be empty.
#[utoipa::path(
    post, path = "/api/v1/sync/start/{entity}", tag = "sync",
    params(("entity" = String, Path, description = "The entity", example = "deal")),
    request_body(content = Option<StartRequest>, example = json!({"sync_type": "incremental"})),
    responses((status = 202, description = "It is on or queued", body = StartAnswer, example = json!({
        "status": "started", "entity": "deal", "sync_type": "full", "message": "a full sync of `deal` was started",
        "run_id": 17
    })))
)]
pub(crate) async fn start(
    entity: KnownEntity,
    body: Body<StartRequest>,
    by: By,
    syncs: web::Data<dyn SyncControl>,
    settings: web::Data<dyn SettingsControl>,
) -> Result<HttpResponse, Problem> {
    let (KnownEntity(entity), kind) = (entity, RunKind::from(body.0.sync_type));
    // First, because what cannot be audited is not done.
    settings.audit("sync.start", Some(entity), &by.0).await?;
    let started = syncs.start(entity, kind).await?;
    let (status, message) = if started.already_running {
        ("already_running", format!("a sync of `{entity}` is on or queued already"))
    } else {
        ("started", format!("{} {kind} sync of `{entity}` was started", article(kind)))
    };
    let answer = StartAnswer { status, entity: entity.key(), sync_type: kind.as_str(), message, run_id: started.run.0 };
    Ok(HttpResponse::Accepted().json(answer))
}

fn article(kind: RunKind) -> &'static str {
    if kind == RunKind::Incremental { "an" } else { "a" }
}

/// What became of the wish to stop a sync.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancelAnswer {
    /// `cancelling`, `dequeued` or `not_running`.
    status: &'static str,
    entity: &'static str,
    message: String,
    /// The one that stops, else the newest of them.
    run_id: Option<i64>,
    /// All that are stopped, or queued no more.
    run_ids: Vec<i64>,
}

/// Stops the running sync cleanly, and those that wait behind it.
///
/// What was stored stays, and the next sync goes on from there. One that is started before the running one has ended
/// waits for that and begins anew.
#[utoipa::path(
    post, path = "/api/v1/sync/cancel/{entity}", tag = "sync",
    params(("entity" = String, Path, description = "The entity", example = "deal")),
    responses((status = 200, description = "It stops within seconds, or there was none", body = CancelAnswer,
        example = json!({
            "status": "cancelling", "entity": "deal", "message": "the sync of `deal` stops within seconds",
            "run_id": 17, "run_ids": [17]
        })))
)]
pub(crate) async fn cancel(
    entity: KnownEntity,
    by: By,
    syncs: web::Data<dyn SyncControl>,
    settings: web::Data<dyn SettingsControl>,
) -> Result<web::Json<CancelAnswer>, Problem> {
    let KnownEntity(entity) = entity;
    settings.audit("sync.cancel", Some(entity), &by.0).await?;
    let Cancelled { asked, dequeued } = syncs.cancel(entity).await?;
    let (status, message) = match (asked, dequeued.len()) {
        (None, 0) => ("not_running", format!("no sync of `{entity}` is on")),
        (None, queued) => ("dequeued", no_more(entity, queued)),
        (Some(_), 0) => ("cancelling", format!("the sync of `{entity}` stops within seconds")),
        (Some(_), queued) => {
            ("cancelling", format!("the sync of `{entity}` stops within seconds; {}", no_more(entity, queued)))
        }
    };
    let run_ids: Vec<i64> = asked.iter().chain(&dequeued).map(|run| run.0).collect();
    let run_id = asked.map(|run| run.0).or(run_ids.iter().max().copied());
    Ok(web::Json(CancelAnswer { status, entity: entity.key(), message, run_id, run_ids }))
}

fn no_more(entity: EntityType, queued: usize) -> String {
    match queued {
        1 => format!("one sync of `{entity}` is queued no more"),
        queued => format!("{queued} syncs of `{entity}` are queued no more"),
    }
}

/// Syncs that are on or queued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunningAnswer {
    /// Their entities.
    running_syncs: Vec<&'static str>,
    count: usize,
    runs: Vec<RunningBody>,
}

/// A sync that is on or queued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunningBody {
    run_id: i64,
    entity_type: &'static str,
    sync_type: &'static str,
    /// `queued`, `running` or `cancelling`.
    status: &'static str,
    records_processed: u64,
    started_at: DateTime<Utc>,
    /// Which instance is at it.
    holder: Option<String>,
    progress: ProgressBody,
}

/// How far a sync is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressBody {
    /// What it is at; empty while it is queued.
    step: String,
    /// About how many records there are in all.
    records_expected: Option<u64>,
    /// About how much of them is done.
    percent: Option<u64>,
    records_per_second: Option<f64>,
    remaining_seconds: Option<u64>,
}

impl From<&RunningSync> for RunningBody {
    fn from(sync: &RunningSync) -> RunningBody {
        RunningBody {
            run_id: sync.run.0,
            entity_type: sync.entity.key(),
            sync_type: sync.kind.as_str(),
            status: status_of(sync),
            records_processed: sync.processed,
            started_at: sync.started_at,
            holder: sync.holder.clone(),
            progress: ProgressBody {
                step: sync.step.clone(),
                records_expected: sync.expected,
                percent: percent(sync.processed, sync.expected),
                records_per_second: sync.per_second,
                remaining_seconds: sync.remaining.map(|remaining| remaining.as_secs()),
            },
        }
    }
}

impl From<&[RunningSync]> for RunningAnswer {
    fn from(syncs: &[RunningSync]) -> RunningAnswer {
        let mut running_syncs: Vec<_> = syncs.iter().map(|sync| sync.entity.key()).collect();
        running_syncs.dedup();
        RunningAnswer { running_syncs, count: syncs.len(), runs: syncs.iter().map(RunningBody::from).collect() }
    }
}

/// The word for a sync that is on or queued.
pub(crate) fn status_of(sync: &RunningSync) -> &'static str {
    match (sync.stopping, sync.queued) {
        (true, _) => "cancelling",
        (false, true) => "queued",
        (false, false) => "running",
    }
}

fn percent(processed: u64, expected: Option<u64>) -> Option<u64> {
    processed.saturating_mul(100).checked_div(expected?).map(|percent| percent.min(100))
}

/// Syncs that are on or queued, on whichever instance.
#[utoipa::path(
    get, path = "/api/v1/sync/running", tag = "sync",
    responses((status = 200, description = "In the catalogue's order", body = RunningAnswer, example = json!({
        "running_syncs": ["deal"], "count": 1, "runs": [{
            "run_id": 17, "entity_type": "deal", "sync_type": "full", "status": "running", "records_processed": 2500,
            "started_at": "2026-01-31T10:00:00Z", "holder": "worker-1", "progress": {
                "step": "reading", "records_expected": 10000, "percent": 25, "records_per_second": 1250.0,
                "remaining_seconds": 6
            }
        }]
    })))
)]
pub(crate) async fn running(syncs: web::Data<dyn SyncControl>) -> Result<web::Json<RunningAnswer>, Problem> {
    let running = syncs.running().await?;
    Ok(web::Json(RunningAnswer::from(running.as_slice())))
}
