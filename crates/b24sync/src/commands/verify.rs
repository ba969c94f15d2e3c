//! `b24sync verify`: portal against tables, read-only unless it is to repair.

use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::Ports;
use b24sync_application::start::{self, Wish};
use b24sync_application::verify::{Comparison, verify};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{SyncError, who};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::StatusStore;
use b24sync_domain::run::RunKind;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::VerifyArgs;
use crate::commands::sync::chosen_entities;
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::{Output, grouped};
use crate::progress::ProgressDisplay;
use crate::settings::{DatabaseSettings, PortalSettings, Problems};
use crate::wiring::{self, Database};

/// Exit code when portal and tables differ.
const DIFFERENT: u8 = 3;

/// Differences that are listed for programs for each entity.
const LISTED: usize = 1_000;

/// Differences that are shown to a person for each entity.
const SHOWN: usize = 20;

#[derive(Debug, Serialize)]
struct Report {
    entity: &'static str,
    records: u64,
    equal: u64,
    missing: u64,
    extra: u64,
    different: u64,
    altered: u64,
    quarantined: u64,
    differences: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    id: i64,
    kind: &'static str,
    likely_cause: &'static str,
}

impl Report {
    fn new(entity: EntityType, comparison: &Comparison) -> Report {
        let lines = comparison.differences.iter().take(LISTED).map(|difference| Line {
            id: difference.id.get(),
            kind: difference.kind.as_str(),
            likely_cause: difference.kind.likely_cause(),
        });
        Report {
            entity: entity.key(),
            records: comparison.records,
            equal: comparison.equal,
            missing: comparison.missing,
            extra: comparison.extra,
            different: comparison.different,
            altered: comparison.altered,
            quarantined: comparison.quarantined,
            differences: lines.collect(),
        }
    }
}

/// Compares and prints; exit code 3 when there are differences.
///
/// # Errors
/// When the portal or the database cannot be read.
pub async fn run(args: VerifyArgs, output: Output) -> Result<ExitCode, Failure> {
    let entities = chosen_entities(args.all, &args.entities)?;
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    let portal = PortalSettings::new(&args.portal, &mut problems);
    let portal = wiring::source(&portal, &mut problems);
    problems.check()?;
    let portal = wiring::built(portal)?;
    let stop = lifecycle::stop_on_signals();
    let database = Database::open(&settings, output).await?;
    let ports = database.ports(portal.connect(&database)?, Arc::new(ProgressDisplay::new(output)));
    let status = database.status_store();
    let mut comparisons = Vec::new();
    let mut failure = None;
    for entity in entities {
        match checked(&ports, &*status, entity, settings.timestamps, args.repair, &stop).await {
            Ok(comparison) => comparisons.push((entity, comparison)),
            Err(error) => {
                failure = Some(Failure::from(error));
                break;
            }
        }
    }
    database.close(output).await;
    print(&comparisons, output);
    match failure {
        Some(failure) => Err(failure),
        None if stop.is_cancelled() => {
            output.note("stopped; what is shown is not everything");
            Ok(ExitCode::FAILURE)
        }
        None if comparisons.iter().all(|(_, comparison)| comparison.is_equal()) => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(DIFFERENT)),
    }
}

/// Compares; with `repair`, reads what differs again and compares once more.
async fn checked(
    ports: &Ports,
    status: &dyn StatusStore,
    entity: EntityType,
    timestamps: TimestampStyle,
    repair: bool,
    stop: &CancellationToken,
) -> Result<Comparison, SyncError> {
    let comparison = compared(ports, status, entity, timestamps, stop).await?;
    let ids = comparison.repairable();
    if !repair || ids.is_empty() || !comparison.complete {
        return Ok(comparison);
    }
    // What is remembered of rows that somebody changed is not what they are.
    let forgotten = ports.records.forget(entity, &ids).await;
    forgotten.map_err(|source| SyncError::Store { entity, source })?;
    let wish = Wish { entity, kind: RunKind::Webhook, ids: &ids, confirmed: None, timestamps };
    start::sync(ports, wish, stop, |holder| tracing::warn!("{} is syncing {entity}; waiting for it", who(holder)))
        .await?;
    compared(ports, status, entity, timestamps, stop).await
}

/// Compares, and remembers what a complete comparison found, for `status` and for figures.
async fn compared(
    ports: &Ports,
    status: &dyn StatusStore,
    entity: EntityType,
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Result<Comparison, SyncError> {
    let comparison = verify(ports, status, entity, timestamps, stop).await?;
    if comparison.complete {
        let different = comparison.different + comparison.altered;
        let kept = status.keep_drift(entity, comparison.missing, comparison.extra, different).await;
        kept.map_err(|source| SyncError::Store { entity, source })?;
    }
    Ok(comparison)
}

const HEADER: &[&str] = &["entity", "records", "equal", "missing", "extra", "different", "altered", "quarantine"];

fn print(comparisons: &[(EntityType, Comparison)], output: Output) {
    let reports: Vec<Report> =
        comparisons.iter().map(|(entity, comparison)| Report::new(*entity, comparison)).collect();
    output.result(&reports, HEADER, reports.iter().map(row).collect());
    for report in &reports {
        for line in report.differences.iter().take(SHOWN) {
            output.say(&format!("{} {}: {} ({})", report.entity, line.id, line.kind, line.likely_cause));
        }
        if let Some(more) = report.differences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            output.say(&format!("{}: {more} more; --output json lists up to 1,000", report.entity));
        }
    }
}

fn row(report: &Report) -> Vec<String> {
    let number = |value: u64| grouped(i64::try_from(value).unwrap_or(i64::MAX));
    vec![
        report.entity.to_owned(),
        number(report.records),
        number(report.equal),
        number(report.missing),
        number(report.extra),
        number(report.different),
        number(report.altered),
        number(report.quarantined),
    ]
}
