//! Figures of the calls of the portal (SPEC 11), for whichever recorder the program installs.

use std::time::Duration;

use b24sync_domain::ports::{BudgetReport, Lane};
use metrics::{counter, gauge, histogram};

use crate::failure::Failure;

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
}

/// Part of its execution time that a method has used.
pub(crate) fn operating(method: &str, ratio: f64) {
    gauge!("b24sync_portal_operating_used_ratio", "method" => method.to_owned()).set(ratio);
}

/// Slots that the shared budget granted, and the rate that it has in force.
pub(crate) fn slots(count: u32, per_second: f64) {
    counter!("b24sync_pacer_slots_total").increment(u64::from(count));
    gauge!("b24sync_pacer_rate").set(per_second);
}
