//! The self-test: one check for each promise, and what to do where it is not kept.
//!
//! Nothing here stops at a failure, and nothing waits longer than its limit. What an earlier failure makes impossible to
//! look at is left out, and that failure says so. Only what is asked to mend changes anything.
//!
//! - `premises`: what is looked at.
//! - `limit`: time limits, and what a failed look means.
//! - `database`, `exposure`: the server, the login, and who else may use our tables.
//! - `portal`: access, clock, limits, entities.
//! - `replica`: runs, freshness, quarantine.
//! - `api`: tokens, figures, the address to listen on.
//! - `events`: whether they come, and whether they are applied.
//!
//! To add a group, write a module with a function that returns findings, and call it in [`examine`].

mod api;
mod database;
mod events;
mod exposure;
mod limit;
mod portal;
mod premises;
mod replica;

use b24sync_domain::doctor::{Finding, Report, catalogue};
use b24sync_domain::entity::EntityType;

pub use premises::{
    ApplicationPremises, DatabasePremises, PortalPremises, Premises, ProjectPremises, Replica, ReplicaOpener,
    ServicePremises, Unusable,
};

/// Looks at everything. With `fix`, mends what can be mended without asking anybody: migrates, closes the control
/// schema, puts row level security back, and closes runs whose process is gone.
pub async fn examine(premises: &Premises, fix: bool) -> Report {
    let mut report = Report::default();
    report.add(settings(&premises.problems));
    let database = database::check(premises, fix).await;
    report.add(database.findings);
    let replica = database.replica.as_ref();
    let portal = portal::check(premises, replica, database.ahead).await;
    report.add(portal);
    report.add(replica::check(premises, replica, fix).await);
    report.add(api::check(&premises.service).await);
    report.add(events::check(premises, replica).await);
    report
}

fn settings(problems: &[String]) -> Vec<Finding> {
    if problems.is_empty() {
        return vec![Finding::ok(catalogue::SETTINGS_VALID, "every setting can be used")];
    }
    let cure = "correct this setting; what depends on it was not looked at, and other commands end with exit code 2";
    problems.iter().map(|problem| Finding::fail(catalogue::SETTINGS_VALID, problem, cure)).collect()
}

/// Stands in a cure for the entities that it is about.
const ENTITIES: &str = "ENTITIES";

/// Findings of one check for each entity; those that say the same become one.
fn together(found: Vec<(EntityType, Finding)>) -> Vec<Finding> {
    let mut groups: Vec<(Finding, Vec<EntityType>)> = Vec::new();
    for (entity, finding) in found {
        match groups.iter_mut().find(|(known, _)| *known == finding) {
            Some((_, entities)) => entities.push(entity),
            None => groups.push((finding, vec![entity])),
        }
    }
    groups.into_iter().map(|(finding, entities)| of_all(finding, &entities)).collect()
}

fn of_all(finding: Finding, entities: &[EntityType]) -> Finding {
    let keys: Vec<&str> = entities.iter().map(|entity| entity.key()).collect();
    let cure = finding.cure.map(|cure| cure.replace(ENTITIES, &keys.join(" ")));
    match entities {
        [entity] => Finding { cure, ..finding }.of(*entity),
        _ => Finding { cure, seen: format!("{}: {}", keys.join(", "), finding.seen), ..finding },
    }
}

/// The first of these, and how many more there are.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}
