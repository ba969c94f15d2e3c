//! `/api/v1/sync/status` and `/api/v1/status/stats`: how every entity stands.

use std::collections::BTreeMap;

use actix_web::web;
use b24sync_domain::ports::{EntityOverview, RunningSync, StatusQuery, SyncControl};
use b24sync_domain::run::RunKind;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::sync::status_of;
use crate::problem::Problem;

/// How every entity stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusAnswer {
    /// `running` when a sync is on or queued, else `idle`; batches of events do not count.
    overall_status: &'static str,
    entities: Vec<EntityStatus>,
}

/// How an entity stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityStatus {
    entity_type: &'static str,
    /// `queued`, `running`, `cancelling`; else how its last sync ended (`completed`, `completed_with_quarantine`,
    /// `failed`, `cancelled`, `interrupted`); `idle` before the first one.
    status: String,
    last_sync_type: Option<String>,
    last_sync_at: Option<DateTime<Utc>>,
    records_synced: i64,
    error_message: Option<String>,
    last_run_id: Option<i64>,
    enabled: bool,
    /// Rows of its table; null when there is none yet.
    rows: Option<i64>,
    /// Records that could not be stored.
    quarantined: i64,
    /// Portal time up to which it is complete.
    last_modified: Option<DateTime<Utc>>,
}

impl EntityStatus {
    fn new(entity: EntityOverview, running: &[RunningSync]) -> EntityStatus {
        let mine = running.iter().filter(|sync| sync.entity == entity.entity);
        let on = mine.min_by_key(|sync| sync.queued).map(|sync| status_of(sync).to_owned());
        let last = entity.last_run;
        EntityStatus {
            entity_type: entity.entity.key(),
            status: on.or_else(|| last.as_ref().map(|run| run.status.clone())).unwrap_or_else(|| "idle".to_owned()),
            last_sync_type: last.as_ref().map(|run| run.kind.clone()),
            last_sync_at: entity.settings.last_sync_at,
            records_synced: last.as_ref().map_or(0, |run| run.processed),
            last_run_id: last.as_ref().map(|run| run.id.0),
            error_message: last.and_then(|run| run.error),
            enabled: entity.settings.enabled,
            rows: entity.rows,
            quarantined: entity.quarantined,
            last_modified: entity.watermark,
        }
    }
}

/// How every entity stands.
#[utoipa::path(
    get, path = "/api/v1/sync/status", tag = "sync",
    responses((status = 200, description = "In the catalogue's order", body = StatusAnswer, example = json!({
        "overall_status": "idle", "entities": [{
            "entity_type": "deal", "status": "completed", "last_sync_type": "incremental",
            "last_sync_at": "2026-01-31T10:00:00Z", "records_synced": 12, "error_message": null, "last_run_id": 17,
            "enabled": true, "rows": 10000, "quarantined": 0, "last_modified": "2026-01-31T09:59:30Z"
        }]
    })))
)]
pub(crate) async fn status(
    query: web::Data<dyn StatusQuery>,
    syncs: web::Data<dyn SyncControl>,
) -> Result<web::Json<StatusAnswer>, Problem> {
    // In this order, a sync that ends in between is shown as it was rather than as two things at once.
    let mut running = syncs.running().await?;
    // A batch of events comes every few seconds, and would hide how the last pass over the records ended.
    running.retain(|sync| sync.kind != RunKind::Webhook);
    let overview = query.overview().await?;
    Ok(web::Json(StatusAnswer {
        overall_status: if running.is_empty() { "idle" } else { "running" },
        entities: overview.into_iter().map(|entity| EntityStatus::new(entity, &running)).collect(),
    }))
}

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsAnswer {
    /// By entity.
    entities: BTreeMap<&'static str, EntityStats>,
    total_records: i64,
}

/// How much there is of an entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityStats {
    /// Rows of its table.
    count: i64,
    last_sync: Option<DateTime<Utc>>,
    /// Portal time up to which it is complete.
    last_modified: Option<DateTime<Utc>>,
}

impl From<EntityOverview> for EntityStats {
    fn from(entity: EntityOverview) -> EntityStats {
        EntityStats {
            count: entity.rows.unwrap_or(0),
            last_sync: entity.settings.last_sync_at,
            last_modified: entity.watermark,
        }
    }
}

/// How many rows there are.
#[utoipa::path(
    get, path = "/api/v1/status/stats", tag = "status",
    responses((status = 200, description = "By entity and in all", body = StatsAnswer, example = json!({
        "entities": {"deal": {
            "count": 10000, "last_sync": "2026-01-31T10:00:00Z", "last_modified": "2026-01-31T09:59:30Z"
        }},
        "total_records": 10000
    })))
)]
pub(crate) async fn stats(query: web::Data<dyn StatusQuery>) -> Result<web::Json<StatsAnswer>, Problem> {
    let overview = query.overview().await?;
    let entities: BTreeMap<_, _> =
        overview.into_iter().map(|entity| (entity.entity.key(), EntityStats::from(entity))).collect();
    let total_records = entities.values().map(|stats| stats.count).sum();
    Ok(web::Json(StatsAnswer { entities, total_records }))
}
