//! Figures of what the use cases do (SPEC 11), for whichever recorder the program installs; without one they cost nothing.

use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::run::{RunKind, RunStatus};
use metrics::{counter, gauge, histogram};

/// Records by what became of them: `written`, `unchanged`, `deleted`, `quarantined`.
pub(crate) fn records(entity: EntityType, outcome: &'static str, count: u64) {
    if count > 0 {
        counter!("b24sync_records_total", "entity" => entity.key(), "outcome" => outcome).increment(count);
    }
}

/// A run that ended in this process, and how long this process was at it.
pub(crate) fn run_ended(entity: EntityType, kind: RunKind, status: RunStatus, took: Duration) {
    let (entity, kind) = (entity.key(), kind.as_str());
    counter!("b24sync_runs_total", "entity" => entity, "kind" => kind, "status" => status.as_str()).increment(1);
    histogram!("b24sync_run_duration_seconds", "entity" => entity, "kind" => kind).record(took.as_secs_f64());
}

/// Whether this process schedules.
pub(crate) fn leads(leads: bool) {
    gauge!("b24sync_scheduler_leader").set(f64::from(u8::from(leads)));
}
