//! What every implementation of the shared budget must do. Times are compared loosely: stores have clocks of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::{BudgetStore, MethodPause, Returned, Slice, Wish};

/// A slot every ten seconds, so that next to nothing comes back during a check.
const SPACING: Duration = Duration::from_secs(10);

fn limits() -> RateLimits {
    RateLimits::new(0.1, 50)
}

fn wish(wanted: u32, ahead_seconds: u64) -> Wish {
    Wish { wanted, ahead: Duration::from_secs(ahead_seconds), returned: None }
}

async fn take(store: &Arc<dyn BudgetStore>, wish: &Wish) -> Slice {
    store.take(limits(), wish).await.expect("a slice")
}

/// When a check began: delays are shorter by what has passed since.
struct Begun(Instant);

impl Begun {
    fn now() -> Begun {
        Begun(Instant::now())
    }

    fn in_seconds(&self, found: Duration, expected_seconds: u64) {
        let expected = Duration::from_secs(expected_seconds);
        let least = expected.saturating_sub(self.0.elapsed() + Duration::from_millis(10));
        let most = expected + Duration::from_millis(1);
        assert!((least..=most).contains(&found), "{found:?} is not {expected:?} after the beginning");
    }
}

/// Runs every check, each on a budget that nobody has used: `make` returns two ways to it, and what keeps it alive.
pub async fn all<F, M, K>(make: F)
where
    F: Fn() -> M,
    M: Future<Output = ([Arc<dyn BudgetStore>; 2], K)>,
{
    let (ways, _kept) = make().await;
    the_burst_comes_in_slices_and_then_slots_of_the_rate(&ways).await;
    let (ways, _kept) = make().await;
    what_was_not_used_comes_back_unless_somebody_took_later(&ways).await;
    let (ways, _kept) = make().await;
    a_refusal_stops_everybody_and_further_ones_lower_the_rate(&ways).await;
    let (ways, _kept) = make().await;
    everybody_hears_of_methods_that_pause(&ways).await;
}

/// Takes what is free. The next slot is eleven seconds after the beginning: the margin is a second of the rate.
async fn emptied(ways: &[Arc<dyn BudgetStore>; 2]) -> Begun {
    let begun = Begun::now();
    for (number, (wanted, expected)) in [(100, 10), (10, 10), (11, 10), (12, 10), (9, 9)].into_iter().enumerate() {
        let slice = take(&ways[number % 2], &wish(wanted, 0)).await;
        assert_eq!((slice.count, slice.first, slice.spacing), (expected, Duration::ZERO, Duration::ZERO));
        assert!((slice.per_second - 0.1).abs() < 1e-9);
    }
    assert_eq!(take(&ways[0], &wish(1, 1)).await.count, 1);
    begun
}

async fn the_burst_comes_in_slices_and_then_slots_of_the_rate(ways: &[Arc<dyn BudgetStore>; 2]) {
    let begun = emptied(ways).await;
    let [one, other] = ways;
    let slice = take(one, &wish(2, 40)).await;
    assert_eq!((slice.count, slice.spacing), (2, SPACING));
    begun.in_seconds(slice.first, 11);
    let slice = take(other, &wish(100, 45)).await;
    assert_eq!(slice.count, 2, "as far ahead as the wish allows");
    begun.in_seconds(slice.first, 31);
    let slice = take(one, &wish(100, 45)).await;
    assert_eq!(slice.count, 0);
    begun.in_seconds(slice.first, 6);
    let slice = take(other, &wish(1, 60)).await;
    assert_eq!(slice.count, 1);
    begun.in_seconds(slice.first, 51);
}

async fn what_was_not_used_comes_back_unless_somebody_took_later(ways: &[Arc<dyn BudgetStore>; 2]) {
    let begun = emptied(ways).await;
    let [one, other] = ways;
    let returning =
        |slice: &Slice, count| Wish { returned: Some(Returned { version: slice.version, count }), ..wish(1, 60) };
    let first = take(one, &wish(2, 60)).await;
    let again = take(one, &returning(&first, 2)).await;
    begun.in_seconds(again.first, 11);
    let later = take(other, &returning(&first, 2)).await;
    begun.in_seconds(later.first, 21);
    let lost = take(one, &returning(&again, 1)).await;
    begun.in_seconds(lost.first, 31);
}

async fn a_refusal_stops_everybody_and_further_ones_lower_the_rate([one, other]: &[Arc<dyn BudgetStore>; 2]) {
    let limits = RateLimits::new(2.0, 50);
    let begun = Begun::now();
    begun.in_seconds(one.refuse(limits).await.expect("a pause"), 1);
    for way in [one, other] {
        let slice = way.take(limits, &wish(5, 1)).await.expect("an answer");
        assert!((slice.per_second - 2.0).abs() < 1e-9, "one refusal lowers nothing");
        assert_eq!(slice.count, 0);
        begun.in_seconds(slice.first, 1);
    }
    begun.in_seconds(other.refuse(limits).await.expect("the same pause"), 1);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let begun = Begun::now();
    begun.in_seconds(other.refuse(limits).await.expect("a longer pause"), 2);
    let slice = one.take(limits, &wish(5, 1)).await.expect("an answer");
    assert!((slice.per_second - 1.6).abs() < 0.01, "{}", slice.per_second);
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    let slice = one.take(limits, &wish(10, 0)).await.expect("an answer");
    // The bucket was full when the portal refused; of the lowered burst, 48 less a fifth, it has some seconds to go.
    let drained = Duration::from_secs_f64((48.0 - 2.0 * 1.0 + 1.0 - 38.4) / 1.6);
    assert_eq!(slice.count, 0);
    assert!(slice.first < drained && slice.first + begun.0.elapsed() >= Duration::from_secs(4), "{slice:?}");
}

async fn everybody_hears_of_methods_that_pause([one, other]: &[Arc<dyn BudgetStore>; 2]) {
    let told = |method: &str, seconds, limit_seconds| MethodPause {
        method: method.to_owned(),
        pause: Duration::from_secs(seconds),
        limit_seconds,
    };
    for pause in [told("batch", 500, None), told("crm.item.list", 60, None), told("over", 0, Some(1.0))] {
        one.pause_method(&pause).await.expect("it is kept");
    }
    one.pause_method(&told("crm.item.list", 30, Some(420.5))).await.expect("it is kept");
    let mut heard = take(other, &wish(1, 1)).await.methods;
    heard.sort_by(|left, right| left.method.cmp(&right.method));
    let names: Vec<_> = heard.iter().map(|pause| (pause.method.as_str(), pause.limit_seconds)).collect();
    assert_eq!(names, [("batch", None), ("crm.item.list", Some(420.5))]);
    assert!(heard[0].pause > Duration::from_secs(490) && heard[0].pause <= Duration::from_secs(500), "{heard:?}");
    assert!(heard[1].pause > Duration::from_secs(20) && heard[1].pause <= Duration::from_secs(30), "{heard:?}");
}
