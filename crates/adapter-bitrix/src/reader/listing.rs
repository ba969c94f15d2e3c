//! A listing by ascending id: list commands chained in one batch, each asking for what follows the last record of the
//! one before (Bitrix24 REST 6.1).

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use b24sync_domain::ports::{Lane, ListQuery};
use b24sync_domain::progress::Window;
use b24sync_domain::record::{ReadToken, RecordBatch};

use super::gauge::Gauge;
use super::keyset::{Bound, Keyset};
use super::{BATCH, pages};
use crate::budget::Budget;
use crate::command::{self, Command, page_name};
use crate::decode::{BatchHead, Slots};
use crate::failure::Failure;
use crate::transport::{Answer, Exchange};

/// Reads what follows a query's cursor.
pub(crate) struct Listing<'a> {
    pub(crate) query: &'a ListQuery,
    pub(crate) keyset: Keyset<'a>,
    pub(crate) slots: Slots<'a>,
    pub(crate) gauge: &'a Gauge,
    /// Commands of the attempt at hand.
    pub(crate) asked: AtomicUsize,
}

impl Listing<'_> {
    fn command(&self, position: usize) -> Command {
        match position.checked_sub(1) {
            None => self.keyset.page(self.query.window, Bound::Above(self.query.cursor)),
            Some(before) => self.keyset.page(self.query.window, Bound::AfterPage(&page_name(before))),
        }
    }
}

impl Exchange for Listing<'_> {
    type Output = RecordBatch;

    fn method(&self) -> &str {
        BATCH
    }

    fn bounds_nesting(&self) -> bool {
        true
    }

    fn lane(&self) -> Lane {
        match self.query.window {
            Window::Everything => Lane::Full,
            Window::ModifiedSince(_) => Lane::Incremental,
        }
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.keyset.dialect.list_method.clone()]
    }

    fn commands(&self) -> RangeInclusive<usize> {
        1..=self.gauge.commands(self.query.window, self.query.cursor)
    }

    fn admitted(&self, commands: usize) {
        self.asked.store(commands, Ordering::Relaxed);
    }

    fn request(&self) -> Vec<u8> {
        let asked = self.asked.load(Ordering::Relaxed);
        let commands: Vec<_> = (0..asked).map(|position| (page_name(position), self.command(position))).collect();
        command::batch(true, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<RecordBatch, Failure> {
        let asked = self.asked.load(Ordering::Relaxed);
        let inner = self.keyset.dialect.list_method.as_str();
        let bytes = answer.text.len();
        let opened = pages::open(&answer, inner, &self.slots, budget)?;
        let usable = pages::usable(&opened, inner, asked, self.query.cursor, budget)?;
        let ended = usable.exhausted || usable.short_end.is_some();
        self.gauge.learn(asked, usable.pages, bytes, ended, usable.short_end);
        let (records, source_time) = (opened.records, opened.source_time);
        let head = BatchHead {
            entity: self.query.entity,
            layout: Arc::clone(&self.query.layout),
            token: answer.token.unwrap_or(ReadToken(0)),
            source_time,
            text: answer.text,
        };
        tracing::debug!(entity = %self.query.entity, rows = usable.rows, "read {} rows of {}", usable.rows, self.query.entity);
        Ok(records.into_batch(0..usable.rows, usable.exhausted, head))
    }

    fn lighten(&self) {
        self.gauge.lighten();
    }
}
