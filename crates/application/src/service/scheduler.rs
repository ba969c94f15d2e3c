//! Queues the syncs that are due. Every instance is ready to; the one that holds the scheduler's lease does (CORRECTNESS
//! 4.7).

use std::time::Duration;

use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::lease::{Grant, Lease, Scope};
use b24sync_domain::schedule;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServicePorts;
use crate::holding::{LEASE_TTL, RENEW_EVERY};
use crate::metering;

/// How often the leader looks what is due, and so how soon changed settings are effective.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often the others look whether the leader is gone: with the lease's 30 s, a takeover takes 35 s at most.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// Schedules until it is to stop: leads when nobody else does, and gives the lease back in the end.
#[tracing::instrument(name = "scheduler", skip_all)]
pub async fn schedule(ports: &ServicePorts, reconcile: Duration, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match take_lead(ports).await {
            Ok(Some(lease)) => {
                tracing::info!(lease.token = lease.token, "this instance schedules the syncs now");
                metering::leads(true);
                lead(ports, &lease, reconcile, stop).await;
                metering::leads(false);
                if let Err(error) = ports.leases.release(&lease).await {
                    tracing::warn!(error = %Chain(&error), "could not give the scheduler's lease back; it runs out by itself");
                }
            }
            Ok(None) => pause(ASK_EVERY, stop).await,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not ask for the scheduler's lease yet");
                pause(ASK_EVERY, stop).await;
            }
        }
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

async fn take_lead(ports: &ServicePorts) -> Result<Option<Lease>, StoreError> {
    let me = ports.instances.me();
    match ports.leases.acquire(Scope::Scheduler, &me, LEASE_TTL).await? {
        Grant::Granted(lease) => Ok(Some(lease)),
        Grant::Held(held) if ports.instances.is_gone(&held.holder) => {
            ports.leases.take_over(Scope::Scheduler, &me, &held, LEASE_TTL).await
        }
        Grant::Held(_) => Ok(None),
    }
}

/// Leads until the lease is lost or the service is to stop. A wish that is queued twice, because another instance leads
/// already without this one knowing, coalesces.
async fn lead(ports: &ServicePorts, lease: &Lease, reconcile: Duration, stop: &CancellationToken) {
    let mut renewed = Instant::now();
    while !stop.is_cancelled() {
        if renewed.elapsed() >= RENEW_EVERY {
            match ports.leases.renew(lease, LEASE_TTL).await {
                Ok(()) => renewed = Instant::now(),
                Err(StoreError::LeaseLost { .. }) => {
                    tracing::info!("another instance schedules the syncs now");
                    return;
                }
                Err(error) if renewed.elapsed() >= LEASE_TTL => {
                    tracing::warn!(error = %Chain(&error), "could not renew the scheduler's lease in time");
                    return;
                }
                Err(error) => tracing::warn!(error = %Chain(&error), "could not renew the scheduler's lease yet"),
            }
        }
        if let Err(error) = queue_due(ports, reconcile).await {
            tracing::warn!(error = %Chain(&error), "could not look which syncs are due");
        }
        pause(LOOK_EVERY, stop).await;
    }
}

async fn queue_due(ports: &ServicePorts, reconcile: Duration) -> Result<(), StoreError> {
    let settings = ports.settings.settings().await?;
    let (now, last) = ports.board.last_runs().await?;
    for (entity, kind) in schedule::due(&schedule::jobs(&settings, &last, now, reconcile), now) {
        let requested = ports.runs.request(entity, kind).await?;
        if !requested.coalesced {
            tracing::info!(entity = %entity, run.id = %requested.run, run.kind = %kind, "a sync is due");
        }
    }
    Ok(())
}
