//! `b24sync sync`: copies entities from the portal into their tables, here and now.

use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::backfill::backfill;
use b24sync_application::by_id::sync_by_ids;
use b24sync_application::incremental::incremental;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::{RunId, RunKind, RunStatus, RunSummary};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::SyncArgs;
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::{Output, grouped};
use crate::progress::ProgressDisplay;
use crate::settings::{DatabaseSettings, PortalSettings, Problems};
use crate::wiring::{self, Database};

/// One entity's run, for programs.
#[derive(Debug, Serialize)]
pub struct Summary {
    entity: &'static str,
    run_id: i64,
    sync_type: &'static str,
    status: &'static str,
    records_processed: u64,
    rows_written: u64,
    rows_deleted: u64,
    quarantined: u64,
    resumed: bool,
}

impl From<&RunSummary> for Summary {
    fn from(summary: &RunSummary) -> Summary {
        Summary {
            entity: summary.entity.key(),
            run_id: summary.run.0,
            sync_type: summary.kind.as_str(),
            status: summary.status.as_str(),
            records_processed: summary.processed,
            rows_written: summary.written,
            rows_deleted: summary.deleted,
            quarantined: summary.quarantined,
            resumed: summary.resumed,
        }
    }
}

/// Runs the sync and prints what each entity got.
///
/// # Errors
/// The first failure; entities before it are complete, and the failed one goes on from its cursor next time.
pub async fn run(args: SyncArgs, output: Output) -> Result<ExitCode, Failure> {
    let entities = chosen_entities(args.all, &args.entities)?;
    let ids = ids(&args.id)?;
    let mut problems = Problems::default();
    let database_settings = DatabaseSettings::new(&args.database, &mut problems);
    let portal = PortalSettings::new(&args.portal, &mut problems);
    let source = wiring::source(&portal, &mut problems);
    problems.check()?;
    let source = wiring::built(source)?;
    let stop = lifecycle::stop_on_signals();
    let database = if args.no_migrate {
        Database::open(&database_settings, output).await?
    } else {
        Database::open_migrated(&database_settings, output).await?
    };
    let ports = database.ports(source, Arc::new(ProgressDisplay::new(output)));
    let how = How {
        ids: &ids,
        kind: if args.incremental { RunKind::Incremental } else { RunKind::Full },
        confirmed: args.confirm_deletes.map(RunId),
        timestamps: database_settings.timestamps,
    };
    let result = sync_all(&ports, &entities, how, &stop, output).await;
    database.close(output).await;
    result
}

/// The entities that were named, or all of them.
///
/// # Errors
/// When a name is none of the catalogue's.
pub fn chosen_entities(all: bool, names: &[String]) -> Result<Vec<EntityType>, Failure> {
    if all {
        return Ok(EntityType::all().collect());
    }
    let mut entities = Vec::new();
    for name in names {
        let entity: EntityType = name.parse()?;
        if !entities.contains(&entity) {
            entities.push(entity);
        }
    }
    Ok(entities)
}

/// Ids of records, each once.
fn ids(numbers: &[i64]) -> Result<Vec<RecordId>, Failure> {
    let wrong = |number: &i64| {
        Failure::usage(format!("`{number}` is no record's id"), "ids are whole numbers above 0: --id 7405,7406")
    };
    let ids = numbers.iter().map(|number| RecordId::new(*number).ok_or_else(|| wrong(number)));
    let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// How entities are synced.
#[derive(Debug, Clone, Copy)]
struct How<'a> {
    /// Only these records, if there are any.
    ids: &'a [RecordId],
    kind: RunKind,
    /// The run whose deletions an operator has confirmed.
    confirmed: Option<RunId>,
    timestamps: TimestampStyle,
}

async fn sync_all(
    ports: &b24sync_application::Ports,
    entities: &[EntityType],
    how: How<'_>,
    stop: &CancellationToken,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut summaries = Vec::new();
    let mut failure = None;
    for entity in entities {
        let result = match how.kind {
            _ if !how.ids.is_empty() => sync_by_ids(ports, *entity, how.ids, how.timestamps, stop).await,
            RunKind::Incremental => incremental(ports, *entity, how.timestamps, stop).await,
            RunKind::Full | RunKind::Webhook => backfill(ports, *entity, how.timestamps, how.confirmed, stop).await,
        };
        match result {
            Ok(summary) => {
                let stopped = summary.status == RunStatus::Cancelled;
                summaries.push(summary);
                if stopped {
                    break;
                }
            }
            Err(error) => {
                failure = Some(Failure::from(error));
                break;
            }
        }
    }
    print(&summaries, output);
    match failure {
        Some(failure) => Err(failure),
        None if stop.is_cancelled() => {
            output.note("stopped; the same command goes on from here");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn print(summaries: &[RunSummary], output: Output) {
    if summaries.is_empty() && !output.is_json() {
        return;
    }
    let rows = summaries.iter().map(row).collect();
    output.result(&summaries.iter().map(Summary::from).collect::<Vec<_>>(), HEADER, rows);
    for summary in summaries.iter().filter(|summary| summary.quarantined > 0) {
        output.warn(&format!(
            "records of {} that could not be stored: {}; `b24sync quarantine list {}` says why",
            summary.entity, summary.quarantined, summary.entity
        ));
    }
}

/// Header of the table of summaries.
pub const HEADER: &[&str] =
    &["entity", "run", "type", "status", "records", "rows written", "rows deleted", "quarantine"];

/// A row of the table of summaries.
pub fn row(summary: &RunSummary) -> Vec<String> {
    let number = |value: u64| grouped(i64::try_from(value).unwrap_or(i64::MAX));
    vec![
        summary.entity.key().to_owned(),
        summary.run.to_string(),
        summary.kind.as_str().to_owned(),
        summary.status.as_str().to_owned(),
        number(summary.processed),
        number(summary.written),
        number(summary.deleted),
        number(summary.quarantined),
    ]
}
