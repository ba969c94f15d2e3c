//! Shows a run: a bar on a terminal, a plain line every two seconds elsewhere.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use b24sync_domain::ports::{RunEvent, RunObserver};
use b24sync_domain::run::Run;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::{Output, grouped};

/// How often a plain line is printed.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows runs to a person.
pub struct ProgressDisplay {
    output: Output,
    current: Mutex<Option<Current>>,
}

struct Current {
    run: Run,
    expected: Option<u64>,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    already: u64,
}

impl ProgressDisplay {
    /// Shows runs through this output.
    pub fn new(output: Output) -> ProgressDisplay {
        ProgressDisplay { output, current: Mutex::new(None) }
    }

    fn start(&self, run: &Run, expected: Option<u64>) -> Current {
        let now = Instant::now();
        let already = run.processed;
        if !self.output.is_interactive() {
            let from = if already > 0 { format!(", going on after {} records", count(already)) } else { String::new() };
            self.output.note(&format!("{}: reading{}{from}", run.entity, about(expected)));
        }
        let bar = self.output.is_interactive().then(|| bar(run, expected, already));
        Current { run: run.clone(), expected, bar, began: now, last_line: now, already }
    }

    fn advance(&self, current: &mut Current, processed: u64, quarantined: u64) {
        let now = Instant::now();
        if let Some(bar) = &current.bar {
            bar.set_position(processed);
            if quarantined > 0 {
                bar.set_message(format!("{} in quarantine", count(quarantined)));
            }
        } else if now.duration_since(current.last_line) >= LINE_EVERY {
            current.last_line = now;
            let here = processed.saturating_sub(current.already);
            let line = line(here, processed, current.expected, now.duration_since(current.began));
            self.output.note(&format!("{}: {line}", current.run.entity));
        }
    }
}

/// Shows nothing: a service's runs are in its log.
#[derive(Debug)]
pub struct Quiet;

impl RunObserver for Quiet {
    fn on(&self, _event: &RunEvent) {}
}

impl RunObserver for ProgressDisplay {
    fn on(&self, event: &RunEvent) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            RunEvent::Started { run, expected } => *current = Some(self.start(run, *expected)),
            RunEvent::Advanced { processed, quarantined } => {
                if let Some(current) = current.as_mut() {
                    self.advance(current, *processed, *quarantined);
                }
            }
            RunEvent::Ended { .. } => {
                if let Some(bar) = current.take().and_then(|current| current.bar) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

fn bar(run: &Run, expected: Option<u64>, already: u64) -> ProgressBar {
    let bar = match expected {
        Some(expected) => ProgressBar::new(expected.max(already)),
        None => ProgressBar::new_spinner(),
    };
    let template = if expected.is_some() {
        "{prefix:>8} {bar:30.green/dim} {human_pos}/{human_len} records, {rate}, {eta} left {msg}"
    } else {
        "{prefix:>8} {spinner} {human_pos} records, {rate} {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // A rate that cannot be shown is not worth a failure.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_prefix(run.entity.key());
    bar.set_position(already);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn about(expected: Option<u64>) -> String {
    expected.map(|expected| format!(" about {} records", count(expected))).unwrap_or_default()
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// `5,000 of 20,000 records, 2,450/s, about 6 s left`.
fn line(here: u64, processed: u64, expected: Option<u64>, elapsed: Duration) -> String {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = here.saturating_mul(1_000) / milliseconds;
    let Some(expected) = expected.filter(|expected| *expected >= processed) else {
        return format!("{} records, {}/s", count(processed), count(per_second));
    };
    let left = if per_second == 0 {
        String::new()
    } else {
        format!(", about {} s left", count((expected - processed).div_ceil(per_second)))
    };
    format!("{} of {} records, {}/s{left}", count(processed), count(expected), count(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_has_records_rate_and_what_is_left() {
        let second = Duration::from_secs(2);
        assert_eq!(line(5_000, 5_000, Some(20_000), second), "5,000 of 20,000 records, 2,500/s, about 6 s left");
        assert_eq!(line(5_000, 15_000, Some(20_000), second), "15,000 of 20,000 records, 2,500/s, about 2 s left");
        assert_eq!(line(5_000, 25_000, Some(20_000), second), "25,000 records, 2,500/s");
        assert_eq!(line(0, 0, Some(20_000), second), "0 of 20,000 records, 0/s");
    }
}
