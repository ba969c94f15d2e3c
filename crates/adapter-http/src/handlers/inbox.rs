//! `/api/v1/inbox`: events that wait, and dead letters.

use actix_web::web;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::event::Target;
use b24sync_domain::ports::{HintFilter, InboxControl, InboxEntry};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::By;
use crate::body::Body;
use crate::params::{Query, within, wrong};
use crate::problem::{Kind, Problem};

/// Entries on a page, if the client does not say, and at most.
const PER_PAGE: u32 = 50;
const PER_PAGE_MAX: u32 = 100;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InboxParams {
    /// From 1.
    #[param(value_type = Option<u32>, minimum = 1, default = 1)]
    page: Option<String>,
    /// Entries on a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    per_page: Option<String>,
    /// Only this entity.
    #[param(example = "deal")]
    entity_type: Option<String>,
    /// Only those that wait, or only dead letters.
    #[param(value_type = Option<State>)]
    state: Option<String>,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It waits to be applied.
    Pending,
    /// It could not be applied.
    Dead,
}

fn state(word: &str) -> Result<State, Problem> {
    match word {
        "pending" => Ok(State::Pending),
        "dead" => Ok(State::Dead),
        _ => Err(wrong("state", "it must be `pending` or `dead`")),
    }
}

fn is_dead(state: Option<State>) -> Option<bool> {
    state.map(|state| state == State::Dead)
}

/// A part of the inbox.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InboxAnswer {
    /// The oldest first.
    entries: Vec<EntryBody>,
    /// How many match in all.
    total: u64,
    page: u32,
    per_page: u32,
}

/// Something that events said may have changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryBody {
    entity_type: &'static str,
    /// Id of the record, or `fields`: the entity's fields.
    entity_id: String,
    /// `pending` or `dead`.
    state: &'static str,
    /// When the first event came that was not looked at yet.
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    /// When it is looked at next.
    due_at: DateTime<Utc>,
    /// Failed attempts.
    attempts: u32,
    error_message: Option<String>,
}

impl From<InboxEntry> for EntryBody {
    fn from(entry: InboxEntry) -> EntryBody {
        EntryBody {
            entity_type: entry.entity.key(),
            entity_id: entry.target.to_string(),
            state: if entry.dead_at.is_some() { "dead" } else { "pending" },
            first_at: entry.first_at,
            last_at: entry.last_at,
            due_at: entry.due_at,
            attempts: entry.attempts,
            error_message: entry.error,
        }
    }
}

/// Events that wait, and dead letters.
#[utoipa::path(
    get, path = "/api/v1/inbox", tag = "webhooks", params(InboxParams),
    responses((status = 200, description = "One page", body = InboxAnswer, example = json!({
        "entries": [{
            "entity_type": "deal", "entity_id": "123", "state": "dead", "first_at": "2026-01-31T10:00:00Z",
            "last_at": "2026-01-31T10:00:00Z", "due_at": "2026-01-31T16:00:00Z", "attempts": 12,
            "error_message": "the portal does not show the record"
        }],
        "total": 1, "page": 1, "per_page": 50
    })))
)]
pub(crate) async fn list(
    params: Query<InboxParams>,
    inbox: web::Data<dyn InboxControl>,
) -> Result<web::Json<InboxAnswer>, Problem> {
    let page = within("page", params.0.page.as_deref(), 1, u32::MAX)?;
    let per_page = within("per_page", params.0.per_page.as_deref(), PER_PAGE, PER_PAGE_MAX)?;
    let entity = params.0.entity_type.map(|name| name.parse::<EntityType>());
    let entity = entity.transpose().map_err(|error| wrong("entity_type", error))?;
    let dead = is_dead(params.0.state.as_deref().map(state).transpose()?);
    let filter = HintFilter { entity, target: None, dead };
    let (entries, total) = inbox.list(&filter, u64::from(page - 1) * u64::from(per_page), per_page).await?;
    let entries = entries.into_iter().map(EntryBody::from).collect();
    Ok(web::Json(InboxAnswer { entries, total, page, per_page }))
}

/// Which entries to do something about; all that match every member that is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboxChoice {
    /// Only this entity.
    #[schema(example = "deal")]
    entity_type: Option<String>,
    /// Only this record, or `fields`; needs `entity_type`.
    #[schema(example = "123")]
    entity_id: Option<String>,
    /// Only those that wait, or only dead letters [default: dead].
    state: Option<State>,
    /// Those of all entities; discarding asks for it where no entity is named.
    #[serde(default)]
    all: bool,
}

impl InboxChoice {
    fn filter(self) -> Result<HintFilter, Problem> {
        let entity = self.entity_type.map(|name| name.parse::<EntityType>()).transpose()?;
        let target = match self.entity_id.as_deref() {
            None => None,
            Some(_) if entity.is_none() => {
                return Err(Problem::new(Kind::Unprocessable, "entity_id needs entity_type"));
            }
            Some("fields") => Some(Target::Fields),
            Some(id) => {
                let id = id.parse().ok().and_then(RecordId::new);
                Some(Target::Record(id.ok_or_else(|| {
                    Problem::new(Kind::Unprocessable, "entity_id must be a positive number, or `fields`")
                })?))
            }
        };
        Ok(HintFilter { entity, target, dead: is_dead(self.state.or(Some(State::Dead))) })
    }
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedAnswer {
    /// `due` or `discarded`.
    status: &'static str,
    /// How many entries.
    count: u64,
}

/// Makes entries due now; dead letters live again.
#[utoipa::path(
    post, path = "/api/v1/inbox/retry", tag = "webhooks", request_body = InboxChoice,
    responses((status = 200, description = "They are looked at within seconds", body = ChangedAnswer,
        example = json!({"status": "due", "count": 3})))
)]
pub(crate) async fn retry(
    choice: Body<InboxChoice>,
    by: By,
    inbox: web::Data<dyn InboxControl>,
) -> Result<web::Json<ChangedAnswer>, Problem> {
    let count = inbox.retry(&choice.0.filter()?, &by.0).await?;
    Ok(web::Json(ChangedAnswer { status: "due", count }))
}

/// Forgets entries. What they named is seen by the next sync that lists it.
#[utoipa::path(
    post, path = "/api/v1/inbox/discard", tag = "webhooks", request_body = InboxChoice,
    responses((status = 200, description = "They are gone", body = ChangedAnswer,
        example = json!({"status": "discarded", "count": 3})))
)]
pub(crate) async fn discard(
    choice: Body<InboxChoice>,
    by: By,
    inbox: web::Data<dyn InboxControl>,
) -> Result<web::Json<ChangedAnswer>, Problem> {
    if choice.0.entity_type.is_none() && !choice.0.all {
        let detail = "what is discarded is gone: give entity_type, or all as true for those of every entity";
        return Err(Problem::new(Kind::Unprocessable, detail));
    }
    let count = inbox.discard(&choice.0.filter()?, &by.0).await?;
    Ok(web::Json(ChangedAnswer { status: "discarded", count }))
}
