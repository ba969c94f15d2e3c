//! How long keys count, on a clock that is moved by hand.

use b24sync_domain::ports::Authenticator as _;
use std::sync::Arc;
use std::time::Duration;

use b24sync_domain::access::Refusal;
use chrono::TimeDelta;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::{Answer, Key, Project};

fn outage() -> Answer {
    Answer::status("503 Service Unavailable", "", "down")
}

/// Asks again and again until the condition holds.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.unwrap();
}

#[tokio::test]
async fn a_rotation_goes_unnoticed() {
    let (old, new) = (Key::ec(), Key::other_ec());
    let project = Project::publishing(&[old.jwk()]);
    let refusal = async |key: &Key| project.refusal(&project.token(key)).await;
    assert_eq!(refusal(&old).await, None);

    // The new key is announced and used; the old one still counts.
    project.clock.advance(TimeDelta::minutes(1));
    project.server.publish(&[old.jwk(), new.jwk()]);
    assert_eq!(refusal(&new).await, None, "an unknown key makes the project be asked");
    assert_eq!((refusal(&old).await, project.server.requests()), (None, 2));

    // The old key is taken away: it counts until the set has been fetched again.
    project.server.publish(&[new.jwk()]);
    project.clock.advance(TimeDelta::minutes(4));
    assert_eq!((refusal(&old).await, project.server.requests()), (None, 2));
    project.clock.advance(TimeDelta::minutes(1));
    assert_eq!(refusal(&old).await, None, "the old set is used while the new one comes");
    eventually(async || refusal(&old).await == Some(Refusal::UnknownKey)).await;
    assert_eq!((refusal(&new).await, project.server.requests()), (None, 3));
}

#[tokio::test]
async fn a_removed_key_does_not_outlive_the_hard_age() {
    let (removed, kept) = (Key::ec(), Key::other_ec());
    let project = Project::publishing(&[removed.jwk(), kept.jwk()]);
    assert_eq!(project.refusal(&project.token(&removed)).await, None);
    project.server.publish(&[kept.jwk()]);
    project.clock.advance(TimeDelta::minutes(30));
    assert_eq!(project.refusal(&project.token(&removed)).await, Some(Refusal::UnknownKey));
    assert_eq!(project.refusal(&project.token(&kept)).await, None);
}

#[tokio::test]
async fn an_outage_is_bridged_for_thirty_minutes_then_nobody_gets_in() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    let refusal = async || project.refusal(&project.token(&Key::ec())).await;
    assert_eq!(refusal().await, None);
    project.server.answer(outage());
    for minute in 1..30 {
        project.clock.advance(TimeDelta::minutes(1));
        let requests = if minute < 5 { 1 } else { minute - 3 };
        eventually(async || {
            assert_eq!(refusal().await, None, "minute {minute}");
            project.server.requests() == requests
        })
        .await;
    }
    let before = project.server.requests();
    project.clock.advance(TimeDelta::minutes(1));
    assert_eq!(refusal().await, Some(Refusal::KeysUnavailable));
    assert!(refusal().await.unwrap().is_our_fault());
    assert_eq!(project.server.requests(), before + 1, "not asked again at once");

    // It ends.
    project.server.publish(&[Key::ec().jwk()]);
    assert_eq!(refusal().await, Some(Refusal::KeysUnavailable), "too early to ask again");
    project.clock.advance(TimeDelta::seconds(5));
    assert_eq!(refusal().await, None);
}

#[tokio::test]
async fn unknown_keys_make_the_project_be_asked_twice_a_minute_at_most() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    for _second in 0..120 {
        assert_eq!(project.refusal(&project.token(&Key::other_ec())).await, Some(Refusal::UnknownKey));
        assert_eq!(project.refusal(&project.token(&Key::ec().named("third"))).await, Some(Refusal::UnknownKey));
        project.clock.advance(TimeDelta::seconds(1));
    }
    assert_eq!(project.server.requests(), 4);
}

#[tokio::test]
async fn a_key_that_is_unknown_during_an_outage_may_be_a_new_one() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    assert_eq!(project.refusal(&project.token(&Key::ec())).await, None);
    project.server.answer(outage());
    project.clock.advance(TimeDelta::minutes(1));
    assert_eq!(project.refusal(&project.token(&Key::other_ec())).await, Some(Refusal::KeysUnavailable));
    assert_eq!(project.refusal(&project.token(&Key::ec())).await, None);
}

#[tokio::test]
async fn a_crowd_shares_one_request() {
    let project = Arc::new(Project::publishing(&[]));
    project.server.answer(Answer::keys(&[Key::ec().jwk()]).after(Duration::from_millis(300)));
    let crowd = async || {
        let mut crowd = JoinSet::new();
        for number in 0..50 {
            let project = Arc::clone(&project);
            let key = if number % 2 == 0 { Key::ec() } else { Key::other_ec() };
            crowd.spawn(async move { (number % 2 == 0, project.refusal(&project.token(&key)).await) });
        }
        for (known, refusal) in crowd.join_all().await {
            assert_eq!(refusal, (!known).then_some(Refusal::UnknownKey));
        }
    };
    crowd().await;
    assert_eq!(project.server.requests(), 1);
    project.clock.advance(TimeDelta::minutes(31));
    crowd().await;
    assert_eq!(project.server.requests(), 2);
}

#[tokio::test]
async fn a_request_goes_on_when_the_one_who_waits_has_gone() {
    let project = Project::publishing(&[]);
    project.server.answer(Answer::keys(&[Key::ec().jwk()]).after(Duration::from_millis(200)));
    let token = project.token(&Key::ec());
    assert!(timeout(Duration::from_millis(50), project.identify(&token)).await.is_err());
    assert_eq!(project.refusal(&token).await, None);
    assert_eq!(project.server.requests(), 1);
}

#[tokio::test]
async fn purging_forgets_keys_and_what_is_under_way() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    let token = project.token(&Key::ec());
    assert_eq!(project.refusal(&token).await, None);

    project.server.publish(&[Key::other_ec().jwk()]);
    project.authenticator.forget_keys();
    assert_eq!(project.refusal(&token).await, Some(Refusal::UnknownKey), "asked anew, at once");
    assert_eq!(project.server.requests(), 2);

    // An answer that was on its way when everything was forgotten does not count.
    project.server.answer(Answer::keys(&[Key::ec().jwk()]).after(Duration::from_millis(200)));
    project.authenticator.forget_keys();
    assert!(timeout(Duration::from_millis(100), project.identify(&token)).await.is_err());
    project.authenticator.forget_keys();
    project.server.publish(&[Key::other_ec().jwk()]);
    assert_eq!(project.refusal(&token).await, Some(Refusal::UnknownKey));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(project.refusal(&token).await, Some(Refusal::UnknownKey));

    project.server.answer(outage());
    project.authenticator.forget_keys();
    assert_eq!(project.refusal(&token).await, Some(Refusal::KeysUnavailable));
}

#[tokio::test]
async fn a_clock_that_is_put_back_does_not_make_keys_live_longer() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    assert_eq!(project.authenticator.warm_up().await, Ok(1));
    project.server.publish(&[]);
    project.clock.advance(TimeDelta::hours(-1));
    assert_eq!(project.refusal(&project.token(&Key::ec())).await, Some(Refusal::UnknownKey));
}
