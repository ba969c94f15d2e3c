use b24sync_domain::ports::{Actor, ReadOrder, RunLog, SettingsStore, StatusStore};
use b24sync_domain::progress::Watermark;
use b24sync_domain::run::RunStatus;
use b24sync_domain::settings::SettingsChange;

use crate::support::*;

#[tokio::test]
async fn a_full_run_from_nothing_to_completed() {
    let running = Running::with(&[("TITLE", "string"), ("DATE_MODIFY", "datetime"), ("PRICE", "money")]).await;
    let values: [&[&str]; 2] =
        [&["\"2026-01-02T03:04:05+03:00\"", "\"12.50|RUB\"", "\"Тест\""], &["null", "null", "\"b\""]];
    let commit = running.read_and_commit(&[(1, Some("2026-01-02T00:04:05Z"), values[0]), (2, None, values[1])]).await;
    assert_eq!((commit.written, commit.unchanged), (2, 0));
    let world = &running.world;
    assert_eq!(
        world.rows("select bitrix_id, title, price, price_currency, date_modify from crm_deals order by 1").await,
        ["1|Тест|12.50|RUB|2026-01-02 00:04:05", "2|b|∅|∅|∅"]
    );
    let status =
        world.store.complete(running.run.id, Watermark(at("2025-12-31T23:55:00Z")), &running.lease).await.unwrap();
    assert_eq!(status, RunStatus::Completed);
    assert_eq!(
        world
            .rows("select entity_type, sync_type, status, records_processed, completed_at is not null from sync_logs")
            .await,
        ["deal|full|completed|2|t"]
    );
    assert_eq!(
        world.rows("select entity_type, last_modified_date, total_records from sync_state").await,
        ["deal|2026-01-02 00:04:05|2"]
    );
    let overview = world.store.overview().await.unwrap();
    let deal = overview.iter().find(|overview| overview.entity == deal()).unwrap();
    assert_eq!((deal.rows, deal.watermark), (Some(2), Some(at("2025-12-31T23:55:00Z"))));
    assert_eq!(deal.last_run.as_ref().unwrap().status, "completed");
    assert!(deal.settings.enabled && deal.settings.webhook_enabled && deal.settings.sync_interval_minutes == 30);
}

#[tokio::test]
async fn tokens_rise() {
    let world = World::new().await;
    let first = world.store.next().await.unwrap();
    assert!(world.store.next().await.unwrap() > first);
}

#[tokio::test]
async fn the_audit_has_what_has_changed_and_nothing_of_what_was_so_already() {
    let world = World::new().await;
    let actor = Actor { subject: "somebody".to_owned(), request: None };
    let wanted = SettingsChange {
        entity: deal(),
        enabled: Some(true),
        sync_interval_minutes: Some(5),
        webhook_enabled: Some(true),
    };
    world.store.change(&wanted, &actor).await.unwrap();
    world.store.change(&wanted, &actor).await.unwrap();
    let audited = world.rows("select subject, action, detail from b24sync.audit").await;
    assert_eq!(audited, [r#"somebody|config.set|{"sync_interval_minutes": 5}"#]);
    assert_eq!(world.rows("select sync_interval_minutes from sync_config where entity_type = 'deal'").await, ["5"]);
}
