//! `b24sync schema`: which column each field has, and what a sync would change about a table.

use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::schema;
use b24sync_domain::entity::EntityType;
use b24sync_domain::mapping::schema::{FieldChange, RereadScope, SchemaPlan};
use b24sync_domain::ports::KnownField;
use serde::Serialize;

use crate::cli::{DatabaseArgs, PortalArgs, SchemaArgs, SchemaCommand};
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::progress::ProgressDisplay;
use crate::settings::{DatabaseSettings, PortalSettings, Problems};
use crate::wiring::{self, Database};

/// What the next sync would do, for programs.
#[derive(Debug, Serialize)]
struct Plan {
    entity: &'static str,
    table: &'static str,
    statements: Vec<String>,
    read_again: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    field: String,
    scope: &'static str,
    meaning: &'static str,
}

/// A field of the data dictionary, for programs.
#[derive(Debug, Serialize)]
struct Field {
    name: String,
    column: Option<String>,
    currency_column: Option<String>,
    bitrix_type: String,
    column_type: Option<String>,
    multiple: bool,
    label: Option<String>,
    options: Vec<FieldOption>,
    state: &'static str,
    first_seen: String,
    last_seen: String,
}

#[derive(Debug, Serialize)]
struct FieldOption {
    id: String,
    value: String,
}

impl From<&KnownField> for Field {
    fn from(known: &KnownField) -> Field {
        let name = |column: &Option<b24sync_domain::mapping::ColumnName>| column.as_ref().map(ToString::to_string);
        let options = known.options.iter();
        Field {
            name: known.field.to_string(),
            column: name(&known.column),
            currency_column: name(&known.currency),
            bitrix_type: known.bitrix_type.clone(),
            column_type: known.column_type.clone(),
            multiple: known.multiple,
            label: known.label.clone(),
            options: options.map(|option| FieldOption { id: option.id.clone(), value: option.value.clone() }).collect(),
            state: state(known),
            first_seen: known.first_seen.to_rfc3339(),
            last_seen: known.last_seen.to_rfc3339(),
        }
    }
}

fn state(known: &KnownField) -> &'static str {
    match (known.retired, known.pending) {
        (true, _) => "retired",
        (false, true) => "filling",
        (false, false) => "current",
    }
}

/// Runs a subcommand.
///
/// # Errors
/// When the entity is unknown, or the portal or the database cannot be read.
pub async fn run(args: SchemaArgs, output: Output) -> Result<ExitCode, Failure> {
    match args.command {
        SchemaCommand::Plan { entity, database, portal } => plan(entity.parse()?, &database, &portal, output).await,
        SchemaCommand::Show { entity, database } => show(entity.parse()?, &database, output).await,
    }
}

async fn plan(
    entity: EntityType,
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
    let database = Database::open(&settings, output).await?;
    let ports = database.ports(portal.connect(&database)?, Arc::new(ProgressDisplay::new(output)));
    let planned = async {
        let plan = schema::plan(&ports, entity, settings.timestamps).await?;
        let statements = database.schema_store().statements(&plan).await?;
        Ok::<_, Failure>((plan, statements))
    };
    let planned = planned.await;
    database.close(output).await;
    let (plan, statements) = planned?;
    print_plan(&plan, statements, output);
    Ok(ExitCode::SUCCESS)
}

fn print_plan(plan: &SchemaPlan, statements: Vec<String>, output: Output) {
    let change = |change: &FieldChange| Change {
        field: change.field.to_string(),
        scope: change.scope.as_str(),
        meaning: meaning(change.scope),
    };
    let read_again: Vec<Change> = plan.changes.iter().map(change).collect();
    if statements.is_empty() {
        output.good(&format!("{} is as the portal's fields want it", plan.entity.table()));
    }
    for statement in &statements {
        output.say(&format!("{statement};"));
    }
    for change in &read_again {
        output.say(&format!("-- {}: {}", change.field, change.meaning));
    }
    if output.is_json() {
        let plan = Plan { entity: plan.entity.key(), table: plan.entity.table(), statements, read_again };
        output.result(&plan, &[], Vec::new());
    }
}

fn meaning(scope: RereadScope) -> &'static str {
    match scope {
        RereadScope::Values => "new; records that have a value of it are read again",
        RereadScope::Compare => "gone from the portal; its column and values stay, every record is read again once",
        RereadScope::Rewrite => "came back or changed its type; every record is read and written again once",
    }
}

async fn show(entity: EntityType, database: &DatabaseArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(database, &mut problems);
    problems.check()?;
    let database = Database::open(&settings, output).await?;
    let known = database.schema_store().dictionary(entity).await;
    database.close(output).await;
    let known = known?;
    if known.is_empty() {
        output.note(&format!("nothing is known of {entity} yet: run `b24sync sync {entity}` first"));
    }
    let fields: Vec<Field> = known.iter().map(Field::from).collect();
    output.result(&fields, HEADER, known.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

const HEADER: &[&str] = &["field", "column", "type in the portal", "type here", "label", "state", "last seen (UTC)"];

fn row(known: &KnownField) -> Vec<String> {
    let multiple = if known.multiple { "[]" } else { "" };
    vec![
        known.field.to_string(),
        known.column.as_ref().map_or_else(|| "_extra".to_owned(), ToString::to_string),
        format!("{}{multiple}", known.bitrix_type),
        known.column_type.clone().unwrap_or_default(),
        known.label.clone().unwrap_or_default(),
        state(known).to_owned(),
        instant(Some(known.last_seen)),
    ]
}
