//! `b24sync status`: how each entity's table stands.

use std::fmt::Write as _;
use std::process::ExitCode;

use b24sync_domain::portal::{BoundStyle, KeptProbe};
use b24sync_domain::ports::{EntityOverview, PortalOverview, StatusQuery};
use indicatif::HumanDuration;
use serde::Serialize;

use crate::cli::StatusArgs;
use crate::failure::Failure;
use crate::output::{Output, grouped, instant};
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

/// Everything, for programs.
#[derive(Debug, Serialize)]
struct Status {
    portal: Option<PortalStatus>,
    entities: Vec<EntityStatus>,
}

/// The portal, for programs.
#[derive(Debug, Serialize)]
struct PortalStatus {
    address: String,
    user_id: Option<i64>,
    admin: Option<bool>,
    scopes: Vec<String>,
    time_zone: Option<String>,
    utc_offset: Option<String>,
    checked_at: Option<String>,
    probes: Vec<ProbeStatus>,
}

/// How the portal understands listings of an entity, for programs.
#[derive(Debug, Serialize)]
struct ProbeStatus {
    entity: &'static str,
    incremental: bool,
    bounds: Option<&'static str>,
    keyset: bool,
    ahead_seconds: i64,
    checked_at: String,
}

impl From<&PortalOverview> for PortalStatus {
    fn from(overview: &PortalOverview) -> PortalStatus {
        let profile = overview.portal.profile.as_ref();
        PortalStatus {
            address: overview.portal.address.clone(),
            user_id: profile.map(|profile| profile.user_id),
            admin: profile.and_then(|profile| profile.admin),
            scopes: profile.map(|profile| profile.scopes.clone()).unwrap_or_default(),
            time_zone: profile.and_then(|profile| profile.time_zone.clone()),
            utc_offset: profile.map(|profile| profile.server_time.offset().to_string()),
            checked_at: overview.portal.checked_at.map(|at| at.to_rfc3339()),
            probes: overview.probes.iter().map(ProbeStatus::from).collect(),
        }
    }
}

impl From<&KeptProbe> for ProbeStatus {
    fn from(kept: &KeptProbe) -> ProbeStatus {
        ProbeStatus {
            entity: kept.probe.entity.key(),
            incremental: kept.probe.allows_incremental(),
            bounds: kept.probe.bounds.map(BoundStyle::as_str),
            keyset: kept.probe.keyset,
            ahead_seconds: kept.probe.ahead.num_seconds(),
            checked_at: kept.checked_at.to_rfc3339(),
        }
    }
}

/// One entity, for programs.
#[derive(Debug, Serialize)]
struct EntityStatus {
    entity: &'static str,
    table: &'static str,
    rows: Option<i64>,
    quarantined: i64,
    last_run: Option<LastRun>,
    complete_until: Option<String>,
    complete_lag_seconds: Option<u64>,
    freshness_lag_seconds: Option<u64>,
    drift: Option<DriftStatus>,
}

/// What the last comparison with the portal found, for programs.
#[derive(Debug, Serialize)]
struct DriftStatus {
    missing: u64,
    extra: u64,
    different: u64,
    checked_at: String,
}

#[derive(Debug, Serialize)]
struct LastRun {
    id: i64,
    sync_type: String,
    status: String,
    records_processed: i64,
    error_message: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

impl From<&EntityOverview> for EntityStatus {
    fn from(overview: &EntityOverview) -> EntityStatus {
        EntityStatus {
            entity: overview.entity.key(),
            table: overview.entity.table(),
            rows: overview.rows,
            quarantined: overview.quarantined,
            last_run: overview.last_run.as_ref().map(|run| LastRun {
                id: run.id.0,
                sync_type: run.kind.clone(),
                status: run.status.clone(),
                records_processed: run.processed,
                error_message: run.error.clone(),
                started_at: run.started_at.map(|at| at.to_rfc3339()),
                completed_at: run.completed_at.map(|at| at.to_rfc3339()),
            }),
            complete_until: overview.watermark.map(|at| at.to_rfc3339()),
            complete_lag_seconds: overview.lag.map(|lag| lag.as_secs()),
            freshness_lag_seconds: overview.newest_change_age.map(|age| age.as_secs()),
            drift: overview.drift.map(|drift| DriftStatus {
                missing: drift.missing,
                extra: drift.extra,
                different: drift.different,
                checked_at: drift.at.to_rfc3339(),
            }),
        }
    }
}

/// Prints one row an entity.
///
/// # Errors
/// When the database cannot be reached or has not been migrated.
pub async fn run(args: StatusArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    problems.check()?;
    let database = Database::open(&settings, output).await?;
    let result = show(&database, output).await;
    database.close(output).await;
    result
}

async fn show(database: &Database, output: Output) -> Result<ExitCode, Failure> {
    let service = database.status_service();
    let overview = service.overview().await?;
    let portal = service.portal().await?;
    let status = Status {
        portal: portal.as_ref().map(PortalStatus::from),
        entities: overview.iter().map(EntityStatus::from).collect(),
    };
    output.result(&status, HEADER, overview.iter().map(row).collect());
    if let Some(portal) = &portal {
        say_portal(portal, output);
    }
    for entity in &overview {
        if let Some(error) = entity.last_run.as_ref().and_then(|run| run.error.as_ref()) {
            output.say(&format!("{}: {error}", entity.entity));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say_portal(overview: &PortalOverview, output: Output) {
    let mut line = format!("portal {}", overview.portal.address);
    if let Some(profile) = &overview.portal.profile {
        let rights = match profile.admin {
            Some(true) => "an administrator",
            Some(false) => "no administrator: records that this user may not read are missing here",
            None => "rights unknown",
        };
        let _ = write!(
            line,
            "; webhook of user {} ({rights}); scopes {}; clock {}",
            profile.user_id,
            profile.scopes.join(", "),
            profile.server_time.offset()
        );
        if !profile.behind.is_zero() {
            let _ = write!(
                line,
                "; the webhook's owner has a time zone behind it, so that incremental syncs look {} s further back",
                profile.behind.num_seconds()
            );
        }
    }
    output.say(&line);
    for kept in &overview.probes {
        let probe = &kept.probe;
        let how = match probe.bounds {
            Some(BoundStyle::WithOffset) if probe.keyset => "selects by time as documented".to_owned(),
            Some(BoundStyle::PortalClock) if probe.keyset => "selects by time, written by its own clock".to_owned(),
            _ => "does not select by time or id as it should: every sync reads everything".to_owned(),
        };
        let ahead = match probe.ahead.num_seconds() {
            0 => String::new(),
            seconds => format!("; modified times lie {seconds} s ahead of its clock"),
        };
        output.say(&format!("  {}: {how}{ahead} (probed {} UTC)", probe.entity, instant(Some(kept.checked_at))));
    }
}

const HEADER: &[&str] =
    &["entity", "table", "rows", "quarantine", "last sync", "status", "records", "ended (UTC)", "complete up to"];

fn row(overview: &EntityOverview) -> Vec<String> {
    let run = overview.last_run.as_ref();
    let dash = || "–".to_owned();
    vec![
        overview.entity.key().to_owned(),
        overview.entity.table().to_owned(),
        overview.rows.map_or_else(dash, grouped),
        grouped(overview.quarantined),
        run.map_or_else(dash, |run| run.kind.clone()),
        run.map_or_else(|| "never synced".to_owned(), |run| run.status.clone()),
        run.map_or_else(dash, |run| grouped(run.processed)),
        instant(run.and_then(|run| run.completed_at)),
        overview.lag.map_or_else(dash, |lag| format!("{} ago", HumanDuration(lag))),
    ]
}
