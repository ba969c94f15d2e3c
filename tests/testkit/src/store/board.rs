//! The rest of the fake store: what owners tell of their runs, and settings.

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Scope;
use b24sync_domain::ports::{
    Actor, Cancelled, History, HistoryFilter, LoggedRun, RunBoard, RunningSync, SettingsStore,
};
use b24sync_domain::run::{RunId, RunKind, RunStatus};
use b24sync_domain::schedule::LastRun;
use b24sync_domain::settings::{Changed, EntitySettings, SettingsChange};
use chrono::{DateTime, Utc};

use super::{FakeStore, RunRow, logged};

#[async_trait]
impl RunBoard for FakeStore {
    async fn note(&self, run: RunId, step: &'static str, expected: Option<u64>) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Ok(row) = state.run(run) {
            row.step = step;
            row.expected = expected.or(row.expected);
        }
        Ok(())
    }

    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError> {
        let mut state = self.state();
        let of = |status| {
            move |row: &&mut RunRow| -> bool {
                let is = row.status == status || status == RunStatus::Queued && row.abandoned;
                row.run.entity == entity && row.run.kind != RunKind::Webhook && is
            }
        };
        let asked = state.runs.iter_mut().find(of(RunStatus::Running)).map(|row| {
            row.cancel_requested = true;
            row.run.id
        });
        let mut dequeued = Vec::new();
        for row in state.runs.iter_mut().filter(of(RunStatus::Queued)) {
            row.status = RunStatus::Cancelled;
            row.abandoned = false;
            dequeued.push(row.run.id);
        }
        Ok(Cancelled { asked, dequeued })
    }

    async fn is_cancelled(&self, run: RunId) -> Result<bool, StoreError> {
        Ok(self.state().run(run).is_ok_and(|row| row.cancel_requested))
    }

    async fn running(&self) -> Result<Vec<RunningSync>, StoreError> {
        let state = self.state();
        let on = state.runs.iter().filter(|row| matches!(row.status, RunStatus::Running | RunStatus::Queued));
        Ok(on
            .map(|row| RunningSync {
                run: row.run.id,
                entity: row.run.entity,
                kind: row.run.kind,
                queued: row.status == RunStatus::Queued,
                stopping: row.cancel_requested,
                step: if row.status == RunStatus::Queued { String::new() } else { row.step.to_owned() },
                processed: row.run.processed,
                expected: row.expected,
                per_second: None,
                remaining: None,
                started_at: row.started,
                holder: state.holder_of(&row.run).filter(|_| row.status == RunStatus::Running),
            })
            .collect())
    }

    async fn waiting(&self) -> Result<Vec<(EntityType, RunKind)>, StoreError> {
        let mut state = self.state();
        let held: Vec<EntityType> = EntityType::all().filter(|entity| state.is_held(Scope::Sync(*entity))).collect();
        for row in &mut state.runs {
            let gone = (row.status == RunStatus::Running || row.abandoned) && !held.contains(&row.run.entity);
            if gone && row.run.kind != RunKind::Webhook {
                row.status = if row.cancel_requested { RunStatus::Cancelled } else { RunStatus::Queued };
                row.abandoned = false;
            }
        }
        let queued = state.runs.iter().filter(|row| row.status == RunStatus::Queued);
        Ok(queued.map(|row| (row.run.entity, row.run.kind)).collect())
    }

    async fn last_runs(&self) -> Result<(DateTime<Utc>, Vec<LastRun>), StoreError> {
        let state = self.state();
        let begun = |row: &&RunRow| row.run.resumed || row.status != RunStatus::Cancelled;
        let last = state.runs.iter().filter(begun).map(|row| LastRun {
            entity: row.run.entity,
            kind: row.run.kind,
            at: row.started,
        });
        Ok((state.clock, last.collect()))
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<History, StoreError> {
        let state = self.state();
        let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let found: Vec<LoggedRun> = state
            .runs
            .iter()
            .rev()
            .map(logged)
            .filter(|run| {
                fits(&filter.entity, &run.entity) && fits(&filter.status, &run.status) && fits(&filter.kind, &run.kind)
            })
            .collect();
        let total = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let offset = usize::try_from(filter.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        Ok(History { runs: found.into_iter().skip(offset).take(limit).collect(), total })
    }

    async fn ended_since(&self, place: Option<i64>) -> Result<Vec<(i64, LoggedRun)>, StoreError> {
        let state = self.state();
        let ended = state.runs.iter().filter(|row| row.ended > 0).map(|row| (row.ended, logged(row)));
        let mut ended: Vec<_> = ended.filter(|(at, _)| place.is_none_or(|place| *at > place)).collect();
        ended.sort_by_key(|(at, _)| *at);
        if place.is_none() {
            ended.drain(..ended.len().saturating_sub(1));
        }
        Ok(ended)
    }
}

#[async_trait]
impl SettingsStore for FakeStore {
    async fn settings(&self) -> Result<Vec<EntitySettings>, StoreError> {
        let state = self.state();
        Ok(EntityType::all().map(|entity| state.settings_of(entity)).collect())
    }

    async fn change(&self, change: &SettingsChange, actor: &Actor) -> Result<Changed, StoreError> {
        let mut state = self.state();
        let mut settings = state.settings_of(change.entity);
        let what = change.beyond(&settings);
        if what.is_empty() {
            return Ok(Changed { settings, what });
        }
        settings.enabled = change.enabled.unwrap_or(settings.enabled);
        settings.sync_interval_minutes = change.sync_interval_minutes.unwrap_or(settings.sync_interval_minutes);
        settings.webhook_enabled = change.webhook_enabled.unwrap_or(settings.webhook_enabled);
        state.settings.insert(change.entity, settings.clone());
        state.audit.push(("config.set", Some(change.entity), actor.subject.clone()));
        Ok(Changed { settings, what })
    }

    async fn audit(&self, action: &'static str, entity: Option<EntityType>, actor: &Actor) -> Result<(), StoreError> {
        self.state().audit.push((action, entity, actor.subject.clone()));
        Ok(())
    }
}
