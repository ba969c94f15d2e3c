//! When events came, and what changed in the portal since.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::doctor::facts::Arrival;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::ArrivalStore;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Timestamptz};
use diesel_async::SimpleAsyncConnection as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::store::PgStore;

type ArrivalRow = (i16, Option<DateTime<Utc>>, Option<DateTime<Utc>>, i64, Option<DateTime<Utc>>);

#[async_trait]
impl ArrivalStore for PgStore {
    async fn arrivals(&self, grace: Duration) -> Result<Vec<Arrival>, StoreError> {
        let work = async {
            let mut transaction = self.begin().await?;
            let found = arrivals(&mut transaction, grace).await;
            transaction.finish(found).await
        };
        work.await.map_err(|trouble: Trouble| trouble.into_store("looking when events came"))
    }
}

/// Reads what is remembered of every record: no index goes by its time, so that this takes about a second for a million.
///
/// Changes count by the portal's times, set back by as much as they are shown ahead of its clock, and only when they are
/// older than five minutes. Where no event ever came, those that were there before the replica say nothing.
async fn arrivals(connection: &mut Connection, grace: Duration) -> Result<Vec<Arrival>, Trouble> {
    connection.batch_execute("set local statement_timeout = '10s'").await?;
    let entities: Vec<i16> = EntityType::all().map(EntityType::type_id).collect();
    let seconds = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
    let statement = sql("select e.entity, e.last_at, e.counted_from, s.changed, s.newest from (select t.entity, t.place, a.last_at, coalesce(a.last_at, r.created_at) + ")
        .bind::<BigInt, _>(seconds)
        .text(" * interval '1 second' as counted_from, coalesce((select b.ahead_seconds from b24sync.portal_probes b where b.entity = t.entity), 0) * interval '1 second' as ahead from unnest(")
        .bind::<Array<SmallInt>, _>(entities)
        .text("::smallint[]) with ordinality as t(entity, place) left join b24sync.arrivals a on a.entity = t.entity left join b24sync.replicas r on r.entity = t.entity) as e cross join lateral (select count(*) as changed, max(i.modified - e.ahead) as newest from b24sync.item_state i where i.entity = e.entity and i.modified - e.ahead > e.counted_from and i.modified - e.ahead < clock_timestamp() - interval '5 minutes') as s order by e.place")
        .rows::<(SmallInt, Nullable<Timestamptz>, Nullable<Timestamptz>, BigInt, Nullable<Timestamptz>)>();
    let rows: Vec<ArrivalRow> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().filter_map(arrival).collect())
}

fn arrival(row: ArrivalRow) -> Option<Arrival> {
    let (entity, last_event, counted_from, changed, newest_change) = row;
    let entity = EntityType::from_type_id(entity)?;
    let changed = u64::try_from(changed).unwrap_or_default();
    Some(Arrival { entity, last_event, counted_from, changed, newest_change })
}
