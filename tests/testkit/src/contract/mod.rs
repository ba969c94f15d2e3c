//! What every implementation of the store ports must do. Each check takes an empty, migrated store.

pub mod budget;
mod deletions;
mod inbox;
mod leases;
mod portals;
mod quarantine;
mod reads;
mod runs;
mod same;
mod settings;
mod tables;
mod takeover;
mod tokens;
mod watching;
mod watermarks;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use b24sync_domain::lease::{Grant, Lease, Scope};
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::{
    DeletionStore, DriftStore, EventInbox, LeaseStore, PortalStore, ReadOrder, RecordStore, RegistrationStore,
    RunBoard, RunLog, SettingsStore, StatusStore, Step, TokenVault,
};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Run, RunKind};
use chrono::Utc;

use crate::build::{Sample, deal, deal_fields, mapped, plan, portal_time};
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
        ($($check:path)*) => {
            $({
                let (stores, _kept) = make().await;
                $check(&stores).await;
            })*
        };
    }
    each! {
        reads::equal_content_is_not_written_again
        same::a_record_that_was_answered_as_before_is_seen_and_not_written
        same::a_record_that_was_written_meanwhile_is_not_taken_for_the_same
        same::answers_are_remembered_of_rows_that_are_there_and_wanted
        reads::a_read_that_began_earlier_never_replaces_a_later_one
        reads::overlapping_reads_go_by_modified_time_and_are_contested_when_it_goes_back
        runs::a_stale_lease_cannot_commit_or_end_a_run
        runs::a_run_is_resumed_from_its_cursor
        runs::a_stopped_run_is_resumed_too
        runs::a_completed_run_is_not_resumed
        runs::an_unfinished_full_run_survives_other_runs
        runs::a_rewound_run_begins_again
        runs::an_abandoned_run_does_not_stay_running
        quarantine::quarantine_is_counted_and_heals
        quarantine::a_stale_rejection_does_not_quarantine_a_newer_version
        tables::the_table_is_known_after_it_was_made
        leases::a_lease_has_one_holder_and_its_token_rises
        tokens::tokens_are_replaced_by_who_knows_the_last_ones
        tokens::the_handler_is_remembered_beside_the_tokens
        watermarks::the_first_watermark_stays
        watermarks::an_incremental_run_moves_the_watermark_and_only_forward
        watermarks::the_floor_for_new_records_stays_one_overlap_behind
        watermarks::a_tombstone_does_not_raise_the_floor
        deletions::what_a_run_did_not_see_is_unseen
        deletions::a_buried_record_stays_buried_until_a_later_read
        deletions::a_record_that_was_stored_after_the_evidence_was_asked_for_is_not_buried
        deletions::evidence_that_overlaps_with_the_stored_read_buries_nothing
        runs::a_remark_outlives_its_run
        deletions::live_records_are_listed_by_range
        wishes::wishes_for_the_same_run_coalesce
        wishes::a_full_run_does_what_smaller_wishes_wanted
        wishes::a_wish_that_a_run_does_not_fulfil_outlives_it
        wishes::a_sweep_is_never_resumed_and_stands_for_nothing
        tables::changes_of_fields_are_remembered_until_they_have_reached_all_records
        tables::a_full_run_that_completes_brings_the_changes_that_it_covers
        portals::a_replica_belongs_to_one_portal
        portals::a_probe_of_another_user_is_stale
        watching::a_run_is_watched_and_asked_to_stop
        inbox::hints_of_one_record_coalesce_and_rest_before_they_are_due
        inbox::the_last_event_tells_whether_a_record_is_gone_and_the_latest_when_it_was_sent
        inbox::a_hint_that_moved_while_it_was_looked_at_stays
        inbox::a_failed_hint_waits_its_turn_and_ends_as_a_dead_letter_that_an_event_revives
        inbox::a_second_look_comes_once_and_an_event_starts_anew
        inbox::people_retry_and_discard_what_they_name
        inbox::events_that_are_switched_off_are_not_kept_and_what_waits_stays
        inbox::instances_see_when_they_and_others_took_events_in_last
        watching::a_run_whose_process_is_gone_waits_for_another
        takeover::a_run_that_was_closed_because_its_process_is_gone_waits_for_another
        takeover::a_closed_run_that_is_wished_for_waits_once
        takeover::a_closed_run_that_was_opened_and_ended_does_not_come_back
        takeover::a_closed_run_that_was_overtaken_does_not_come_back
        takeover::a_closed_run_that_was_cancelled_does_not_come_back
        takeover::a_closed_run_over_named_records_does_not_come_back
        takeover::the_status_shows_the_run_that_is_to_be_gone_on_with
        watching::ends_are_told_in_their_order_and_the_log_is_searched
        settings::settings_are_changed_one_by_one
    }
}

/// A fixed instant of the portal's clock.
fn later() -> chrono::DateTime<Utc> {
    portal_time(1_000).with_timezone(&Utc)
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
