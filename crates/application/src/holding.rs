//! Work under a lease that is renewed while the work lasts.

use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{StoreError, SyncError};
use b24sync_domain::lease::{Grant, Lease, Scope};

use b24sync_domain::run::RunKind;

use crate::ports::Ports;

/// How long a lease lasts unless it is renewed (CORRECTNESS 4.7).
pub const LEASE_TTL: Duration = Duration::from_secs(30);

/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Does `work` under the lease that runs of this kind need, renews the lease meanwhile, and gives it back.
///
/// When renewing fails for good, the work is dropped where it waits: the store refuses its commits from then on anyway.
///
/// # Errors
/// [`SyncError::AlreadyRunning`] when a process that may be alive holds the lease; [`StoreError::LeaseLost`] inside
/// [`SyncError::Store`] when the lease was lost on the way; whatever `work` fails with.
pub async fn under_lease<T, W>(
    ports: &Ports,
    entity: EntityType,
    kind: RunKind,
    work: impl FnOnce(Lease) -> W,
) -> Result<T, SyncError>
where
    W: Future<Output = Result<T, SyncError>>,
{
    let lease = acquire(ports, entity, kind).await?;
    hold(ports, entity, lease, work).await
}

/// Does `work` under a lease that [`acquire`] got.
pub(crate) async fn hold<T, W>(
    ports: &Ports,
    entity: EntityType,
    lease: Lease,
    work: impl FnOnce(Lease) -> W,
) -> Result<T, SyncError>
where
    W: Future<Output = Result<T, SyncError>>,
{
    let result = tokio::select! {
        // Work that is done stays done, whatever renewing says in the same moment.
        biased;
        result = work(lease.clone()) => result,
        error = keep(ports, &lease) => Err(SyncError::Store { entity, source: error }),
    };
    if let Err(error) = ports.leases.release(&lease).await {
        tracing::warn!(entity = %entity, error = %b24sync_domain::error::Chain(&error), "could not give the lease back; it runs out by itself");
    }
    result
}

/// Takes the lease that a run of this kind needs, from a process that is certainly gone if need be.
pub(crate) async fn acquire(ports: &Ports, entity: EntityType, kind: RunKind) -> Result<Lease, SyncError> {
    let scope = Scope::of(entity, kind);
    let store = |source| SyncError::Store { entity, source };
    let me = ports.instances.me();
    let held = match ports.leases.acquire(scope, &me, LEASE_TTL).await.map_err(store)? {
        Grant::Granted(lease) => return Ok(lease),
        Grant::Held(held) => held,
    };
    if ports.instances.is_gone(&held.holder)
        && let Some(lease) = ports.leases.take_over(scope, &me, &held, LEASE_TTL).await.map_err(store)?
    {
        tracing::info!(entity = %entity, lease.token = lease.token, "took the lease over from a process that is gone");
        return Ok(lease);
    }
    Err(SyncError::AlreadyRunning { entity, holder: held.holder })
}

/// Renews until that fails: at once when the lease was lost, else when it must have run out.
async fn keep(ports: &Ports, lease: &Lease) -> StoreError {
    let mut failing_for = Duration::ZERO;
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match ports.leases.renew(lease, LEASE_TTL).await {
            Ok(()) => failing_for = Duration::ZERO,
            Err(error @ StoreError::LeaseLost { .. }) => return error,
            Err(error) => {
                failing_for += RENEW_EVERY;
                if failing_for >= LEASE_TTL {
                    return error;
                }
                tracing::warn!(scope = %lease.scope, error = %b24sync_domain::error::Chain(&error), "could not renew the lease yet");
            }
        }
    }
}
