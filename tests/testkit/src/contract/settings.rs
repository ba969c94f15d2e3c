//! What an operator may set.

use super::Stores;
use crate::build::deal;

/// What an operator sets is what the next one reads.
pub(super) async fn settings_are_changed_one_by_one(stores: &Stores) {
    use b24sync_domain::ports::Actor;
    use b24sync_domain::settings::SettingsChange;
    let actor = Actor { subject: "somebody".to_owned(), request: Some("7".to_owned()) };
    let nothing = SettingsChange { entity: deal(), enabled: None, sync_interval_minutes: None, webhook_enabled: None };
    let same =
        SettingsChange { enabled: Some(true), sync_interval_minutes: Some(30), webhook_enabled: Some(true), ..nothing };
    let before = stores.settings.change(&same, &actor).await.expect("the settings");
    assert!(before.what.is_empty(), "{before:?}");
    let before = before.settings;
    assert_eq!((before.enabled, before.sync_interval_minutes, before.webhook_enabled), (true, 30, true));
    let interval = SettingsChange { sync_interval_minutes: Some(5), ..nothing.clone() };
    let changed = stores.settings.change(&interval, &actor).await.expect("the settings");
    assert_eq!(changed.what, interval);
    let off = SettingsChange { enabled: Some(false), ..nothing };
    let also_off = SettingsChange { sync_interval_minutes: Some(5), ..off.clone() };
    let after = stores.settings.change(&also_off, &actor).await.expect("the settings");
    assert_eq!(after.what, off);
    let after = after.settings;
    assert_eq!((after.enabled, after.sync_interval_minutes, after.webhook_enabled), (false, 5, true));
    let all = stores.settings.settings().await.expect("the settings");
    assert_eq!(all.iter().filter(|settings| !settings.enabled).count(), 1);
    stores.settings.audit("sync.start", Some(deal()), &actor).await.expect("the audit");
}
