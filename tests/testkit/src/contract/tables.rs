//! What is known of tables, and changes of fields.

use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::{FieldChange, RereadScope, SchemaPlan};
use b24sync_domain::progress::{Cursor, Watermark};
use chrono::Utc;

use super::{Scene, Stores};
use crate::build::{deal, deal_fields, portal_time};

/// I10: what was mapped once is remembered.
pub(super) async fn the_table_is_known_after_it_was_made(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let known = stores.records.known_table(deal()).await.expect("the table");
    let fields: Vec<_> = known.fields.iter().map(|field| field.field.as_str().to_owned()).collect();
    for field in ["DATE_MODIFY", "OPPORTUNITY", "TITLE"] {
        assert!(fields.iter().any(|known| known == field), "{field} is in the dictionary");
    }
    let again = b24sync_domain::mapping::schema::plan(deal(), &deal_fields(), &known, TimestampStyle::default());
    let again = again.expect("a plan");
    assert!(!again.changes_table(), "{:?}", again.add);
    assert_eq!(again.mapping, scene.plan.mapping);
    stores.records.ensure_table(&again).await.expect("idempotent");
}

fn change(field: &str, scope: RereadScope) -> FieldChange {
    FieldChange { field: b24sync_domain::field::FieldName::new(field), scope }
}

/// I10: a change survives whoever noticed it.
pub(super) async fn changes_of_fields_are_remembered_until_they_have_reached_all_records(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let new = change("TITLE", RereadScope::Values);
    let drifted = SchemaPlan { changes: vec![new.clone()], ..scene.plan.clone() };
    stores.records.ensure_table(&drifted).await.expect("the table");
    assert_eq!(stores.drift.pending(deal()).await.expect("the changes"), [], "there is no record yet");
    scene.title(stores.token().await, 1, "a").await;
    stores.records.ensure_table(&drifted).await.expect("the table");
    let fields = [new.field.clone()];
    stores.drift.advance(deal(), &fields, Some(Cursor::after(40)), &scene.lease).await.expect("the cursor");
    let pending = stores.drift.pending(deal()).await.expect("the changes");
    assert_eq!(pending.iter().map(|pending| (&pending.change, pending.cursor.get())).collect::<Vec<_>>(), [(&new, 40)]);
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (0, 1, vec![]), "what is stored is still right");
    stores.drift.advance(deal(), &fields, None, &scene.lease).await.expect("the end");
    assert_eq!(stores.drift.pending(deal()).await.expect("the changes"), []);
    let rewrite = SchemaPlan { changes: vec![change("TITLE", RereadScope::Rewrite)], ..scene.plan.clone() };
    stores.records.ensure_table(&rewrite).await.expect("the table");
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (1, 0, vec![]), "what is stored may be wrong");
    stores.leases.release(&scene.lease).await.expect("the release");
    let stale = stores.drift.advance(deal(), &fields, None, &scene.lease).await;
    assert!(matches!(stale, Err(StoreError::LeaseLost { .. })), "{stale:?}");
}

/// A full run brings every change that was there when it began, and no later one.
pub(super) async fn a_full_run_that_completes_brings_the_changes_that_it_covers(stores: &Stores) {
    let scene = Scene::new(stores).await;
    scene.title(stores.token().await, 1, "a").await;
    let changed = async |field| {
        let plan = SchemaPlan { changes: vec![change(field, RereadScope::Compare)], ..scene.plan.clone() };
        stores.records.ensure_table(&plan).await.expect("the table");
    };
    changed("TITLE").await;
    stores.drift.cover(deal(), scene.run.id, &scene.lease).await.expect("the cover");
    changed("OPPORTUNITY").await;
    let watermark = Watermark(portal_time(0).with_timezone(&Utc));
    stores.runs.complete(scene.run.id, watermark, &scene.lease).await.expect("the end");
    let pending = stores.drift.pending(deal()).await.expect("the changes");
    assert_eq!(pending.iter().map(|pending| pending.change.field.as_str()).collect::<Vec<_>>(), ["OPPORTUNITY"]);
}
