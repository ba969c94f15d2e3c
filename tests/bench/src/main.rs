//! How long a full sync takes, in one run on the same data: the service, binary COPY of the same rows into the same
//! table, which is as fast as PostgreSQL takes them, and the Python stack that does the same.
//!
//! Everything runs on this machine: the portal, PostgreSQL and who is measured share its processors. So only ratios
//! within a run mean anything, and what is compared is measured in turn, round by round; medians are compared.
//!
//! A round:
//! 1. the first load of the service into an empty database, from the start of the program to its end; its own tables are
//!    there before;
//! 2. COPY: those rows from a file of the server into a table like theirs with the same indexes, and its commit;
//! 3. a full sync again, with nothing changed;
//! 4. the Python stack: a first load and a full sync again, each without the start of the interpreter;
//! 5. every tenth deal is changed in the portal, and the service does a full sync again.
//!
//! The portal keeps the rows that it has written once, and a sync that is not measured has it write them. How fast it is
//! then is measured with the requests of that sync, sent one after the other by a client that reads the answers and does
//! nothing with them: who is measured must not wait for the portal.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

mod contenders;
mod database;
mod portal;
mod process;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::contenders::{Measured, PythonStack, Setting};
use crate::database::Server;
use crate::portal::Portal;
use crate::report::{Demand, Report, Series, median};

/// Measures full syncs beside COPY and beside the Python stack; fails where a figure is not as it must be.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the Python stack, with `sync.py` and `requirements.txt`; without it only the service is measured.
    #[arg(long, env = "PYTHON_STACK")]
    python_stack: Option<PathBuf>,
    /// Deals.
    #[arg(long, env = "DEALS", default_value_t = 100_000)]
    deals: u32,
    /// Rounds; medians of three are what counts.
    #[arg(long, env = "ROUNDS", default_value_t = 3)]
    rounds: usize,
    /// Also a million deals: whether time is linear and memory is not. Takes some minutes.
    #[arg(long, env = "SCALE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    scale: bool,
    /// The folder of the programs `b24sync` and `portal-emulator` [default: that of this program]
    #[arg(long, env = "BIN")]
    bin: Option<PathBuf>,
    /// Where figures and what can be used again are kept.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

const DATABASE: &str = "replica";
const PYTHON_DATABASE: &str = "python";

const MILLION: u32 = 1_000_000;

/// What the portal must serve, in multiples of what the service takes.
const PORTAL_HEADROOM: f64 = 3.0;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench(&arguments))
}

async fn bench(arguments: &Arguments) -> Result<ExitCode> {
    let output = std::path::absolute(&arguments.output)?;
    let folder = output.join("work");
    fs::create_dir_all(&folder)?;
    let programs = match &arguments.bin {
        Some(folder) => fs::canonicalize(folder)?,
        None => std::env::current_exe()?.parent().map(Path::to_owned).context("this program is in no folder")?,
    };
    let mut skipped = Vec::new();
    let python = python_stack(arguments, &output, &mut skipped);
    let load_before = process::load();
    let setting = Setting { folder, programs, server: Server::start().await };

    let portal = Portal::start(&setting.programs, arguments.deals, true)?;
    let portal_rate = warm_up(&setting, &portal, arguments.deals).await?;
    let mut rounds = Rounds::default();
    for number in 1..=arguments.rounds {
        eprintln!("round {number} of {}", arguments.rounds);
        rounds.add(&setting, &portal, python.as_ref(), arguments.deals).await?;
    }
    let columns = setting.server.columns(DATABASE).await?;
    drop(portal);

    let mut demands = rounds.demands();
    let mut series = rounds.series(arguments.deals);
    demands.extend(headroom(&series, portal_rate));
    let mut sizes = vec![series.first().map_or(0.0, |first| first.median.peak_mib)];
    eprintln!("10,000 deals");
    sizes.push(first_load(&setting, 10_000).await?.peak_mib);
    if arguments.scale {
        let (linear, of_a_million) = scale(&setting).await?;
        sizes.push(of_a_million.peak_mib);
        demands.push(linear);
        series.push(Series::new("service, first load of 1,000,000", MILLION, vec![of_a_million]));
    } else {
        skipped.push("a million deals: SCALE=1 does it".to_owned());
    }
    let most = sizes.iter().copied().fold(0.0, f64::max);
    let least = sizes.iter().copied().fold(f64::INFINITY, f64::min);
    demands.push(Demand::at_most("peak memory of the service at any number of deals, MiB", most, 100.0));
    demands.push(Demand::at_most("difference of peak memory between numbers of deals, MiB", most - least, 20.0));

    let (processors, memory) = process::machine();
    let report = Report {
        machine: format!("{processors} processors, {memory} GiB"),
        load: [load_before, process::load()],
        deals: arguments.deals,
        columns,
        series,
        portal_records_per_second: portal_rate,
        migrate_seconds: median(rounds.migrate),
        demands,
        skipped,
    };
    println!("{}", report.table());
    let file = output.join("full-sync.json");
    fs::write(&file, serde_json::to_string_pretty(&report.json())?)?;
    println!("figures: {}", file.strip_prefix(std::env::current_dir()?).unwrap_or(&file).display());
    Ok(if report.met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn python_stack(arguments: &Arguments, cache: &Path, skipped: &mut Vec<String>) -> Option<PythonStack> {
    let Some(folder) = &arguments.python_stack else {
        skipped.push("the Python stack: PYTHON_STACK=FOLDER names its folder".to_owned());
        return None;
    };
    match PythonStack::install(folder, cache) {
        Ok(stack) => Some(stack),
        Err(error) => {
            skipped.push(format!("the Python stack: {error:#}"));
            None
        }
    }
}

/// Has the portal write every row once; returns the records a second that it serves from then on.
async fn warm_up(setting: &Setting, portal: &Portal, deals: u32) -> Result<f64> {
    eprintln!("a first sync, which is not measured");
    setting.prepare(DATABASE).await?;
    let tap = portal.tap()?;
    setting.sync_through(DATABASE, &tap.url).await?;
    let batches: Vec<Vec<u8>> = tap.requests().into_iter().filter(|request| is_batch(request)).collect();
    ensure!(!batches.is_empty(), "a full sync without a batch");
    let times = (0..3).map(|_| portal.replay(&batches)).collect::<Result<Vec<f64>>>()?;
    Ok(f64::from(deals) / median(times))
}

fn is_batch(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).contains("/batch")
}

/// Figures, round by round.
#[derive(Default)]
struct Rounds {
    migrate: Vec<f64>,
    first: Vec<Measured>,
    copy: Vec<Measured>,
    unchanged: Vec<Measured>,
    changed: Vec<Measured>,
    python_first: Vec<Measured>,
    python_again: Vec<Measured>,
    /// Row versions that syncs without a change wrote.
    needless_versions: u32,
}

impl Rounds {
    async fn add(
        &mut self,
        setting: &Setting,
        portal: &Portal,
        python: Option<&PythonStack>,
        deals: u32,
    ) -> Result<()> {
        let server = &setting.server;
        let all = usize::try_from(deals)?;
        self.migrate.push(setting.prepare(DATABASE).await?);
        self.first.push(setting.sync(DATABASE, portal, all).await?);
        let (seconds, postgres_cpu_seconds) = server.copy_seconds(DATABASE).await?;
        self.copy.push(Measured { seconds, postgres_cpu_seconds, ..Measured::default() });
        let before = server.row_versions(DATABASE).await?;
        self.unchanged.push(setting.sync(DATABASE, portal, 0).await?);
        let after = server.row_versions(DATABASE).await?;
        let written: i64 = after.iter().zip(before).map(|(after, before)| after - before).sum();
        self.needless_versions += u32::try_from(written)?;
        if let Some(python) = python {
            server.fresh(PYTHON_DATABASE).await?;
            self.python_first.push(python.sync(setting, PYTHON_DATABASE, portal, false).await?);
            self.python_again.push(python.sync(setting, PYTHON_DATABASE, portal, true).await?);
            server.drop_database(PYTHON_DATABASE).await?;
        }
        let changed = portal.change_a_tenth()?;
        self.changed.push(setting.sync(DATABASE, portal, changed).await?);
        Ok(())
    }

    fn series(&self, deals: u32) -> Vec<Series> {
        let all = [
            ("service, first load", &self.first),
            ("COPY binary of the same rows", &self.copy),
            ("service, nothing changed", &self.unchanged),
            ("service, a tenth changed", &self.changed),
            ("Python stack, first load", &self.python_first),
            ("Python stack, nothing changed", &self.python_again),
        ];
        let measured = all.into_iter().filter(|(_, rounds)| !rounds.is_empty());
        measured.map(|(name, rounds)| Series::new(name, deals, rounds.clone())).collect()
    }

    fn demands(&self) -> Vec<Demand> {
        let seconds = |rounds: &[Measured]| median(rounds.iter().map(|one| one.seconds).collect());
        let (first, unchanged) = (seconds(&self.first), seconds(&self.unchanged));
        let mut demands = Vec::new();
        if !self.python_first.is_empty() {
            let (theirs, again) = (seconds(&self.python_first), seconds(&self.python_again));
            demands.push(
                Demand::at_least("first load, times as fast as the Python stack", theirs / first, 8.0).aiming_at(10.0),
            );
            demands.push(Demand::at_least(
                "nothing changed, times as fast as the Python stack",
                again / unchanged,
                12.0,
            ));
        }
        demands.push(
            Demand::at_least("first load, of the speed of COPY", seconds(&self.copy) / first, 0.5).aiming_at(0.62),
        );
        demands.push(Demand::at_least("nothing changed, times as fast as the first load", first / unchanged, 1.8));
        demands.push(Demand::at_most(
            "row versions written where nothing changed",
            f64::from(self.needless_versions),
            0.0,
        ));
        demands
    }
}

/// Whether the portal could have served several times as much, so that nobody waited for it.
fn headroom(series: &[Series], portal_rate: f64) -> Vec<Demand> {
    let rate = |name: &str| series.iter().find(|series| series.name == name).map(Series::records_per_second);
    let named = [
        ("the portal alone, times as fast as the service's first load", "service, first load"),
        ("the portal alone, times as fast as with nothing changed", "service, nothing changed"),
    ];
    let demands = named.into_iter().filter_map(|(what, name)| Some((what, rate(name)?)));
    demands.map(|(what, rate)| Demand::at_least(what, portal_rate / rate, PORTAL_HEADROOM)).collect()
}

/// The first load of another portal, which writes each row when it is asked for.
async fn first_load(setting: &Setting, deals: u32) -> Result<Measured> {
    let portal = Portal::start(&setting.programs, deals, false)?;
    setting.prepare(DATABASE).await?;
    setting.sync(DATABASE, &portal, usize::try_from(deals)?).await
}

/// A million deals between two times a hundred thousand, all from portals that write each row when it is asked for.
async fn scale(setting: &Setting) -> Result<(Demand, Measured)> {
    eprintln!("1,000,000 deals");
    let before = first_load(setting, 100_000).await?;
    let million = first_load(setting, MILLION).await?;
    let after = first_load(setting, 100_000).await?;
    let hundred_thousand = f64::midpoint(before.seconds, after.seconds);
    let what = "seconds per 100,000 of 1,000,000 deals, of those of 100,000";
    Ok((Demand::at_most(what, million.seconds / 10.0 / hundred_thousand, 1.2), million))
}
