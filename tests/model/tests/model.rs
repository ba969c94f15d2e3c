//! Many seeds; one that fails is printed with the command that replays it.
//!
//! `MODEL_SEEDS=10000` runs so many, `MODEL_SEED=123` runs one and prints what happened in it.

#![expect(clippy::panic, clippy::print_stdout, reason = "a test that fails by panicking and shows what happened")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use b24sync_model::history;

/// Seeds of the plain test run.
const SEEDS: u64 = 2_000;

/// Lines of a failed history that are printed; replaying prints all.
const LAST_LINES: usize = 60;

/// One failure is enough: the other part stops too, when it is in the same process.
static FAILED: AtomicBool = AtomicBool::new(false);

#[expect(clippy::disallowed_methods, reason = "a test that is told its seeds; nothing here is configuration")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

/// Two processes of a test runner share the work; threads of one process do too.
fn share(part: u64, parts: u64) {
    if let Some(seed) = number("MODEL_SEED") {
        if part == 0 {
            replay(seed);
        }
        return;
    }
    let seeds = number("MODEL_SEEDS").unwrap_or(SEEDS);
    let mut counts = BTreeMap::<&str, u64>::new();
    for seed in (0..seeds).filter(|seed| seed % parts == part) {
        if FAILED.load(Ordering::Relaxed) {
            return;
        }
        let outcome = history::run(seed, false);
        if let Some(violation) = outcome.violation {
            fail(seed, &violation);
        }
        for (what, count) in outcome.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("part {part} of {seeds} seeds: {counts:?}");
    if seeds >= SEEDS {
        for what in ["full", "incremental", "sweep", "webhook", "buried", "crashed", "paused", "failed"] {
            assert!(counts.get(what).is_some_and(|count| *count > 100), "histories are idle: {what} in {counts:?}");
        }
    }
}

fn fail(seed: u64, violation: &str) -> ! {
    FAILED.store(true, Ordering::Relaxed);
    let again = history::run(seed, true);
    for line in again.trace.iter().rev().take(LAST_LINES).rev() {
        println!("{line}");
    }
    let same = again.violation.as_deref() == Some(violation);
    let same = if same { "" } else { "\nTHE SECOND RUN OF THE SEED WAS DIFFERENT: something is not deterministic" };
    panic!(
        "seed {seed} violates {violation}{same}\nreplay: MODEL_SEED={seed} cargo nextest run -p b24sync-model --no-capture"
    );
}

fn replay(seed: u64) {
    let outcome = history::run(seed, true);
    for line in &outcome.trace {
        println!("{line}");
    }
    println!("{:?}", outcome.counts);
    if let Some(violation) = outcome.violation {
        panic!("seed {seed} violates {violation}");
    }
}

#[test]
fn every_history_keeps_the_invariants_first_part() {
    share(0, 2);
}

#[test]
fn every_history_keeps_the_invariants_second_part() {
    share(1, 2);
}
