//! `b24sync status`: how each entity's table stands.

use std::process::ExitCode;

use b24sync_domain::ports::{EntityOverview, StatusQuery};
use serde::Serialize;

use crate::cli::StatusArgs;
use crate::failure::Failure;
use crate::output::{Output, grouped, instant};
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

/// One entity, for programs.
#[derive(Debug, Serialize)]
struct EntityStatus {
    entity: &'static str,
    table: &'static str,
    rows: Option<i64>,
    quarantined: i64,
    last_run: Option<LastRun>,
    complete_until: Option<String>,
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
    let overview = database.status_service().overview().await?;
    let statuses: Vec<EntityStatus> = overview.iter().map(EntityStatus::from).collect();
    output.result(&statuses, HEADER, overview.iter().map(row).collect());
    for entity in &overview {
        if let Some(error) = entity.last_run.as_ref().and_then(|run| run.error.as_ref()) {
            output.say(&format!("{}: {error}", entity.entity));
        }
    }
    Ok(ExitCode::SUCCESS)
}

const HEADER: &[&str] = &["entity", "table", "rows", "quarantine", "last sync", "status", "records", "ended (UTC)"];

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
    ]
}
