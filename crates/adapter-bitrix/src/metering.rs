//! Figures of the calls of the portal (SPEC 11), for whichever recorder the program installs.

use std::time::Duration;

use b24sync_domain::ports::{BudgetReport, Lane};
use metrics::{counter, gauge, histogram};

use crate::failure::Failure;

/// Seconds of execution time that a method may use in the portal's window of ten minutes (Bitrix24 REST 4.2).
const OPERATING_LIMIT_SECONDS: f64 = 480.0;

/// An attempt of a call: `ok`, or the kind of its failure.
pub(crate) fn request<T>(method: &str, result: &Result<T, Failure>) {
    let outcome = match result {
        Ok(_) => "ok",
        Err(failure) => failure.class.as_str(),
    };
    counter!("b24sync_portal_requests_total", "method" => method.to_owned(), "outcome" => outcome).increment(1);
}

/// How long a request waited for the pacer.
pub(crate) fn waited(lane: Lane, time: Duration) {
    let lane = match lane {
        Lane::Hint => "hint",
        Lane::Incremental => "incremental",
        Lane::Full => "full",
    };
    histogram!("b24sync_pacer_wait_seconds", "lane" => lane).record(time.as_secs_f64());
}

/// What an answer said about the budget.
pub(crate) fn budget(report: &BudgetReport) {
    if report.rate_refused {
        counter!("b24sync_portal_limit_answers_total", "limit" => "rate").increment(1);
    }
    if report.method_refused {
        counter!("b24sync_portal_limit_answers_total", "limit" => "operating").increment(1);
    }
    if let Some(seconds) = report.operating_seconds {
        gauge!("b24sync_portal_operating_used_ratio", "method" => report.method.clone())
            .set(seconds / OPERATING_LIMIT_SECONDS);
    }
}
