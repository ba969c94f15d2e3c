//! Events that the portal lost, doubled and mixed up, of which the service cannot know.

use std::collections::BTreeSet;

use b24sync_portal_emulator::{Counts, DeliveryPlan, Dialect, Entity, Portal, PortalConfig};

use crate::compare::differences;
use crate::control_tables::number;
use crate::listening::{TOKEN, at_rest, equal, settled, subscribe};
use crate::running::{Service, figure};
use crate::stage::Stage;

const ENTITIES: [Entity; 4] = [Entity::Deal, Entity::Contact, Entity::Lead, Entity::Company];

/// Some 900 edits, 100 deletions and 80 additions, in turn.
fn change(portal: &Portal) {
    for entity in ENTITIES {
        let ids = portal.ids(entity);
        for round in 0..20 {
            portal.edit_random(entity, 11, round);
            portal.add(entity, [("TITLE", "made just now".into()), ("NAME", "new".into())]);
        }
        for id in ids.iter().step_by(11) {
            portal.edit(entity, *id, [("COMMENTS", "about to go".into())]);
            portal.delete(entity, *id);
        }
    }
}

/// The kinds of change whose events were lost, and how many were.
fn lost(portal: &Portal) -> (BTreeSet<&'static str>, usize) {
    let lost: Vec<_> = portal.delivery_records().into_iter().filter(|record| record.lost).collect();
    let kinds = ["ADD", "UPDATE", "DELETE"];
    (kinds.into_iter().filter(|kind| lost.iter().any(|record| record.event.ends_with(kind))).collect(), lost.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_30_percent_of_events_lost_10_doubled_and_all_mixed_up_one_incremental_sync_and_one_sweep_make_it_equal() {
    let counts = Counts { deals: 500, leads: 220, contacts: 220, companies: 160 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 6, ..PortalConfig::default() }).await;
    let (portal, client) = (stage.portal(), stage.client().await);
    let service = Service::start_with(&stage, &[("BITRIX_APPLICATION_TOKENS", TOKEN)]);
    at_rest(&client).await;
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    let before = number(&client, syncs).await;
    subscribe(portal, &service.address);
    portal.set_delivery_plan(DeliveryPlan {
        delay_milliseconds: (0, 2_000),
        lost_percent: 30,
        doubled_percent: 10,
        reorder_window: 1_000,
        parallel: 8,
        ..DeliveryPlan::default()
    });
    change(portal);
    settled(portal, &client).await;
    let deliveries = portal.deliveries();
    assert_eq!(deliveries.answered.keys().copied().collect::<Vec<_>>(), [200], "{deliveries:?}");
    let (kinds, lost) = lost(portal);
    assert_eq!(kinds.len(), 3, "only {kinds:?} were lost");
    let found = differences(portal, &client, Dialect::Item).await;
    figure(&format!("{} events sent, {lost} lost, {} differences after them", deliveries.sent, found.len()));
    assert!(found.iter().any(|found| found.contains("does not have")), "no deletion was missed");
    assert!(found.iter().any(|found| found.contains("no row")), "no addition was missed");
    assert_eq!(number(&client, syncs).await, before, "nothing was synced yet");
    stage.run(&["sync", "--all", "--incremental"]).await.expect_success();
    stage.run(&["sync", "--all", "--sweep"]).await.expect_success();
    equal(portal, &client).await;
}
