//! `b24sync inbox`: events that wait, and dead letters.

use std::process::ExitCode;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::event::Target;
use b24sync_domain::ports::{Actor, HintFilter, InboxControl, InboxEntry};
use serde::Serialize;

use crate::cli::{ChosenEvents, DatabaseArgs, InboxArgs, InboxCommand};
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

#[derive(Debug, Serialize)]
struct Entry {
    entity: &'static str,
    id: String,
    state: &'static str,
    attempts: u32,
    error: Option<String>,
    first_at: String,
    last_at: String,
    due_at: String,
}

fn state(entry: &InboxEntry) -> &'static str {
    if entry.dead_at.is_some() { "dead" } else { "pending" }
}

impl From<&InboxEntry> for Entry {
    fn from(entry: &InboxEntry) -> Entry {
        Entry {
            entity: entry.entity.key(),
            id: entry.target.to_string(),
            state: state(entry),
            attempts: entry.attempts,
            error: entry.error.clone(),
            first_at: entry.first_at.to_rfc3339(),
            last_at: entry.last_at.to_rfc3339(),
            due_at: entry.due_at.to_rfc3339(),
        }
    }
}

/// Runs a subcommand.
///
/// # Errors
/// When the entity is unknown or the database cannot be reached.
pub async fn run(args: InboxArgs, output: Output) -> Result<ExitCode, Failure> {
    match args.command {
        InboxCommand::List { entity, dead, limit, database } => {
            let entity = entity.map(|name| name.parse::<EntityType>()).transpose()?;
            let filter = HintFilter { entity, target: None, dead: dead.then_some(true) };
            list(&filter, limit, &database, output).await
        }
        InboxCommand::Retry(chosen) => {
            let count = change(&chosen, output, async |inbox, filter, actor| inbox.retry(filter, actor).await).await?;
            say(count, "due", &format!("{count} are due now; a running service applies them within seconds"), output);
            Ok(ExitCode::SUCCESS)
        }
        InboxCommand::Discard(chosen) => {
            if chosen.entity.is_none() && !chosen.all {
                return Err(Failure::usage(
                    "what is discarded is gone: say which events".to_owned(),
                    "name an entity, or give --all for those of every entity",
                ));
            }
            let count =
                change(&chosen, output, async |inbox, filter, actor| inbox.discard(filter, actor).await).await?;
            say(count, "discarded", &format!("{count} are forgotten"), output);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn open(args: &DatabaseArgs, output: Output) -> Result<Database, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(args, &mut problems);
    problems.check()?;
    Database::open(&settings, output).await
}

async fn list(filter: &HintFilter, limit: u32, args: &DatabaseArgs, output: Output) -> Result<ExitCode, Failure> {
    let database = open(args, output).await?;
    let found = database.inbox_control().list(filter, 0, limit).await;
    database.close(output).await;
    let (found, total) = found?;
    if found.is_empty() && !output.is_json() {
        output.good("no events wait");
        return Ok(ExitCode::SUCCESS);
    }
    let entries: Vec<Entry> = found.iter().map(Entry::from).collect();
    output.result(&entries, HEADER, found.iter().map(row).collect());
    let shown = u64::try_from(found.len()).unwrap_or(u64::MAX);
    if let Some(more) = total.checked_sub(shown).filter(|more| *more > 0) {
        output.say(&format!("{more} more; --limit shows them"));
    }
    Ok(ExitCode::SUCCESS)
}

const HEADER: &[&str] = &["entity", "id", "state", "attempts", "first event (UTC)", "next look (UTC)", "error"];

fn row(entry: &InboxEntry) -> Vec<String> {
    let next = if entry.dead_at.is_some() { None } else { Some(entry.due_at) };
    vec![
        entry.entity.key().to_owned(),
        entry.target.to_string(),
        state(entry).to_owned(),
        entry.attempts.to_string(),
        instant(Some(entry.first_at)),
        instant(next),
        entry.error.clone().unwrap_or_default(),
    ]
}

async fn change(
    chosen: &ChosenEvents,
    output: Output,
    act: impl AsyncFnOnce(&dyn InboxControl, &HintFilter, &Actor) -> Result<u64, b24sync_domain::error::StoreError>,
) -> Result<u64, Failure> {
    let entity = chosen.entity.as_ref().map(|name| name.parse::<EntityType>()).transpose()?;
    let target = chosen.id.and_then(RecordId::new).map(Target::Record);
    let filter = HintFilter { entity, target, dead: (!chosen.pending).then_some(true) };
    let database = open(&chosen.database, output).await?;
    let actor = Actor { subject: "cli".to_owned(), request: None };
    let count = act(&database.inbox_control(), &filter, &actor).await;
    database.close(output).await;
    Ok(count?)
}

fn say(count: u64, status: &str, line: &str, output: Output) {
    if output.is_json() {
        output.result(&serde_json::json!({ "status": status, "count": count }), &[], Vec::new());
    } else {
        output.good(line);
    }
}
