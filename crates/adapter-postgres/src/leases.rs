//! Leases: one row per scope. Only the database's clock counts.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, HeldBy, Lease, Scope};
use b24sync_domain::ports::LeaseStore;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Text, Timestamptz};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::{guard, sql};
use crate::store::PgStore;
use crate::transaction::retrying;

/// Fails when the lease is not ours any more; else nobody can take it before the transaction ends.
pub(crate) async fn fence(connection: &mut Connection, lease: &Lease) -> Result<(), Trouble> {
    let held: Option<(bool,)> = connection.load_row(guard::fence(lease.scope.to_string(), lease.token)).await?;
    if held.is_some() { Ok(()) } else { Err(lost(lease).into()) }
}

pub(crate) fn lost(lease: &Lease) -> StoreError {
    StoreError::LeaseLost { scope: lease.scope.to_string() }
}

fn milliseconds(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 1_000_000)
}

/// A number for one request, however often it is repeated.
fn attempt() -> i64 {
    i64::from_ne_bytes(RandomState::new().hash_one(()).to_ne_bytes())
}

async fn acquire(
    connection: &mut Connection,
    scope: Scope,
    holder: &str,
    attempt: i64,
    ttl: Duration,
) -> Result<Grant, Trouble> {
    loop {
        let statement = sql("insert into b24sync.leases as l (scope, holder, attempt, token, expires_at) values (")
            .bind::<Text, _>(scope.to_string())
            .text(", ")
            .bind::<Text, _>(holder)
            .text(", ")
            .bind::<BigInt, _>(attempt)
            .text(", 1, clock_timestamp() + ")
            .bind::<BigInt, _>(milliseconds(ttl))
            .text(" * interval '1 millisecond') on conflict (scope) do update set holder = excluded.holder, attempt = excluded.attempt, token = l.token + 1, expires_at = clock_timestamp() + ")
            .bind::<BigInt, _>(milliseconds(ttl))
            .text(" * interval '1 millisecond' where l.expires_at <= clock_timestamp() or l.attempt = excluded.attempt returning token");
        let granted: Option<(i64,)> = connection.load_row(statement.rows::<(BigInt,)>()).await?;
        if let Some((token,)) = granted {
            return Ok(Grant::Granted(Lease { scope, token }));
        }
        let statement =
            sql("select holder, expires_at, expires_at > clock_timestamp() from b24sync.leases where scope = ")
                .bind::<Text, _>(scope.to_string())
                .rows::<(Text, Timestamptz, Bool)>();
        let row: Option<(String, DateTime<Utc>, bool)> = connection.load_row(statement).await?;
        if let Some((holder, expires_at, true)) = row {
            return Ok(Grant::Held(HeldBy { holder, expires_at }));
        }
        // It ran out, or went away, between the two statements.
    }
}

#[async_trait]
impl LeaseStore for PgStore {
    async fn acquire(&self, scope: Scope, holder: &str, ttl: Duration) -> Result<Grant, StoreError> {
        let attempt = attempt();
        retrying("taking a lease", || async {
            let mut connection = self.connections().lend().await?;
            acquire(&mut connection, scope, holder, attempt, ttl).await
        })
        .await
    }

    async fn take_over(
        &self,
        scope: Scope,
        holder: &str,
        gone: &HeldBy,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        retrying("taking over a lease", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("update b24sync.leases set holder = ")
                .bind::<Text, _>(holder)
                .text(", token = token + 1, expires_at = clock_timestamp() + ")
                .bind::<BigInt, _>(milliseconds(ttl))
                .text(" * interval '1 millisecond' where scope = ")
                .bind::<Text, _>(scope.to_string())
                .text(" and holder = ")
                .bind::<Text, _>(gone.holder.as_str())
                .text(" and expires_at = ")
                .bind::<Timestamptz, _>(gone.expires_at)
                .text(" returning token");
            let row: Option<(i64,)> = connection.load_row(statement.rows::<(BigInt,)>()).await?;
            Ok(row.map(|(token,)| Lease { scope, token }))
        })
        .await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), StoreError> {
        retrying("renewing a lease", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("update b24sync.leases set expires_at = clock_timestamp() + ")
                .bind::<BigInt, _>(milliseconds(ttl))
                .text(" * interval '1 millisecond' where scope = ")
                .bind::<Text, _>(lease.scope.to_string())
                .text(" and token = ")
                .bind::<BigInt, _>(lease.token);
            if connection.perform(statement).await? == 1 { Ok(()) } else { Err(lost(lease).into()) }
        })
        .await
    }

    async fn holder(&self, scope: Scope) -> Result<Option<HeldBy>, StoreError> {
        retrying("looking who has a lease", || async {
            let mut connection = self.connections().lend().await?;
            let statement =
                sql("select holder, expires_at from b24sync.leases where expires_at > clock_timestamp() and scope = ")
                    .bind::<Text, _>(scope.to_string())
                    .rows::<(Text, Timestamptz)>();
            let row: Option<(String, DateTime<Utc>)> = connection.load_row(statement).await?;
            Ok(row.map(|(holder, expires_at)| HeldBy { holder, expires_at }))
        })
        .await
    }

    async fn holders(&self, scopes: &[Scope]) -> Result<Vec<(Scope, HeldBy)>, StoreError> {
        retrying("looking who has leases", || async {
            let mut connection = self.connections().lend().await?;
            let names: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            let statement = sql("select scope, holder, expires_at from b24sync.leases where expires_at > clock_timestamp() and scope = any(")
                .bind::<Array<Text>, _>(names)
                .text("::text[])")
                .rows::<(Text, Text, Timestamptz)>();
            let rows: Vec<(String, String, DateTime<Utc>)> = connection.load_rows(statement).await?;
            let scope_of = |name: &str| scopes.iter().copied().find(|scope| scope.to_string() == name);
            let held = rows.into_iter().filter_map(|(name, holder, expires_at)| {
                scope_of(&name).map(|scope| (scope, HeldBy { holder, expires_at }))
            });
            Ok(held.collect())
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        retrying("giving a lease back", || async {
            let mut connection = self.connections().lend().await?;
            // The row stays, so that tokens go on rising; the token moves, so that the lease cannot be renewed.
            let statement =
                sql("update b24sync.leases set token = token + 1, expires_at = clock_timestamp() where scope = ")
                    .bind::<Text, _>(lease.scope.to_string())
                    .text(" and token = ")
                    .bind::<BigInt, _>(lease.token);
            connection.perform(statement).await?;
            Ok(())
        })
        .await
    }
}
