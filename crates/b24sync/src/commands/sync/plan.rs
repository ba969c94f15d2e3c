//! `b24sync sync --plan`: what the sync would do, and how long it would take at least.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use b24sync_application::plan::{SyncPlan, plan};
use b24sync_domain::appraisal::{Appraisal, Bottleneck};
use b24sync_domain::entity::EntityType;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::RunKind;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, grouped};
use crate::progress::ProgressDisplay;
use crate::settings::DatabaseSettings;
use crate::wiring::{Database, Portal};

/// What is planned.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) kind: RunKind,
    pub(super) timestamps: TimestampStyle,
}

/// One entity's plan, for programs.
#[derive(Debug, Serialize)]
struct Planned {
    entity: &'static str,
    sync_type: &'static str,
    table: &'static str,
    creates_table: bool,
    adds_columns: usize,
    widens_columns: usize,
    /// Null where the portal does not say how many there are; so are the rest then.
    records: Option<u64>,
    requests: Option<u64>,
    /// With limits of which nothing is used up yet.
    seconds_at_least: Option<f64>,
    /// What makes it that long: `portal` (its own work), `rate` (of requests), `operating` (execution time).
    bound_by: Option<&'static str>,
}

impl From<&SyncPlan> for Planned {
    fn from(plan: &SyncPlan) -> Planned {
        let least = plan.appraisal.as_ref().map(Appraisal::at_least);
        Planned {
            entity: plan.entity.key(),
            sync_type: plan.kind.as_str(),
            table: plan.entity.table(),
            creates_table: plan.schema.create,
            adds_columns: plan.schema.add.len(),
            widens_columns: plan.schema.widen.len(),
            records: plan.appraisal.map(|appraisal| appraisal.records),
            requests: plan.appraisal.map(|appraisal| appraisal.requests),
            seconds_at_least: least.map(|(lasts, _)| lasts.as_secs_f64()),
            bound_by: least.map(|(_, bottleneck)| bottleneck.as_str()),
        }
    }
}

/// Prints what each entity's sync would do; does nothing.
pub(super) async fn run(
    settings: &DatabaseSettings,
    portal: Portal,
    entities: &[EntityType],
    how: How,
    output: Output,
) -> Result<ExitCode, Failure> {
    let database = Database::open(settings, output).await?;
    let ports = database.ports(portal.connect(&database)?, Arc::new(ProgressDisplay::new(output)));
    let mut plans = Vec::new();
    let mut failed = None;
    for entity in entities {
        match plan(&ports, *entity, how.kind, how.timestamps).await {
            Ok(plan) => plans.push(plan),
            Err(error) => {
                failed = Some(Failure::from(error));
                break;
            }
        }
    }
    database.close(output).await;
    if let Some(failure) = failed {
        return Err(failure);
    }
    let planned: Vec<Planned> = plans.iter().map(Planned::from).collect();
    output.result(&planned, HEADER, plans.iter().map(row).collect());
    if plans.iter().any(|plan| plan.schema.changes_table()) {
        output.note("`b24sync schema plan <ENTITY>` shows the statements");
    }
    Ok(ExitCode::SUCCESS)
}

const HEADER: &[&str] = &["entity", "type", "table", "records", "requests", "takes at least", "bound by"];

fn row(plan: &SyncPlan) -> Vec<String> {
    let number = |value: u64| grouped(i64::try_from(value).unwrap_or(i64::MAX));
    let of = |shown: &dyn Fn(&Appraisal) -> String| plan.appraisal.as_ref().map_or_else(|| "–".to_owned(), shown);
    vec![
        plan.entity.key().to_owned(),
        plan.kind.to_string(),
        table(plan),
        of(&|appraisal| number(appraisal.records)),
        of(&|appraisal| number(appraisal.requests)),
        of(&|appraisal| about(appraisal.at_least().0)),
        of(&|appraisal| meaning(appraisal.at_least().1).to_owned()),
    ]
}

fn table(plan: &SyncPlan) -> String {
    let (add, widen) = (plan.schema.add.len(), plan.schema.widen.len());
    match (plan.schema.create, add, widen) {
        (true, ..) => format!("new, {add} columns"),
        (false, 0, 0) => "as it is".to_owned(),
        (false, add, 0) => format!("{add} more columns"),
        (false, 0, widen) => format!("{widen} wider columns"),
        (false, add, widen) => format!("{add} more columns, {widen} wider ones"),
    }
}

fn meaning(bottleneck: Bottleneck) -> &'static str {
    match bottleneck {
        Bottleneck::Portal => "the portal's work",
        Bottleneck::Rate => "its limit on requests",
        Bottleneck::Operating => "its limit on execution time",
    }
}

/// Whole seconds, minutes or tenths of hours, rounded up.
fn about(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds <= 120.0 => format!("{} s", seconds.ceil()),
        seconds if seconds <= 7_200.0 => format!("{} min", (seconds / 60.0).ceil()),
        seconds => format!("{} h", (seconds / 360.0).ceil() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_unit() {
        for (milliseconds, shown) in [
            (0, "0 s"),
            (1, "1 s"),
            (120_000, "120 s"),
            (120_001, "3 min"),
            (7_200_000, "120 min"),
            (7_200_001, "2.1 h"),
            (36_000_000, "10 h"),
        ] {
            assert_eq!(about(Duration::from_millis(milliseconds)), shown);
        }
    }
}
