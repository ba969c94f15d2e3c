use std::sync::Arc;

use super::*;

fn report(rate_refused: bool, method_refused: bool) -> BudgetReport {
    BudgetReport {
        method: "crm.item.list".to_owned(),
        operating_seconds: None,
        resets_at: None,
        rate_refused,
        method_refused,
    }
}

async fn admit(pacer: &LocalPacer, lane: Lane) -> Duration {
    let started = Instant::now();
    pacer.admit(lane, &["crm.item.list".to_owned()]).await;
    started.elapsed()
}

/// The runtime's clock moves in whole milliseconds.
fn whole_seconds(duration: Duration) -> u64 {
    (duration + Duration::from_millis(100)).as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_the_rate_holds() {
    let pacer = LocalPacer::new(2.0, 50);
    let started = Instant::now();
    for _ in 0..48 {
        assert_eq!(admit(&pacer, Lane::Full).await, Duration::ZERO);
    }
    for _ in 0..10 {
        admit(&pacer, Lane::Full).await;
    }
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_secs(5) && elapsed < Duration::from_millis(5_100), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_more_important_lane_goes_first() {
    let pacer = Arc::new(LocalPacer::new(1.0, 1));
    admit(&pacer, Lane::Full).await;
    let passed = Mutex::new(Vec::new());
    let pass = async |lane: Lane, after: u64| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        pacer.admit(lane, &[]).await;
        passed.lock().unwrap().push(lane);
    };
    tokio::join!(
        pass(Lane::Full, 1),
        pass(Lane::Full, 2),
        pass(Lane::Incremental, 3),
        pass(Lane::Hint, 4),
        pass(Lane::Hint, 5)
    );
    assert_eq!(*passed.lock().unwrap(), [Lane::Hint, Lane::Hint, Lane::Incremental, Lane::Full, Lane::Full]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_rate_pauses_everybody_longer_each_time() {
    let pacer = LocalPacer::new(1_000.0, 50);
    for expected in [1, 2, 4, 8, 16, 30, 30] {
        pacer.report(&report(true, false));
        assert_eq!(whole_seconds(admit(&pacer, Lane::Hint).await), expected);
    }
    pacer.report(&report(false, false));
    pacer.report(&report(true, false));
    assert_eq!(whole_seconds(admit(&pacer, Lane::Hint).await), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_method_waits_while_others_pass() {
    let pacer = LocalPacer::new(1_000.0, 50);
    pacer.report(&report(false, true));
    let full = async { admit(&pacer, Lane::Hint).await };
    let other = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        pacer.admit(Lane::Full, &["profile".to_owned()]).await;
        started.elapsed()
    };
    let (full, other) = tokio::join!(full, other);
    assert_eq!((full.as_secs(), other), (600, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_leaves_its_place() {
    let pacer = LocalPacer::new(1.0, 1);
    admit(&pacer, Lane::Full).await;
    tokio::time::timeout(Duration::from_millis(10), admit(&pacer, Lane::Hint)).await.unwrap_err();
    assert!(pacer.state().waiting.is_empty());
    assert!(admit(&pacer, Lane::Full).await <= Duration::from_secs(1));
}

#[test]
fn a_reset_is_trusted_within_bounds() {
    let at = |seconds: i64| {
        let now = DateTime::<Utc>::from(SystemTime::now());
        until(Some(now + chrono::Duration::seconds(seconds)))
    };
    assert_eq!(until(None), METHOD_PAUSE);
    assert_eq!(at(-100), METHOD_PAUSE_MIN);
    assert_eq!(at(86_400), METHOD_PAUSE);
    assert!((58..=60).contains(&at(60).as_secs()));
}
