//! Which pages of an answer count, and what the frame around them says.

use b24sync_domain::error::SourceError;
use b24sync_domain::progress::{Cursor, PageEnd, check_page};
use chrono::{DateTime, FixedOffset};
use tracing::warn;

use super::BATCH;
use crate::budget::Budget;
use crate::command::page_name;
use crate::decode::{BatchAnswer, Collected, Slots, decode_batch};
use crate::envelope::{self, Named, PortalTime};
use crate::error;
use crate::failure::Failure;
use crate::transport::{Answer, refuse};

/// A `batch` answer whose frame is in order.
pub(super) struct Opened<'a> {
    pub(super) records: Collected,
    pub(super) source_time: DateTime<FixedOffset>,
    errors: Named<'a>,
}

/// Reads the frame of an answer to list commands of `inner`, and notes what it says about the budget.
pub(super) fn open<'a>(
    answer: &'a Answer,
    inner: &str,
    slots: &Slots<'_>,
    budget: &mut Budget<'_>,
) -> Result<Opened<'a>, Failure> {
    let decoded = decode_batch(&answer.text, slots).map_err(|error| Failure::json(BATCH, &error))?;
    let BatchAnswer { error, error_description, time, errors, times, complete, records } = decoded;
    let time = time.map(PortalTime::of).unwrap_or_default();
    budget.time(BATCH, &time);
    if let Some(error) = error {
        return Err(refuse(BATCH, answer.status, &envelope::refusal(error, error_description), budget));
    }
    if !complete {
        return Err(Failure::malformed(BATCH, "the answer has no `result`"));
    }
    let times = times.map(Named::of).unwrap_or_default();
    for (_, time) in times.iter() {
        budget.time(inner, &PortalTime::of(time));
    }
    let errors = errors.map(Named::of).unwrap_or_default();
    for (_, entry) in errors.iter() {
        budget.refusal(inner, None, &envelope::command_refusal(entry));
    }
    let inner_start = || times.first().and_then(|time| PortalTime::of(time).start);
    let source_time = time.start.or_else(inner_start).or(answer.sent_at);
    let source_time = source_time.ok_or_else(|| Failure::malformed(BATCH, "the answer does not say its time"))?;
    Ok(Opened { records, source_time, errors })
}

impl Opened<'_> {
    /// Why a command has no result.
    pub(super) fn command_failure(&self, name: &str, inner: &str, budget: &Budget<'_>) -> Failure {
        // Errors without names come from a batch that lost its keys; the first is the best guess.
        match self.errors.get(name).or_else(|| self.errors.get("0")) {
            Some(entry) => error::classify(inner, None, &envelope::command_refusal(entry), budget.resets_at(inner)),
            None => Failure::malformed(inner, "a command of the batch was not executed"),
        }
    }

    /// The first failed command, if any failed.
    pub(super) fn any_failure(&self, inner: &str, budget: &Budget<'_>) -> Option<Failure> {
        let entry = self.errors.first()?;
        Some(error::classify(inner, None, &envelope::command_refusal(entry), budget.resets_at(inner)))
    }
}

/// The part of a chained listing that counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usable {
    /// Its records are the first ones of the answer.
    pub(super) rows: usize,
    pub(super) pages: usize,
    /// A valid empty page came last, and it was asked for with a bound that the portal could resolve.
    pub(super) exhausted: bool,
    /// Where a short page ended the listing.
    pub(super) short_end: Option<Cursor>,
}

/// Takes pages in command order up to the first one that is short, empty, missing, failed or faulty. What stops a
/// listing after its first page is left for the next request, which meets it at its beginning.
pub(super) fn usable(
    opened: &Opened<'_>,
    inner: &str,
    asked: usize,
    cursor: Cursor,
    budget: &Budget<'_>,
) -> Result<Usable, Failure> {
    let mut cursor = cursor;
    let mut usable = Usable { rows: 0, pages: 0, exhausted: false, short_end: None };
    for position in 0..asked {
        match page(opened, inner, position, usable.rows, cursor, budget) {
            Ok(PageEnd::Empty) => {
                // The page before was full, so the reference to its last record led somewhere.
                usable.exhausted = true;
                return Ok(usable);
            }
            Ok(PageEnd::Short(end)) => {
                usable.rows = opened.records.page(&page_name(position)).map_or(0, |page| page.rows.end);
                usable.pages += 1;
                usable.short_end = Some(end);
                return Ok(usable);
            }
            Ok(PageEnd::Full(end)) => {
                usable.rows = opened.records.page(&page_name(position)).map_or(0, |page| page.rows.end);
                usable.pages += 1;
                cursor = end;
            }
            Err(failure) if position == 0 => return Err(failure),
            Err(failure) => {
                let error = b24sync_domain::error::Chain(&failure.error);
                warn!(method = inner, pages = usable.pages, %error, "a batch ended early; its pages so far are kept");
                return Ok(usable);
            }
        }
    }
    Ok(usable)
}

fn page(
    opened: &Opened<'_>,
    inner: &str,
    position: usize,
    rows_before: usize,
    cursor: Cursor,
    budget: &Budget<'_>,
) -> Result<PageEnd, Failure> {
    let name = page_name(position);
    let Some(page) = opened.records.page(&name) else { return Err(opened.command_failure(&name, inner, budget)) };
    if let Some(fault) = page.fault {
        return Err(Failure::malformed(inner, fault));
    }
    if page.rows.start != rows_before {
        return Err(Failure::malformed(BATCH, "the commands were answered out of order"));
    }
    check_page(cursor, opened.records.page_ids(page))
        .map_err(|source| Failure::fault(SourceError::Page { method: inner.to_owned(), source }))
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
