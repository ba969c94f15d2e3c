//! What answers say about the portal's budget, collected per call and passed on to the pacer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use b24sync_domain::ports::BudgetReport;
use chrono::{DateTime, Utc};

use crate::envelope::PortalTime;
use crate::error::{self, Meaning, Refusal};

/// When exhausted methods get time back, as last heard. A refusal does not say it itself.
#[derive(Debug, Default)]
pub(crate) struct Resets(Mutex<HashMap<String, DateTime<Utc>>>);

impl Resets {
    fn of(&self, method: &str) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(method).copied()
    }

    fn learn(&self, method: &str, resets_at: DateTime<Utc>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(method.to_owned(), resets_at);
    }
}

/// Reports of one answer, one for each method that took part in it.
pub(crate) struct Budget<'a> {
    resets: &'a Resets,
    reports: Vec<BudgetReport>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(resets: &'a Resets) -> Budget<'a> {
        Budget { resets, reports: Vec::new() }
    }

    pub(crate) fn into_reports(self) -> Vec<BudgetReport> {
        self.reports
    }

    pub(crate) fn resets_at(&self, method: &str) -> Option<DateTime<Utc>> {
        self.resets.of(method)
    }

    /// Notes the `time` of an answer or of a command; of several for one method the largest counts.
    pub(crate) fn time(&mut self, method: &str, time: &PortalTime) {
        if let Some(resets_at) = time.resets_at {
            self.resets.learn(method, resets_at);
        }
        let report = self.of(method);
        report.resets_at = report.resets_at.max(time.resets_at);
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
                report.resets_at = report.resets_at.or(known);
            }
            _ => {}
        }
    }

    /// The method's report; made empty if it has none.
    fn of(&mut self, method: &str) -> &mut BudgetReport {
        let position = self.reports.iter().position(|report| report.method == method).unwrap_or_else(|| {
            self.reports.push(BudgetReport {
                method: method.to_owned(),
                operating_seconds: None,
                resets_at: None,
                rate_refused: false,
                method_refused: false,
            });
            self.reports.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was just found or made")]
        &mut self.reports[position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_method_gets_the_reset_that_was_heard_last() {
        let resets = Resets::default();
        let at = DateTime::from_timestamp(1_726_000_600, 0);
        let mut first = Budget::new(&resets);
        first.time("crm.item.list", &PortalTime { operating: Some(1.0), resets_at: at, ..PortalTime::default() });
        first.time("crm.item.list", &PortalTime { operating: Some(0.0), ..PortalTime::default() });
        assert_eq!(first.into_reports().first().unwrap().operating_seconds, Some(1.0));

        let mut second = Budget::new(&resets);
        let refusal = Refusal { code: "OPERATION_TIME_LIMIT".to_owned(), text: String::new() };
        second.refusal("crm.item.list", Some(429), &refusal);
        let reports = second.into_reports();
        assert_eq!(reports.len(), 1);
        assert!(reports.iter().all(|report| report.method_refused && report.resets_at == at));
    }
}
