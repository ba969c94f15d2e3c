//! Execution time and rate together, on a clock that the tests turn.

use std::time::Duration;

use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::{BudgetReport, Lane, PortalPacer, PortalRequest};
use tokio::time::Instant;

use super::BudgetPacer;

fn request(lane: Lane, method: &str) -> PortalRequest {
    PortalRequest { lane, methods: vec![method.to_owned()], commands: 1..=50 }
}

fn report(used: Option<f64>, method_refused: bool) -> BudgetReport {
    BudgetReport {
        method: "crm.item.list".to_owned(),
        commands: 50,
        operating_seconds: used,
        resets_in: None,
        rate_refused: false,
        method_refused,
    }
}

fn pacer() -> BudgetPacer {
    BudgetPacer::alone(RateLimits::new(1_000.0, 50), 480.0)
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_method_waits_while_others_pass() {
    let pacer = pacer();
    pacer.report(&[report(None, true)]).await;
    let admit = async |lane: Lane, method: &str, after: u64| {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let started = Instant::now();
        pacer.admit(&request(lane, method)).await.unwrap();
        started.elapsed()
    };
    let (first, other) = tokio::join!(admit(Lane::Hint, "crm.item.list", 0), admit(Lane::Full, "profile", 1));
    assert_eq!((first.as_secs(), other), (600, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_over_lets_the_next_one_go() {
    let pacer = pacer();
    pacer.report(&[report(Some(300.0), false)]).await;
    let permit = pacer.admit(&request(Lane::Full, "crm.item.list")).await.unwrap();
    let started = Instant::now();
    let next = async {
        pacer.admit(&request(Lane::Full, "crm.item.list")).await.unwrap();
        started.elapsed()
    };
    let over = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(permit);
    };
    let (next, ()) = tokio::join!(next, over);
    assert_eq!(next, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_permit_says_how_many_commands_fit() {
    let pacer = pacer();
    for used in [440.0, 450.0] {
        pacer.report(&[report(Some(used), false)]).await;
    }
    // 0.2 s a command, and 10.8 s are left of 96 % for a full sync.
    for (lane, commands) in [(Lane::Full, 50), (Lane::Hint, 50)] {
        assert_eq!(pacer.admit(&request(lane, "crm.item.list")).await.unwrap().commands(), commands);
    }
    // A cheaper one counts a little: 4.8 s are left for commands of 0.184 s.
    pacer.report(&[report(Some(456.0), false)]).await;
    assert_eq!(pacer.admit(&request(Lane::Full, "crm.item.list")).await.unwrap().commands(), 26);
}
