use b24sync_portal_emulator::{
    Counts, Dialect, Entity, ItemUpperNames, MinusOneTotal, PortalConfig, Truth, UnresolvedReference,
};

use crate::compare::differences;
use crate::stage::Stage;

/// Syncs every entity and compares.
async fn synced(config: PortalConfig, api: &str, dialect: Dialect) -> Stage {
    let stage = Stage::new(config).await;
    let mut command = stage.command(&["sync", "--all"]);
    command.env("BITRIX_CRM_API", api);
    crate::stage::finish(command).await.expect_success();
    let found = differences(stage.portal(), &stage.client().await, dialect).await;
    assert!(found.is_empty(), "{} differences, the first: {:#?}", found.len(), &found[..found.len().min(10)]);
    stage
}

#[tokio::test]
async fn i11_every_field_of_every_record_is_in_the_tables_with_the_universal_methods() {
    synced(PortalConfig::default(), "item", Dialect::Item).await;
}

#[tokio::test]
async fn i11_every_field_of_every_record_is_in_the_tables_with_the_classic_methods() {
    synced(PortalConfig::default(), "classic", Dialect::Classic).await;
}

#[tokio::test]
async fn a_portal_that_reads_the_open_questions_the_other_way_is_copied_as_exactly() {
    let other = |unresolved_reference| PortalConfig {
        seed: 7,
        offset_minutes: -300,
        minus_one_total: MinusOneTotal::Absent,
        item_upper_names: ItemUpperNames::SmartProcess,
        item_star_includes_user_fields: false,
        uf_star_includes_multiple: false,
        unresolved_reference,
        php_escapes: true,
        gzip: true,
        ..PortalConfig::default()
    };
    synced(other(UnresolvedReference::Empty), "item", Dialect::Item).await;
    synced(other(UnresolvedReference::Halted), "item", Dialect::Item).await;
    synced(other(UnresolvedReference::Halted), "classic", Dialect::Classic).await;
}

#[tokio::test]
async fn the_dialects_fill_the_same_columns() {
    let stage = synced(PortalConfig::default(), "item", Dialect::Item).await;
    let before = columns(&stage).await;
    let mut command = stage.command(&["sync", "--all"]);
    command.env("BITRIX_CRM_API", "classic");
    crate::stage::finish(command).await.expect_success();
    let after = columns(&stage).await;
    let gone: Vec<_> = before.iter().filter(|column| !after.contains(column)).collect();
    assert!(gone.is_empty(), "columns or types changed: {gone:?}");
    let found = differences(stage.portal(), &stage.client().await, Dialect::Classic).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
    let doubled: Vec<_> =
        after.iter().filter(|column| column.contains("created_time") || column.contains("updated_by")).collect();
    assert!(doubled.is_empty(), "two columns for one field: {doubled:?}");
}

async fn columns(stage: &Stage) -> Vec<String> {
    let query = "select table_name || '.' || column_name || ' ' || data_type from information_schema.columns \
                 where table_name like 'crm\\_%' order by 1";
    stage.client().await.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_second_sync_of_an_unchanged_portal_writes_no_row_and_a_change_writes_one() {
    let stage = synced(PortalConfig::default(), "item", Dialect::Item).await;
    let client = stage.client().await;
    let versions = async || -> i64 {
        let query = "select sum(xmin::text::bigint)::bigint + count(*) from crm_deals";
        client.query_one(query, &[]).await.unwrap().get(0)
    };
    let before = versions().await;
    stage.run(&["sync", "--all"]).await.expect_success();
    assert_eq!(versions().await, before, "a row of an unchanged record was written again");
    let id = stage.portal().ids(Entity::Deal)[3];
    stage.portal().edit(Entity::Deal, id, [("TITLE", Truth::from("renamed"))]);
    let changed = "select count(*) from crm_deals where xmin::text::bigint > $1";
    let newest: i64 = client.query_one("select max(xmin::text::bigint) from crm_deals", &[]).await.unwrap().get(0);
    stage.run(&["sync", "deal"]).await.expect_success();
    assert_eq!(client.query_one(changed, &[&newest]).await.unwrap().get::<_, i64>(0), 1);
    let found = differences(stage.portal(), &client, Dialect::Item).await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn i11_records_that_cannot_be_stored_are_in_quarantine_and_all_others_in_the_table() {
    let config = PortalConfig { poison: 4, ..PortalConfig::default() };
    let stage = synced(config, "item", Dialect::Item).await;
    let client = stage.client().await;
    let count: i64 = client.query_one("select count(*) from b24sync.quarantine", &[]).await.unwrap().get(0);
    assert_eq!(count, 16, "four records of each of the four entities");
    let without_reason = "select count(*) from b24sync.quarantine where reason is null or reason = ''";
    assert_eq!(client.query_one(without_reason, &[]).await.unwrap().get::<_, i64>(0), 0);
    let statuses = "select distinct status from sync_logs";
    let statuses: Vec<String> = client.query(statuses, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(statuses, ["completed_with_quarantine"]);
    let listed = stage.run(&["quarantine", "list", "deal", "--output", "json"]).await.expect_success();
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert!(listed[0]["field"].is_string() && listed[0]["reason"].is_string());
}

#[tokio::test]
async fn deals_come_as_the_users_own_design_describes_them() {
    let stage = Stage::new(PortalConfig { counts: Counts::deals(120), ..PortalConfig::default() }).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let client = stage.client().await;
    let types = "select column_name, data_type || coalesce('(' || character_maximum_length || ')', '') \
                 from information_schema.columns where table_name = 'crm_deals'";
    let types: std::collections::HashMap<String, String> =
        client.query(types, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    for (column, data_type) in [
        ("id", "integer"),
        ("bitrix_id", "character varying(50)"),
        ("title", "text"),
        ("opportunity", "numeric"),
        ("currency_id", "character varying(10)"),
        ("contact_id", "character varying(50)"),
        ("company_id", "character varying(50)"),
        ("assigned_by_id", "character varying(50)"),
        ("created_by_id", "character varying(50)"),
        ("date_create", "timestamp without time zone"),
        ("date_modify", "timestamp without time zone"),
        ("created_at", "timestamp without time zone"),
        ("updated_at", "timestamp without time zone"),
    ] {
        assert_eq!(types.get(column).map(String::as_str), Some(data_type), "{column}");
    }
    let indexes = "select indexname from pg_indexes where tablename = 'crm_deals'";
    let indexes: Vec<String> = client.query(indexes, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(indexes.contains(&"idx_crm_deals_date_modify".to_owned()), "{indexes:?}");
    let log = client
        .query_one(
            "select entity_type, sync_type, status, records_processed, completed_at is not null from sync_logs",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        (
            log.get::<_, &str>(0),
            log.get::<_, &str>(1),
            log.get::<_, &str>(2),
            log.get::<_, i32>(3),
            log.get::<_, bool>(4)
        ),
        ("deal", "full", "completed", 120, true),
    );
    let totals = "select total_records, last_modified_date is not null from sync_state where entity_type = 'deal'";
    let totals = client.query_one(totals, &[]).await.unwrap();
    assert_eq!((totals.get::<_, i32>(0), totals.get::<_, bool>(1)), (120, true));
}
