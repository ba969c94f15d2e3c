//! What an operator may set (`sync_config`), and who did what (`b24sync.audit`).

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{Actor, SettingsStore};
use b24sync_domain::settings::{EntitySettings, SettingsChange};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

/// Characters of what the audit keeps of a caller.
const LONGEST_SUBJECT: usize = 200;

/// The settings of one entity. A row that somebody deleted means what a new one would say.
pub(crate) async fn of_entity(
    connection: &mut Connection,
    store: &PgStore,
    entity: EntityType,
) -> Result<EntitySettings, Trouble> {
    let statement = sql("select coalesce(enabled, true), coalesce(sync_interval_minutes, 30)::integer, coalesce(webhook_enabled, true), (extract(epoch from last_sync_at) * 1000000)::bigint from ")
        .table(store.tables().config())
        .text(" where entity_type = ")
        .bind::<Text, _>(entity.key())
        .rows::<(Bool, Integer, Bool, Nullable<BigInt>)>();
    let row: Option<(bool, i32, bool, Option<i64>)> = connection.load_row(statement).await?;
    let (enabled, sync_interval_minutes, webhook_enabled, last) = row.unwrap_or((true, 30, true, None));
    let last_sync_at = last.and_then(DateTime::<Utc>::from_timestamp_micros);
    Ok(EntitySettings { entity, enabled, sync_interval_minutes, webhook_enabled, last_sync_at })
}

async fn change(
    connection: &mut Connection,
    store: &PgStore,
    change: &SettingsChange,
    actor: &Actor,
) -> Result<EntitySettings, Trouble> {
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
    let detail = serde_json::json!({
        "enabled": change.enabled,
        "sync_interval_minutes": change.sync_interval_minutes,
        "webhook_enabled": change.webhook_enabled,
    });
    remember(connection, "config.set", Some(change.entity), &detail, actor).await?;
    of_entity(connection, store, change.entity).await
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
            let mut settings = Vec::new();
            for entity in EntityType::all() {
                settings.push(of_entity(&mut connection, self, entity).await?);
            }
            Ok(settings)
        })
        .await
    }

    async fn change(&self, wanted: &SettingsChange, actor: &Actor) -> Result<EntitySettings, StoreError> {
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
