//! Whether a record was answered as it was before: told from its bytes, without converting a value.

use chrono::FixedOffset;
use sha2::{Digest, Sha256};

use super::schema::{MappedField, TableMapping};
use super::value::{self, Cell};
use crate::field::FieldKind;
use crate::record::RecordBatch;

/// Hash of what the portal answered for a record, and of how that becomes a row: equal answers have equal content. The
/// same content may be answered differently, so that different answers say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerHash(pub [u8; 16]);

/// Of values that a record has under names which the mapping does not know.
const STRAY: u16 = u16::MAX;

/// Hashes the answers of a batch one after the other.
pub(super) struct Answers<'a> {
    mapping: &'a TableMapping,
    batch: &'a RecordBatch,
    /// Fed with everything but the values on which rows depend.
    begun: Sha256,
    bytes: Vec<u8>,
}

impl<'a> Answers<'a> {
    /// `version` changes with the rules of conversion.
    pub(super) fn new(version: u8, mapping: &'a TableMapping, batch: &'a RecordBatch) -> Answers<'a> {
        // Should another build write this differently, each record is converted once more.
        let rules = format!("{version} {:?} {:?} {}", mapping.fields, mapping.overflow, batch.source_time.offset());
        Answers { mapping, batch, begun: Sha256::new_with_prefix(rules), bytes: Vec::new() }
    }

    /// The hash of a record's answer; `strays` are its values under other names.
    pub(super) fn hash(&mut self, row: usize, strays: &[(&str, &str)]) -> AnswerHash {
        self.bytes.clear();
        for (position, field) in self.mapping.fields.iter().enumerate() {
            // As for rows, `null` is as good as nothing.
            if let Some(json) = self.batch.value(row, position).filter(|json| *json != "null") {
                self.value(u16::try_from(position).unwrap_or(STRAY), field, json);
            }
        }
        for (name, json) in strays {
            self.piece(STRAY, name.as_bytes());
            self.piece(STRAY, json.as_bytes());
        }
        let digest = self.begun.clone().chain_update(&self.bytes).finalize();
        let mut hash = [0; 16];
        hash.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        AnswerHash(hash)
    }

    fn value(&mut self, tag: u16, field: &MappedField, json: &str) {
        let offset: FixedOffset = *self.batch.source_time.offset();
        if field.kind == FieldKind::File {
            // Links of files change with every answer (Bitrix24 REST, gotcha 25).
            match value::convert(field.kind, field.multiple, json, offset).map(|converted| converted.cell) {
                Ok(Cell::Null) => return,
                Ok(Cell::Json(files)) => return self.piece(tag, files.as_bytes()),
                Ok(_) | Err(_) => {}
            }
        }
        self.piece(tag, json.as_bytes());
    }

    fn piece(&mut self, tag: u16, bytes: &[u8]) {
        self.bytes.extend_from_slice(&tag.to_be_bytes());
        self.bytes.extend_from_slice(&bytes.len().to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}
