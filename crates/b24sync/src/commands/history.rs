//! `b24sync history`: what was done, newest first.

use std::process::ExitCode;

use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{HistoryFilter, HistoryQuery, LoggedRun};
use b24sync_domain::run::{RunKind, RunStatus};
use serde::Serialize;

use crate::cli::HistoryArgs;
use crate::failure::Failure;
use crate::output::{Output, grouped, instant};
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

/// A run, for programs.
#[derive(Debug, Serialize)]
struct Entry {
    id: i64,
    entity_type: String,
    sync_type: String,
    status: String,
    records_processed: i64,
    error_message: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

impl From<&LoggedRun> for Entry {
    fn from(run: &LoggedRun) -> Entry {
        Entry {
            id: run.id.0,
            entity_type: run.entity.clone(),
            sync_type: run.kind.clone(),
            status: run.status.clone(),
            records_processed: run.processed,
            error_message: run.error.clone(),
            started_at: run.started_at.map(|at| at.to_rfc3339()),
            completed_at: run.completed_at.map(|at| at.to_rfc3339()),
        }
    }
}

/// Prints the runs that match.
///
/// # Errors
/// When a word is none of the known ones, or the database cannot be read.
pub async fn run(args: HistoryArgs, output: Output) -> Result<ExitCode, Failure> {
    let filter = filter(&args)?;
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    problems.check()?;
    let database = Database::open(&settings, output).await?;
    let found = database.control().history(&filter).await;
    database.close(output).await;
    let found = found?;
    let entries: Vec<Entry> = found.runs.iter().map(Entry::from).collect();
    output.result(&entries, HEADER, found.runs.iter().map(row).collect());
    let shown = u64::try_from(found.runs.len()).unwrap_or(u64::MAX);
    if found.total > shown {
        output.say(&format!(
            "{shown} of {}; --limit shows more",
            grouped(i64::try_from(found.total).unwrap_or(i64::MAX))
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn filter(args: &HistoryArgs) -> Result<HistoryFilter, Failure> {
    let entity = args.entity.as_deref().map(str::parse::<EntityType>).transpose()?;
    let wrong = |word: &str, known: &[&str]| {
        Failure::usage(format!("`{word}` is none of {}", known.join(", ")), "correct the option")
    };
    let kinds = RunKind::ALL.map(RunKind::as_str);
    if let Some(kind) = args.kind.as_deref().filter(|kind| kind.parse::<RunKind>().is_err()) {
        return Err(wrong(kind, &kinds));
    }
    let statuses = RunStatus::ALL.map(RunStatus::as_str);
    if let Some(status) = args.status.as_deref().filter(|status| status.parse::<RunStatus>().is_err()) {
        return Err(wrong(status, &statuses));
    }
    Ok(HistoryFilter {
        entity: entity.map(|entity| entity.key().to_owned()),
        status: args.status.clone(),
        kind: args.kind.clone(),
        limit: args.limit,
        ..HistoryFilter::default()
    })
}

const HEADER: &[&str] = &["run", "entity", "type", "status", "records", "started (UTC)", "ended (UTC)", "error"];

fn row(run: &LoggedRun) -> Vec<String> {
    vec![
        run.id.to_string(),
        run.entity.clone(),
        run.kind.clone(),
        run.status.clone(),
        grouped(run.processed),
        instant(run.started_at),
        instant(run.completed_at),
        run.error.clone().unwrap_or_default(),
    ]
}
