//! What answers say about the portal's budget, collected per call and passed on to the pacer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use b24sync_domain::ports::BudgetReport;
use chrono::{DateTime, Utc};

use crate::envelope::PortalTime;
use crate::error::{self, Meaning, Refusal};

/// When exhausted methods get time back, as last heard. A refusal does not say it itself.
#[derive(Debug, Default)]
pub(crate) struct Resets(Mutex<HashMap<String, Reset>>);

/// A reset by the portal's clock, and by how far ahead of its answer that was.
#[derive(Debug, Clone, Copy)]
struct Reset {
    at: DateTime<Utc>,
    ahead: Duration,
    heard: Instant,
}

impl Resets {
    fn of(&self, method: &str) -> Option<Reset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(method).copied()
    }

    fn learn(&self, method: &str, reset: Reset) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(method.to_owned(), reset);
    }
}

/// Reports of one answer, one for each method that took part in it.
pub(crate) struct Budget<'a> {
    resets: &'a Resets,
    reports: Vec<BudgetReport>,
    /// Epoch second of the portal's at which the whole answer was ready: the latest that one of its parts tells.
    answered: Option<f64>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(resets: &'a Resets) -> Budget<'a> {
        Budget { resets, reports: Vec::new(), answered: None }
    }

    /// The reports on a request of so many commands.
    pub(crate) fn into_reports(mut self, commands: usize) -> Vec<BudgetReport> {
        for report in &mut self.reports {
            report.commands = commands;
        }
        self.reports
    }

    /// The largest execution time that a method has used.
    pub(crate) fn most_used(&self) -> Option<f64> {
        self.reports.iter().filter_map(|report| report.operating_seconds).max_by(f64::total_cmp)
    }

    pub(crate) fn resets_at(&self, method: &str) -> Option<DateTime<Utc>> {
        self.resets.of(method).map(|reset| reset.at)
    }

    /// Notes the `time` of an answer or, after that, of a command; of several for one method the largest counts.
    pub(crate) fn time(&mut self, method: &str, time: &PortalTime) {
        if time.answered > self.answered {
            self.answered = time.answered;
        }
        // A command may have been carried out seconds before the answer was ready.
        let ahead = time.resets_at.zip(self.answered).and_then(|(at, answered)| Some((at, until(at, answered)?)));
        if let Some((at, ahead)) = ahead {
            self.resets.learn(method, Reset { at, ahead, heard: Instant::now() });
        }
        let report = self.of(method);
        report.resets_in = report.resets_in.max(ahead.map(|(_, ahead)| ahead));
        if report.operating_seconds.is_none_or(|known| time.operating.is_some_and(|seconds| seconds > known)) {
            report.operating_seconds = time.operating;
        }
    }

    /// Notes a refusal, if it is one of the limits.
    pub(crate) fn refusal(&mut self, method: &str, status: Option<u16>, refusal: &Refusal) {
        let known = self.resets.of(method);
        match error::meaning(status, refusal) {
            Meaning::RateLimited => self.of(method).rate_refused = true,
            Meaning::MethodExhausted => {
                let report = self.of(method);
                report.method_refused = true;
                let left = |reset: Reset| reset.ahead.saturating_sub(reset.heard.elapsed());
                report.resets_in = report.resets_in.or(known.map(left));
            }
            _ => {}
        }
    }

    /// The method's report; made empty if it has none.
    fn of(&mut self, method: &str) -> &mut BudgetReport {
        let position = self.reports.iter().position(|report| report.method == method).unwrap_or_else(|| {
            self.reports.push(BudgetReport {
                method: method.to_owned(),
                commands: 1,
                operating_seconds: None,
                resets_in: None,
                rate_refused: false,
                method_refused: false,
            });
            self.reports.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was just found or made")]
        &mut self.reports[position]
    }
}

/// How long after the epoch second `answered` a reset is; both are the portal's.
fn until(resets_at: DateTime<Utc>, answered: f64) -> Option<Duration> {
    let answered = DateTime::<Utc>::from(UNIX_EPOCH + Duration::try_from_secs_f64(answered).ok()?);
    Some((resets_at - answered).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_method_gets_the_reset_that_was_heard_last() {
        let resets = Resets::default();
        let at = DateTime::from_timestamp(1_726_000_600, 0);
        let time = PortalTime { answered: Some(1_726_000_540.5), resets_at: at, ..PortalTime::default() };
        let mut first = Budget::new(&resets);
        first.time("crm.item.list", &PortalTime { operating: Some(1.0), ..time });
        first.time("crm.item.list", &PortalTime { operating: Some(0.0), ..PortalTime::default() });
        let reports = first.into_reports(7);
        assert_eq!((reports[0].operating_seconds, reports[0].commands), (Some(1.0), 7));
        assert_eq!(reports[0].resets_in, Some(Duration::from_millis(59_500)));

        // The whole answer counts, and not when one of its commands was carried out.
        let mut batch = Budget::new(&resets);
        batch.time("batch", &PortalTime { answered: Some(1_726_000_590.0), ..PortalTime::default() });
        batch.time("crm.item.list", &time);
        batch.time("crm.item.list", &PortalTime { answered: Some(1_726_000_580.0), ..time });
        assert_eq!(batch.into_reports(2)[1].resets_in, Some(Duration::from_secs(10)));
        resets.learn("crm.item.list", Reset { at: at.unwrap(), ahead: Duration::from_secs(60), heard: Instant::now() });

        let mut second = Budget::new(&resets);
        let refusal = Refusal { code: "OPERATION_TIME_LIMIT".to_owned(), text: String::new() };
        second.refusal("crm.item.list", Some(429), &refusal);
        assert_eq!(second.resets_at("crm.item.list"), at);
        let reports = second.into_reports(1);
        assert_eq!(reports.len(), 1);
        let left = reports[0].resets_in.unwrap();
        assert!(reports[0].method_refused && left > Duration::from_secs(50) && left < Duration::from_secs(60));
    }
}
