//! I12: the portal's limits are kept, by all processes together, and used up. Both limits are scaled down so far that the
//! portal's part of the time is what is measured, and not this machine's.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use b24sync_portal_emulator::{
    Accounting, Counts, OperatingLimit, Portal, PortalConfig, RateLimit, UnresolvedReference,
};

use crate::running::{figure, until};
use crate::stage::{Stage, finish};

/// Notes when the portal was asked first and last.
struct Watch {
    enough: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Asked>,
}

/// How long after the first request the last one was, and the fraction of its second in which the first one was.
struct Asked {
    taken: Duration,
    fraction: f64,
}

impl Watch {
    fn start(portal: &Portal) -> Watch {
        let (enough, portal) = (Arc::new(AtomicBool::new(false)), portal.clone());
        let told = Arc::clone(&enough);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut first, mut last) = (portal.stats().http_requests, None, Instant::now());
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(2));
                let requests = portal.stats().http_requests;
                if requests != seen {
                    (seen, last) = (requests, Instant::now());
                    first.get_or_insert((last, SystemTime::now()));
                }
            }
            let (first, at) = first.expect("the portal was asked");
            let fraction = f64::from(at.duration_since(UNIX_EPOCH).unwrap().subsec_millis()) / 1_000.0;
            Asked { taken: last - first, fraction }
        });
        Watch { enough, thread }
    }

    fn stop(self) -> Asked {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

const RATE: f64 = 0.5;
const BURST: u32 = 4;

async fn behind_a_bucket(counts: Counts) -> Stage {
    let stage = Stage::new(PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().set_rate(Some(RateLimit { per_second: RATE, burst: f64::from(BURST) }));
    stage
}

fn paced(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(arguments);
    command.env("BITRIX_RATE_PER_SECOND", RATE.to_string()).env("BITRIX_RATE_BURST", BURST.to_string());
    command
}

fn started(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Fails unless the requests went as fast as the bucket allows, and none was refused.
fn as_fast_as_allowed(stage: &Stage, taken: Duration) {
    let stats = stage.portal().stats();
    let requests = f64::from(u32::try_from(stats.http_requests).unwrap());
    let theoretical = (requests - f64::from(BURST)) / RATE;
    figure(&format!("{requests} requests in {taken:?}, {theoretical} s in theory; {} refused", stats.throttled));
    assert_eq!(stats.throttled, 0);
    assert!(theoretical > 8.0, "{requests} requests show nothing");
    let most = 1.05 * theoretical + BUSY_SECONDS;
    assert!(taken.as_secs_f64() <= most, "{taken:?} is more than {most} s for {theoretical} s in theory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_a_full_sync_takes_as_long_as_the_bucket_does_and_is_never_refused() {
    let stage = behind_a_bucket(Counts::deals(16_000)).await;
    let watch = Watch::start(stage.portal());
    finish(paced(&stage, &["sync", "deal"])).await.expect_success();
    as_fast_as_allowed(&stage, watch.stop().taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_two_processes_at_once_take_as_long_as_the_bucket_does_and_are_never_refused() {
    let stage = behind_a_bucket(Counts { deals: 6_000, contacts: 6_000, ..Counts::deals(0) }).await;
    let watch = Watch::start(stage.portal());
    let (deals, contacts) =
        tokio::join!(finish(paced(&stage, &["sync", "deal"])), finish(paced(&stage, &["sync", "contact"])));
    deals.expect_success();
    contacts.expect_success();
    as_fast_as_allowed(&stage, watch.stop().taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_a_process_that_was_killed_leaves_no_second_burst_to_the_next_one() {
    let stage = behind_a_bucket(Counts::deals(20_000)).await;
    let mut killed = started(paced(&stage, &["sync", "deal"]));
    until("the end of the burst", || stage.portal().stats().http_requests >= 4);
    killed.kill().unwrap();
    killed.wait().unwrap();
    finish(paced(&stage, &["sync", "deal"])).await.expect_success();
    let stats = stage.portal().stats();
    assert!(stats.http_requests > u64::from(BURST) && stats.throttled == 0, "{stats:?}");
}

/// What a machine that is busy with other tests may add, less than any window or pause. The ratio itself is printed, and
/// measured by `tests/bench/paced.sh`.
const BUSY_SECONDS: f64 = 5.0;

/// Ten buckets of one second each.
const WINDOW: f64 = 10.0;

/// Fails unless a full sync uses up the execution time of `crm.item.list` as fast as the portal gives it, however it is
/// charged.
async fn uses_up_the_execution_time(accounting: Accounting) {
    // A limit of fifty pages: this machine reads them in a fraction of the window, so that it is the portal that is waited
    // for.
    let (cost, limit) = (0.05, 2.5);
    let operating = OperatingLimit {
        limit_seconds: limit,
        window_seconds: WINDOW,
        cost_per_page: cost,
        cost_per_count: 0.0,
        cost_per_call: 0.0,
        takes_time: false,
        accounting,
    };
    let counts = Counts::deals(4_800);
    let config = PortalConfig {
        counts,
        user_fields: 3,
        operating: Some(operating),
        // Commands after the end of the listing cost nothing, so that it is always the same that is to be done.
        unresolved_reference: UnresolvedReference::Halted,
        ..PortalConfig::default()
    };
    let stage = Stage::new(config).await;
    stage.run(&["migrate"]).await.expect_success();
    let watch = Watch::start(stage.portal());
    let mut command = stage.command(&["sync", "deal"]);
    command.env("BITRIX_OPERATING_LIMIT_SECONDS", limit.to_string());
    finish(command).await.expect_success();
    let (Asked { taken, fraction }, stats) = (watch.stop(), stage.portal().stats());
    let used = f64::from(u32::try_from(stats.by_method["crm.item.list"]).unwrap()) * cost;
    // The best that there is: all of the limit at once, and again when the second in which that was is ten seconds old.
    let windows = (used / limit).floor();
    let theoretical = windows * WINDOW - fraction;
    figure(&format!(
        "{taken:?}, {theoretical} s in theory for {used} s; refused {:?}; {} requests with {} commands",
        stats.blocked_by_method, stats.http_requests, stats.batch_commands
    ));
    assert!(stats.blocked_by_method.values().all(|refused| *refused <= 1), "{stats:?}");
    assert!(taken.as_secs_f64() >= WINDOW, "the limit never bound");
    let most = 1.1 * theoretical + BUSY_SECONDS;
    assert!(taken.as_secs_f64() <= most, "{taken:?} is more than {most} s for {theoretical} s in theory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_execution_time_that_is_charged_to_methods_is_used_up_without_refusals() {
    uses_up_the_execution_time(Accounting::PerMethod).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_execution_time_that_is_charged_to_batches_is_used_up_without_refusals() {
    uses_up_the_execution_time(Accounting::Batch).await;
}
