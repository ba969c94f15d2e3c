//! `b24sync config`: what an operator may set for each entity; a running service follows within seconds.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;

use b24sync_application::service::control::ControlService;
use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::{Actor, SettingsControl};
use b24sync_domain::settings::{EntitySettings, SettingsChange};
use serde::{Deserialize, Serialize};

use crate::cli::{ConfigArgs, ConfigCommand, DatabaseArgs};
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

/// One entity's settings in a file; what is left out stays as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    enabled: Option<bool>,
    sync_interval_minutes: Option<i32>,
    webhook_enabled: Option<bool>,
}

/// The file that `config export` writes and `config apply` reads.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    entities: BTreeMap<String, Wanted>,
}

/// One entity's settings, for programs.
#[derive(Debug, Serialize)]
struct Entry {
    entity_type: &'static str,
    enabled: bool,
    sync_interval_minutes: i32,
    webhook_enabled: bool,
    last_sync_at: Option<String>,
}

impl From<&EntitySettings> for Entry {
    fn from(settings: &EntitySettings) -> Entry {
        Entry {
            entity_type: settings.entity.key(),
            enabled: settings.enabled,
            sync_interval_minutes: settings.sync_interval_minutes,
            webhook_enabled: settings.webhook_enabled,
            last_sync_at: settings.last_sync_at.map(|at| at.to_rfc3339()),
        }
    }
}

/// What would become of a setting, for programs.
#[derive(Debug, Serialize)]
struct Difference {
    entity_type: &'static str,
    setting: &'static str,
    from: String,
    to: String,
}

/// Runs a subcommand.
///
/// # Errors
/// When an entity or a value is wrong, a file cannot be read, or the database cannot be reached.
pub async fn run(args: ConfigArgs, output: Output) -> Result<ExitCode, Failure> {
    match args.command {
        ConfigCommand::List { database } => list(&database, output).await,
        ConfigCommand::Set { entity, enabled, interval_minutes, webhook_enabled, database } => {
            let change = SettingsChange {
                entity: entity.parse()?,
                enabled,
                sync_interval_minutes: interval_minutes,
                webhook_enabled,
            };
            change.check().map_err(|problem| Failure::usage(problem, "see `b24sync config set --help`"))?;
            apply_all(&[change], false, &database, output).await
        }
        ConfigCommand::Export { database } => export(&database, output).await,
        ConfigCommand::Apply { file, dry_run, database } => {
            let changes = changes(&read(&file)?)?;
            apply_all(&changes, dry_run, &database, output).await
        }
    }
}

async fn open(args: &DatabaseArgs, output: Output) -> Result<Database, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(args, &mut problems);
    problems.check()?;
    Database::open(&settings, output).await
}

async fn list(args: &DatabaseArgs, output: Output) -> Result<ExitCode, Failure> {
    let database = open(args, output).await?;
    let settings = database.control().settings().await;
    database.close(output).await;
    let settings = settings?;
    let entries: Vec<Entry> = settings.iter().map(Entry::from).collect();
    output.result(&entries, HEADER, settings.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

const HEADER: &[&str] = &["entity", "enabled", "interval (minutes)", "webhooks", "last sync (UTC)"];

fn row(settings: &EntitySettings) -> Vec<String> {
    vec![
        settings.entity.key().to_owned(),
        settings.enabled.to_string(),
        settings.sync_interval_minutes.to_string(),
        settings.webhook_enabled.to_string(),
        instant(settings.last_sync_at),
    ]
}

async fn export(args: &DatabaseArgs, output: Output) -> Result<ExitCode, Failure> {
    let database = open(args, output).await?;
    let settings = database.control().settings().await;
    database.close(output).await;
    let wanted = |settings: EntitySettings| {
        let wanted = Wanted {
            enabled: Some(settings.enabled),
            sync_interval_minutes: Some(settings.sync_interval_minutes),
            webhook_enabled: Some(settings.webhook_enabled),
        };
        (settings.entity.key().to_owned(), wanted)
    };
    let file = File { entities: settings?.into_iter().map(wanted).collect() };
    if output.is_json() {
        output.result(&file, &[], Vec::new());
    } else {
        let text = serde_saphyr::to_string(&file).map_err(|error| Failure::of("could not write YAML", &error))?;
        output.say(text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// A file, or standard input for `-`.
fn read(file: &str) -> Result<File, Failure> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text =
        text.map_err(|error| Failure::usage(format!("the file `{file}` cannot be read ({error})"), "check its path"))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Failure::usage(
            format!("the file `{file}` is no configuration: {error}"),
            "`b24sync config export` shows the form",
        )
    })
}

fn changes(file: &File) -> Result<Vec<SettingsChange>, Failure> {
    let mut changes = Vec::new();
    for (name, wanted) in &file.entities {
        let change = SettingsChange {
            entity: name.parse::<EntityType>()?,
            enabled: wanted.enabled,
            sync_interval_minutes: wanted.sync_interval_minutes,
            webhook_enabled: wanted.webhook_enabled,
        };
        if !change.is_empty() {
            change.check().map_err(|problem| Failure::usage(format!("{name}: {problem}"), "correct the file"))?;
            changes.push(change);
        }
    }
    Ok(changes)
}

async fn apply_all(
    changes: &[SettingsChange],
    dry_run: bool,
    args: &DatabaseArgs,
    output: Output,
) -> Result<ExitCode, Failure> {
    let database = open(args, output).await?;
    let applied = apply(&database.control(), changes, dry_run).await;
    database.close(output).await;
    let differences = applied?;
    if output.is_json() {
        output.result(&differences, &[], Vec::new());
        return Ok(ExitCode::SUCCESS);
    }
    if differences.is_empty() {
        output.good("nothing to change");
    }
    for difference in &differences {
        let Difference { entity_type, setting, from, to } = difference;
        output.say(&format!("{entity_type}.{setting}: {from} → {to}{}", if dry_run { " (not done)" } else { "" }));
    }
    Ok(ExitCode::SUCCESS)
}

async fn apply(
    control: &ControlService,
    changes: &[SettingsChange],
    dry_run: bool,
) -> Result<Vec<Difference>, Failure> {
    let known = control.settings().await?;
    let actor = Actor { subject: "cli".to_owned(), request: None };
    let mut differences = Vec::new();
    for change in changes {
        let Some(before) = known.iter().find(|settings| settings.entity == change.entity) else { continue };
        let found = compare(before, change);
        if !found.is_empty() && !dry_run {
            control.change(change, &actor).await?;
        }
        differences.extend(found);
    }
    Ok(differences)
}

fn compare(before: &EntitySettings, change: &SettingsChange) -> Vec<Difference> {
    let difference = |setting, from: String, to: Option<String>| {
        let to = to.filter(|to| *to != from)?;
        Some(Difference { entity_type: before.entity.key(), setting, from, to })
    };
    let text = |value: Option<bool>| value.map(|value| value.to_string());
    [
        difference("enabled", before.enabled.to_string(), text(change.enabled)),
        difference(
            "sync_interval_minutes",
            before.sync_interval_minutes.to_string(),
            change.sync_interval_minutes.map(|minutes| minutes.to_string()),
        ),
        difference("webhook_enabled", before.webhook_enabled.to_string(), text(change.webhook_enabled)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
