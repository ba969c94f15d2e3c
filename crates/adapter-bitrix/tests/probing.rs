//! What the portal's answers about a known record prove, in both dialects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_adapter_bitrix::{BitrixSource, Dialect};
use b24sync_domain::error::{SourceError, StoreError};
use b24sync_domain::portal::{BoundStyle, EntityProbe, Probed};
use b24sync_domain::ports::{BudgetReport, CrmSource, Lane, NewsQuery, Permit, PortalPacer, PortalRequest};
use b24sync_domain::progress::{Cursor, TimeBound, Window};
use b24sync_portal_emulator::{
    DateFilter, Entity, Fault, FaultPlan, Portal, RunningPortal, Times, UnreadableDate, When,
};
use chrono::{DateTime, TimeDelta};

use crate::support::{Rig, config, deals, entity, portal, query};

const DIALECTS: [Dialect; 2] = [Dialect::Item, Dialect::Classic];

async fn probe(running: &RunningPortal, dialect: Dialect) -> Result<Probed, SourceError> {
    Rig::on(running, dialect).source.probe(entity("deal")).await
}

async fn answered(running: &RunningPortal, dialect: Dialect) -> EntityProbe {
    match probe(running, dialect).await.unwrap() {
        Probed::Answered(probe) => probe,
        other => panic!("{dialect:?}: {other:?}"),
    }
}

fn expected(bounds: Option<BoundStyle>) -> EntityProbe {
    EntityProbe { entity: entity("deal"), bounds, keyset: true, ahead: TimeDelta::zero() }
}

fn set_times(portal: &Portal, change: impl FnOnce(&mut Times)) {
    let mut times = portal.times();
    change(&mut times);
    portal.set_times(times);
}

fn edit(portal: &Portal, id: i64) {
    assert!(portal.edit(Entity::Deal, id, [("TITLE", "edited".into())]));
}

fn newest(portal: &Portal) -> i64 {
    *portal.ids(Entity::Deal).last().unwrap()
}

/// Changes the portal at the moment when a request is about to be sent.
struct Meddler<F> {
    requests: AtomicU32,
    meddle: F,
}

#[async_trait]
impl<F: Fn(u32) + Send + Sync> PortalPacer for Meddler<F> {
    async fn admit(&self, request: &PortalRequest) -> Result<Permit, StoreError> {
        (self.meddle)(self.requests.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(Permit::new(*request.commands.end(), ()))
    }

    async fn report(&self, _reports: &[BudgetReport]) {}
}

/// Probes while `meddle` is told the number of each request before it is sent; also returns how many there were.
async fn probe_with(
    running: &RunningPortal,
    dialect: Dialect,
    meddle: impl Fn(u32) + Send + Sync + 'static,
) -> (Probed, u32) {
    let pacer = Arc::new(Meddler { requests: AtomicU32::new(0), meddle });
    let shared: Arc<dyn PortalPacer> = Arc::<Meddler<_>>::clone(&pacer);
    let source = BitrixSource::new(&config(&running.webhook_url(), dialect), shared).unwrap();
    let probed = source.probe(entity("deal")).await.unwrap();
    (probed, pacer.requests.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_portal_understands_what_is_documented() {
    let (portal, running) = portal(|_| {});
    for dialect in DIALECTS {
        for key in ["deal", "lead", "contact", "company"] {
            portal.reset_stats();
            let rig = Rig::on(&running, dialect);
            let probed = rig.source.probe(entity(key)).await.unwrap();
            let probe = EntityProbe { entity: entity(key), ..expected(Some(BoundStyle::WithOffset)) };
            assert_eq!(probed, Probed::Answered(probe), "{dialect:?} {key}");
            assert_eq!(portal.stats().http_requests, 2);
            let admitted = rig.pacer.admitted.lock().unwrap();
            assert!(admitted.iter().all(|(lane, methods)| *lane == Lane::Incremental && methods.len() == 2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_just_edited_record_is_not_ahead() {
    let (portal, running) = deals(60);
    portal.clock().freeze_at(1_790_000_000);
    edit(&portal, newest(&portal));
    for dialect in DIALECTS {
        assert_eq!(answered(&running, dialect).await, expected(Some(BoundStyle::WithOffset)), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_is_written_as_the_portal_understands_it_and_lists_just_what_changed() {
    let (portal, running) = deals(300);
    let deal = entity("deal");
    let changed: Vec<i64> = portal.ids(Entity::Deal).into_iter().step_by(7).collect();
    let since = portal.bulk_edit_in_one_second(Entity::Deal, &changed);
    let at = DateTime::from_timestamp(since, 0).unwrap();
    for (date_filter, style) in
        [(DateFilter::AtomOnly, BoundStyle::WithOffset), (DateFilter::SpaceOnly, BoundStyle::PortalClock)]
    {
        for unreadable_date in [UnreadableDate::Ignored, UnreadableDate::MatchesNothing] {
            set_times(&portal, |times| (times.date_filter, times.unreadable_date) = (date_filter, unreadable_date));
            for dialect in DIALECTS {
                assert_eq!(answered(&running, dialect).await, expected(Some(style)), "{dialect:?} {date_filter:?}");
                let rig = Rig::on(&running, dialect);
                let bound = TimeBound { at, style };
                let table = rig.read(deal, Window::ModifiedSince(bound)).await.unwrap();
                assert_eq!(table.ids(), changed, "{dialect:?} {date_filter:?}");

                let layout = query(deal, &table.fields, Window::Everything).layout;
                let created = Cursor::after(newest(&portal));
                let news = NewsQuery { entity: deal, layout, changed: (bound, Cursor::START), created };
                let news = rig.source.news(&news, &rig.order).await.unwrap();
                let first: Vec<i64> = news.changed.ids().iter().map(|id| id.get()).collect();
                assert_eq!((first, news.created.len()), (changed.clone(), 0));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_ignored_or_matches_nothing_proves_no_way_to_write_bounds() {
    let (portal, running) = deals(60);
    for unreadable_date in [UnreadableDate::Ignored, UnreadableDate::MatchesNothing] {
        set_times(&portal, |times| {
            (times.date_filter, times.unreadable_date) = (DateFilter::Ignored, unreadable_date);
        });
        for dialect in DIALECTS {
            assert_eq!(answered(&running, dialect).await, expected(None), "{dialect:?} {unreadable_date:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_shown_in_another_zone_than_the_filters_prove_none_either() {
    let (portal, running) = deals(60);
    portal.clock().freeze_at(1_790_000_000);
    edit(&portal, newest(&portal));
    for (shift, filter_sees_shift, bounds, ahead) in [
        (3_600, false, None, 3_600),
        (-3_600, false, None, 0),
        (3_600, true, Some(BoundStyle::WithOffset), 3_600),
        (-3_600, true, Some(BoundStyle::WithOffset), 0),
    ] {
        set_times(&portal, |times| {
            (times.user_zone_shift_seconds, times.filter_sees_shift) = (shift, filter_sees_shift);
        });
        for dialect in DIALECTS {
            let probe = EntityProbe { ahead: TimeDelta::seconds(ahead), ..expected(bounds) };
            assert_eq!(answered(&running, dialect).await, probe, "{dialect:?} {shift} {filter_sees_shift}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_without_records_proves_nothing() {
    let (portal, running) = deals(1);
    for dialect in DIALECTS {
        portal.reset_stats();
        let probed = Rig::on(&running, dialect).source.probe(entity("lead")).await.unwrap();
        assert_eq!((probed, portal.stats().http_requests), (Probed::Empty, 1), "{dialect:?}");
        assert_eq!(answered(&running, dialect).await, expected(Some(BoundStyle::WithOffset)), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changes_meanwhile_is_asked_for_once_more() {
    for dialect in DIALECTS {
        let (portal, running) = deals(60);
        let id = newest(&portal);
        let meddled = portal.clone();
        let (probed, requests) = probe_with(&running, dialect, move |request| {
            if request == 2 {
                edit(&meddled, id);
            }
        })
        .await;
        assert_eq!((probed, requests), (Probed::Answered(expected(Some(BoundStyle::WithOffset))), 4), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_goes_away_meanwhile_gives_way_to_another() {
    for dialect in DIALECTS {
        let (portal, running) = deals(60);
        let id = newest(&portal);
        let (probed, requests) = probe_with(&running, dialect, move |request| {
            if request == 2 {
                assert!(portal.delete(Entity::Deal, id));
            }
        })
        .await;
        assert_eq!((probed, requests), (Probed::Answered(expected(Some(BoundStyle::WithOffset))), 4), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_records_do_not_disturb_and_endless_changes_are_given_up() {
    for dialect in DIALECTS {
        let (portal, running) = deals(60);
        let growing = portal.clone();
        let (probed, requests) = probe_with(&running, dialect, move |_| {
            growing.add(Entity::Deal, []);
        })
        .await;
        assert_eq!((probed, requests), (Probed::Answered(expected(Some(BoundStyle::WithOffset))), 2), "{dialect:?}");

        let id = newest(&portal);
        let (probed, requests) = probe_with(&running, dialect, move |_| {
            portal.clock().advance(Duration::from_secs(1));
            edit(&portal, id);
        })
        .await;
        assert_eq!((probed, requests), (Probed::Unsettled, 6), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_by_id_that_has_no_effect_is_noticed() {
    let (portal, running) = deals(60);
    for (dialect, method) in [(Dialect::Item, "crm.item.list"), (Dialect::Classic, "crm.deal.list")] {
        // After the newest record the first list is the one with the bound.
        let once = FaultPlan::none().and(Some(method), When::After(1), vec![Fault::IgnoredFilter]);
        portal.set_faults(once);
        let probe = EntityProbe { keyset: false, ..expected(Some(BoundStyle::WithOffset)) };
        assert_eq!(answered(&running, dialect).await, probe, "{dialect:?}");

        portal.set_faults(FaultPlan::always(Fault::IgnoredFilter).on(method));
        let probe = answered(&running, dialect).await;
        assert!(!probe.keyset && !probe.allows_incremental(), "{dialect:?}: {probe:?}");
        portal.set_faults(FaultPlan::none().and(Some(method), When::After(1), vec![Fault::ShortPage]));
        assert_eq!(answered(&running, dialect).await, expected(Some(BoundStyle::WithOffset)), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_style_that_is_refused_is_not_understood_and_other_errors_say_nothing_about_it() {
    let (portal, running) = deals(60);
    for (dialect, method) in [(Dialect::Item, "crm.item.list"), (Dialect::Classic, "crm.deal.list")] {
        // Newest record, bound by id, then the two questions about the first style.
        for answers_before in [2, 3] {
            let refuse = |code: &str| {
                let plan = FaultPlan::none();
                portal.set_faults(plan.and(Some(method), When::After(answers_before), vec![Fault::error(code)]));
            };
            refuse("INVALID_ARG_VALUE");
            assert_eq!(answered(&running, dialect).await, expected(Some(BoundStyle::PortalClock)), "{dialect:?}");
            for code in ["OPERATION_TIME_LIMIT", "QUERY_LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR"] {
                refuse(code);
                let probe = answered(&running, dialect).await;
                assert_eq!(probe, expected(Some(BoundStyle::WithOffset)), "{dialect:?} {code}: repeated");
            }
            refuse("NO_AUTH_FOUND");
            let error = probe(&running, dialect).await.unwrap_err();
            assert!(matches!(error, SourceError::Unauthorized { .. }), "{dialect:?}: {error:?}");
            refuse("user_access_error");
            let error = probe(&running, dialect).await.unwrap_err();
            assert!(matches!(error, SourceError::Forbidden { .. }), "{dialect:?}: {error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_whole_are_those_of_every_call() {
    let (portal, running) = deals(60);
    for dialect in DIALECTS {
        portal.set_crm_rights(false);
        let error = probe(&running, dialect).await.unwrap_err();
        assert!(matches!(error, SourceError::Forbidden { .. }), "{dialect:?}: {error:?}");
        portal.set_crm_rights(true);
        portal.remove_entity_type(Entity::Deal, true);
        let error = probe(&running, dialect).await.unwrap_err();
        assert!(matches!(error, SourceError::Rejected { .. }), "{dialect:?}: {error:?}");
        portal.remove_entity_type(Entity::Deal, false);
        portal.set_faults(FaultPlan::always(Fault::Status { status: 502 }));
        let error = probe(&running, dialect).await.unwrap_err();
        assert!(matches!(error, SourceError::Unavailable { .. }), "{dialect:?}: {error:?}");
        portal.set_faults(FaultPlan::rotating(3));
        for _ in 0..14 {
            assert_eq!(answered(&running, dialect).await, expected(Some(BoundStyle::WithOffset)), "{dialect:?}");
        }
        portal.set_faults(FaultPlan::none());
    }
}
