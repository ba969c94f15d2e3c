//! Programs that are measured: how long they ran, what they used, and the processor time of those around them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a running program is looked at: what it used cannot be read any more when it has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// A program that has ended well.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
    pub(crate) output: String,
}

/// Runs a program to its end. What it prints goes to files in `folder`.
pub(crate) async fn run(folder: &Path, command: &mut Command) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (output, complaints) = (folder.join("output"), folder.join("complaints"));
    command.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(File::create(&complaints)?);
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
    let (mut cpu_seconds, mut peak_mib) = (0.0, 0.0);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        cpu_seconds = own_cpu_seconds(child.id()).unwrap_or(cpu_seconds);
        peak_mib = peak_memory_mib(child.id()).unwrap_or(peak_mib);
        tokio::time::sleep(GLANCE).await;
    };
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        let complaints = fs::read_to_string(complaints).unwrap_or_default();
        let end = complaints.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("`{name}` failed with {status}: {end}");
    }
    Ok(Finished { seconds, cpu_seconds, peak_mib, output: fs::read_to_string(output)? })
}

/// The most memory that a process has had.
fn peak_memory_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// Fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    // The state is a letter; some of the later fields are negative.
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

/// Where the fields stand that matter here.
const PARENT: usize = 1;
const OWN_TIMES: std::ops::Range<usize> = 11..13;
const OWN_AND_CHILDREN_S_TIMES: std::ops::Range<usize> = 11..15;

fn seconds(stat: &[u64], times: std::ops::Range<usize>) -> f64 {
    let ticks: u64 = stat.get(times).unwrap_or_default().iter().sum();
    let [ticks, per_second] =
        [ticks, rustix::param::clock_ticks_per_second()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    f64::from(ticks) / f64::from(per_second)
}

/// The processor time of a process so far.
pub(crate) fn own_cpu_seconds(pid: u32) -> Option<f64> {
    Some(seconds(&stat(pid)?, OWN_TIMES))
}

/// The processor time of a process, of its children that have ended, and of those that run.
pub(crate) fn family_cpu_seconds(pid: u32) -> Option<f64> {
    let own = seconds(&stat(pid)?, OWN_AND_CHILDREN_S_TIMES);
    let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = processes.filter_map(stat).filter(|stat| stat.get(PARENT) == Some(&u64::from(pid)));
    Some(own + children.map(|stat| seconds(&stat, OWN_TIMES)).sum::<f64>())
}

/// The load of the machine over the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// How many processors there are, and how many GiB of memory.
pub(crate) fn machine() -> (usize, u64) {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes: u64 = total.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    (std::thread::available_parallelism().map_or(1, usize::from), kibibytes.div_ceil(1 << 20))
}
