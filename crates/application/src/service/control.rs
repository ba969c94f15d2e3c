//! Starting, stopping and watching syncs; settings and history.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Scope;
use b24sync_domain::ports::{
    Actor, Cancelled, EventInbox, Health, HealthQuery, HintFilter, History, HistoryFilter, HistoryQuery, InboxControl,
    InboxDepth, InboxEntry, RunningSync, SchedulerQuery, SchedulerState, SettingsControl, Started, SyncControl,
};
use b24sync_domain::run::RunKind;
use b24sync_domain::schedule;
use b24sync_domain::settings::{EntitySettings, SettingsChange};

use super::ServicePorts;
use crate::status;

/// How long the database may take to answer before it counts as gone.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Implements the ports that the outside steers the service by.
#[derive(Clone)]
pub struct ControlService {
    ports: ServicePorts,
    reconcile: Duration,
    default_interval_minutes: i32,
}

impl ControlService {
    /// Over these ports, with this time between full syncs.
    pub fn new(ports: ServicePorts, reconcile: Duration, default_interval_minutes: i32) -> ControlService {
        ControlService { ports, reconcile, default_interval_minutes }
    }
}

#[async_trait]
impl SyncControl for ControlService {
    async fn start(&self, entity: EntityType, kind: RunKind) -> Result<Started, StoreError> {
        let requested = self.ports.runs.request(entity, kind).await?;
        Ok(Started { run: requested.run, already_running: requested.coalesced })
    }

    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError> {
        self.ports.board.cancel(entity).await
    }

    async fn running(&self) -> Result<Vec<RunningSync>, StoreError> {
        let ServicePorts { runs, board, leases, instances, .. } = &self.ports;
        status::running(board.as_ref(), runs.as_ref(), leases.as_ref(), instances.as_ref()).await
    }
}

#[async_trait]
impl HistoryQuery for ControlService {
    async fn history(&self, filter: &HistoryFilter) -> Result<History, StoreError> {
        self.ports.board.history(filter).await
    }
}

#[async_trait]
impl SchedulerQuery for ControlService {
    async fn scheduler(&self) -> Result<SchedulerState, StoreError> {
        let (holder, settings, (now, last)) = tokio::try_join!(
            self.ports.leases.holder(Scope::Scheduler),
            self.ports.settings.settings(),
            self.ports.board.last_runs()
        )?;
        let leader = holder.map(|held| held.holder).filter(|holder| !self.ports.instances.is_gone(holder));
        let jobs = schedule::jobs(&settings, &last, now, self.reconcile);
        Ok(SchedulerState { running: leader.is_some(), leader, jobs })
    }
}

#[async_trait]
impl SettingsControl for ControlService {
    async fn settings(&self) -> Result<Vec<EntitySettings>, StoreError> {
        self.ports.settings.settings().await
    }

    fn default_interval_minutes(&self) -> i32 {
        self.default_interval_minutes
    }

    async fn change(&self, change: &SettingsChange, actor: &Actor) -> Result<EntitySettings, StoreError> {
        let changed = self.ports.settings.change(change, actor).await?;
        let switched_on = changed.what.webhook_enabled == Some(true) || changed.what.enabled == Some(true);
        if switched_on && changed.settings.enabled && changed.settings.webhook_enabled {
            // Events that came while they were switched off were not kept, and nothing was made up for meanwhile if the
            // entity was off as well.
            self.ports.runs.request_anew(change.entity, RunKind::Incremental).await?;
            self.ports.runs.request_anew(change.entity, RunKind::Sweep).await?;
        }
        Ok(changed.settings)
    }

    async fn audit(&self, action: &'static str, entity: Option<EntityType>, actor: &Actor) -> Result<(), StoreError> {
        self.ports.settings.audit(action, entity, actor).await
    }
}

#[async_trait]
impl HealthQuery for ControlService {
    async fn health(&self) -> Health {
        match tokio::time::timeout(HEALTH_TIMEOUT, self.scheduler()).await {
            Ok(Ok(state)) => Health {
                database: true,
                scheduler_running: state.running,
                jobs: state
                    .jobs
                    .iter()
                    .filter(|job| job.kind == RunKind::Incremental && job.next_run.is_some())
                    .count(),
            },
            Ok(Err(_)) | Err(_) => Health { database: false, scheduler_running: false, jobs: 0 },
        }
    }
}

/// Shows and steers the inbox.
pub struct InboxService {
    inbox: Arc<dyn EventInbox>,
}

impl InboxService {
    /// Over this inbox.
    pub fn new(inbox: Arc<dyn EventInbox>) -> InboxService {
        InboxService { inbox }
    }
}

#[async_trait]
impl InboxControl for InboxService {
    async fn depth(&self) -> Result<Vec<InboxDepth>, StoreError> {
        self.inbox.depth().await
    }

    async fn list(&self, filter: &HintFilter, offset: u64, limit: u32) -> Result<(Vec<InboxEntry>, u64), StoreError> {
        self.inbox.list(filter, offset, limit).await
    }

    async fn retry(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        self.inbox.retry(filter, actor).await
    }

    async fn discard(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        self.inbox.discard(filter, actor).await
    }
}
