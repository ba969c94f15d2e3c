//! When the next sync of each entity is due. Pure: times come from the store's clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::entity::EntityType;
use crate::ports::Job;
use crate::run::RunKind;
use crate::settings::EntitySettings;

/// Sweeps between two full syncs: deletions need not wait for the next full one.
const SWEEPS_BETWEEN: i32 = 4;

/// Shortest time between two sweeps, however often full syncs are wanted.
const SHORTEST_BETWEEN_SWEEPS: TimeDelta = TimeDelta::hours(1);

/// What was begun or asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    /// Of which entity.
    pub entity: EntityType,
    /// What kind.
    pub kind: RunKind,
    /// When, by the store's clock.
    pub at: DateTime<Utc>,
}

/// The jobs of every entity: an incremental sync by the entity's own interval, a full one each `reconcile`, and sweeps
/// between them. Whatever was never done is due at once; a full sync counts as all three.
///
/// Times of different entities are moved apart by a part of the interval that depends on the entity alone, so that
/// instances agree and syncs do not all begin in one second.
pub fn jobs(settings: &[EntitySettings], last: &[LastRun], now: DateTime<Utc>, reconcile: Duration) -> Vec<Job> {
    let reconcile = TimeDelta::from_std(reconcile).unwrap_or(TimeDelta::days(1));
    let sweep = (reconcile / SWEEPS_BETWEEN).max(SHORTEST_BETWEEN_SWEEPS);
    let mut jobs = Vec::new();
    for settings in settings {
        let interval = TimeDelta::minutes(i64::from(settings.sync_interval_minutes));
        for (kind, every) in [(RunKind::Incremental, interval), (RunKind::Sweep, sweep), (RunKind::Full, reconcile)] {
            let latest =
                last.iter().filter(|run| run.entity == settings.entity && run.kind.serves(kind)).map(|run| run.at);
            let due = latest.max().map_or(now, |at| at + every + apart(settings.entity, every));
            // A sweep that is no more frequent than full syncs would only double them.
            if kind == RunKind::Sweep && every >= reconcile {
                continue;
            }
            jobs.push(Job { entity: settings.entity, kind, next_run: settings.enabled.then_some(due) });
        }
    }
    jobs
}

/// Of the jobs that are due, the one for each entity that does most.
pub fn due(jobs: &[Job], now: DateTime<Utc>) -> Vec<(EntityType, RunKind)> {
    let mut chosen: Vec<(EntityType, RunKind)> = Vec::new();
    for job in jobs.iter().filter(|job| job.next_run.is_some_and(|at| at <= now)) {
        match chosen.iter_mut().find(|(entity, _)| *entity == job.entity) {
            Some((_, kind)) if job.kind.serves(*kind) => *kind = job.kind,
            // An incremental sync and a sweep do different things: the sweep comes at the next look.
            Some(_) => {}
            None => chosen.push((job.entity, job.kind)),
        }
    }
    chosen
}

/// Up to a twentieth of the interval.
fn apart(entity: EntityType, every: TimeDelta) -> TimeDelta {
    let position = EntityType::all().position(|other| other == entity).unwrap_or_default();
    let parts = i32::try_from(EntityType::all().count()).unwrap_or(1).max(1);
    every / 20 * i32::try_from(position).unwrap_or_default() / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn entity(key: &str) -> EntityType {
        key.parse().unwrap()
    }

    fn settings(key: &str, enabled: bool, minutes: i32) -> EntitySettings {
        EntitySettings {
            entity: entity(key),
            enabled,
            sync_interval_minutes: minutes,
            webhook_enabled: true,
            last_sync_at: None,
        }
    }

    fn ran(key: &str, kind: RunKind, minute: i64) -> LastRun {
        LastRun { entity: entity(key), kind, at: at(minute) }
    }

    fn due_at(last: &[LastRun], minute: i64) -> Vec<(EntityType, RunKind)> {
        due(&jobs(&[settings("company", true, 30)], last, at(minute), DAY), at(minute))
    }

    #[test]
    fn what_was_never_done_is_due_at_once_and_a_full_sync_is_all_of_it() {
        assert_eq!(due_at(&[], 0), [(entity("company"), RunKind::Full)]);
        assert_eq!(due_at(&[ran("company", RunKind::Full, 0)], 1), []);
    }

    #[test]
    fn an_incremental_sync_comes_with_the_interval_a_sweep_and_a_full_one_now_and_then() {
        let full = ran("company", RunKind::Full, 0);
        assert_eq!(due_at(&[full], 29), []);
        assert_eq!(due_at(&[full], 30), [(entity("company"), RunKind::Incremental)]);
        let recent = |minute: i64| ran("company", RunKind::Incremental, minute - 5);
        assert_eq!(due_at(&[full, recent(360)], 360), [(entity("company"), RunKind::Sweep)]);
        let swept = ran("company", RunKind::Sweep, 1_430);
        assert_eq!(due_at(&[full, recent(1_440), swept], 1_440), [(entity("company"), RunKind::Full)]);
    }

    #[test]
    fn an_entity_that_is_switched_off_is_never_due_and_others_do_not_wait_for_it() {
        let both = [settings("company", false, 30), settings("deal", true, 30)];
        let jobs = jobs(&both, &[], at(0), DAY);
        assert_eq!(due(&jobs, at(0)), [(entity("deal"), RunKind::Full)]);
        assert!(jobs.iter().filter(|job| job.entity == entity("company")).all(|job| job.next_run.is_none()));
    }

    #[test]
    fn entities_are_moved_apart_by_less_than_their_interval() {
        let both = [settings("company", true, 30), settings("deal", true, 30)];
        let last = [ran("company", RunKind::Full, 0), ran("deal", RunKind::Full, 0)];
        let times: Vec<_> = jobs(&both, &last, at(1), DAY)
            .into_iter()
            .filter(|job| job.kind == RunKind::Incremental)
            .filter_map(|job| job.next_run)
            .collect();
        assert!(times[0] < times[1] && times[1] - times[0] < TimeDelta::minutes(2), "{times:?}");
    }
}
