//! Makes up for events that nobody took in: the portal does not send them again.

use std::sync::Arc;
use std::time::Duration;

use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::inbox::{BEAT_EVERY, SILENT_AFTER, leaves_a_gap};
use b24sync_domain::ports::{Beat, EventInbox};
use b24sync_domain::run::RunKind;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServicePorts;
use super::intake::Signals;

/// Notes that this instance takes events in, and wishes for syncs when there was a time without.
pub async fn watch(ports: &ServicePorts, inbox: &dyn EventInbox, signals: &Arc<Signals>, stop: &CancellationToken) {
    let mut watch = Watch { me: ports.instances.me(), started: Some(Instant::now()) };
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
}

impl Watch {
    async fn look(
        &mut self,
        ports: &ServicePorts,
        inbox: &dyn EventInbox,
        signals: &Arc<Signals>,
    ) -> Result<(), StoreError> {
        let beat = inbox.beat(&self.me).await?;
        let lost = signals.take_gap();
        let away = self.away(&beat);
        if !lost && !away.is_some_and(|away| leaves_a_gap(away, beat.others)) {
            return Ok(());
        }
        let why = if lost { "events could not be kept" } else { "nobody took events in" };
        tracing::info!(reason = why, "events may be missing; syncs will make up for them");
        heal(ports).await.inspect_err(|_| signals.open_gap())
    }

    /// How long this instance has been away, if it has been and it can be told by now whether others were there.
    fn away(&mut self, beat: &Beat) -> Option<Duration> {
        let own = beat.own?;
        match self.started.take() {
            Some(started) => Some(started.elapsed()),
            None => (own >= SILENT_AFTER).then_some(own),
        }
    }
}

/// Wishes for an incremental sync of each entity that is synced at all, and for a sweep, because deletions show in no
/// incremental one.
pub(super) async fn heal(ports: &ServicePorts) -> Result<(), StoreError> {
    for settings in ports.settings.settings().await? {
        if settings.enabled && settings.webhook_enabled {
            ports.runs.request(settings.entity, RunKind::Incremental).await?;
            ports.runs.request(settings.entity, RunKind::Sweep).await?;
        }
    }
    Ok(())
}
