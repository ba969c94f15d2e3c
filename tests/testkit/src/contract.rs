//! What every implementation of the store ports must do. Each check takes an empty, migrated store.

pub mod budget;
mod inbox;
mod same;
mod takeover;

use std::sync::Arc;
use std::time::Duration;

use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, Lease, Scope};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::rows::Rejection;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::mapping::schema::{FieldChange, RereadScope};
use b24sync_domain::portal::{BoundStyle, EntityProbe, PortalProfile};
use b24sync_domain::ports::{
    Claim, DeletionStore, DriftStore, EventInbox, LeaseStore, PortalStore, ReadOrder, RecordStore, RegistrationStore,
    RunBoard, RunLog, SettingsStore, StatusStore, Step, TokenVault,
};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Ending, Run, RunKind, RunStatus};
use chrono::Utc;

use self::inbox::{
    a_failed_hint_waits_its_turn_and_ends_as_a_dead_letter_that_an_event_revives,
    a_hint_that_moved_while_it_was_looked_at_stays, a_second_look_comes_once_and_an_event_starts_anew,
    events_that_are_switched_off_are_not_kept_and_what_waits_stays,
    hints_of_one_record_coalesce_and_rest_before_they_are_due, instances_see_when_they_and_others_took_events_in_last,
    people_retry_and_discard_what_they_name,
    the_last_event_tells_whether_a_record_is_gone_and_the_latest_when_it_was_sent,
};
use self::same::{
    a_record_that_was_answered_as_before_is_seen_and_not_written,
    a_record_that_was_written_meanwhile_is_not_taken_for_the_same,
    answers_are_remembered_of_rows_that_are_there_and_wanted,
};
use self::takeover::{
    a_closed_run_over_named_records_does_not_come_back, a_closed_run_that_is_wished_for_waits_once,
    a_closed_run_that_was_cancelled_does_not_come_back, a_closed_run_that_was_opened_and_ended_does_not_come_back,
    a_closed_run_that_was_overtaken_does_not_come_back,
    a_run_that_was_closed_because_its_process_is_gone_waits_for_another,
    the_status_shows_the_run_that_is_to_be_gone_on_with,
};
use crate::build::{Sample, deal, deal_fields, id, mapped, plan, portal_time};
use crate::store::numbers;

const TTL: Duration = Duration::from_secs(30);

/// All store ports of one implementation.
#[derive(Clone)]
pub struct Stores {
    /// Replica tables.
    pub records: Arc<dyn RecordStore>,
    /// Deleted records.
    pub deletions: Arc<dyn DeletionStore>,
    /// Changes of fields.
    pub drift: Arc<dyn DriftStore>,
    /// The portal.
    pub portals: Arc<dyn PortalStore>,
    /// Read tokens.
    pub order: Arc<dyn ReadOrder>,
    /// Run log.
    pub runs: Arc<dyn RunLog>,
    /// What is told of runs and asked of them.
    pub board: Arc<dyn RunBoard>,
    /// Settings.
    pub settings: Arc<dyn SettingsStore>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Status.
    pub status: Arc<dyn StatusStore>,
    /// The application's tokens.
    pub vault: Arc<dyn TokenVault>,
    /// Where events go.
    pub registrations: Arc<dyn RegistrationStore>,
    /// The inbox.
    pub inbox: Arc<dyn EventInbox>,
}

impl Stores {
    /// One implementation of all of them.
    pub fn of<S>(store: &Arc<S>) -> Stores
    where
        S: RecordStore
            + DeletionStore
            + DriftStore
            + PortalStore
            + ReadOrder
            + RunLog
            + RunBoard
            + SettingsStore
            + LeaseStore
            + StatusStore
            + TokenVault
            + RegistrationStore
            + EventInbox
            + 'static,
    {
        Stores {
            records: Arc::<S>::clone(store),
            deletions: Arc::<S>::clone(store),
            drift: Arc::<S>::clone(store),
            portals: Arc::<S>::clone(store),
            order: Arc::<S>::clone(store),
            runs: Arc::<S>::clone(store),
            board: Arc::<S>::clone(store),
            settings: Arc::<S>::clone(store),
            leases: Arc::<S>::clone(store),
            status: Arc::<S>::clone(store),
            vault: Arc::<S>::clone(store),
            registrations: Arc::<S>::clone(store),
            inbox: Arc::<S>::clone(store),
        }
    }

    async fn token(&self) -> ReadToken {
        self.order.next().await.expect("a token")
    }

    async fn lease(&self, holder: &str) -> Lease {
        match self.leases.acquire(Scope::Sync(deal()), holder, TTL).await.expect("a lease") {
            Grant::Granted(lease) => lease,
            Grant::Held(held) => panic!("the lease is held by {}", held.holder),
        }
    }
}

/// A table, a lease and a run to work with.
struct Scene {
    stores: Stores,
    plan: SchemaPlan,
    lease: Lease,
    run: Run,
}

impl Scene {
    async fn new(stores: &Stores) -> Scene {
        let plan = plan(deal(), &deal_fields());
        stores.records.ensure_table(&plan).await.expect("the table");
        let lease = stores.lease("one").await;
        let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
        Scene { stores: stores.clone(), plan, lease, run }
    }

    fn step(&self, cursor: Option<i64>, processed: u64) -> Step {
        Step {
            run: self.run.id,
            cursor: cursor.map(Cursor::after),
            source_start: portal_time(0).with_timezone(&Utc),
            processed,
        }
    }

    /// Commits one deal with this title; returns written, unchanged, contested.
    async fn title(&self, read: ReadToken, modified: i64, title: &str) -> (u64, u64, Vec<i64>) {
        let title = format!("\"{title}\"");
        let sample = Sample { id: 7, modified, values: &[("TITLE", &title)] };
        let batch = mapped(&self.plan, read, &[sample]);
        let commit = self.stores.records.commit(&batch, &self.step(None, 1), &self.lease).await.expect("the commit");
        (commit.written, commit.unchanged, numbers(&commit.contested))
    }
}

/// Runs every check, each on a store that `make` makes; what comes with it is kept until the check is over.
pub async fn all<F, K>(make: impl Fn() -> F)
where
    F: Future<Output = (Stores, K)>,
{
    macro_rules! each {
        ($($check:ident)*) => {
            $({
                let (stores, _kept) = make().await;
                $check(&stores).await;
            })*
        };
    }
    each! {
        equal_content_is_not_written_again
        a_record_that_was_answered_as_before_is_seen_and_not_written
        a_record_that_was_written_meanwhile_is_not_taken_for_the_same
        answers_are_remembered_of_rows_that_are_there_and_wanted
        a_read_that_began_earlier_never_replaces_a_later_one
        overlapping_reads_go_by_modified_time_and_are_contested_when_it_goes_back
        a_stale_lease_cannot_commit_or_end_a_run
        a_run_is_resumed_from_its_cursor
        a_stopped_run_is_resumed_too
        a_completed_run_is_not_resumed
        an_unfinished_full_run_survives_other_runs
        a_rewound_run_begins_again
        an_abandoned_run_does_not_stay_running
        quarantine_is_counted_and_heals
        a_stale_rejection_does_not_quarantine_a_newer_version
        the_table_is_known_after_it_was_made
        a_lease_has_one_holder_and_its_token_rises
        tokens_are_replaced_by_who_knows_the_last_ones
        the_handler_is_remembered_beside_the_tokens
        the_first_watermark_stays
        an_incremental_run_moves_the_watermark_and_only_forward
        the_floor_for_new_records_stays_one_overlap_behind
        a_tombstone_does_not_raise_the_floor
        what_a_run_did_not_see_is_unseen
        a_buried_record_stays_buried_until_a_later_read
        a_record_that_was_stored_after_the_evidence_was_asked_for_is_not_buried
        evidence_that_overlaps_with_the_stored_read_buries_nothing
        a_remark_outlives_its_run
        live_records_are_listed_by_range
        wishes_for_the_same_run_coalesce
        a_full_run_does_what_smaller_wishes_wanted
        a_sweep_is_never_resumed_and_stands_for_nothing
        changes_of_fields_are_remembered_until_they_have_reached_all_records
        a_full_run_that_completes_brings_the_changes_that_it_covers
        a_replica_belongs_to_one_portal
        a_probe_of_another_user_is_stale
        a_run_is_watched_and_asked_to_stop
        hints_of_one_record_coalesce_and_rest_before_they_are_due
        the_last_event_tells_whether_a_record_is_gone_and_the_latest_when_it_was_sent
        a_hint_that_moved_while_it_was_looked_at_stays
        a_failed_hint_waits_its_turn_and_ends_as_a_dead_letter_that_an_event_revives
        a_second_look_comes_once_and_an_event_starts_anew
        people_retry_and_discard_what_they_name
        events_that_are_switched_off_are_not_kept_and_what_waits_stays
        instances_see_when_they_and_others_took_events_in_last
        a_run_whose_process_is_gone_waits_for_another
        a_run_that_was_closed_because_its_process_is_gone_waits_for_another
        a_closed_run_that_is_wished_for_waits_once
        a_closed_run_that_was_opened_and_ended_does_not_come_back
        a_closed_run_that_was_overtaken_does_not_come_back
        a_closed_run_that_was_cancelled_does_not_come_back
        a_closed_run_over_named_records_does_not_come_back
        the_status_shows_the_run_that_is_to_be_gone_on_with
        ends_are_told_in_their_order_and_the_log_is_searched
        settings_are_changed_one_by_one
    }
}

/// A row is written when its content changed, and only then.
pub async fn equal_content_is_not_written_again(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (1, 0, vec![]));
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (0, 1, vec![]));
    assert_eq!(scene.title(stores.token().await, 2, "b").await, (1, 0, vec![]));
}

/// I2.
pub async fn a_read_that_began_earlier_never_replaces_a_later_one(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let early = stores.token().await;
    let late = stores.token().await;
    assert_eq!(scene.title(late, 5, "late").await, (1, 0, vec![]));
    assert_eq!(scene.title(early, 9, "early").await, (0, 0, vec![]));
}

/// I2, the overlapping case.
pub async fn overlapping_reads_go_by_modified_time_and_are_contested_when_it_goes_back(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let first = stores.token().await;
    let second = stores.token().await;
    let third = stores.token().await;
    // `first` is stored after the other two began: their reads overlap with its write.
    assert_eq!(scene.title(first, 5, "five").await, (1, 0, vec![]));
    assert_eq!(scene.title(second, 4, "four").await, (0, 0, vec![7]));
    assert_eq!(scene.title(third, 5, "five again").await, (1, 0, vec![]));
    // A read that began after everything was stored decides, whatever its time says.
    assert_eq!(scene.title(stores.token().await, 1, "back-dated").await, (1, 0, vec![]));
}

/// I8.
pub async fn a_stale_lease_cannot_commit_or_end_a_run(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let Grant::Held(held) = stores.leases.acquire(Scope::Sync(deal()), "two", TTL).await.expect("an answer") else {
        panic!("two holders of one lease")
    };
    let taken =
        stores.leases.take_over(Scope::Sync(deal()), "two", &held, TTL).await.expect("an answer").expect("a lease");
    assert!(taken.token > scene.lease.token);
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 7, modified: 1, values: &[] }]);
    let lost = |result: Result<(), StoreError>| matches!(result, Err(StoreError::LeaseLost { .. }));
    assert!(lost(stores.records.commit(&batch, &scene.step(Some(7), 1), &scene.lease).await.map(|_| ())));
    let ending = Ending { status: RunStatus::Failed, error: None };
    assert!(lost(stores.runs.end(scene.run.id, &ending, &scene.lease).await));
    let watermark = Watermark(later());
    assert!(lost(stores.runs.complete(scene.run.id, watermark, &scene.lease).await.map(|_| ())));
    assert!(lost(stores.leases.renew(&scene.lease, TTL).await));
    let overview = stores.status.overview().await.expect("an overview");
    assert!(overview.iter().all(|entity| entity.rows.unwrap_or_default() == 0));
}

/// I7.
pub async fn a_run_is_resumed_from_its_cursor(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 7, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(7), 1), &scene.lease).await.expect("the commit");
    // The process is gone: another takes the lease and opens the run.
    stores.leases.release(&scene.lease).await.expect("released");
    let lease = stores.lease("two").await;
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((run.cursor, run.processed, run.resumed), (Cursor::after(7), 1, true));
    assert_eq!(run.start, scene.run.start);
    assert_eq!(run.source_start, Some(portal_time(0).with_timezone(&Utc)));
}

/// A failure or a stop costs nothing that was committed.
pub async fn a_stopped_run_is_resumed_too(stores: &Stores) {
    for status in [RunStatus::Failed, RunStatus::Cancelled] {
        let scene = Scene::new(stores).await;
        stores
            .records
            .commit(
                &mapped(&scene.plan, stores.token().await, &[Sample { id: 9, modified: 1, values: &[] }]),
                &scene.step(Some(9), 1),
                &scene.lease,
            )
            .await
            .expect("the commit");
        stores
            .runs
            .end(scene.run.id, &Ending { status, error: Some("why".to_owned()) }, &scene.lease)
            .await
            .expect("ended");
        let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
        assert_eq!((run.cursor, run.resumed), (Cursor::after(9), true), "{status}");
        stores.leases.release(&scene.lease).await.expect("released");
    }
}

/// I7: an incremental pass, or records that somebody named, between two parts of a full run cost it nothing.
pub async fn an_unfinished_full_run_survives_other_runs(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 9, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(9), 1), &scene.lease).await.expect("the commit");
    stores
        .runs
        .end(scene.run.id, &Ending { status: RunStatus::Cancelled, error: None }, &scene.lease)
        .await
        .expect("ended");
    for kind in [RunKind::Webhook, RunKind::Incremental] {
        let other = stores.runs.open(deal(), kind, &scene.lease).await.expect("a run");
        assert!(!other.resumed);
        stores.runs.complete(other.id, Watermark(later()), &scene.lease).await.expect("completed");
    }
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert_eq!((run.id, run.cursor, run.resumed), (scene.run.id, Cursor::after(9), true));
}

/// The next full sync reads everything again.
pub async fn a_completed_run_is_not_resumed(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let status = stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await;
    assert_eq!(status.expect("completed"), RunStatus::Completed);
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert_eq!((run.cursor, run.resumed), (Cursor::START, false));
    assert_ne!(run.id, scene.run.id);
}

/// New columns on a half-read table: the run starts over.
pub async fn a_rewound_run_begins_again(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 7, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(7), 1), &scene.lease).await.expect("the commit");
    let start = stores.runs.rewind(scene.run.id, &scene.lease).await.expect("rewound");
    assert!(start > scene.run.start);
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert_eq!((run.cursor, run.processed, run.start), (Cursor::START, 0, start));
}

/// `sync_logs` is true at every moment.
pub async fn an_abandoned_run_does_not_stay_running(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 0, "its owner is alive");
    stores.leases.release(&scene.lease).await.expect("released");
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 1);
    let last = stores.runs.recent(1).await.expect("the log").pop().expect("a run");
    assert_eq!(last.status, "interrupted");
    let lease = stores.lease("two").await;
    assert!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").resumed);
}

/// I9, I11.
pub async fn quarantine_is_counted_and_heals(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let bad = Sample { id: 7, modified: 1, values: &[("OPPORTUNITY", "\"abc\"")] };
    let good = Sample { id: 8, modified: 1, values: &[] };
    let batch = mapped(&scene.plan, stores.token().await, &[bad, good]);
    let commit = stores.records.commit(&batch, &scene.step(Some(8), 2), &scene.lease).await.expect("the commit");
    assert_eq!(commit.written, 1);
    let held = stores.status.quarantine(Some(deal()), 10).await.expect("the quarantine");
    assert_eq!(held.iter().map(|entry| entry.rejection.id).collect::<Vec<_>>(), [id(7)]);
    assert_eq!(held[0].rejection.reason, "not a number");
    let status = stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await;
    assert_eq!(status.expect("completed"), RunStatus::CompletedWithQuarantine);
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    let step = Step { run: run.id, ..scene.step(None, 1) };
    let mended = Sample { id: 7, modified: 2, values: &[("OPPORTUNITY", "\"1.5\"")] };
    let batch = mapped(&scene.plan, stores.token().await, &[mended]);
    stores.records.commit(&batch, &step, &scene.lease).await.expect("the commit");
    assert_eq!(stores.status.quarantine(None, 10).await.expect("the quarantine"), []);
}

/// A record that was mended meanwhile stays out of quarantine.
pub async fn a_stale_rejection_does_not_quarantine_a_newer_version(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let early = stores.token().await;
    assert_eq!(scene.title(stores.token().await, 5, "fine").await, (1, 0, vec![]));
    let bad = Sample { id: 7, modified: 1, values: &[("OPPORTUNITY", "\"abc\"")] };
    let batch = mapped(&scene.plan, early, &[bad]);
    stores.records.commit(&batch, &scene.step(None, 1), &scene.lease).await.expect("the commit");
    assert_eq!(stores.status.quarantine(None, 10).await.expect("the quarantine"), []);
}

/// I10: what was mapped once is remembered.
pub async fn the_table_is_known_after_it_was_made(stores: &Stores) {
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

/// I8.
pub async fn a_lease_has_one_holder_and_its_token_rises(stores: &Stores) {
    let first = stores.lease("one").await;
    let Grant::Held(held) = stores.leases.acquire(Scope::Sync(deal()), "two", TTL).await.expect("an answer") else {
        panic!("two holders of one lease")
    };
    assert_eq!(held.holder, "one");
    stores.leases.renew(&first, TTL).await.expect("renewed");
    stores.leases.release(&first).await.expect("released");
    let second = stores.lease("two").await;
    assert!(second.token > first.token);
    // What the first holder still does is harmless.
    stores.leases.release(&first).await.expect("harmless");
    stores.leases.renew(&second, TTL).await.expect("still held");
}

/// I6: a later full sync does not move a watermark that incremental passes rely on.
pub async fn the_first_watermark_stays(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let first = portal_time(100).with_timezone(&Utc);
    stores.runs.complete(scene.run.id, Watermark(first), &scene.lease).await.expect("completed");
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    let second = portal_time(900).with_timezone(&Utc);
    stores.runs.complete(run.id, Watermark(second), &scene.lease).await.expect("completed");
    let overview = stores.status.overview().await.expect("an overview");
    let entity = overview.iter().find(|entity| entity.entity == deal()).expect("deals");
    assert_eq!(entity.watermark, Some(first));
}

/// I6.
pub async fn an_incremental_run_moves_the_watermark_and_only_forward(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(stores.runs.standing(deal()).await.expect("an answer"), None);
    let at = |second| portal_time(second).with_timezone(&Utc);
    stores.runs.complete(scene.run.id, Watermark(at(100)), &scene.lease).await.expect("completed");
    for (second, expected) in [(400, 400), (200, 400), (500, 500)] {
        let run = stores.runs.open(deal(), RunKind::Incremental, &scene.lease).await.expect("a run");
        stores.runs.complete(run.id, Watermark(at(second)), &scene.lease).await.expect("completed");
        let standing = stores.runs.standing(deal()).await.expect("an answer").expect("a standing");
        assert_eq!(standing.watermark, Watermark(at(expected)));
    }
}

/// A lower id may become visible after a higher one: what is known becomes the floor only an overlap later.
pub async fn the_floor_for_new_records_stays_one_overlap_behind(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let overlap = 300;
    let mut run = scene.run.clone();
    let mut floors = Vec::new();
    for (start, id) in [(1_000, 10), (1_100, 20), (1_200, 30), (1_400, 40), (1_600, 50), (1_800, 60)] {
        let batch = mapped(&scene.plan, stores.token().await, &[Sample { id, modified: 1, values: &[] }]);
        let source_start = portal_time(start).with_timezone(&Utc);
        let step = Step { run: run.id, cursor: Some(Cursor::after(id)), source_start, processed: 1 };
        stores.records.commit(&batch, &step, &scene.lease).await.expect("the commit");
        let watermark = Watermark(portal_time(start - overlap).with_timezone(&Utc));
        stores.runs.complete(run.id, watermark, &scene.lease).await.expect("completed");
        floors.push(stores.runs.standing(deal()).await.expect("an answer").expect("a standing").floor.get());
        run = stores.runs.open(deal(), RunKind::Incremental, &scene.lease).await.expect("a run");
    }
    assert_eq!(floors, [10, 10, 10, 10, 10, 40]);
}

/// Somebody asked for an id that the portal has yet to give out: the record that gets it must not lie below the floor.
pub async fn a_tombstone_does_not_raise_the_floor(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 10, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(10), 1), &scene.lease).await.expect("the commit");
    let evidence = stores.token().await;
    stores.deletions.bury(deal(), &[id(1_000)], evidence, &scene.lease).await.expect("an answer");
    stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await.expect("completed");
    let standing = stores.runs.standing(deal()).await.expect("an answer").expect("a standing");
    assert_eq!(standing.floor, Cursor::after(10));
}

/// I4: only what no read of the run has shown comes into question.
pub async fn what_a_run_did_not_see_is_unseen(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let samples = |ids: &[i64]| ids.iter().map(|id| Sample { id: *id, modified: 1, values: &[] }).collect::<Vec<_>>();
    let first = mapped(&scene.plan, stores.token().await, &samples(&[1, 2, 3, 4]));
    stores.records.commit(&first, &scene.step(None, 4), &scene.lease).await.expect("the commit");
    let start = stores.token().await;
    assert_eq!(stores.deletions.controls(deal(), start, 5).await.expect("an answer"), []);
    let second = mapped(&scene.plan, stores.token().await, &samples(&[2]));
    stores.records.commit(&second, &scene.step(None, 1), &scene.lease).await.expect("the commit");
    let unseen = stores.deletions.unseen(deal(), start, Cursor::START, 10).await.expect("an answer");
    assert_eq!(numbers(&unseen), [1, 3, 4]);
    let after = stores.deletions.unseen(deal(), start, Cursor::after(1), 1).await.expect("an answer");
    assert_eq!(numbers(&after), [3]);
    assert_eq!(stores.deletions.controls(deal(), start, 5).await.expect("an answer"), [id(2)]);
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 4);
}

/// I4: evidence that was asked for while the stored version was on its way proves nothing against it.
pub async fn evidence_that_overlaps_with_the_stored_read_buries_nothing(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let read = stores.token().await;
    let evidence = stores.token().await;
    assert_eq!(scene.title(read, 1, "a").await, (1, 0, vec![]));
    let buried = stores.deletions.bury(deal(), &[id(7)], evidence, &scene.lease).await.expect("an answer");
    assert!(buried.is_empty(), "{buried:?}");
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 1);
}

/// What was odd about a run that ended well stands in the log.
pub async fn a_remark_outlives_its_run(stores: &Stores) {
    let scene = Scene::new(stores).await;
    stores.runs.remark(scene.run.id, "3 records may not be read").await.expect("the remark");
    stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await.expect("completed");
    let logged = stores.runs.find(scene.run.id).await.expect("the log").expect("the run");
    assert_eq!((logged.status.as_str(), logged.error.as_deref()), ("completed", Some("3 records may not be read")));
}

/// I5.
pub async fn a_buried_record_stays_buried_until_a_later_read(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (1, 0, vec![]));
    let stale = stores.token().await;
    let evidence = stores.token().await;
    let buried = stores.deletions.bury(deal(), &[id(7)], evidence, &scene.lease).await.expect("buried");
    assert_eq!(numbers(&buried), [7]);
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 0);
    assert_eq!(scene.title(stale, 9, "stale").await, (0, 0, vec![]), "a stale read revives nothing");
    assert_eq!(scene.title(stores.token().await, 1, "restored").await, (1, 0, vec![]));
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 1);
}

/// I4: evidence is as old as its request.
pub async fn a_record_that_was_stored_after_the_evidence_was_asked_for_is_not_buried(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let evidence = stores.token().await;
    assert_eq!(scene.title(stores.token().await, 1, "restored meanwhile").await, (1, 0, vec![]));
    let buried = stores.deletions.bury(deal(), &[id(7)], evidence, &scene.lease).await.expect("an answer");
    assert_eq!(numbers(&buried), Vec::<i64>::new());
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 1);
}

/// A fixed instant of the portal's clock.
fn later() -> chrono::DateTime<Utc> {
    portal_time(1_000).with_timezone(&Utc)
}

/// What a sweep compares a listing of ids with.
pub async fn live_records_are_listed_by_range(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let samples: Vec<Sample<'_>> = [3, 5, 7, 9].map(|id| Sample { id, modified: 1, values: &[] }).into_iter().collect();
    let batch = mapped(&scene.plan, stores.token().await, &samples);
    stores.records.commit(&batch, &scene.step(None, 4), &scene.lease).await.expect("the commit");
    let evidence = stores.token().await;
    stores.deletions.bury(deal(), &[id(5)], evidence, &scene.lease).await.expect("the burial");
    let live = async |after, up_to: Option<i64>| {
        let live = stores.deletions.live_ids(deal(), Cursor::after(after), up_to.map(Cursor::after)).await;
        live.expect("the ids").into_iter().map(|(id, has_row)| (id.get(), has_row)).collect::<Vec<_>>()
    };
    assert_eq!(live(0, None).await, [(3, true), (7, true), (9, true)]);
    assert_eq!(live(3, Some(7)).await, [(7, true)]);
    // A record that was never stored is none of the table's, and yet one to ask for.
    let mut refused = mapped(&scene.plan, stores.token().await, &[]);
    refused.rejected = vec![Rejection { id: id(8), field: None, reason: "odd".to_owned(), excerpt: None }];
    stores.records.commit(&refused, &scene.step(None, 4), &scene.lease).await.expect("the commit");
    assert_eq!(live(3, None).await, [(7, true), (8, false), (9, true)]);
    let later = stores.token().await;
    let unseen = stores.deletions.unseen(deal(), later, Cursor::START, 10).await.expect("an answer");
    assert_eq!(numbers(&unseen), [3, 7, 8, 9]);
    let evidence = stores.token().await;
    let buried = stores.deletions.bury(deal(), &[id(8)], evidence, &scene.lease).await.expect("the burial");
    assert_eq!(numbers(&buried), [8]);
    assert_eq!(live(3, None).await, [(7, true), (9, true)]);
    assert_eq!(stores.status.quarantine(None, 10).await.expect("the quarantine"), []);
}

/// I8: same answer, same run id (CORRECTNESS 4.7).
pub async fn wishes_for_the_same_run_coalesce(stores: &Stores) {
    let wish = async |kind| stores.runs.request(deal(), kind).await.expect("a wish");
    let first = wish(RunKind::Incremental).await;
    assert!(!first.coalesced);
    assert_eq!(stores.runs.find(first.run).await.expect("the log").expect("the run").status, "queued");
    let second = wish(RunKind::Incremental).await;
    assert_eq!((second.run, second.coalesced), (first.run, true));
    let lease = stores.lease("one").await;
    let run = stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run");
    assert_eq!((run.id, run.resumed), (first.run, false));
    let third = wish(RunKind::Incremental).await;
    assert_eq!((third.run, third.coalesced), (first.run, true));
    // What is on does not do what is wished for: that waits under a number of its own.
    let full = wish(RunKind::Full).await;
    assert!(full.run != first.run && !full.coalesced);
    stores.runs.complete(run.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    let fourth = wish(RunKind::Incremental).await;
    assert!(fourth.run != first.run && fourth.run != full.run && !fourth.coalesced);
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!(run.id, full.run);
    let ending = Ending { status: RunStatus::Failed, error: Some("broken".to_owned()) };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    // An unfinished run is asked for again under its number.
    let again = wish(RunKind::Full).await;
    assert_eq!((again.run, again.coalesced), (full.run, false));
    assert!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").resumed);
}

/// A wish for less keeps its number when a full run is what comes of it, and does not wait for ever beside one.
pub async fn a_full_run_does_what_smaller_wishes_wanted(stores: &Stores) {
    let lease = stores.lease("one").await;
    let wished = stores.runs.request(deal(), RunKind::Incremental).await.expect("a wish");
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((run.id, run.kind), (wished.run, RunKind::Full));
    let logged = stores.runs.find(run.id).await.expect("the log").expect("the run");
    assert_eq!((logged.kind.as_str(), logged.status.as_str()), ("full", "running"));
    let ending = Ending { status: RunStatus::Cancelled, error: None };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    let wished = stores.runs.request(deal(), RunKind::Sweep).await.expect("a wish");
    assert!(wished.run != run.id);
    assert_eq!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").id, run.id);
    let status = async || stores.runs.find(wished.run).await.expect("the log").expect("the run").status;
    assert_eq!(status().await, "queued", "it is not done yet");
    stores.runs.complete(run.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    assert_eq!(status().await, "completed");
    let taken_back = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    stores.runs.withdraw(taken_back.run).await.expect("the withdrawal");
    let logged = stores.runs.find(taken_back.run).await.expect("the log").expect("the run");
    assert_eq!(logged.status, "cancelled");
}

/// A sweep draws its conclusions from one listing, and says nothing about the content of records.
pub async fn a_sweep_is_never_resumed_and_stands_for_nothing(stores: &Stores) {
    let lease = stores.lease("one").await;
    let run = stores.runs.open(deal(), RunKind::Sweep, &lease).await.expect("a run");
    let ending = Ending { status: RunStatus::Failed, error: None };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    let next = stores.runs.open(deal(), RunKind::Sweep, &lease).await.expect("a run");
    assert!(next.id != run.id && !next.resumed);
    stores.runs.complete(next.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    assert_eq!(stores.runs.standing(deal()).await.expect("the standing"), None);
}

fn change(field: &str, scope: RereadScope) -> FieldChange {
    FieldChange { field: b24sync_domain::field::FieldName::new(field), scope }
}

/// I10: a change survives whoever noticed it.
pub async fn changes_of_fields_are_remembered_until_they_have_reached_all_records(stores: &Stores) {
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
pub async fn a_full_run_that_completes_brings_the_changes_that_it_covers(stores: &Stores) {
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

/// Two portals in one table would be a mixture that nobody can take apart.
pub async fn a_replica_belongs_to_one_portal(stores: &Stores) {
    let claim = async |address, moved| stores.portals.claim(address, moved).await.expect("a claim");
    assert_eq!(stores.portals.portal().await.expect("the portal"), None);
    assert_eq!(claim("one.example", false).await, Claim::Ours);
    assert_eq!(claim("one.example", false).await, Claim::Ours);
    assert_eq!(claim("two.example", false).await, Claim::Another("one.example".to_owned()));
    assert_eq!(claim("two.example", true).await, Claim::Ours);
    assert_eq!(claim("one.example", false).await, Claim::Another("two.example".to_owned()));
}

/// Another user may have another time zone and other rights.
pub async fn a_probe_of_another_user_is_stale(stores: &Stores) {
    stores.portals.claim("one.example", false).await.expect("a claim");
    let profile = |user_id| PortalProfile {
        user_id,
        admin: Some(true),
        time_zone: Some("Europe/Moscow".to_owned()),
        scopes: vec!["crm".to_owned(), "user_brief".to_owned()],
        server_time: portal_time(7),
        behind: chrono::TimeDelta::hours(2),
    };
    stores.portals.keep_profile(&profile(1)).await.expect("the profile");
    let known = stores.portals.portal().await.expect("the portal").expect("a portal");
    assert_eq!(known.profile, Some(profile(1)));
    assert_eq!(stores.portals.probe(deal()).await.expect("the probe"), None);
    let probe = EntityProbe {
        entity: deal(),
        bounds: Some(BoundStyle::PortalClock),
        keyset: true,
        ahead: chrono::TimeDelta::seconds(3),
    };
    stores.portals.keep_probe(&probe).await.expect("the probe");
    let kept = stores.portals.probe(deal()).await.expect("the probe").expect("a probe");
    assert_eq!((kept.probe, kept.stale), (probe, false));
    stores.portals.keep_profile(&profile(2)).await.expect("the profile");
    assert!(stores.portals.probe(deal()).await.expect("the probe").expect("a probe").stale);
}

/// What is asked of a run and told of it.
pub async fn a_run_is_watched_and_asked_to_stop(stores: &Stores) {
    use b24sync_domain::ports::Cancelled;
    assert_eq!(stores.board.cancel(deal()).await.expect("an answer"), Cancelled::NothingRunning);
    let wished = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    let also = stores.runs.request(deal(), RunKind::Sweep).await.expect("a wish");
    let both = [(deal(), RunKind::Full), (deal(), RunKind::Sweep)];
    assert_eq!(stores.board.waiting().await.expect("the queue"), both);
    let cancelled = stores.board.cancel(deal()).await.expect("an answer");
    assert_eq!(cancelled, Cancelled::Dequeued(vec![wished.run, also.run]));
    assert_eq!(stores.board.waiting().await.expect("the queue"), []);
    // What was cancelled before it began is over: the next wish is another run.
    let next = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    assert!(next.run > also.run && !next.coalesced, "{next:?}");
    stores.runs.withdraw(next.run).await.expect("taken back");
    let scene = Scene::new(stores).await;
    assert!(scene.run.id > next.run);
    stores.board.note(scene.run.id, "reading", Some(40)).await.expect("the note");
    scene.title(stores.token().await, 1, "a").await;
    let running = stores.board.running().await.expect("what is on");
    let [sync] = running.as_slice() else { panic!("{running:?}") };
    assert_eq!((sync.run, sync.step.as_str(), sync.expected, sync.processed), (scene.run.id, "reading", Some(40), 1));
    assert_eq!((sync.queued, sync.stopping, sync.holder.as_deref()), (false, false, Some("one")));
    assert!(!stores.board.is_cancelled(scene.run.id).await.expect("an answer"));
    assert_eq!(stores.board.cancel(deal()).await.expect("an answer"), Cancelled::Asked(scene.run.id));
    assert!(stores.board.is_cancelled(scene.run.id).await.expect("an answer"));
    let ending = Ending { status: RunStatus::Cancelled, error: None };
    stores.runs.end(scene.run.id, &ending, &scene.lease).await.expect("the end");
    assert_eq!(stores.board.running().await.expect("what is on"), []);
    // The next owner is not asked to stop.
    let again = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert!(!stores.board.is_cancelled(again.id).await.expect("an answer"));
}

/// I7, I8: what a dead process was at is queued again, and its owner cannot go on.
pub async fn a_run_whose_process_is_gone_waits_for_another(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(stores.board.waiting().await.expect("the queue"), [], "its owner is alive");
    stores.leases.release(&scene.lease).await.expect("the release");
    assert_eq!(stores.board.waiting().await.expect("the queue"), [(deal(), RunKind::Full)]);
    let logged = stores.runs.find(scene.run.id).await.expect("the log").expect("the run");
    assert_eq!(logged.status, "queued");
    let lease = stores.lease("two").await;
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((run.id, run.resumed), (scene.run.id, true));
}

/// What the outside reads of runs that have ended.
pub async fn ends_are_told_in_their_order_and_the_log_is_searched(stores: &Stores) {
    use b24sync_domain::ports::HistoryFilter;
    let lease = stores.lease("one").await;
    assert_eq!(stores.board.ended_since(None).await.expect("the ends"), []);
    let ending = Ending { status: RunStatus::Failed, error: Some("broken".to_owned()) };
    for kind in [RunKind::Sweep, RunKind::Webhook, RunKind::Sweep] {
        let run = stores.runs.open(deal(), kind, &lease).await.expect("a run");
        stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    }
    let newest = stores.board.ended_since(None).await.expect("the ends");
    assert_eq!(newest.iter().map(|(_, run)| run.id.0).collect::<Vec<_>>(), [3]);
    let all = stores.board.ended_since(Some(0)).await.expect("the ends");
    assert_eq!(all.iter().map(|(_, run)| run.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    let after = stores.board.ended_since(Some(all[1].0)).await.expect("the ends");
    assert_eq!(after.iter().map(|(_, run)| run.id.0).collect::<Vec<_>>(), [3]);
    let filter = HistoryFilter { kind: Some("sweep".to_owned()), limit: 1, ..HistoryFilter::default() };
    let found = stores.board.history(&filter).await.expect("the history");
    assert_eq!((found.total, found.runs.len(), found.runs[0].id.0), (2, 1, 3));
    let (first, last) = (chrono::NaiveDate::from_ymd_opt(1, 1, 1), chrono::NaiveDate::from_ymd_opt(9999, 12, 31));
    let midnight = |day: Option<chrono::NaiveDate>| day.map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let ever = HistoryFilter { from: midnight(first), to: midnight(last), limit: 10, ..HistoryFilter::default() };
    assert_eq!(stores.board.history(&ever).await.expect("the history").total, 3);
    let none = HistoryFilter { status: Some("completed".to_owned()), limit: 10, ..HistoryFilter::default() };
    assert_eq!(stores.board.history(&none).await.expect("the history").total, 0);
    let (_, last) = stores.board.last_runs().await.expect("the last runs");
    assert!(last.iter().any(|run| run.kind == RunKind::Webhook && run.entity == deal()), "{last:?}");
}

/// What an operator sets is what the next one reads.
pub async fn settings_are_changed_one_by_one(stores: &Stores) {
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

/// Two instances renew at once: the pair of the one that is late must not cover the other's.
async fn tokens_are_replaced_by_who_knows_the_last_ones(stores: &Stores) {
    let replace = async |known, bytes: Option<&[u8]>| {
        stores.vault.replace(known, bytes.map(<[u8]>::to_vec)).await.expect("an answer")
    };
    let load = async || stores.vault.load().await.expect("the tokens");
    let first = load().await;
    assert_eq!((first.version, first.sealed), (0, None));
    assert_eq!(replace(0, Some(b"one")).await, Some(1));
    assert_eq!(replace(0, Some(b"two")).await, None, "somebody was faster");
    assert_eq!(replace(0, Some(b"one")).await, Some(1), "the answer to this very change was lost");
    let kept = load().await;
    assert_eq!((kept.version, kept.sealed.as_deref()), (1, Some(&b"one"[..])));
    assert!(kept.age < Duration::from_secs(60));
    assert_eq!(replace(1, Some(b"\0\xff")).await, Some(2));
    assert_eq!(replace(2, None).await, Some(3));
    assert_eq!(replace(1, Some(b"one")).await, None, "what is gone does not come back");
    let gone = load().await;
    assert_eq!((gone.version, gone.sealed), (3, None));
}

async fn the_handler_is_remembered_beside_the_tokens(stores: &Stores) {
    let handler = async || stores.registrations.handler().await.expect("the handler");
    let keep = async |url: Option<&str>| {
        stores.registrations.keep_handler(url.map(str::to_owned)).await.expect("the handler is kept");
    };
    assert_eq!(handler().await, None);
    keep(Some("https://a.example/")).await;
    assert_eq!(handler().await.as_deref(), Some("https://a.example/"));
    assert_eq!(stores.vault.replace(0, Some(b"one".to_vec())).await.expect("an answer"), Some(1));
    keep(Some("https://b.example/")).await;
    assert_eq!(stores.vault.load().await.expect("the tokens").sealed.as_deref(), Some(&b"one"[..]));
    assert_eq!(handler().await.as_deref(), Some("https://b.example/"));
    keep(None).await;
    assert_eq!(handler().await, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FakeStore;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        all(|| async { (Stores::of(&Arc::new(FakeStore::default())), ()) }).await;
    }
}
