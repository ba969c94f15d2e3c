//! `b24sync quarantine`: records that could not be stored, and why; and reading them again.

use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::start::{self, Wish};
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::who;
use b24sync_domain::ports::{Quarantined, StatusQuery};
use b24sync_domain::run::RunKind;
use serde::Serialize;

use crate::cli::{DatabaseArgs, PortalArgs, QuarantineArgs, QuarantineCommand};
use crate::commands::sync::chosen_entities;
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::{Output, instant};
use crate::progress::ProgressDisplay;
use crate::settings::{DatabaseSettings, PortalSettings, Problems};
use crate::wiring::{self, Database};

/// Records that are read again at most.
const MOST_RETRIED: u32 = 100_000;

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
    match args.command {
        QuarantineCommand::List { entity, limit, database } => {
            let entity = entity.map(|name| name.parse::<EntityType>()).transpose()?;
            list(entity, limit, &database, output).await
        }
        QuarantineCommand::Retry { entities, all, database, portal } => {
            retry(&chosen_entities(all, &entities)?, &database, &portal, output).await
        }
    }
}

/// What became of an entity's quarantine, for programs.
#[derive(Debug, Serialize)]
struct Retried {
    entity: &'static str,
    before: usize,
    after: usize,
}

async fn retry(
    entities: &[EntityType],
    database: &DatabaseArgs,
    portal: &PortalArgs,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(database, &mut problems);
    let portal = PortalSettings::new(portal, &mut problems);
    let portal = wiring::source(&portal, &mut problems);
    problems.check()?;
    let portal = wiring::built(portal)?;
    let stop = lifecycle::stop_on_signals();
    let database = Database::open(&settings, output).await?;
    let ports = database.ports(portal.connect(&database)?, Arc::new(ProgressDisplay::new(output)));
    let retried = async {
        let mut retried = Vec::new();
        for entity in entities {
            let before = in_quarantine(&database, *entity).await?;
            if !before.is_empty() {
                let (entity, ids, timestamps) = (*entity, before.as_slice(), settings.timestamps);
                let wish = Wish { entity, kind: RunKind::Webhook, ids, confirmed: None, timestamps };
                let on_wait =
                    |holder: &str| output.note(&format!("{} is syncing {entity}; waiting for it", who(holder)));
                start::sync(&ports, wish, &stop, on_wait).await?;
            }
            let after = in_quarantine(&database, *entity).await?.len();
            retried.push(Retried { entity: entity.key(), before: before.len(), after });
        }
        Ok::<_, Failure>(retried)
    };
    let retried = retried.await;
    database.close(output).await;
    let retried = retried?;
    let row = |line: &Retried| vec![line.entity.to_owned(), line.before.to_string(), line.after.to_string()];
    output.result(&retried, &["entity", "before", "after"], retried.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

async fn in_quarantine(database: &Database, entity: EntityType) -> Result<Vec<RecordId>, Failure> {
    let found = database.status_service().quarantine(Some(entity), MOST_RETRIED).await?;
    let mut ids: Vec<RecordId> = found.into_iter().map(|quarantined| quarantined.rejection.id).collect();
    ids.sort_unstable();
    Ok(ids)
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
