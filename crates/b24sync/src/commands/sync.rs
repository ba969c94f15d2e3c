//! `b24sync sync`: copies entities from the portal into their tables, here and now.

mod plan;

use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::Ports;
use b24sync_application::portal::moved;
use b24sync_application::start::{self, Outcome, Wish};
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::who;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::LoggedRun;
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
    sync_type: String,
    status: String,
    records_processed: u64,
    /// Rows that this process wrote; not known of a run that another one did.
    rows_written: Option<u64>,
    rows_deleted: Option<u64>,
    quarantined: Option<u64>,
    resumed: bool,
    /// Whether another process did it.
    joined: bool,
}

impl From<&RunSummary> for Summary {
    fn from(summary: &RunSummary) -> Summary {
        Summary {
            entity: summary.entity.key(),
            run_id: summary.run.0,
            sync_type: summary.kind.to_string(),
            status: summary.status.to_string(),
            records_processed: summary.processed,
            rows_written: Some(summary.written),
            rows_deleted: Some(summary.deleted),
            quarantined: Some(summary.quarantined),
            resumed: summary.resumed,
            joined: false,
        }
    }
}

impl Summary {
    fn of_another(entity: EntityType, run: &LoggedRun) -> Summary {
        Summary {
            entity: entity.key(),
            run_id: run.id.0,
            sync_type: run.kind.clone(),
            status: run.status.clone(),
            records_processed: u64::try_from(run.processed).unwrap_or_default(),
            rows_written: None,
            rows_deleted: None,
            quarantined: None,
            resumed: false,
            joined: true,
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
    let portal = wiring::source(&portal, &mut problems);
    problems.check()?;
    let portal = wiring::built(portal)?;
    if args.plan {
        let how = plan::How { kind: kind(&args), timestamps: database_settings.timestamps };
        return plan::run(&database_settings, portal, &entities, how, output).await;
    }
    let stop = lifecycle::stop_on_signals();
    let database = if args.no_migrate {
        Database::open(&database_settings, output).await?
    } else {
        Database::open_migrated(&database_settings, output).await?
    };
    let ports = database.ports(portal.connect(&database)?, Arc::new(ProgressDisplay::new(output)));
    let how = How {
        kind: kind(&args),
        ids: &ids,
        confirmed: args.confirm_deletes.map(RunId),
        timestamps: database_settings.timestamps,
    };
    let moved = if args.portal_moved { moved(ports.portals.as_ref(), ports.source.as_ref()).await } else { Ok(()) };
    let result = match moved {
        Ok(()) => match confirmable(&ports, &entities, how.confirmed).await {
            Ok(()) => sync_all(&ports, &entities, how, &stop, output).await,
            Err(failure) => Err(failure),
        },
        Err(error) => Err(error.into()),
    };
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

/// A run that is confirmed must be one that waits for it: an unfinished full run of the entity.
async fn confirmable(ports: &Ports, entities: &[EntityType], run: Option<RunId>) -> Result<(), Failure> {
    let Some(run) = run else { return Ok(()) };
    let known = ports.runs.find(run).await?;
    let waits = known.is_some_and(|known| {
        known.kind == RunKind::Full.as_str()
            && known.status == RunStatus::Failed.as_str()
            && entities.iter().any(|entity| entity.key() == known.entity)
    });
    if waits {
        return Ok(());
    }
    let message = format!("run {run} is no full sync of this entity that waits to be confirmed");
    Err(Failure::usage(message, "take the number from the message of the sync that did not delete the rows"))
}

fn kind(args: &SyncArgs) -> RunKind {
    match (args.incremental, args.sweep, args.id.is_empty()) {
        (_, _, false) => RunKind::Webhook,
        (true, ..) => RunKind::Incremental,
        (_, true, _) => RunKind::Sweep,
        _ => RunKind::Full,
    }
}

/// How entities are synced.
#[derive(Debug, Clone, Copy)]
struct How<'a> {
    kind: RunKind,
    /// Only these records, if there are any.
    ids: &'a [RecordId],
    /// The run whose deletions an operator has confirmed.
    confirmed: Option<RunId>,
    timestamps: TimestampStyle,
}

async fn sync_all(
    ports: &Ports,
    entities: &[EntityType],
    how: How<'_>,
    stop: &CancellationToken,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut summaries = Vec::new();
    let mut failures = Vec::new();
    for entity in entities {
        let How { kind, ids, confirmed, timestamps } = how;
        let wish = Wish { entity: *entity, kind, ids, confirmed, timestamps };
        let on_wait = |holder: &str| {
            output.note(&format!("{entity}: {} is at it; waiting for it (Ctrl-C leaves it alone)", who(holder)));
        };
        match start::sync(ports, wish, stop, on_wait).await {
            Ok(Outcome::Ran(summary)) => summaries.push(Summary::from(&summary)),
            Ok(Outcome::Joined(run)) => {
                failures.extend(failure_of(*entity, &run));
                summaries.push(Summary::of_another(*entity, &run));
            }
            Ok(Outcome::Left) => break,
            Err(error) => {
                let goes_on = error.concerns_one_entity();
                failures.push(Failure::from(error));
                if !goes_on {
                    break;
                }
            }
        }
        if stop.is_cancelled() {
            break;
        }
    }
    print(&summaries, output);
    let last = failures.pop();
    for failure in failures {
        failure.report(output);
    }
    match last {
        Some(failure) => Err(failure),
        None if stop.is_cancelled() => {
            output.note("stopped; the same command goes on from here");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A run that another process did and that did not end well is no success here either.
fn failure_of(entity: EntityType, run: &LoggedRun) -> Option<Failure> {
    if run.status.parse().is_ok_and(RunStatus::has_ended_well) {
        return None;
    }
    let error = run.error.as_deref().unwrap_or("it was stopped");
    let message =
        format!("the sync of `{entity}` that another process did (run {}) is {}: {error}", run.id, run.status);
    Some(Failure::failed(message, "run it again; it goes on from there"))
}

fn print(summaries: &[Summary], output: Output) {
    if summaries.is_empty() && !output.is_json() {
        return;
    }
    output.result(&summaries, HEADER, summaries.iter().map(row).collect());
    for summary in summaries {
        if let Some(count @ 1..) = summary.quarantined {
            let entity = summary.entity;
            output.warn(&format!(
                "records of {entity} that could not be stored: {count}; `b24sync quarantine list {entity}` says why"
            ));
        }
    }
}

/// Header of the table of summaries.
pub const HEADER: &[&str] =
    &["entity", "run", "type", "status", "records", "rows written", "rows deleted", "quarantine"];

/// A row of the table of summaries.
pub fn row(summary: &Summary) -> Vec<String> {
    let number = |value: u64| grouped(i64::try_from(value).unwrap_or(i64::MAX));
    let known = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), number);
    vec![
        summary.entity.to_owned(),
        summary.run_id.to_string(),
        summary.sync_type.clone(),
        summary.status.clone(),
        number(summary.records_processed),
        known(summary.rows_written),
        known(summary.rows_deleted),
        known(summary.quarantined),
    ]
}
