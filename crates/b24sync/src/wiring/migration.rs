//! Migrating, and saying what that would do.

use b24sync_adapter_postgres::{DatabaseUrl, MigrationReport, migrate as apply, plan as plan_migration};

use super::{Address, migrate_options, stop};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::DatabaseSettings;

/// Migrates, or says what that would do.
///
/// # Errors
/// When the database cannot be reached or migrated.
pub async fn migrate(settings: &DatabaseSettings, plan: bool, output: Output) -> Result<(), Failure> {
    let address = Address::resolve(settings, output).await?;
    let result =
        if plan { show_plan(&address.url, settings, output).await } else { act(&address.url, settings, output).await };
    stop(address.private, output).await;
    result
}

async fn show_plan(url: &DatabaseUrl, settings: &DatabaseSettings, output: Output) -> Result<(), Failure> {
    let report = plan_migration(url, &migrate_options(settings)?).await?;
    if output.is_json() {
        output.result(&report_json(&report, "pending"), &[], Vec::new());
        return Ok(());
    }
    let steps = steps(&report);
    if steps.is_empty() {
        output.good("the database is up to date");
    } else {
        output.say("`b24sync migrate` would do this; nothing is changed yet:");
        for step in &steps {
            output.say(&format!("  {step}"));
        }
    }
    warn_of_exposed(&report, output);
    Ok(())
}

/// What was done, or would be, a line each.
fn steps(report: &MigrationReport) -> Vec<String> {
    let applied = report.applied.iter().map(|version| format!("applied {version}"));
    let adopted = report.adopted.iter().map(|table| {
        let changes = if table.changes.is_empty() { "as it is".to_owned() } else { table.changes.join("; ") };
        format!("took over {}: {changes}", table.table)
    });
    applied.chain(adopted).collect()
}

/// The report for programs; `versions` is what the list of versions is called.
fn report_json(report: &MigrationReport, versions: &str) -> serde_json::Value {
    let adopted: Vec<_> = report
        .adopted
        .iter()
        .map(|table| serde_json::json!({ "table": table.table, "changes": table.changes }))
        .collect();
    let exposed: Vec<_> = report
        .exposed
        .iter()
        .map(|table| serde_json::json!({ "table": table.table, "readers": table.readers }))
        .collect();
    serde_json::json!({ versions: report.applied, "adopted": adopted, "exposed": exposed })
}

async fn act(url: &DatabaseUrl, settings: &DatabaseSettings, output: Output) -> Result<(), Failure> {
    let report = apply(url, &migrate_options(settings)?).await?;
    if output.is_json() {
        output.result(&report_json(&report, "applied"), &[], Vec::new());
        return Ok(());
    }
    let steps = steps(&report);
    for step in &steps {
        output.good(step);
    }
    if steps.is_empty() {
        output.good("the database is up to date");
    }
    warn_of_exposed(&report, output);
    Ok(())
}

pub(super) fn warn_of_exposed(report: &MigrationReport, output: Output) {
    for table in &report.exposed {
        output.warn(&format!(
            "{0} was there before and is open to {1}; close it with `revoke all on {0} from {1}`, or leave it so on purpose",
            table.table,
            table.readers.join(", "),
        ));
    }
}
