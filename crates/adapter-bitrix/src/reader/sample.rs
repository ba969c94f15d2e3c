//! One page as a sync would read it, for what it weighs and what it costs the portal.

use b24sync_domain::ports::Lane;
use b24sync_domain::progress::{Cursor, Window};

use super::gauge::Gauge;
use super::keyset::{Bound, Keyset};
use super::{BATCH, pages};
use crate::budget::Budget;
use crate::command::{self, page_name};
use crate::decode::Slots;
use crate::envelope::Envelope;
use crate::failure::Failure;
use crate::transport::{Answer, Exchange};

/// Reads the first page of a window, and keeps nothing of it.
pub(crate) struct ReadSample<'a> {
    pub(crate) keyset: Keyset<'a>,
    pub(crate) window: Window,
    pub(crate) slots: Slots<'a>,
}

/// What was seen of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Bytes of the answer.
    pub(crate) bytes: usize,
    /// Seconds that the portal took, by its own word.
    pub(crate) seconds: Option<f64>,
    /// Seconds of execution time that are used up now, of whatever the page is charged to.
    pub(crate) operating: Option<f64>,
}

impl Exchange for ReadSample<'_> {
    type Output = Sample;

    fn method(&self) -> &str {
        BATCH
    }

    fn bounds_nesting(&self) -> bool {
        true
    }

    fn lane(&self) -> Lane {
        Lane::Full
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.keyset.dialect.list_method.clone()]
    }

    fn request(&self) -> Vec<u8> {
        command::batch(true, &[(page_name(0), self.keyset.page(self.window, Bound::Above(Cursor::START)))])
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Sample, Failure> {
        let inner = self.keyset.dialect.list_method.as_str();
        let opened = pages::open(&answer, inner, &self.slots, budget)?;
        if let Some(failure) = opened.any_failure(inner, budget) {
            return Err(failure);
        }
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(BATCH, &error))?;
        Ok(Sample { bytes: answer.text.len(), seconds: envelope.time().duration, operating: budget.most_used() })
    }
}

/// Requests that a listing of so many pages takes, each of which weighs so many bytes: they begin small, and the last one
/// finds nothing.
pub(crate) fn requests(pages: u64, page_bytes: usize) -> u64 {
    let gauge = Gauge::default();
    let (mut left, mut requests) = (pages, 1);
    let mut before = None;
    while left > 0 {
        let asked = gauge.independent();
        let step = u64::try_from(asked).unwrap_or(u64::MAX).min(left);
        left -= step;
        requests += 1;
        gauge.learn(asked, asked, asked * page_bytes, false, None);
        if before == Some(asked) {
            // It has found its size.
            return requests + left.div_ceil(u64::try_from(asked).unwrap_or(u64::MAX).max(1));
        }
        before = Some(asked);
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_grow_to_their_size_and_the_last_one_finds_nothing() {
        for (pages, bytes, expected) in [
            (0, 1, 1),
            (10, 100_000, 2),
            (11, 100_000, 3),
            // 10, 20, 40, 50, 50, …
            (2_000, 100_000, 3 + 39 + 1),
            (1_000_000, 100_000, 3 + 19_999 + 1),
            // Not more than 12 MiB: 12 pages of a megabyte.
            (120, 1_000_000, 1 + 10 + 1),
        ] {
            assert_eq!(requests(pages, bytes), expected, "{pages} pages of {bytes} bytes");
        }
    }
}
