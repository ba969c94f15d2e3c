//! What benches see of reading: an answer becomes records, without a portal and without a request.

use std::sync::Arc;

use b24sync_domain::entity::EntityType;
use b24sync_domain::field::FieldDescription;
use b24sync_domain::record::{Layout, ReadToken, RecordBatch};
use chrono::DateTime;

use crate::body;
use crate::config::Dialect;
use crate::decode::{BatchHead, Slots, decode_batch};
use crate::dialect::EntityDialect;
use crate::envelope::Envelope;
use crate::fields::{self, Metadata};

/// Reads answers about one entity, in the item dialect.
#[derive(Debug)]
pub struct Decoder {
    entity: EntityType,
    dialect: EntityDialect,
    metadata: Metadata,
}

impl Decoder {
    /// Takes the answer of `crm.item.fields`; `None` if it is none.
    pub fn new(entity: EntityType, fields_answer: &str) -> Option<Decoder> {
        let dialect = EntityDialect::of(Dialect::Item, entity);
        let envelope: Envelope<'_> = serde_json::from_str(fields_answer).ok()?;
        let metadata = fields::decode(&dialect, envelope.result?, None)?;
        Some(Decoder { entity, dialect, metadata })
    }

    /// The described fields.
    pub fn descriptions(&self) -> Vec<FieldDescription> {
        self.metadata.descriptions()
    }

    /// The records of a `batch` answer to list commands; `None` if it is none.
    pub fn decode(&self, layout: &Arc<Layout>, text: String) -> Option<RecordBatch> {
        let slots = Slots::new(&self.dialect, &self.metadata, layout);
        let records = decode_batch(&text, &slots).ok()?.records;
        let rows = records.ids.len();
        let head = BatchHead {
            entity: self.entity,
            layout: Arc::clone(layout),
            token: ReadToken(1),
            source_time: DateTime::UNIX_EPOCH.fixed_offset(),
            text,
        };
        Some(records.into_batch(0..rows, false, head))
    }
}

/// Whether an answer is nested at most so deep, which is asked before it is decoded.
pub fn is_shallow(answer: &str, max: usize) -> bool {
    body::is_shallow(answer, max)
}
