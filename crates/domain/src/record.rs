//! Records as they were read: one text buffer and spans into it, so that a value is not copied before it
//! reaches its column.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Utc};

use crate::entity::{EntityType, RecordId};
use crate::field::FieldName;

/// Order of reads of the portal: a number drawn before a request is sent, greater than every one drawn before it.
/// Decides which of two reads of the same record is the later one, without comparing clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadToken(pub i64);

/// The fields that a reader asks for, in the order in which it reports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    fields: Vec<FieldName>,
}

impl Layout {
    /// Takes the fields in this order.
    pub fn new(fields: Vec<FieldName>) -> Arc<Layout> {
        Arc::new(Layout { fields })
    }

    /// The fields, in order.
    pub fn fields(&self) -> &[FieldName] {
        &self.fields
    }
}

/// A value that came under a name the layout does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayValue {
    /// Number of the record in its batch.
    pub row: usize,
    /// Name as the portal sent it.
    pub name: String,
    /// JSON text of the value, as a span of the batch's text.
    pub span: Range<usize>,
}

/// Records of one answer: values are JSON texts inside `text`.
#[derive(Debug, Clone)]
pub struct RecordBatch {
    /// What kind of records these are.
    pub entity: EntityType,
    /// Which fields the spans stand for.
    pub layout: Arc<Layout>,
    /// Drawn before the request that brought these records was sent.
    pub read: ReadToken,
    /// The portal's own time when it began to answer; its offset is the portal's.
    pub source_time: DateTime<FixedOffset>,
    /// Whether the listing is known to be complete: a valid empty page came after these records.
    pub exhausted: bool,
    /// Shared by the parts of an answer.
    text: Arc<String>,
    /// What was derived from the text; spans count on from the end of the text. Kept apart, because appending to a text
    /// of some megabytes would copy all of it.
    derived: Arc<String>,
    ids: Vec<RecordId>,
    modified: Vec<Option<DateTime<Utc>>>,
    /// `ids.len() × layout.fields().len()`, record by record; `u32::MAX` as start means absent.
    spans: Vec<Span>,
    strays: Vec<StrayValue>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

const ABSENT: Span = Span { start: u32::MAX, length: 0 };

impl RecordBatch {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Ids, in the order of the answer.
    pub fn ids(&self) -> &[RecordId] {
        &self.ids
    }

    /// Time of the last change, where the record has a readable one.
    pub fn modified(&self, row: usize) -> Option<DateTime<Utc>> {
        self.modified.get(row).copied().flatten()
    }

    /// JSON text of a value; `None` when the record came without the field.
    pub fn value(&self, row: usize, field: usize) -> Option<&str> {
        let span = *self.spans.get(row * self.layout.fields.len() + field)?;
        let start = usize::try_from(span.start).ok()?;
        let length = usize::try_from(span.length).ok()?;
        self.slice(start..start + length).filter(|_| span.start != u32::MAX)
    }

    fn slice(&self, span: Range<usize>) -> Option<&str> {
        match span.start.checked_sub(self.text.len()) {
            None => self.text.get(span),
            Some(start) => self.derived.get(start..start + span.len()),
        }
    }

    /// Values that came under names the layout does not have, ordered by record.
    pub fn strays(&self) -> impl Iterator<Item = (&StrayValue, &str)> {
        self.strays.iter().filter_map(|stray| Some((stray, self.slice(stray.span.clone())?)))
    }

    /// The records with these numbers, as a batch that shares its text; only the one with the last record can be
    /// [`exhausted`](RecordBatch::exhausted).
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> RecordBatch {
        let width = self.layout.fields.len();
        let (first, end) = (range.start, range.end);
        let strays = self.strays.iter().filter(|stray| range.contains(&stray.row));
        RecordBatch {
            entity: self.entity,
            layout: Arc::clone(&self.layout),
            read: self.read,
            source_time: self.source_time,
            exhausted: self.exhausted && end == self.len(),
            text: Arc::clone(&self.text),
            derived: Arc::clone(&self.derived),
            ids: self.ids.get(range.clone()).unwrap_or_default().to_vec(),
            modified: self.modified.get(range.clone()).unwrap_or_default().to_vec(),
            spans: self.spans.get(first * width..end * width).unwrap_or_default().to_vec(),
            strays: strays.map(|stray| StrayValue { row: stray.row - first, ..stray.clone() }).collect(),
        }
    }

    /// Bytes held, for choosing how much to ask for next.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.derived.len() + self.spans.len() * size_of::<Span>()
    }
}

/// Collects the records of an answer.
#[derive(Debug)]
pub struct RecordBatchBuilder {
    batch: RecordBatch,
    derived: String,
}

impl RecordBatchBuilder {
    /// Starts with the answer's text, at most 4 GiB − 1 long.
    pub fn new(
        entity: EntityType,
        layout: Arc<Layout>,
        read: ReadToken,
        source_time: DateTime<FixedOffset>,
        text: String,
    ) -> RecordBatchBuilder {
        RecordBatchBuilder {
            batch: RecordBatch {
                entity,
                layout,
                read,
                source_time,
                exhausted: false,
                text: Arc::new(text),
                derived: Arc::default(),
                ids: Vec::new(),
                modified: Vec::new(),
                spans: Vec::new(),
                strays: Vec::new(),
            },
            derived: String::new(),
        }
    }

    /// Begins a record; its values follow.
    pub fn begin(&mut self, id: RecordId, modified: Option<DateTime<Utc>>) {
        self.batch.ids.push(id);
        self.batch.modified.push(modified);
        let width = self.batch.layout.fields.len();
        self.batch.spans.resize(self.batch.spans.len() + width, ABSENT);
    }

    /// Sets a value of the record begun last, as a span of the text. Spans beyond 4 GiB are ignored.
    pub fn set(&mut self, field: usize, span: Range<usize>) {
        let (Ok(start), Ok(length)) = (u32::try_from(span.start), u32::try_from(span.len())) else { return };
        let width = self.batch.layout.fields.len();
        let Some(row) = self.batch.ids.len().checked_sub(1) else { return };
        if field < width
            && let Some(slot) = self.batch.spans.get_mut(row * width + field)
        {
            *slot = Span { start, length };
        }
    }

    /// Sets a value that is not part of the answer's text but was derived from it.
    pub fn set_derived(&mut self, field: usize, json: &str) {
        let start = self.end();
        self.derived.push_str(json);
        self.set(field, start..start + json.len());
    }

    /// Keeps a value whose name the layout does not have.
    pub fn stray(&mut self, name: &str, span: Range<usize>) {
        if let Some(row) = self.batch.ids.len().checked_sub(1) {
            self.batch.strays.push(StrayValue { row, name: name.to_owned(), span });
        }
    }

    /// Where the next derived value will begin.
    pub fn end(&self) -> usize {
        self.batch.text.len() + self.derived.len()
    }

    /// Finishes; `exhausted` says that a valid empty page came last.
    pub fn finish(mut self, exhausted: bool) -> RecordBatch {
        self.batch.exhausted = exhausted;
        self.batch.derived = Arc::new(self.derived);
        self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(text: &str) -> RecordBatchBuilder {
        let layout = Layout::new(vec![FieldName::new("TITLE"), FieldName::new("PHONE")]);
        let entity = "deal".parse().unwrap();
        RecordBatchBuilder::new(entity, layout, ReadToken(1), DateTime::UNIX_EPOCH.fixed_offset(), text.to_owned())
    }

    #[test]
    fn a_value_is_a_span_and_an_absent_one_is_none() {
        let mut builder = builder(r#"{"TITLE":"a"}"#);
        builder.begin(RecordId::new(7).unwrap(), None);
        builder.set(0, 9..12);
        let batch = builder.finish(false);
        assert_eq!(batch.value(0, 0), Some("\"a\""));
        assert_eq!(batch.value(0, 1), None);
        assert_eq!(batch.value(1, 0), None);
    }

    #[test]
    fn parts_are_the_batch_in_pieces() {
        let mut builder = builder("0123456789");
        for row in 0..5 {
            builder.begin(RecordId::new(i64::try_from(row).unwrap() + 1).unwrap(), None);
            builder.set(0, row..row + 1);
            builder.set_derived(1, &format!("[{row}]"));
            if row % 2 == 1 {
                builder.stray("NEW", row..row + 2);
            }
        }
        let batch = builder.finish(true);
        let parts = [batch.part(0..2), batch.part(2..4), batch.part(4..5)];
        let shown: Vec<_> = parts
            .iter()
            .map(|part| {
                let values: Vec<_> = (0..part.len()).map(|row| (part.value(row, 0), part.value(row, 1))).collect();
                let strays: Vec<_> = part.strays().map(|(stray, value)| (stray.row, value)).collect();
                (part.ids().len(), values, strays, part.exhausted)
            })
            .collect();
        assert_eq!(
            shown,
            [
                (2, vec![(Some("0"), Some("[0]")), (Some("1"), Some("[1]"))], vec![(1, "12")], false),
                (2, vec![(Some("2"), Some("[2]")), (Some("3"), Some("[3]"))], vec![(1, "34")], false),
                (1, vec![(Some("4"), Some("[4]"))], vec![], true),
            ]
        );
        let empty = self::builder("").finish(true).part(0..0);
        assert!(empty.exhausted && empty.is_empty());
    }

    #[test]
    fn derived_values_and_strays_are_kept() {
        let mut builder = builder("12");
        builder.begin(RecordId::new(7).unwrap(), None);
        builder.set_derived(1, "[]");
        builder.stray("NEW", 0..2);
        let batch = builder.finish(true);
        assert_eq!(batch.value(0, 1), Some("[]"));
        let strays: Vec<_> = batch.strays().map(|(s, v)| (s.row, s.name.clone(), v.to_owned())).collect();
        assert_eq!(strays, [(0, "NEW".to_owned(), "12".to_owned())]);
    }
}
