//! `/api/v1/status/history`: the run log.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::web;
use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{HistoryFilter, HistoryQuery, LoggedRun};
use b24sync_domain::run::{RunKind, RunStatus};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::params::{Query, within, wrong};
use crate::problem::Problem;

/// Runs on a page, if the client does not say.
const PER_PAGE: u32 = 50;
/// Runs on a page at most.
const PER_PAGE_MAX: u32 = 100;

/// Years that databases and clients agree about.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryParams {
    /// From 1.
    #[param(value_type = Option<u32>, minimum = 1, default = 1)]
    page: Option<String>,
    /// Runs on a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    per_page: Option<String>,
    /// Only this entity.
    #[param(example = "deal")]
    entity_type: Option<String>,
    /// Only this status: `queued`, `running`, `completed`, `completed_with_quarantine`, `failed`, `cancelled`,
    /// `interrupted`.
    #[param(example = "failed")]
    status: Option<String>,
    /// Only this kind: `full`, `incremental`, `sweep`, `webhook`.
    #[param(example = "full")]
    sync_type: Option<String>,
    /// Begun at or after this time (RFC 3339) or on or after this day; years from 0001 to 9999.
    #[param(example = "2026-01-01")]
    date_from: Option<String>,
    /// Begun at or before this time (RFC 3339) or on or before this day.
    #[param(example = "2026-01-31T23:59:59Z")]
    date_to: Option<String>,
}

impl HistoryParams {
    fn filter(self, page: u32, per_page: u32) -> Result<HistoryFilter, Problem> {
        let filter = HistoryFilter {
            entity: known::<EntityType>("entity_type", self.entity_type.as_deref())?,
            status: known::<RunStatus>("status", self.status.as_deref())?,
            kind: known::<RunKind>("sync_type", self.sync_type.as_deref())?,
            from: self.date_from.map(|text| instant("date_from", &text, NaiveTime::MIN)).transpose()?,
            to: self.date_to.map(|text| instant("date_to", &text, end_of_day())).transpose()?,
            offset: u64::from(page - 1) * u64::from(per_page),
            limit: per_page,
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if from > to => Err(wrong("date_from", "it is after date_to")),
            _ => Ok(filter),
        }
    }
}

/// The word as the log has it, if it is one of those that `T` knows.
fn known<T: FromStr<Err: Display> + Display>(name: &str, word: Option<&str>) -> Result<Option<String>, Problem> {
    let known = word.map(str::parse::<T>).transpose().map_err(|error| wrong(name, error))?;
    Ok(known.map(|known| known.to_string()))
}

fn instant(name: &str, text: &str, time_of_day: NaiveTime) -> Result<DateTime<Utc>, Problem> {
    let instant = match text.parse::<NaiveDate>() {
        Ok(day) => day.and_time(time_of_day).and_utc(),
        Err(_no_day) => DateTime::parse_from_rfc3339(text)
            .map(|time| time.to_utc())
            .map_err(|_unreadable| wrong(name, "write a time as 2026-01-31T10:00:00Z or a day as 2026-01-31"))?,
    };
    if YEARS.contains(&instant.year()) { Ok(instant) } else { Err(wrong(name, "years are from 0001 to 9999, in UTC")) }
}

fn end_of_day() -> NaiveTime {
    NaiveTime::from_num_seconds_from_midnight_opt(86_399, 999_999_999).unwrap_or(NaiveTime::MIN)
}

/// A part of the run log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryAnswer {
    /// Newest first.
    history: Vec<LoggedRunBody>,
    /// How many runs match in all.
    total: u64,
    page: u32,
    per_page: u32,
}

/// A run of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoggedRunBody {
    id: i64,
    entity_type: String,
    sync_type: String,
    status: String,
    records_processed: i64,
    error_message: Option<String>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

impl From<LoggedRun> for LoggedRunBody {
    fn from(run: LoggedRun) -> LoggedRunBody {
        LoggedRunBody {
            id: run.id.0,
            entity_type: run.entity,
            sync_type: run.kind,
            status: run.status,
            records_processed: run.processed,
            error_message: run.error,
            started_at: run.started_at,
            completed_at: run.completed_at,
        }
    }
}

/// Runs of the past and of the moment, newest first.
#[utoipa::path(
    get, path = "/api/v1/status/history", tag = "status", params(HistoryParams),
    responses((status = 200, description = "One page", body = HistoryAnswer, example = json!({
        "history": [{
            "id": 17, "entity_type": "deal", "sync_type": "full", "status": "completed", "records_processed": 10000,
            "error_message": null, "started_at": "2026-01-31T10:00:00Z", "completed_at": "2026-01-31T10:00:08Z"
        }],
        "total": 1, "page": 1, "per_page": 50
    })))
)]
pub(crate) async fn history(
    params: Query<HistoryParams>,
    log: web::Data<dyn HistoryQuery>,
) -> Result<web::Json<HistoryAnswer>, Problem> {
    let page = within("page", params.0.page.as_deref(), 1, u32::MAX)?;
    let per_page = within("per_page", params.0.per_page.as_deref(), PER_PAGE, PER_PAGE_MAX)?;
    let found = log.history(&params.0.filter(page, per_page)?).await?;
    let history = found.runs.into_iter().map(LoggedRunBody::from).collect();
    Ok(web::Json(HistoryAnswer { history, total: found.total, page, per_page }))
}
