//! Medians, the table, and what the figures must show.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::contenders::Measured;

/// What was measured of one thing, round by round.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    records: u32,
    pub(crate) median: Measured,
    rounds: Vec<Measured>,
}

impl Series {
    pub(crate) fn new(name: &'static str, records: u32, rounds: Vec<Measured>) -> Self {
        let of = |part: fn(&Measured) -> f64| median(rounds.iter().map(part).collect());
        let median = Measured {
            seconds: of(|one| one.seconds),
            peak_mib: rounds.iter().map(|one| one.peak_mib).fold(0.0, f64::max),
            requests: of(|one| one.requests),
            cpu_seconds: of(|one| one.cpu_seconds),
            postgres_cpu_seconds: of(|one| one.postgres_cpu_seconds),
            portal_cpu_seconds: of(|one| one.portal_cpu_seconds),
        };
        Self { name, records, median, rounds }
    }

    pub(crate) fn records_per_second(&self) -> f64 {
        f64::from(self.records) / self.median.seconds
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) }
}

/// A line of what the figures must show.
#[derive(Debug, Serialize)]
pub(crate) struct Demand {
    what: &'static str,
    found: f64,
    floor: Option<f64>,
    ceiling: Option<f64>,
    aim: Option<f64>,
    pub(crate) met: bool,
}

impl Demand {
    pub(crate) fn at_least(what: &'static str, found: f64, floor: f64) -> Self {
        Self { what, found, floor: Some(floor), ceiling: None, aim: None, met: found >= floor }
    }

    pub(crate) fn at_most(what: &'static str, found: f64, ceiling: f64) -> Self {
        Self { what, found, floor: None, ceiling: Some(ceiling), aim: None, met: found <= ceiling }
    }

    pub(crate) fn aiming_at(self, aim: f64) -> Self {
        Self { aim: Some(aim), ..self }
    }

    fn line(&self) -> String {
        let bound = match (self.floor, self.ceiling) {
            (Some(floor), _) => format!("at least {floor}"),
            (_, Some(ceiling)) => format!("at most {ceiling}"),
            _ => String::new(),
        };
        let aim = self.aim.map(|aim| format!(", the aim is {aim}")).unwrap_or_default();
        let verdict = if self.met { "ok    " } else { "MISSED" };
        format!("{verdict} {:<62} {:>9.2}   {bound}{aim}", self.what, self.found)
    }
}

/// Everything that a run has found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Processors and memory, nothing else.
    pub(crate) machine: String,
    /// Load of the machine over a minute, before and after; what else ran makes it more than our own.
    pub(crate) load: [String; 2],
    pub(crate) deals: u32,
    pub(crate) columns: i64,
    pub(crate) series: Vec<Series>,
    /// Records a second that the idle portal serves, to the requests of a full sync.
    pub(crate) portal_records_per_second: f64,
    pub(crate) migrate_seconds: f64,
    pub(crate) demands: Vec<Demand>,
    /// What was not measured, and why.
    pub(crate) skipped: Vec<String>,
}

impl Report {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "\n{}, load {} before and {} after, {} deals, {} columns, PostgreSQL with fsync\n\n",
            self.machine, self.load[0], self.load[1], self.deals, self.columns
        );
        let mut line = |line: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        };
        line(format!(
            "{:<34} {:>8} {:>9} {:>9} {:>9} {:>7} {:>9} {:>7}",
            "median, peak memory of all rounds",
            "seconds",
            "records/s",
            "peak MiB",
            "requests",
            "CPU s",
            "PG CPU s",
            "portal"
        ));
        for series in &self.series {
            let Series { name, median, rounds, .. } = series;
            let records_per_second = series.records_per_second();
            let Measured { seconds, peak_mib, requests, cpu_seconds, postgres_cpu_seconds, portal_cpu_seconds } =
                median;
            line(format!(
                "{name:<34} {seconds:>8.2} {records_per_second:>9.0} {peak_mib:>9.0} {requests:>9.0} {cpu_seconds:>7.2} {postgres_cpu_seconds:>9.2} {portal_cpu_seconds:>7.2}   of {}",
                rounds.iter().map(|one| format!("{:.2}", one.seconds)).collect::<Vec<_>>().join(" ")
            ));
        }
        line(format!("\nthe service's own tables, before its first load: {:.2} s", self.migrate_seconds));
        line(format!("the portal alone: {:.0} records/s\n", self.portal_records_per_second));
        for demand in &self.demands {
            line(demand.line());
        }
        for skipped in &self.skipped {
            line(format!("NOT MEASURED: {skipped}"));
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!(self)
    }

    /// Whether everything that was measured is as it must be.
    pub(crate) fn met(&self) -> bool {
        self.demands.iter().all(|demand| demand.met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_demand_says_what_it_wants_and_whether_it_has_it() {
        assert!(Demand::at_least("a", 0.5, 0.5).met);
        assert!(!Demand::at_most("b", 1.3, 1.2).met);
        let line = Demand::at_least("first load, of COPY", 0.4, 0.5).aiming_at(0.62).line();
        assert!(line.starts_with("MISSED first load, of COPY"));
        assert!(line.ends_with("0.40   at least 0.5, the aim is 0.62"));
    }
}
