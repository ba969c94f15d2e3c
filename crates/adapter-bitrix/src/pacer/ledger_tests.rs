//! What the accounts of execution time allow.

use std::time::Duration;

use b24sync_domain::ports::{BudgetReport, Lane, MethodPause, PortalRequest};
use tokio::time::Instant;

use super::ledger::{Ledger, Verdict};

const LIST: &str = "crm.item.list";
const LIMIT: f64 = 100.0;

fn request(lane: Lane, least: usize, most: usize) -> PortalRequest {
    PortalRequest { lane, methods: vec!["batch".to_owned(), LIST.to_owned()], commands: least..=most }
}

fn heard(method: &str, used: f64, resets_in: u64) -> BudgetReport {
    BudgetReport {
        method: method.to_owned(),
        commands: 50,
        operating_seconds: Some(used),
        resets_in: Some(Duration::from_secs(resets_in)),
        rate_refused: false,
        method_refused: false,
    }
}

/// A ledger on which a command costs a tenth of a second, at this use.
fn at(used: f64, now: Instant) -> Ledger {
    let mut ledger = Ledger::new(LIMIT);
    ledger.hear(&heard(LIST, used - 5.0, 60), now);
    ledger.hear(&heard(LIST, used, 60), now);
    ledger
}

fn go(ledger: &Ledger, lane: Lane, now: Instant) -> Verdict {
    ledger.verdict(&request(lane, 1, 50), now)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_back_where_the_portal_says_nothing() {
    let now = Instant::now();
    let mut ledger = Ledger::new(LIMIT);
    let report = BudgetReport { operating_seconds: None, resets_in: None, ..heard(LIST, 0.0, 0) };
    for _ in 0..100 {
        ledger.begin(&request(Lane::Full, 1, 50), 50);
        assert_eq!(ledger.hear(&report, now), None);
    }
    assert_eq!(go(&ledger, Lane::Full, now), Verdict::Go(50));
}

#[tokio::test(start_paused = true)]
async fn each_lane_stops_at_its_share_and_fits_into_what_is_left_before() {
    let now = Instant::now();
    let reset = Verdict::Wait(Some(now + Duration::from_secs(60)));
    for (used, hint, incremental, full) in [
        (90.0, Verdict::Go(50), Verdict::Go(50), Verdict::Go(50)),
        (94.05, Verdict::Go(49), Verdict::Go(29), Verdict::Go(19)),
        (95.95, Verdict::Go(30), Verdict::Go(10), reset),
        (97.05, Verdict::Go(19), reset, reset),
        (98.95, reset, reset, reset),
    ] {
        let ledger = at(used, now);
        let verdicts = [Lane::Hint, Lane::Incremental, Lane::Full].map(|lane| go(&ledger, lane, now));
        assert_eq!(verdicts, [hint, incremental, full], "{used}");
    }
}

#[tokio::test(start_paused = true)]
async fn from_sixty_percent_on_requests_go_one_after_another() {
    let now = Instant::now();
    for (used, second) in [(50.0, Verdict::Go(50)), (60.0, Verdict::Wait(None))] {
        let mut ledger = at(used, now);
        let entry = ledger.begin(&request(Lane::Full, 1, 50), 50);
        assert_eq!(go(&ledger, Lane::Full, now), second, "{used}");
        ledger.end(&entry);
        assert_eq!(go(&ledger, Lane::Full, now), Verdict::Go(50), "{used}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_counts_as_used() {
    let now = Instant::now();
    let mut ledger = at(56.0, now);
    let all: Vec<_> = (0..8).map(|_| ledger.begin(&request(Lane::Full, 1, 50), 50)).collect();
    assert_eq!(go(&ledger, Lane::Full, now), Verdict::Wait(None));
    all.iter().take(4).for_each(|entry| ledger.end(entry));
    assert_eq!(go(&ledger, Lane::Full, now), Verdict::Go(50));
}

#[tokio::test(start_paused = true)]
async fn after_a_reset_a_small_request_learns_how_much_came_back() {
    let now = Instant::now();
    let mut ledger = at(96.0, now);
    let later = now + Duration::from_secs(60);
    assert_eq!(go(&ledger, Lane::Full, later), Verdict::Go(5));
    // One that cannot be small goes as it is.
    assert_eq!(ledger.verdict(&request(Lane::Full, 50, 50), later), Verdict::Go(50));
    let entry = ledger.begin(&request(Lane::Full, 1, 50), 5);
    assert_eq!(go(&ledger, Lane::Full, later), Verdict::Wait(None), "one is enough");
    ledger.hear(&heard(LIST, 40.0, 60), later);
    ledger.end(&entry);
    assert_eq!(go(&ledger, Lane::Full, later), Verdict::Go(50));
}

#[tokio::test(start_paused = true)]
async fn either_reading_of_who_is_charged_holds_requests_back() {
    let now = Instant::now();
    for charged in ["batch", LIST] {
        let mut ledger = Ledger::new(LIMIT);
        for used in [50.0, 97.0] {
            ledger.hear(&heard("batch", if charged == "batch" { used } else { 0.0 }, 60), now);
            ledger.hear(&heard(LIST, if charged == LIST { used } else { 0.0 }, 60), now);
        }
        assert_eq!(go(&ledger, Lane::Full, now), Verdict::Wait(Some(now + Duration::from_secs(60))), "{charged}");
        let other = PortalRequest { methods: vec!["profile".to_owned()], ..request(Lane::Full, 1, 1) };
        assert_eq!(ledger.verdict(&other, now), Verdict::Go(1));
    }
}

/// Where `batch` is charged, the method's own account shows the counter at the first command of a batch.
#[tokio::test(start_paused = true)]
async fn what_the_batch_before_cost_is_not_the_cost_of_a_small_one() {
    let now = Instant::now();
    let mut ledger = Ledger::new(LIMIT);
    let mut used = 60.0;
    for commands in [10, 50, 50, 1, 1, 50] {
        for (method, shown) in [(LIST, used + 0.1), ("batch", used + 0.1 * f64::from(commands))] {
            let report = BudgetReport { commands: usize::try_from(commands).unwrap(), ..heard(method, shown, 60) };
            ledger.hear(&report, now);
        }
        used += 0.1 * f64::from(commands);
        assert_eq!(go(&ledger, Lane::Full, now), Verdict::Go(50), "after one of {commands}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_request_after_a_large_one_does_not_make_commands_look_cheap() {
    let now = Instant::now();
    let mut ledger = at(92.9, now);
    ledger.hear(&BudgetReport { commands: 1, ..heard(LIST, 93.0, 60) }, now);
    assert_eq!(go(&ledger, Lane::Full, now), Verdict::Go(30));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_the_method_and_shows_the_limit() {
    let now = Instant::now();
    let mut ledger = at(70.0, now);
    let refused = BudgetReport { method_refused: true, operating_seconds: None, ..heard(LIST, 0.0, 30) };
    let told = ledger.hear(&refused, now).unwrap();
    assert_eq!((told.pause, told.limit_seconds), (Duration::from_secs(30), Some(70.0)));
    let until = now + Duration::from_secs(30);
    assert_eq!(go(&ledger, Lane::Hint, now), Verdict::Wait(Some(until)));
    assert_eq!(go(&ledger, Lane::Hint, until), Verdict::Go(3), "a small one first");
    ledger.hear(&heard(LIST, 68.0, 60), until);
    assert!(matches!(go(&ledger, Lane::Full, until), Verdict::Wait(Some(_))));
    // It was others, or the limit is a higher one after all.
    ledger.hear(&heard(LIST, 75.0, 60), until);
    assert_eq!(go(&ledger, Lane::Full, until), Verdict::Go(50));
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_as_long_as_the_portal_says_within_bounds() {
    let now = Instant::now();
    for (said, expected) in [(None, 600), (Some(0), 1), (Some(60), 60), (Some(86_400), 600)] {
        let mut ledger = Ledger::new(LIMIT);
        let resets_in = said.map(Duration::from_secs);
        let refused = BudgetReport { method_refused: true, operating_seconds: None, resets_in, ..heard(LIST, 0.0, 0) };
        assert_eq!(ledger.hear(&refused, now).unwrap().pause, Duration::from_secs(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_were_refused_is_not_tried() {
    let now = Instant::now();
    let mut ledger = at(60.0, now);
    let pause = Duration::from_secs(20);
    ledger.told(&MethodPause { method: LIST.to_owned(), pause, limit_seconds: Some(62.0) }, now);
    assert_eq!(go(&ledger, Lane::Hint, now), Verdict::Wait(Some(now + pause)));
    assert!(matches!(go(&ledger, Lane::Full, now + pause), Verdict::Wait(Some(_))), "59.5 is the new share");
    assert!(matches!(go(&ledger, Lane::Hint, now + pause), Verdict::Go(_)));
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_a_window_ago_is_forgotten() {
    let now = Instant::now();
    let ledger = at(99.5, now);
    assert_eq!(go(&ledger, Lane::Full, now + Duration::from_secs(600)), Verdict::Go(50));
}
