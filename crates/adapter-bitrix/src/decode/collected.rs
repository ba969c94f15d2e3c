//! What a pass over an answer found, as positions in its text.

use std::ops::Range;
use std::sync::Arc;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::record::{Layout, ReadToken, RecordBatch, RecordBatchBuilder};
use chrono::{DateTime, FixedOffset, Utc};

/// The result of one command.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) command: String,
    /// Its rows among all rows.
    pub(crate) rows: Range<usize>,
    /// Why it is no honest page, if it is none.
    pub(crate) fault: Option<&'static str>,
}

/// Records of all commands of an answer.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) pages: Vec<Page>,
    pub(crate) ids: Vec<RecordId>,
    modified: Vec<Option<DateTime<Utc>>>,
    /// End of each row in `values`.
    ends: Vec<usize>,
    values: Vec<Found>,
    strays: Vec<(usize, String, Range<usize>)>,
    derived: Vec<(usize, usize, String)>,
}

/// A value's place. There are hundreds of thousands of these in one answer, so they are narrow: an answer is far shorter
/// than 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Found {
    field: u32,
    start: u32,
    end: u32,
}

impl Found {
    fn new(field: usize, span: &Range<usize>) -> Option<Found> {
        Some(Found { field: narrow(field)?, start: narrow(span.start)?, end: narrow(span.end)? })
    }

    fn place(self) -> Option<(usize, Range<usize>)> {
        let wide = |number: u32| usize::try_from(number).ok();
        Some((wide(self.field)?, wide(self.start)?..wide(self.end)?))
    }
}

fn narrow(number: usize) -> Option<u32> {
    u32::try_from(number).ok()
}

impl Collected {
    pub(crate) fn page(&self, command: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.command == command)
    }

    pub(crate) fn page_ids(&self, page: &Page) -> &[RecordId] {
        self.ids.get(page.rows.clone()).unwrap_or_default()
    }

    pub(super) fn rows(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn value(&mut self, field: usize, span: Range<usize>) {
        self.values.extend(Found::new(field, &span));
    }

    /// Keeps a value under an unknown name, for the row that is being read.
    pub(super) fn stray(&mut self, name: &str, span: Range<usize>) {
        self.strays.push((self.rows(), name.to_owned(), span));
    }

    /// Keeps a value made from others, for the row that is being read.
    pub(super) fn derived(&mut self, field: usize, json: String) {
        self.derived.push((self.rows(), field, json));
    }

    /// Finishes the row that is being read.
    pub(super) fn end_row(&mut self, id: RecordId, modified: Option<DateTime<Utc>>) {
        self.ids.push(id);
        self.modified.push(modified);
        self.ends.push(self.values.len());
    }

    /// Forgets the row that is being read.
    pub(super) fn drop_row(&mut self) {
        let row = self.rows();
        self.values.truncate(self.ends.last().copied().unwrap_or(0));
        self.strays.retain(|(of, ..)| *of != row);
        self.derived.retain(|(of, ..)| *of != row);
    }

    /// These rows as a batch.
    pub(crate) fn into_batch(self, rows: Range<usize>, exhausted: bool, head: BatchHead) -> RecordBatch {
        let BatchHead { entity, layout, token, source_time, text } = head;
        let mut builder = RecordBatchBuilder::new(entity, layout, token, source_time, text);
        let mut strays = self.strays.into_iter().peekable();
        let mut derived = self.derived.into_iter().peekable();
        let mut start = 0;
        let records = self.ids.into_iter().zip(self.modified).zip(self.ends).take(rows.end);
        for (row, ((id, modified), end)) in records.enumerate() {
            if row < rows.start {
                start = end;
                while strays.next_if(|(of, ..)| *of == row).is_some() {}
                while derived.next_if(|(of, ..)| *of == row).is_some() {}
                continue;
            }
            builder.begin(id, modified);
            for found in self.values.get(start..end).unwrap_or_default() {
                if let Some((field, span)) = found.place() {
                    builder.set(field, span);
                }
            }
            start = end;
            while let Some((_, name, span)) = strays.next_if(|(of, ..)| *of == row) {
                builder.stray(&name, span);
            }
            while let Some((_, field, json)) = derived.next_if(|(of, ..)| *of == row) {
                builder.set_derived(field, &json);
            }
        }
        builder.finish(exhausted)
    }
}

/// What a batch of records needs besides the records.
pub(crate) struct BatchHead {
    pub(crate) entity: EntityType,
    pub(crate) layout: Arc<Layout>,
    pub(crate) token: ReadToken,
    pub(crate) source_time: DateTime<FixedOffset>,
    pub(crate) text: String,
}
