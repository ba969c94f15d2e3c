//! I1, I2, I4, I6, I8, I9 for real: the program, PostgreSQL and the portal while a nemesis kills, cuts, restarts, spoils
//! and changes what it can; in the end nothing differs.
//!
//! Everything the nemesis does follows from a seed. `NEMESIS_SEED=17 cargo nextest run -p b24sync-e2e nemesis
//! --no-capture` does what seed 17 does, as far as processes that run side by side allow, and prints the plan;
//! `NEMESIS_SEEDS=500` tries more of them than the usual 50.
//!
//! - `random`: numbers that follow from the seed.
//! - `plan`: what will be done, as data that can be printed; one more misfortune is one more [`plan::Act`].
//! - `change`: what happens to records and fields in the portal meanwhile.
//! - `arena`: a portal, a database, the proxies before both, and the processes between them.
//! - `rounds`: carries a plan out.
//! - `witness`: what must hold after each round, and in the end.

#![expect(clippy::print_stdout, reason = "the plan and the words of the programs are for whoever reads the failure")]

mod arena;
mod change;
mod plan;
mod random;
mod rounds;
mod witness;

use std::path::Path;
use std::time::Instant;

use b24sync_pg_harness::PgServer;

use arena::Arena;
use plan::Plan;
use witness::Tally;

/// Tests that share the seeds, so that they run side by side; each has a server of its own to crash.
const LANES: u64 = 4;

/// Lines of each program's words that are shown when a seed fails.
const LAST_LINES: usize = 12;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    Some(text.to_str().and_then(|text| text.parse().ok()).expect("a number in NEMESIS_SEED and NEMESIS_SEEDS"))
}

/// The seeds of a lane.
fn seeds(lane: u64) -> Vec<u64> {
    let all = match number("NEMESIS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NEMESIS_SEEDS").unwrap_or(50),
    };
    all.filter(|seed| seed % LANES == lane).collect()
}

/// Prints what is needed to see a failure again.
struct Report<'a> {
    plan: &'a Plan,
    words: &'a Path,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let seed = self.plan.seed;
        println!("{}\nseed {seed} failed; what the programs said last:", self.plan);
        let mut files: Vec<_> = std::fs::read_dir(self.words).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            let words = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = words.lines().collect();
            println!("--- {}", file.file_name().unwrap_or_default().to_string_lossy());
            println!("{}", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"));
        }
        println!("again: NEMESIS_SEED={seed} cargo nextest run -p b24sync-e2e nemesis --no-capture");
    }
}

async fn face(lane: u64) {
    let seeds = seeds(lane);
    if seeds.is_empty() {
        return;
    }
    let mut server = PgServer::private().await;
    let (mut tally, count) = (Tally::default(), seeds.len());
    for seed in seeds {
        let plan = Plan::of(seed);
        if number("NEMESIS_SEED").is_some() {
            println!("{plan}");
        }
        let words = tempfile::tempdir().unwrap();
        let report = Report { plan: &plan, words: words.path() };
        let began = Instant::now();
        let mut arena = Arena::new(&plan, &mut server, words.path()).await;
        let known = rounds::carry_out(&plan, &mut arena).await;
        let fought = began.elapsed();
        let seen = witness::nothing_differs(&plan, &mut arena, known).await;
        arena.leave().await;
        drop(report);
        tally.add(seen);
        let (fought, whole) = (fought.as_secs_f32(), began.elapsed().as_secs_f32());
        println!("seed {seed}: {fought:.1} s of nemesis, {whole:.1} s in all, {seen:?}");
    }
    assert!(count < 10 || tally.has_hurt(), "{count} seeds, and yet {tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_after_everything_went_wrong_first_quarter() {
    face(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_after_everything_went_wrong_second_quarter() {
    face(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_after_everything_went_wrong_third_quarter() {
    face(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_after_everything_went_wrong_fourth_quarter() {
    face(3).await;
}
