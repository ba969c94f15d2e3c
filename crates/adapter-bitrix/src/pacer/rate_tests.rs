//! The rate, on a clock that the tests turn: one process, several, and a store that has its moods.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::{BudgetReport, BudgetStore, Lane, MethodPause, PortalPacer, PortalRequest, Slice, Wish};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{BudgetPacer, OwnBudget};

const LIMIT: f64 = 480.0;

fn limits(rate: f64, burst: u32) -> RateLimits {
    RateLimits::new(rate, burst)
}

fn request(lane: Lane) -> PortalRequest {
    PortalRequest { lane, methods: vec!["profile".to_owned()], commands: 1..=1 }
}

fn refusal() -> BudgetReport {
    BudgetReport {
        method: "profile".to_owned(),
        commands: 1,
        operating_seconds: None,
        resets_in: None,
        rate_refused: true,
        method_refused: false,
    }
}

async fn admit(pacer: &BudgetPacer, lane: Lane) -> Duration {
    let started = Instant::now();
    pacer.admit(&request(lane)).await.unwrap();
    started.elapsed()
}

/// The runtime's clock moves in whole milliseconds.
fn whole_seconds(duration: Duration) -> u64 {
    (duration + Duration::from_millis(100)).as_secs()
}

/// A budget that answers late, counts what it is asked, and can be out of reach.
struct Moody {
    budget: OwnBudget,
    latency: Vec<u64>,
    asked: AtomicU32,
    silent: AtomicBool,
}

impl Moody {
    fn new(latency: Vec<u64>) -> Arc<Moody> {
        let (asked, silent) = (AtomicU32::new(0), AtomicBool::new(false));
        Arc::new(Moody { budget: OwnBudget::default(), latency, asked, silent })
    }

    fn pacer(self: &Arc<Self>, limits: RateLimits) -> BudgetPacer {
        BudgetPacer::new(limits, LIMIT, Arc::<Moody>::clone(self))
    }

    async fn dawdle(&self) -> Result<usize, StoreError> {
        let number = usize::try_from(self.asked.fetch_add(1, Ordering::Relaxed)).unwrap();
        let latency = self.latency.get(number % self.latency.len().max(1)).copied().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(latency / 2)).await;
        if self.silent.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { doing: "pacing", source: "out of reach".into() });
        }
        Ok(usize::try_from(latency).unwrap())
    }
}

#[async_trait]
impl BudgetStore for Moody {
    async fn take(&self, limits: RateLimits, wish: &Wish) -> Result<Slice, StoreError> {
        let latency = self.dawdle().await?;
        let slice = self.budget.take(limits, wish).await;
        tokio::time::sleep(Duration::from_millis(u64::try_from(latency / 2).unwrap())).await;
        slice
    }

    async fn refuse(&self, limits: RateLimits) -> Result<Duration, StoreError> {
        self.dawdle().await?;
        self.budget.refuse(limits).await
    }

    async fn pause_method(&self, pause: &MethodPause) -> Result<(), StoreError> {
        self.budget.pause_method(pause).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_the_rate_holds() {
    let pacer = BudgetPacer::alone(limits(2.0, 50), LIMIT);
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
    let pacer = BudgetPacer::alone(limits(1.0, 1), LIMIT);
    admit(&pacer, Lane::Full).await;
    let passed = Mutex::new(Vec::new());
    let pass = async |lane: Lane, after: u64| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        admit(&pacer, lane).await;
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
async fn a_hint_waits_a_second_behind_the_full_syncs_of_others() {
    let store = Moody::new(vec![4]);
    let others: Vec<_> = (0..3).map(|_| store.pacer(limits(2.0, 50))).collect();
    let mine = store.pacer(limits(2.0, 50));
    let full = async |pacer: &BudgetPacer| {
        for _ in 0..40 {
            admit(pacer, Lane::Full).await;
        }
    };
    let hint = async {
        let mut longest = Duration::ZERO;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(5_300)).await;
            longest = longest.max(admit(&mine, Lane::Hint).await);
        }
        longest
    };
    let ((), (), (), longest) = tokio::join!(full(&others[0]), full(&others[1]), full(&others[2]), hint);
    // A second of slots is what the others hold at most; the hint's own comes half a second after them.
    assert!(longest <= Duration::from_millis(1_520), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn two_at_once_share_the_rate_evenly_and_ask_seldom() {
    let store = Moody::new(vec![6]);
    let (left, right) = (store.pacer(limits(2.0, 50)), store.pacer(limits(2.0, 50)));
    let started = Instant::now();
    let work = async |pacer: &BudgetPacer| {
        for _ in 0..60 {
            admit(pacer, Lane::Full).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        started.elapsed()
    };
    let (first, second) = tokio::join!(work(&left), work(&right));
    let theoretical = Duration::from_secs((120 - 50) / 2);
    assert!(first.max(second) <= theoretical.mul_f64(1.05), "{first:?} and {second:?}");
    assert!(first.abs_diff(second) < Duration::from_secs(5), "{first:?} and {second:?}");
    let asked = store.asked.load(Ordering::Relaxed);
    assert!(asked <= 240, "120 requests took {asked} questions");
}

#[tokio::test(start_paused = true)]
async fn one_alone_asks_once_for_two_requests_at_the_rate() {
    let store = Moody::new(vec![6]);
    let pacer = store.pacer(limits(2.0, 50));
    let send = async |requests: usize| {
        let before = store.asked.load(Ordering::Relaxed);
        for _ in 0..requests {
            admit(&pacer, Lane::Full).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        store.asked.load(Ordering::Relaxed) - before
    };
    // While the burst is free, each takes what it needs now.
    assert!(send(60).await <= 60);
    let asked = send(100).await;
    assert!((50..=55).contains(&asked), "100 requests took {asked} questions");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_rate_pauses_everybody_longer_each_time() {
    let store = Moody::new(vec![0]);
    let (mine, other) = (store.pacer(limits(1_000.0, 50)), store.pacer(limits(1_000.0, 50)));
    for expected in [1, 2, 4, 8, 16, 30, 30] {
        mine.report(&[refusal()]).await;
        let (mine, other) = tokio::join!(admit(&mine, Lane::Hint), admit(&other, Lane::Hint));
        assert_eq!((whole_seconds(mine), whole_seconds(other)), (expected, expected));
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    mine.report(&[refusal()]).await;
    assert_eq!(whole_seconds(admit(&other, Lane::Hint).await), 1);
}

#[tokio::test(start_paused = true)]
async fn slots_that_another_instance_holds_are_good_for_a_second_after_a_refusal_at_most() {
    let store = Moody::new(vec![0]);
    let (mine, other) = (store.pacer(limits(2.0, 50)), store.pacer(limits(2.0, 50)));
    for _ in 0..48 {
        admit(&other, Lane::Full).await;
    }
    let begun = Instant::now();
    let last = Mutex::new(Duration::ZERO);
    let work = async {
        loop {
            admit(&other, Lane::Full).await;
            *last.lock().unwrap() = begun.elapsed();
        }
    };
    let refused = async {
        tokio::time::sleep(Duration::from_millis(5_010)).await;
        for _ in 0..3 {
            mine.report(&[refusal()]).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        // The third pause, of 4 s, began at 15 s.
        mine.report(&[refusal()]).await;
        *last.lock().unwrap() = Duration::ZERO;
        tokio::time::sleep(Duration::from_secs(7)).await;
    };
    tokio::select! {
        () = work => {}
        () = refused => {}
    }
    let last = *last.lock().unwrap();
    assert!(last <= Duration::from_millis(21_100), "a request went {last:?} after the beginning, into the pause");
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_while_the_budget_is_out_of_reach_and_all_goes_on_afterwards() {
    let store = Moody::new(vec![0]);
    let pacer = store.pacer(limits(2.0, 50));
    store.silent.store(true, Ordering::Relaxed);
    let back = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        store.silent.store(false, Ordering::Relaxed);
    };
    let (waited, ()) = tokio::join!(admit(&pacer, Lane::Full), back);
    assert!(waited >= Duration::from_secs(20) && waited <= Duration::from_secs(26), "{waited:?}");
    assert!(store.asked.load(Ordering::Relaxed) < 12);
    store.silent.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let started = Instant::now();
    let error = pacer.admit(&request(Lane::Full)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!((60..70).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert!(pacer.has_no_queue());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_leaves_its_place() {
    let pacer = BudgetPacer::alone(limits(1.0, 1), LIMIT);
    admit(&pacer, Lane::Full).await;
    tokio::time::timeout(Duration::from_millis(10), admit(&pacer, Lane::Hint)).await.unwrap_err();
    assert!(pacer.has_no_queue());
    assert!(admit(&pacer, Lane::Full).await <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn asking_that_is_given_up_is_taken_over() {
    let store = Moody::new(vec![10_000, 0]);
    let pacer = store.pacer(limits(2.0, 50));
    let given_up = tokio::time::timeout(Duration::from_secs(1), admit(&pacer, Lane::Hint));
    let next = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        admit(&pacer, Lane::Full).await
    };
    let (given_up, next) = tokio::join!(given_up, next);
    assert!(given_up.is_err() && next < Duration::from_secs(1), "{next:?}");
}

/// Fails when more requests went in any time than the portal takes.
fn check(mut sent: Vec<Duration>, rate: f64, burst: u32) {
    sent.sort_unstable();
    for (first, from) in sent.iter().enumerate() {
        for (last, to) in sent.iter().enumerate().skip(first) {
            let count = f64::from(u32::try_from(last - first + 1).unwrap());
            let most = f64::from(burst) + rate * to.saturating_sub(*from).as_secs_f64();
            assert!(count <= most + 1e-6, "{count} requests from {from:?} to {to:?}, and {most} are allowed");
        }
    }
}

/// One process holds nine slots of a burst that nobody waits for any more when another one takes the whole burst.
#[tokio::test(start_paused = true)]
async fn slots_that_nobody_waited_for_do_not_come_on_top_of_a_later_burst() {
    // The holder goes on at once, or when the other one has had what there was.
    for (rest, after) in [(300, 0), (3_000, 0), (6_000, 0), (300, 20), (6_000, 20)] {
        let store = Moody::new([vec![200, 200], vec![0; 1_000]].concat());
        let (holder, other) = (store.pacer(limits(2.0, 50)), store.pacer(limits(2.0, 50)));
        let begun = Instant::now();
        let given_up = (0..9).map(|_| tokio::time::timeout(Duration::from_millis(250), admit(&holder, Lane::Full)));
        // The first asks for itself, the second for all that wait by then.
        let (first, second, given_up) = tokio::join!(
            admit(&holder, Lane::Full),
            admit(&holder, Lane::Full),
            futures_util::future::join_all(given_up)
        );
        assert!(given_up.iter().all(Result::is_err));
        let sent = Mutex::new(vec![first, second]);
        tokio::time::sleep(Duration::from_millis(rest)).await;
        let one = async |pacer: &BudgetPacer| {
            admit(pacer, Lane::Full).await;
            sent.lock().unwrap().push(begun.elapsed());
        };
        let burst = futures_util::future::join_all((0..48).map(|_| one(&other)));
        let held = async {
            tokio::time::sleep(Duration::from_millis(after)).await;
            futures_util::future::join_all((0..12).map(|_| one(&holder))).await;
        };
        tokio::join!(burst, held);
        check(sent.into_inner().unwrap(), 2.0, 50);
    }
}

/// What a process does next: how long it rests afterwards, in which lane it sends, how many at once, and after how long all
/// of them but one are given up.
type Crowd = (u64, u8, usize, u64);

/// What one process does, and when it starts.
type Work = (u64, Vec<Crowd>);

async fn interleave(rate: f64, burst: u32, latency: Vec<u64>, works: Vec<Work>) -> Vec<Duration> {
    let store = Moody::new(latency);
    let begun = Instant::now();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for (start, requests) in works {
        let (pacer, sent) = (store.pacer(limits(rate, burst)), Arc::clone(&sent));
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(start)).await;
            for (rest, lane, crowd, patience) in requests {
                let lane = [Lane::Hint, Lane::Incremental, Lane::Full][usize::from(lane % 3)];
                let one = async || {
                    admit(&pacer, lane).await;
                    sent.lock().unwrap().push(begun.elapsed());
                };
                let patience = Duration::from_millis(patience);
                let others = (1..crowd).map(|_| tokio::time::timeout(patience, one()));
                tokio::join!(one(), futures_util::future::join_all(others));
                tokio::time::sleep(Duration::from_millis(rest)).await;
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    sent.lock().unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn no_interleaving_of_processes_sends_more_than_the_portal_takes(
        (rate, burst) in prop_oneof![Just((2.0, 50_u32)), Just((5.0, 20)), Just((5.0, 250)), Just((1.0, 6))],
        latency in prop::collection::vec(0_u64..400, 1..6),
        works in prop::collection::vec(
            (0_u64..8_000, prop::collection::vec((0_u64..2_500, 0_u8..3, 1_usize..12, 0_u64..1_000), 1..40)),
            1..5,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let asked: usize = works.iter().map(|(_, requests)| requests.len()).sum();
        let sent = runtime.block_on(interleave(rate, burst, latency, works));
        prop_assert!(sent.len() >= asked);
        check(sent, rate, burst);
    }
}
