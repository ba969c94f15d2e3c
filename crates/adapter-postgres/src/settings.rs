//! What an operator may set (`sync_config`), and who did what (`b24sync.audit`).

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{Actor, SettingsStore};
use b24sync_domain::settings::{Changed, EntitySettings, SettingsChange};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};

use crate::connection::Connection;
use crate::error::{Failure, Trouble};
use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

/// Characters of what the audit keeps of a caller.
const LONGEST_SUBJECT: usize = 200;

/// A row of `sync_config` in the order of [`settings_columns`].
pub(crate) type Settings = (bool, i32, bool, Option<i64>);

/// The SQL types of [`settings_columns`].
pub(crate) type SettingsColumns = (Bool, Integer, Bool, Nullable<BigInt>);

/// Columns of `sync_config` under the name `c`. A row that somebody deleted means what a new one would say: an outer join
/// will do.
pub(crate) fn settings_columns() -> &'static str {
    "coalesce(c.enabled, true), coalesce(c.sync_interval_minutes, 30)::integer, coalesce(c.webhook_enabled, true), (extract(epoch from c.last_sync_at) * 1000000)::bigint"
}

pub(crate) fn entity_settings(entity: EntityType, row: Settings) -> EntitySettings {
    let (enabled, sync_interval_minutes, webhook_enabled, last) = row;
    let last_sync_at = last.and_then(DateTime::<Utc>::from_timestamp_micros);
    EntitySettings { entity, enabled, sync_interval_minutes, webhook_enabled, last_sync_at }
}

/// The settings of all entities, in the catalogue's order.
async fn of_all(connection: &mut Connection, store: &PgStore) -> Result<Vec<EntitySettings>, Trouble> {
    let statement = sql("select ")
        .text(settings_columns())
        .text(" from ")
        .entities()
        .text(" left join ")
        .table(store.tables().config())
        .text(" as c on c.entity_type = e.key order by e.place")
        .rows::<SettingsColumns>();
    let rows: Vec<Settings> = connection.load_rows(statement).await?;
    Ok(EntityType::all().zip(rows).map(|(entity, row)| entity_settings(entity, row)).collect())
}

async fn change(
    connection: &mut Connection,
    store: &PgStore,
    change: &SettingsChange,
    actor: &Actor,
) -> Result<Changed, Trouble> {
    let config = store.tables().config();
    // Nobody else changes them while it is looked what is to be changed.
    let lock = sql("select from ").table(config).text(" where entity_type = ").bind::<Text, _>(change.entity.key());
    connection.perform(lock.text(" for update")).await?;
    let before = one(connection, store, change.entity).await?;
    let what = change.beyond(&before);
    if what.is_empty() {
        return Ok(Changed { settings: before, what });
    }
    write(connection, store, &what).await?;
    let mut detail = serde_json::Map::new();
    detail.extend(what.enabled.map(|on| ("enabled".to_owned(), on.into())));
    detail.extend(what.sync_interval_minutes.map(|minutes| ("sync_interval_minutes".to_owned(), minutes.into())));
    detail.extend(what.webhook_enabled.map(|on| ("webhook_enabled".to_owned(), on.into())));
    remember(connection, "config.set", Some(change.entity), &detail.into(), actor).await?;
    Ok(Changed { settings: one(connection, store, change.entity).await?, what })
}

async fn one(connection: &mut Connection, store: &PgStore, entity: EntityType) -> Result<EntitySettings, Trouble> {
    let all = of_all(connection, store).await?;
    let missing = || Failure::ours("an entity of the catalogue has no settings").into();
    all.into_iter().find(|settings| settings.entity == entity).ok_or_else(missing)
}

async fn write(connection: &mut Connection, store: &PgStore, change: &SettingsChange) -> Result<(), Trouble> {
    let config = store.tables().config();
    let now = |column| store.tables().now(config, column);
    let statement = sql("insert into ")
        .table(config)
        .text(" as c (entity_type, enabled, sync_interval_minutes, webhook_enabled, created_at, updated_at) values (")
        .bind::<Text, _>(change.entity.key())
        .text(", coalesce(")
        .bind::<Nullable<Bool>, _>(change.enabled)
        .text(", true), coalesce(")
        .bind::<Nullable<Integer>, _>(change.sync_interval_minutes)
        .text(", 30), coalesce(")
        .bind::<Nullable<Bool>, _>(change.webhook_enabled)
        .text(", true), ")
        .text(now("created_at"))
        .text(", ")
        .text(now("updated_at"))
        .text(") on conflict (entity_type) do update set enabled = coalesce(")
        .bind::<Nullable<Bool>, _>(change.enabled)
        .text(", c.enabled), sync_interval_minutes = coalesce(")
        .bind::<Nullable<Integer>, _>(change.sync_interval_minutes)
        .text(", c.sync_interval_minutes), webhook_enabled = coalesce(")
        .bind::<Nullable<Bool>, _>(change.webhook_enabled)
        .text(", c.webhook_enabled), updated_at = excluded.updated_at");
    connection.perform(statement).await?;
    Ok(())
}

pub(crate) async fn remember(
    connection: &mut Connection,
    action: &'static str,
    entity: Option<EntityType>,
    detail: &serde_json::Value,
    actor: &Actor,
) -> Result<(), Trouble> {
    let clean = |text: &str| text.chars().filter(|c| *c != '\0').take(LONGEST_SUBJECT).collect::<String>();
    let statement = sql("insert into b24sync.audit (subject, action, entity, detail, request) values (")
        .bind::<Text, _>(clean(&actor.subject))
        .text(", ")
        .bind::<Text, _>(action)
        .text(", ")
        .bind::<Nullable<SmallInt>, _>(entity.map(EntityType::type_id))
        .text(", ")
        .bind::<Text, _>(detail.to_string())
        .text("::text::jsonb, ")
        .bind::<Nullable<Text>, _>(actor.request.as_deref().map(clean))
        .text(")");
    connection.perform(statement).await?;
    Ok(())
}

#[async_trait]
impl SettingsStore for PgStore {
    async fn settings(&self) -> Result<Vec<EntitySettings>, StoreError> {
        retrying("reading settings", || async {
            let mut connection = self.connections().lend().await?;
            of_all(&mut connection, self).await
        })
        .await
    }

    async fn change(&self, wanted: &SettingsChange, actor: &Actor) -> Result<Changed, StoreError> {
        retrying("changing settings", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(change(&mut transaction, self, wanted, actor)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn audit(&self, action: &'static str, entity: Option<EntityType>, actor: &Actor) -> Result<(), StoreError> {
        retrying("writing the audit", || async {
            let mut connection = self.connections().lend().await?;
            remember(&mut connection, action, entity, &serde_json::json!({}), actor).await
        })
        .await
    }
}
