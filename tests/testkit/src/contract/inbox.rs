//! What every inbox must do.

use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::inbox::{AfterFailure, Claimed, Outcome};
use b24sync_domain::ports::{Acceptance, Actor, HintFilter, InboxEntry};
use b24sync_domain::settings::SettingsChange;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::Stores;
use crate::build::{deal, id};

fn hint(number: i64) -> Hint {
    Hint { entity: deal(), target: Target::Record(id(number)), deleted: false, sent_at: None }
}

fn actor() -> Actor {
    Actor { subject: "somebody".to_owned(), request: None }
}

async fn accept(stores: &Stores, hints: &[Hint]) -> Vec<Acceptance> {
    stores.inbox.accept(hints).await.expect("they are kept")
}

/// What is due, once that are `count`.
async fn due(stores: &Stores, count: usize) -> Vec<Claimed> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let due = stores.inbox.due(deal()).await.expect("an answer");
        if due.len() >= count {
            assert_eq!(due.len(), count, "{due:?}");
            return due;
        }
        assert!(Instant::now() < deadline, "{count} hints did not become due: {due:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn settle(stores: &Stores, claimed: &[Claimed], outcome: &Outcome) {
    let outcomes: Vec<_> = claimed.iter().map(|claimed| (*claimed, outcome.clone())).collect();
    stores.inbox.settle(deal(), &outcomes).await.expect("they are settled");
}

async fn entries(stores: &Stores, filter: HintFilter) -> Vec<InboxEntry> {
    let (entries, total) = stores.inbox.list(&filter, 0, 100).await.expect("a list");
    assert_eq!(total, u64::try_from(entries.len()).unwrap_or_default());
    entries
}

fn numbers(claimed: &[Claimed]) -> Vec<Target> {
    let mut targets: Vec<_> = claimed.iter().map(|claimed| claimed.target).collect();
    targets.sort();
    targets
}

pub(super) async fn hints_of_one_record_coalesce_and_rest_before_they_are_due(stores: &Stores) {
    let fields = Hint { target: Target::Fields, ..hint(1) };
    let acceptances = accept(stores, &[hint(7), hint(7), hint(8), fields]).await;
    assert_eq!(acceptances, [Acceptance::Stored; 4]);
    assert_eq!(stores.inbox.due(deal()).await.expect("an answer"), []);
    let backlog = stores.inbox.backlog().await.expect("an answer");
    assert_eq!((backlog.len(), backlog[0].entity, backlog[0].pending), (1, deal(), 3));
    let claimed = due(stores, 3).await;
    assert_eq!(numbers(&claimed), [Target::Record(id(7)), Target::Record(id(8)), Target::Fields]);
    settle(stores, &claimed, &Outcome::Applied).await;
    assert_eq!(stores.inbox.backlog().await.expect("an answer"), []);
    assert_eq!(entries(stores, HintFilter::default()).await, []);
}

pub(super) async fn the_last_event_tells_whether_a_record_is_gone_and_the_latest_when_it_was_sent(stores: &Stores) {
    let at = |seconds| DateTime::<Utc>::from_timestamp(seconds, 0);
    let sent = |seconds, deleted| Hint { deleted, sent_at: at(seconds), ..hint(7) };
    accept(stores, &[sent(1_000, false)]).await;
    accept(stores, &[sent(1_005, true), sent(1_003, true)]).await;
    let claimed = due(stores, 1).await;
    assert_eq!((claimed[0].deleted, claimed[0].sent_at), (true, at(1_005)));
}

pub(super) async fn a_hint_that_moved_while_it_was_looked_at_stays(stores: &Stores) {
    accept(stores, &[hint(7), hint(8)]).await;
    let claimed = due(stores, 2).await;
    accept(stores, &[hint(7)]).await;
    settle(stores, &claimed, &Outcome::Applied).await;
    let again = due(stores, 1).await;
    assert_eq!(numbers(&again), [Target::Record(id(7))]);
    // What was settled long ago says nothing of an event that came later.
    settle(stores, &again, &Outcome::Applied).await;
    accept(stores, &[hint(7)]).await;
    settle(stores, &claimed, &Outcome::Applied).await;
    settle(stores, &again, &Outcome::Applied).await;
    due(stores, 1).await;
}

pub(super) async fn a_failed_hint_waits_its_turn_and_ends_as_a_dead_letter_that_an_event_revives(stores: &Stores) {
    accept(stores, &[hint(7), hint(8)]).await;
    let claimed = due(stores, 2).await;
    let failed = |next| Outcome::Failed { reason: "nothing was proven".to_owned(), next };
    settle(stores, &claimed[..1], &failed(AfterFailure::Again(Duration::from_secs(3_600)))).await;
    settle(stores, &claimed[1..], &failed(AfterFailure::Dead)).await;
    let dead = entries(stores, HintFilter { dead: Some(true), ..HintFilter::default() }).await;
    assert_eq!((dead.len(), dead[0].target, dead[0].attempts), (1, claimed[1].target, 1));
    assert_eq!(dead[0].error.as_deref(), Some("nothing was proven"));
    let waits = entries(stores, HintFilter { dead: Some(false), ..HintFilter::default() }).await;
    assert_eq!((waits.len(), waits[0].target, waits[0].dead_at), (1, claimed[0].target, None));
    let depth = stores.inbox.depth().await.expect("an answer");
    let of_deals = depth.iter().find(|depth| depth.entity == deal()).expect("every entity");
    assert_eq!((of_deals.pending, of_deals.dead, depth.len()), (1, 1, EntityType::all().count()));
    // An event makes what failed no better, but a dead letter lives again.
    accept(stores, &[hint(7), hint(8)]).await;
    let revived = due(stores, 1).await;
    assert_eq!((revived[0].target, revived[0].attempts), (claimed[1].target, 0));
}

pub(super) async fn a_second_look_comes_once_and_an_event_starts_anew(stores: &Stores) {
    accept(stores, &[hint(7)]).await;
    let claimed = due(stores, 1).await;
    settle(stores, &claimed, &Outcome::LookAgain).await;
    assert_eq!(stores.inbox.due(deal()).await.expect("an answer"), []);
    stores.inbox.retry(&HintFilter::default(), &actor()).await.expect("they are due");
    let claimed = due(stores, 1).await;
    settle(stores, &claimed, &Outcome::LookAgain).await;
    accept(stores, &[hint(7)]).await;
    assert!(!due(stores, 1).await[0].second_look);
}

pub(super) async fn people_retry_and_discard_what_they_name(stores: &Stores) {
    accept(stores, &[hint(7), hint(8), hint(9)]).await;
    let claimed = due(stores, 3).await;
    let dead = Outcome::Failed { reason: "no".to_owned(), next: AfterFailure::Dead };
    settle(stores, &claimed, &dead).await;
    let seven = HintFilter { entity: Some(deal()), target: Some(Target::Record(id(7))), dead: Some(true) };
    assert_eq!(stores.inbox.retry(&seven, &actor()).await.expect("it lives"), 1);
    assert_eq!(numbers(&due(stores, 1).await), [Target::Record(id(7))]);
    let all_dead = HintFilter { dead: Some(true), ..HintFilter::default() };
    assert_eq!(stores.inbox.discard(&all_dead, &actor()).await.expect("they go"), 2);
    assert_eq!(entries(stores, HintFilter::default()).await.len(), 1);
}

pub(super) async fn events_that_are_switched_off_are_not_kept_and_what_waits_stays(stores: &Stores) {
    accept(stores, &[hint(7)]).await;
    let set = async |webhook_enabled| {
        let change = SettingsChange {
            entity: deal(),
            enabled: None,
            sync_interval_minutes: None,
            webhook_enabled: Some(webhook_enabled),
        };
        stores.settings.change(&change, &actor()).await.expect("the change");
    };
    set(false).await;
    assert_eq!(accept(stores, &[hint(8)]).await, [Acceptance::SwitchedOff]);
    assert_eq!(stores.inbox.backlog().await.expect("an answer"), []);
    set(true).await;
    assert_eq!(stores.inbox.backlog().await.expect("an answer").len(), 1);
    assert_eq!(numbers(&due(stores, 1).await), [Target::Record(id(7))]);
}

pub(super) async fn instances_see_when_they_and_others_took_events_in_last(stores: &Stores) {
    let first = stores.inbox.beat("one").await.expect("an answer");
    assert_eq!((first.own, first.others), (None, None));
    let second = stores.inbox.beat("two").await.expect("an answer");
    assert!(second.own.is_none() && second.others.is_some_and(|others| others < Duration::from_secs(30)));
    let third = stores.inbox.beat("one").await.expect("an answer");
    assert!(third.own.is_some() && third.others.is_some_and(|others| others <= third.own.unwrap_or_default()));
}
