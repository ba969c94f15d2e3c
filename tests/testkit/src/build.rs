//! Fields, batches and ids in one line.

use std::sync::Arc;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::field::{FieldDescription, FieldKind, FieldName};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::rows::{self, MappedBatch};
use b24sync_domain::mapping::schema::{self, KnownTable, SchemaPlan};
use b24sync_domain::record::{Layout, ReadToken, RecordBatch, RecordBatchBuilder};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

/// The entity that most tests use.
pub fn deal() -> EntityType {
    "deal".parse().expect("the catalogue has deals")
}

/// An id.
pub fn id(number: i64) -> RecordId {
    RecordId::new(number).expect("test ids are positive")
}

/// A single-valued field of this portal type.
pub fn field(name: &str, type_name: &str) -> FieldDescription {
    FieldDescription {
        name: FieldName::new(name),
        type_name: type_name.to_owned(),
        kind: FieldKind::of(type_name),
        multiple: false,
        label: Some(format!("label of {name}")),
        options: Vec::new(),
    }
}

/// The fields of a small deal: what a sync needs, an amount and a title.
pub fn deal_fields() -> Vec<FieldDescription> {
    vec![
        field("ID", "integer"),
        field("TITLE", "string"),
        field("OPPORTUNITY", "double"),
        field("DATE_MODIFY", "datetime"),
    ]
}

/// The plan for a table that does not exist yet.
pub fn plan(entity: EntityType, fields: &[FieldDescription]) -> SchemaPlan {
    schema::plan(entity, fields, &KnownTable::default(), TimestampStyle::Timestamp).expect("a plan for known types")
}

/// The portal's clock in tests: whole seconds after 2026-01-01 in UTC+3.
pub fn portal_time(second: i64) -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(3 * 3_600).expect("a valid offset");
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a valid time");
    (start + TimeDelta::seconds(second)).with_timezone(&offset)
}

/// A record for [`batch`]: id, second of its last change, and JSON texts by field name.
pub struct Sample<'a> {
    /// Its id.
    pub id: i64,
    /// Second of its last change on [`portal_time`].
    pub modified: i64,
    /// Its values.
    pub values: &'a [(&'a str, &'a str)],
}

/// A batch of these records, read under this token.
pub fn batch(entity: EntityType, layout: &Arc<Layout>, read: ReadToken, samples: &[Sample<'_>]) -> RecordBatch {
    let mut builder = RecordBatchBuilder::new(entity, Arc::clone(layout), read, portal_time(0), String::new());
    for sample in samples {
        let modified = portal_time(sample.modified).with_timezone(&Utc);
        builder.begin(id(sample.id), Some(modified));
        for (name, json) in sample.values {
            let position = layout.fields().iter().position(|field| field.as_str() == *name);
            builder.set_derived(position.expect("the field is in the layout"), json);
        }
        if let Some(position) = layout.fields().iter().position(|field| field.as_str() == "DATE_MODIFY") {
            builder.set_derived(position, &format!("\"{}\"", portal_time(sample.modified).to_rfc3339()));
        }
    }
    builder.finish(false)
}

/// The same, mapped.
pub fn mapped(plan: &SchemaPlan, read: ReadToken, samples: &[Sample<'_>]) -> MappedBatch {
    let batch = batch(plan.entity, &plan.mapping.layout, read, samples);
    rows::map(&plan.mapping, &batch).expect("the table has all that the samples need")
}
