//! `b24sync quarantine`: records that could not be stored, and why.

use std::process::ExitCode;

use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{Quarantined, StatusQuery};
use serde::Serialize;

use crate::cli::{DatabaseArgs, QuarantineArgs, QuarantineCommand};
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

#[derive(Debug, Serialize)]
struct Entry {
    entity: &'static str,
    id: i64,
    field: Option<String>,
    reason: String,
    value: Option<String>,
    first_seen: String,
    last_seen: String,
}

impl From<&Quarantined> for Entry {
    fn from(quarantined: &Quarantined) -> Entry {
        Entry {
            entity: quarantined.entity.key(),
            id: quarantined.rejection.id.get(),
            field: quarantined.rejection.field.clone(),
            reason: quarantined.rejection.reason.clone(),
            value: quarantined.rejection.excerpt.clone(),
            first_seen: quarantined.first_seen.to_rfc3339(),
            last_seen: quarantined.last_seen.to_rfc3339(),
        }
    }
}

/// Runs a subcommand.
///
/// # Errors
/// When the entity is unknown or the database cannot be reached.
pub async fn run(args: QuarantineArgs, output: Output) -> Result<ExitCode, Failure> {
    let QuarantineCommand::List { entity, limit, database } = args.command;
    let entity = entity.map(|name| name.parse::<EntityType>()).transpose()?;
    list(entity, limit, &database, output).await
}

async fn list(
    entity: Option<EntityType>,
    limit: u32,
    args: &DatabaseArgs,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(args, &mut problems);
    problems.check()?;
    let database = Database::open(&settings, output).await?;
    let found = database.status_service().quarantine(entity, limit).await;
    database.close(output).await;
    let found = found?;
    let entries: Vec<Entry> = found.iter().map(Entry::from).collect();
    if found.is_empty() {
        output.good("the quarantine is empty");
        if !output.is_json() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    output.result(&entries, HEADER, found.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

const HEADER: &[&str] = &["entity", "id", "field", "reason", "value", "last seen (UTC)"];

fn row(quarantined: &Quarantined) -> Vec<String> {
    vec![
        quarantined.entity.key().to_owned(),
        quarantined.rejection.id.to_string(),
        quarantined.rejection.field.clone().unwrap_or_default(),
        quarantined.rejection.reason.clone(),
        quarantined.rejection.excerpt.clone().unwrap_or_default(),
        instant(Some(quarantined.last_seen)),
    ]
}
