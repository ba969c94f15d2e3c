//! The first pages of an incremental pass's two listings, in one request.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use b24sync_domain::error::SourceError;
use b24sync_domain::ports::{Lane, News, NewsQuery};
use b24sync_domain::progress::{Cursor, PageEnd, Window, check_page};
use b24sync_domain::record::{ReadToken, RecordBatch};

use super::keyset::{Bound, Keyset};
use super::{BATCH, pages};
use crate::budget::Budget;
use crate::command;
use crate::decode::{BatchHead, Slots};
use crate::failure::Failure;
use crate::transport::{Answer, Exchange};

/// Name of the command that lists changed records; it is answered first.
const CHANGED: &str = "changed";

/// Name of the command that lists new records.
const CREATED: &str = "created";

/// Asks for changed and for new records.
pub(crate) struct ReadNews<'a> {
    pub(crate) query: &'a NewsQuery,
    pub(crate) keyset: Keyset<'a>,
    pub(crate) slots: Slots<'a>,
}

impl ReadNews<'_> {
    fn inner(&self) -> &str {
        &self.keyset.dialect.list_method
    }

    /// The rows of one command and whether there is none.
    fn page(
        &self,
        opened: &pages::Opened<'_>,
        name: &str,
        cursor: Cursor,
        budget: &Budget<'_>,
    ) -> Result<(Range<usize>, bool), Failure> {
        let inner = self.inner();
        let Some(page) = opened.records.page(name) else { return Err(opened.command_failure(name, inner, budget)) };
        if let Some(fault) = page.fault {
            return Err(Failure::malformed(inner, fault));
        }
        let end = check_page(cursor, opened.records.page_ids(page))
            .map_err(|source| Failure::fault(SourceError::Page { method: inner.to_owned(), source }))?;
        Ok((page.rows.clone(), end == PageEnd::Empty))
    }

    /// The answer is decoded once for each of the two batches: it is at most a hundred records.
    fn batch(
        &self,
        answer: &Answer,
        name: &str,
        cursor: Cursor,
        budget: &mut Budget<'_>,
    ) -> Result<RecordBatch, Failure> {
        let opened = pages::open(answer, self.inner(), &self.slots, budget)?;
        let (rows, exhausted) = self.page(&opened, name, cursor, budget)?;
        let head = BatchHead {
            entity: self.query.entity,
            layout: Arc::clone(&self.query.layout),
            token: answer.token.unwrap_or(ReadToken(0)),
            source_time: opened.source_time,
            text: answer.text.clone(),
        };
        Ok(opened.records.into_batch(rows, exhausted, head))
    }
}

impl Exchange for ReadNews<'_> {
    type Output = News;

    fn method(&self) -> &str {
        BATCH
    }

    fn bounds_nesting(&self) -> bool {
        true
    }

    fn lane(&self) -> Lane {
        Lane::Incremental
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.inner().to_owned()]
    }

    fn commands(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn request(&self) -> Vec<u8> {
        let (since, cursor) = self.query.changed;
        let changed = self.keyset.page(Window::ModifiedSince(since), Bound::Above(cursor));
        let created = self.keyset.page(Window::Everything, Bound::Above(self.query.created));
        command::batch(true, &[(CHANGED.to_owned(), changed), (CREATED.to_owned(), created)])
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<News, Failure> {
        let changed = self.batch(&answer, CHANGED, self.query.changed.1, budget)?;
        let created = self.batch(&answer, CREATED, self.query.created, budget)?;
        tracing::debug!(entity = %self.query.entity, changed = changed.len(), created = created.len(), "looked for news of {}", self.query.entity);
        Ok(News { changed, created })
    }
}
