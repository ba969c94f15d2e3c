//! The portal that the replica belongs to, and how it understands listings.

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::portal::{BoundStyle, EntityProbe, KeptProbe, KnownPortal, PortalProfile};
use b24sync_domain::ports::{Claim, PortalStore};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};

use crate::error::Trouble;
use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

type PortalRow = (
    String,
    Option<i64>,
    Option<bool>,
    Option<String>,
    Option<Vec<String>>,
    Option<DateTime<Utc>>,
    Option<i32>,
    Option<DateTime<Utc>>,
    i64,
);
type PortalColumns = (
    Text,
    Nullable<BigInt>,
    Nullable<Bool>,
    Nullable<Text>,
    Nullable<Array<Text>>,
    Nullable<Timestamptz>,
    Nullable<Integer>,
    Nullable<Timestamptz>,
    BigInt,
);

type ProbeRow = (Option<String>, bool, i64, DateTime<Utc>, bool);

fn known_portal(row: PortalRow) -> KnownPortal {
    let (address, user_id, admin, time_zone, scopes, server_time, offset, checked_at, behind) = row;
    let offset = FixedOffset::east_opt(offset.unwrap_or_default());
    let profile = user_id.zip(server_time).zip(offset).map(|((user_id, server_time), offset)| PortalProfile {
        user_id,
        admin,
        time_zone,
        scopes: scopes.unwrap_or_default(),
        server_time: server_time.with_timezone(&offset),
        behind: TimeDelta::seconds(behind),
    });
    KnownPortal { address, profile, checked_at }
}

fn kept_probe(entity: EntityType, row: ProbeRow) -> Result<KeptProbe, Trouble> {
    let (bounds, keyset, ahead, checked_at, stale) = row;
    let wrong = |_| StoreError::Inconsistent { table: "b24sync.portal_probes", column: "bounds" };
    let bounds = bounds.map(|word| word.parse().map_err(wrong)).transpose()?;
    let probe = EntityProbe { entity, bounds, keyset, ahead: TimeDelta::seconds(ahead) };
    Ok(KeptProbe { probe, checked_at, stale })
}

#[async_trait]
impl PortalStore for PgStore {
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError> {
        retrying("claiming the replica for a portal", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select address from b24sync.portal").rows::<(Text,)>();
            let known: Option<(String,)> = connection.load_row(statement).await?;
            match known {
                Some((known,)) if known == address => return Ok(Claim::Ours),
                Some((known,)) if !moved => return Ok(Claim::Another(known)),
                _ => {}
            }
            // What was found out about the other address is asked anew. Of two processes that claim it for the first
            // time, one is first.
            let statement = sql("insert into b24sync.portal as p (address) values (")
                .bind::<Text, _>(address)
                .text(") on conflict (single) do update set address = case when ")
                .bind::<Bool, _>(moved)
                .text(" then excluded.address else p.address end, checked_at = case when ")
                .bind::<Bool, _>(moved)
                .text(" then null else p.checked_at end returning address")
                .rows::<(Text,)>();
            let (kept,): (String,) = connection.load_one(statement).await?;
            Ok(if kept == address { Claim::Ours } else { Claim::Another(kept) })
        })
        .await
    }

    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError> {
        retrying("reading which portal it is", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select address, user_id, admin, time_zone, scopes, server_time, offset_seconds, checked_at, behind_seconds from b24sync.portal")
                .rows::<PortalColumns>();
            let row: Option<PortalRow> = connection.load_row(statement).await?;
            Ok(row.map(known_portal))
        })
        .await
    }

    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError> {
        retrying("reading a probe of the portal", || async {
            let mut connection = self.connections().lend().await?;
            // Once a day is enough for what changes when somebody changes the portal's or the user's settings.
            let statement = sql("select b.bounds, b.keyset, b.ahead_seconds, b.checked_at, b.checked_at < clock_timestamp() - interval '24 hours' or b.user_id is distinct from p.user_id or p.checked_at is null from b24sync.portal_probes b, b24sync.portal p where b.entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .rows::<(Nullable<Text>, Bool, BigInt, Timestamptz, Bool)>();
            let row: Option<ProbeRow> = connection.load_row(statement).await?;
            row.map(|row| kept_probe(entity, row)).transpose()
        })
        .await
    }

    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError> {
        retrying("keeping the webhook's profile", || async {
            let mut connection = self.connections().lend().await?;
            let clean = |text: &str| text.replace('\0', "");
            let statement = sql("update b24sync.portal set user_id = ")
                .bind::<BigInt, _>(profile.user_id)
                .text(", admin = ")
                .bind::<Nullable<Bool>, _>(profile.admin)
                .text(", time_zone = ")
                .bind::<Nullable<Text>, _>(profile.time_zone.as_deref().map(clean))
                .text(", scopes = ")
                .bind::<Array<Text>, _>(profile.scopes.iter().map(|scope| clean(scope)).collect::<Vec<_>>())
                .text(", server_time = ")
                .bind::<Timestamptz, _>(profile.server_time.with_timezone(&Utc))
                .text(", offset_seconds = ")
                .bind::<Integer, _>(profile.server_time.offset().local_minus_utc())
                .text(", behind_seconds = ")
                .bind::<BigInt, _>(profile.behind.num_seconds())
                .text(", checked_at = clock_timestamp()");
            connection.perform(statement).await?;
            Ok(())
        })
        .await
    }

    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError> {
        retrying("keeping a probe of the portal", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("insert into b24sync.portal_probes (entity, bounds, keyset, ahead_seconds, user_id, checked_at) select ")
                .bind::<SmallInt, _>(probe.entity.type_id())
                .text("::smallint, ")
                .bind::<Nullable<Text>, _>(probe.bounds.map(BoundStyle::as_str))
                .text("::text, ")
                .bind::<Bool, _>(probe.keyset)
                .text("::boolean, ")
                .bind::<BigInt, _>(probe.ahead.num_seconds())
                .text("::bigint, (select user_id from b24sync.portal), clock_timestamp() on conflict (entity) do update set bounds = excluded.bounds, keyset = excluded.keyset, ahead_seconds = excluded.ahead_seconds, user_id = excluded.user_id, checked_at = excluded.checked_at");
            connection.perform(statement).await?;
            Ok(())
        })
        .await
    }
}
