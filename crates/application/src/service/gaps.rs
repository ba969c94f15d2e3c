//! Makes up for events that nobody took in: the portal does not send them again.

use std::collections::BTreeSet;
use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::inbox::{BEAT_EVERY, SILENT_AFTER, leaves_a_gap};
use b24sync_domain::ports::{Beat, EventInbox};
use b24sync_domain::run::RunKind;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServicePorts;
use super::intake::Signals;

/// Notes that this instance takes events in, and wishes for syncs when there was a time without.
pub async fn watch(ports: &ServicePorts, inbox: &dyn EventInbox, signals: &Signals, stop: &CancellationToken) {
    let mut watch = Watch { me: ports.instances.me(), started: Some(Instant::now()), missing: BTreeSet::new() };
    while !stop.is_cancelled() {
        if let Err(error) = watch.look(ports, inbox, signals).await {
            tracing::warn!(error = %Chain(&error), "could not look whether events were missed");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(BEAT_EVERY) => {}
        }
    }
}

struct Watch {
    me: String,
    /// When this instance began to take events in, until it is known whether others did meanwhile.
    started: Option<Instant>,
    /// Syncs that are to make up for a gap and have not been asked for yet.
    missing: BTreeSet<(EntityType, RunKind)>,
}

impl Watch {
    async fn look(
        &mut self,
        ports: &ServicePorts,
        inbox: &dyn EventInbox,
        signals: &Signals,
    ) -> Result<(), StoreError> {
        let beat = inbox.beat(&self.me).await?;
        let lost = signals.take_gap();
        let away = self.away(&beat);
        if lost || away.is_some_and(|away| leaves_a_gap(away, beat.others)) {
            let why = if lost { "events could not be kept" } else { "nobody took events in" };
            tracing::info!(reason = why, "events may be missing; syncs will make up for them");
            self.miss_everything(ports).await.inspect_err(|_| signals.open_gap())?;
        }
        self.heal(ports).await
    }

    /// How long this instance has been away, if it has been and it can be told by now whether others were there.
    fn away(&mut self, beat: &Beat) -> Option<Duration> {
        let own = beat.own?;
        if let Some(started) = self.started {
            // Another one notes that it is there as often as this one does.
            let told = started.elapsed() >= BEAT_EVERY * 2;
            return told.then(|| {
                self.started = None;
                started.elapsed()
            });
        }
        (own >= SILENT_AFTER).then_some(own)
    }

    /// An incremental sync of each entity that is synced at all, and a sweep, because deletions show in no incremental
    /// one.
    async fn miss_everything(&mut self, ports: &ServicePorts) -> Result<(), StoreError> {
        for settings in ports.settings.settings().await? {
            if settings.enabled && settings.webhook_enabled {
                self.missing.extend([(settings.entity, RunKind::Incremental), (settings.entity, RunKind::Sweep)]);
            }
        }
        Ok(())
    }

    /// Wishes for what is missing. A run that is on already may have read what changed in the gap before it changed.
    async fn heal(&mut self, ports: &ServicePorts) -> Result<(), StoreError> {
        while let Some(&(entity, kind)) = self.missing.first() {
            ports.runs.request_anew(entity, kind).await?;
            self.missing.pop_first();
        }
        Ok(())
    }
}
