//! `/api/v1/sync/config`: what an operator may set for each entity.

use actix_web::web;
use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::SettingsControl;
use b24sync_domain::settings::{EntitySettings, SettingsChange};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::By;
use crate::body::Body;
use crate::problem::{Kind, Problem};

/// Settings of every entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigAnswer {
    entities: Vec<SettingsBody>,
    /// Minutes between scheduled syncs of an entity that has none of its own.
    default_interval_minutes: i32,
}

/// Settings of an entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsBody {
    entity_type: &'static str,
    /// Whether scheduled syncs run.
    enabled: bool,
    /// Minutes between scheduled syncs.
    sync_interval_minutes: i32,
    /// Whether events of the portal are applied.
    webhook_enabled: bool,
    last_sync_at: Option<DateTime<Utc>>,
}

impl From<EntitySettings> for SettingsBody {
    fn from(settings: EntitySettings) -> SettingsBody {
        SettingsBody {
            entity_type: settings.entity.key(),
            enabled: settings.enabled,
            sync_interval_minutes: settings.sync_interval_minutes,
            webhook_enabled: settings.webhook_enabled,
            last_sync_at: settings.last_sync_at,
        }
    }
}

/// Settings of every entity.
#[utoipa::path(
    get, path = "/api/v1/sync/config", tag = "sync",
    responses((status = 200, description = "In the catalogue's order", body = ConfigAnswer, example = json!({
        "entities": [{
            "entity_type": "deal", "enabled": true, "sync_interval_minutes": 30, "webhook_enabled": true,
            "last_sync_at": "2026-01-31T10:00:00Z"
        }],
        "default_interval_minutes": 30
    })))
)]
pub(crate) async fn read(settings: web::Data<dyn SettingsControl>) -> Result<web::Json<ConfigAnswer>, Problem> {
    let entities = settings.settings().await?.into_iter().map(SettingsBody::from).collect();
    Ok(web::Json(ConfigAnswer { entities, default_interval_minutes: settings.default_interval_minutes() }))
}

/// What is to be changed; what is left out or null stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    #[schema(example = "deal")]
    entity_type: String,
    enabled: Option<bool>,
    #[schema(minimum = 5, maximum = 1440)]
    sync_interval_minutes: Option<i64>,
    webhook_enabled: Option<bool>,
}

impl TryFrom<ChangeRequest> for SettingsChange {
    type Error = Problem;

    fn try_from(request: ChangeRequest) -> Result<SettingsChange, Problem> {
        let unacceptable = |detail: String| Problem::new(Kind::Unprocessable, detail);
        let entity: EntityType =
            request.entity_type.parse().map_err(|error| unacceptable(format!("entity_type: {error}")))?;
        let minutes = request.sync_interval_minutes.map(i32::try_from).transpose().map_err(|_too_large| {
            unacceptable("sync_interval_minutes is out of bounds: it must be from 5 to 1440".to_owned())
        })?;
        let change = SettingsChange {
            entity,
            enabled: request.enabled,
            sync_interval_minutes: minutes,
            webhook_enabled: request.webhook_enabled,
        };
        change.check().map_err(unacceptable)?;
        Ok(change)
    }
}

/// Changes settings of an entity; the schedule follows at once, on every instance.
#[utoipa::path(
    put, path = "/api/v1/sync/config", tag = "sync",
    request_body(content = ChangeRequest, example = json!({"entity_type": "deal", "sync_interval_minutes": 15})),
    responses((status = 200, description = "As they are now", body = SettingsBody, example = json!({
        "entity_type": "deal", "enabled": true, "sync_interval_minutes": 15, "webhook_enabled": true,
        "last_sync_at": "2026-01-31T10:00:00Z"
    })))
)]
pub(crate) async fn change(
    body: Body<ChangeRequest>,
    by: By,
    settings: web::Data<dyn SettingsControl>,
) -> Result<web::Json<SettingsBody>, Problem> {
    let change = SettingsChange::try_from(body.0)?;
    let changed = settings.change(&change, &by.0).await?;
    Ok(web::Json(changed.into()))
}
