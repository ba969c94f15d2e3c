//! A `batch` answer, and what becomes of the keys of its records.

use std::ops::Range;

use b24sync_domain::entity::RecordId;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::collected::Collected;
use super::multifield;
use super::places::Frame;
use super::slots::{Slot, Slots};
use crate::body;
use crate::lenient;

/// Arrays and objects inside each other in a value. Around values, the parser itself goes 128 deep at most.
const VALUE_DEPTH: usize = 60;

const TOO_DEEP: &str = "a value is nested deeper than 60";

/// A `batch` answer: its records as positions, the rest borrowed.
#[derive(Debug, Default)]
pub(crate) struct BatchAnswer<'a> {
    /// The frame's `error`.
    pub(crate) error: Option<&'a RawValue>,
    pub(crate) error_description: Option<&'a RawValue>,
    pub(crate) time: Option<&'a RawValue>,
    /// `result.result_error`.
    pub(crate) errors: Option<&'a RawValue>,
    /// `result.result_time`.
    pub(crate) times: Option<&'a RawValue>,
    /// Whether there was a `result.result` at all.
    pub(crate) complete: bool,
    pub(crate) records: Collected,
}

/// Reads an answer whose commands are lists.
pub(crate) fn decode_batch<'a>(text: &'a str, slots: &Slots<'_>) -> Result<BatchAnswer<'a>, serde_json::Error> {
    let mut answer = BatchAnswer::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let reader = &mut Reader { slots, base: text.as_ptr().addr(), known: Vec::new(), answer: &mut answer };
    Frame(reader).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(answer)
}

/// A pass over an answer.
pub(super) struct Reader<'r, 'a> {
    pub(super) slots: &'r Slots<'r>,
    /// Address of the answer's text.
    base: usize,
    /// Keys of the record before, in order: records of one answer usually repeat them.
    known: Vec<(&'a str, Slot)>,
    pub(super) answer: &'r mut BatchAnswer<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn span(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr().addr().saturating_sub(self.base);
        start..start + raw.get().len()
    }

    /// What the key at this position of a record is. `lasting`: the key, where it is part of the answer's text.
    pub(super) fn slot(&mut self, position: usize, key: &str, lasting: Option<&'a str>) -> Slot {
        if let Some((_, slot)) = self.known.get(position).filter(|(known, _)| *known == key) {
            return *slot;
        }
        let slot = self.slots.of(key);
        if let Some(key) = lasting {
            self.known.truncate(position);
            if self.known.len() == position {
                self.known.push((key, slot));
            }
        }
        slot
    }

    pub(super) fn take(&mut self, slot: Slot, key: &str, raw: &'a RawValue, row: &mut Row<'a>) {
        // Whoever converts a value goes into it as deep as it is.
        if raw.get().starts_with(['[', '{']) && !body::is_shallow(raw.get(), VALUE_DEPTH) {
            return self.fault(TOO_DEEP);
        }
        let span = self.span(raw);
        let field = match slot {
            Slot::Field(field) => Some(field),
            Slot::Id(field) => {
                row.id = Some(raw);
                field
            }
            Slot::Modified(field) => {
                row.modified = Some(raw);
                field
            }
            Slot::Multifields => {
                self.multifields(key, raw, span.clone());
                None
            }
            Slot::Alias => None,
            Slot::Legacy | Slot::Stray => {
                if raw.get() != "null" {
                    self.answer.records.stray(key, span.clone());
                }
                None
            }
        };
        if let Some(field) = field {
            self.answer.records.value(field, span);
        }
    }

    fn multifields(&mut self, key: &str, raw: &RawValue, span: Range<usize>) {
        let Some(lists) = multifield::split(raw) else {
            self.answer.records.stray(key, span);
            return;
        };
        let lists = || self.slots.multifields.into_iter().zip(&lists).filter(|(_, list)| !list.is_empty());
        if lists().any(|(position, _)| position.is_none()) {
            self.answer.records.stray(key, span);
        }
        for (position, list) in lists() {
            if let Some(position) = position {
                self.answer.records.derived(position, list.clone());
            }
        }
    }

    /// Finishes a record; whether it had a valid id.
    pub(super) fn end_row(&mut self, row: &Row<'_>) -> bool {
        let Some(id) = row.id.and_then(lenient::integer).and_then(RecordId::new) else {
            self.answer.records.drop_row();
            return false;
        };
        let modified = row.modified.and_then(lenient::instant).map(|time| time.to_utc());
        self.answer.records.end_row(id, modified);
        true
    }

    /// Notes why the page that is being read is no honest page.
    pub(super) fn fault(&mut self, fault: &'static str) {
        if let Some(page) = self.answer.records.pages.last_mut() {
            page.fault.get_or_insert(fault);
        }
    }
}

/// What identifies the record that is being read.
#[derive(Default)]
pub(super) struct Row<'a> {
    id: Option<&'a RawValue>,
    modified: Option<&'a RawValue>,
}
