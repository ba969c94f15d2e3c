//! The portal's budget: one row. Only the database's clock counts.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::{BudgetStore, MethodPause, Slice, Wish};
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::budget;
use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

/// Columns of a slice: count, first, spacing, version, rate, and the methods that pause, with how long and at which use.
pub(crate) type SliceRow =
    (Integer, Double, Double, BigInt, Double, Array<Text>, Array<Double>, Array<Nullable<Double>>);

type SliceValues = (i32, f64, f64, i64, f64, Vec<String>, Vec<f64>, Vec<Option<f64>>);

fn slice((count, first, spacing, version, per_second, methods, pauses, limits): SliceValues) -> Slice {
    let methods = methods.into_iter().zip(pauses).zip(limits);
    let methods = methods
        .map(|((method, pause), limit_seconds)| MethodPause { method, pause: seconds(pause), limit_seconds })
        .collect();
    let count = u32::try_from(count).unwrap_or_default();
    Slice { count, first: seconds(first), spacing: seconds(spacing), version, per_second, methods }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The row comes with the migration; somebody may have taken it out all the same.
async fn make_row(connection: &mut Connection) -> Result<(), Trouble> {
    let statement = sql("insert into b24sync.portal_rate default values on conflict (single) do nothing");
    connection.perform(statement).await.map(drop)
}

#[async_trait]
impl BudgetStore for PgStore {
    async fn take(&self, limits: RateLimits, wish: &Wish) -> Result<Slice, StoreError> {
        retrying("asking for the portal's budget", || async {
            let mut connection = self.connections().lend().await?;
            loop {
                let row: Option<SliceValues> = connection.load_row(budget::take(limits, wish)).await?;
                match row {
                    Some(row) => return Ok(slice(row)),
                    None => make_row(&mut connection).await?,
                }
            }
        })
        .await
    }

    async fn refuse(&self, limits: RateLimits) -> Result<Duration, StoreError> {
        retrying("telling that the portal refused a request", || async {
            let mut connection = self.connections().lend().await?;
            loop {
                let row: Option<(f64,)> = connection.load_row(budget::refuse(limits)).await?;
                match row {
                    Some((pause,)) => return Ok(seconds(pause)),
                    None => make_row(&mut connection).await?,
                }
            }
        })
        .await
    }

    async fn pause_method(&self, pause: &MethodPause) -> Result<(), StoreError> {
        retrying("telling that a method pauses", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("insert into b24sync.portal_methods as m (method, paused_until, limit_seconds) values (")
                .bind::<Text, _>(pause.method.as_str())
                .text(", clock_timestamp() + ")
                .bind::<Double, _>(pause.pause.as_secs_f64())
                .text(" * interval '1 second', ")
                .bind::<Nullable<Double>, _>(pause.limit_seconds)
                .text(") on conflict (method) do update set paused_until = excluded.paused_until, limit_seconds = excluded.limit_seconds");
            connection.perform(statement).await?;
            Ok(())
        })
        .await
    }
}
