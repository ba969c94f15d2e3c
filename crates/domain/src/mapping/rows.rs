//! A batch of records → columns ready to be bound, a content hash per record, and the records that cannot be stored.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use chrono::{DateTime, FixedOffset, Utc};
use sha2::{Digest, Sha256};

use super::answer::{AnswerHash, Answers};
use super::cells::{self, ColumnData, Misfit};
use super::column::{ColumnName, ColumnType, OVERFLOW_COLUMN};
use super::json;
use super::schema::{MappedField, SchemaNeed, TableMapping, Target, Widening};
use super::value::{self, Cell, ValueError};
use crate::entity::{EntityType, RecordId};
use crate::field::FieldKind;
use crate::ports::FieldCheck;
use crate::record::{ReadToken, RecordBatch};

/// Raised when conversion changes, so that no row of an older version counts as equal.
const HASH_VERSION: u8 = 1;

/// Characters of a refused value that the quarantine keeps for the operator.
const EXCERPT_CHARACTERS: usize = 120;

/// Shapes of values that a check shows.
const SAMPLES: usize = 3;

/// Characters of a shape.
const SHAPE_CHARACTERS: usize = 40;

/// Hash of a record's content: equal content, equal hash, whatever the order of fields and however emptiness was
/// spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    /// Of a record's content in its one spelling.
    pub fn of(content: &[u8]) -> ContentHash {
        let digest = Sha256::digest(content);
        let mut hash = [0; 16];
        hash.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        ContentHash(hash)
    }
}

/// A column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: ColumnName,
    /// Its type.
    pub column_type: ColumnType,
    /// One cell per row.
    pub data: ColumnData,
}

/// Rows for one table, column by column, sorted by id as they were read.
#[derive(Debug, Clone, PartialEq)]
pub struct RowBatch {
    /// Whose rows.
    pub entity: EntityType,
    /// Drawn before the rows were read.
    pub read: ReadToken,
    /// Ids of the rows.
    pub ids: Vec<RecordId>,
    /// Modification time of each row.
    pub modified: Vec<Option<DateTime<Utc>>>,
    /// Content hash of each row.
    pub hashes: Vec<ContentHash>,
    /// Hash of the answer that each row was made of.
    pub answers: Vec<AnswerHash>,
    /// The columns.
    pub columns: Vec<Column>,
}

impl RowBatch {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Just the rows that are chosen, in their order.
    #[must_use]
    pub fn select(&self, chosen: &[bool]) -> RowBatch {
        fn pick<T: Clone>(from: &[T], chosen: &[bool]) -> Vec<T> {
            from.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(value, _)| value.clone()).collect()
        }
        let column = |column: &Column| Column {
            name: column.name.clone(),
            column_type: column.column_type,
            data: column.data.select(chosen),
        };
        RowBatch {
            entity: self.entity,
            read: self.read,
            ids: pick(&self.ids, chosen),
            modified: pick(&self.modified, chosen),
            hashes: pick(&self.hashes, chosen),
            answers: pick(&self.answers, chosen),
            columns: self.columns.iter().map(column).collect(),
        }
    }

    /// About how many bytes its cells are.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.data.bytes()).sum()
    }
}

/// A record that cannot be stored, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which record.
    pub id: RecordId,
    /// The field that is to blame, where one is.
    pub field: Option<String>,
    /// Why.
    pub reason: String,
    /// The beginning of the value, for the operator; never of a file, whose links carry tokens.
    pub excerpt: Option<String>,
}

/// What became of a batch of records.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedBatch {
    /// Records that can be stored.
    pub rows: RowBatch,
    /// Records that were answered as is remembered of them, so that there are no rows; ascending by id.
    pub same: Vec<(RecordId, AnswerHash)>,
    /// Records that cannot.
    pub rejected: Vec<Rejection>,
}

impl MappedBatch {
    /// No records.
    pub fn empty(entity: EntityType) -> MappedBatch {
        let rows = RowBatch {
            entity,
            read: ReadToken(0),
            ids: Vec::new(),
            modified: Vec::new(),
            hashes: Vec::new(),
            answers: Vec::new(),
            columns: Vec::new(),
        };
        MappedBatch { rows, same: Vec::new(), rejected: Vec::new() }
    }
}

/// Turns records into rows.
///
/// # Errors
/// What the table lacks before all storable records fit into it; bring the table there and map again.
pub fn map(mapping: &TableMapping, batch: &RecordBatch) -> Result<MappedBatch, Vec<SchemaNeed>> {
    map_unless_same(mapping, batch, &HashMap::new())
}

/// The same, but for records that were answered as `remembered`, for which no value is converted.
///
/// # Errors
/// As [`map`].
pub fn map_unless_same<S: BuildHasher>(
    mapping: &TableMapping,
    batch: &RecordBatch,
    remembered: &HashMap<RecordId, AnswerHash, S>,
) -> Result<MappedBatch, Vec<SchemaNeed>> {
    map_some(mapping, batch, 0, remembered, usize::MAX).1
}

/// The same from record number `first` on, until there are `most` rows. Returns the number of the next record, too.
///
/// # Errors
/// As [`map`], inside the pair.
pub fn map_some<S: BuildHasher>(
    mapping: &TableMapping,
    batch: &RecordBatch,
    first: usize,
    remembered: &HashMap<RecordId, AnswerHash, S>,
    most: usize,
) -> (usize, Result<MappedBatch, Vec<SchemaNeed>>) {
    let left = batch.len().saturating_sub(first);
    // Where something is remembered, most of it is the same in most passes.
    let expected = if remembered.is_empty() { left.min(most) } else { 0 };
    let mut mapper = Mapper::new(mapping, batch, expected);
    let mut next = first;
    for (row, id) in batch.ids().iter().copied().enumerate().skip(first) {
        let answer = mapper.answer(row);
        if remembered.get(&id) == Some(&answer) {
            mapper.same.push((id, answer));
        } else {
            mapper.row(row, id, answer);
        }
        next = row + 1;
        if mapper.rows.len() >= most {
            break;
        }
    }
    if !mapper.needs.is_empty() {
        return (next, Err(mapper.needs.into_iter().collect()));
    }
    (next, Ok(MappedBatch { rows: mapper.rows, same: mapper.same, rejected: mapper.rejected }))
}

/// The records of a batch that have a value in any of the mapping's fields; one that cannot be read as a value counts.
/// What came under other names is not looked at.
pub fn with_values(mapping: &TableMapping, batch: &RecordBatch) -> Vec<RecordId> {
    let offset = *batch.source_time.offset();
    let has_value = |row: usize| {
        mapping.fields.iter().enumerate().any(|(position, field)| {
            batch.value(row, position).is_some_and(|json| {
                match value::convert(field.kind, field.multiple, json, offset) {
                    Ok(converted) => !matches!(converted.cell, Cell::Null),
                    Err(_) => true,
                }
            })
        })
    };
    batch.ids().iter().enumerate().filter(|(row, _)| has_value(*row)).map(|(_, id)| *id).collect()
}

/// Each field's values of a batch, and whether they fit; values are shown as shapes only, without what they say.
pub fn check_fields(mapping: &TableMapping, batch: &RecordBatch) -> Vec<FieldCheck> {
    let offset = *batch.source_time.offset();
    let check = |(position, field): (usize, &MappedField)| {
        let column = match &field.target {
            Target::Column { name, .. } => name.as_str(),
            Target::Overflow => OVERFLOW_COLUMN,
        };
        let name = field.field.as_str();
        let mut checked = FieldCheck { column: column.to_owned(), field: name.to_owned(), ..FieldCheck::default() };
        for json in (0..batch.len()).filter_map(|row| batch.value(row, position)) {
            if checked.samples.len() < SAMPLES && !matches!(json, "null" | "\"\"" | "[]") {
                checked.samples.push(shape(json));
            }
            match value::convert(field.kind, field.multiple, json, offset) {
                Ok(_) => checked.valid += 1,
                Err(error) => {
                    checked.invalid += 1;
                    let reason = error.to_string();
                    if !checked.errors.contains(&reason) {
                        checked.errors.push(reason);
                    }
                }
            }
        }
        checked
    };
    mapping.fields.iter().enumerate().map(check).collect()
}

/// What a value looks like: letters become `a`, digits `0`, everything else stays; no longer than a glance.
fn shape(json: &str) -> String {
    let mask = |c: char| match c {
        c if c.is_numeric() => '0',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    json.chars().take(SHAPE_CHARACTERS).map(mask).collect()
}

struct Mapper<'a> {
    mapping: &'a TableMapping,
    batch: &'a RecordBatch,
    offset: FixedOffset,
    strays: Vec<Vec<(&'a str, &'a str)>>,
    answers: Answers<'a>,
    rows: RowBatch,
    same: Vec<(RecordId, AnswerHash)>,
    rejected: Vec<Rejection>,
    needs: HashSet<SchemaNeed>,
    /// Content of the row at hand, for its hash.
    content: Vec<u8>,
}

/// Who is to blame that there is no row.
struct Blame<'a> {
    field: &'a str,
    reason: String,
    excerpt: Option<&'a str>,
}

impl<'a> Mapper<'a> {
    /// For so many rows, as far as that can be told.
    fn new(mapping: &'a TableMapping, batch: &'a RecordBatch, expected: usize) -> Mapper<'a> {
        let mut strays = vec![Vec::new(); batch.len()];
        for (stray, value) in batch.strays() {
            if let Some(row) = strays.get_mut(stray.row) {
                row.push((stray.name.as_str(), value));
            }
        }
        let rows = RowBatch {
            entity: mapping.entity,
            read: batch.read,
            ids: Vec::with_capacity(expected),
            modified: Vec::with_capacity(expected),
            hashes: Vec::with_capacity(expected),
            answers: Vec::with_capacity(expected),
            columns: columns(mapping, expected),
        };
        Mapper {
            mapping,
            batch,
            offset: *batch.source_time.offset(),
            strays,
            answers: Answers::new(HASH_VERSION, mapping, batch),
            rows,
            same: Vec::new(),
            rejected: Vec::new(),
            needs: HashSet::new(),
            content: Vec::new(),
        }
    }

    fn answer(&mut self, row: usize) -> AnswerHash {
        self.answers.hash(row, self.strays.get(row).map(Vec::as_slice).unwrap_or_default())
    }

    fn row(&mut self, row: usize, id: RecordId, answer: AnswerHash) {
        match self.cells(row) {
            Ok(()) => {
                self.rows.ids.push(id);
                self.rows.modified.push(self.batch.modified(row));
                self.rows.hashes.push(ContentHash::of(&self.content));
                self.rows.answers.push(answer);
            }
            Err(blame) => {
                let rows = self.rows.ids.len();
                self.rows.columns.iter_mut().for_each(|column| column.data.truncate(rows));
                self.rejected.push(Rejection {
                    id,
                    field: Some(blame.field.to_owned()),
                    reason: blame.reason,
                    excerpt: blame.excerpt.map(|json| json.chars().take(EXCERPT_CHARACTERS).collect()),
                });
            }
        }
    }

    /// Appends a cell to each column. Where somebody is to blame, some columns have one more than others.
    fn cells(&mut self, row: usize) -> Result<(), Blame<'a>> {
        self.content.clear();
        self.content.push(HASH_VERSION);
        let mut column = 0;
        let mut overflow = Overflow::default();
        for (position, field) in self.mapping.fields.iter().enumerate() {
            // What is absent and what is `null` is nothing, whatever the field's kind.
            let Some(json) = self.batch.value(row, position).filter(|json| *json != "null") else {
                targets(field).for_each(|_| self.push(&mut column, &Cell::Null));
                continue;
            };
            let blame = |error: &ValueError| Blame {
                field: field.field.as_str(),
                reason: error.to_string(),
                excerpt: excerpt(field, json),
            };
            if field.target == Target::Overflow {
                overflow.push(field.field.as_str(), value::undescribed(json).map_err(|error| blame(&error))?);
                continue;
            }
            let converted =
                value::convert(field.kind, field.multiple, json, self.offset).map_err(|error| blame(&error))?;
            for (target, cell) in targets(field).zip(std::iter::once(converted.cell).chain(converted.currency)) {
                let cell = self.fitted(field, target, cell, json)?;
                self.push(&mut column, &cell);
            }
        }
        for (name, json) in self.strays.get(row).into_iter().flatten() {
            let blame = |error: ValueError| Blame { field: name, reason: error.to_string(), excerpt: None };
            overflow.push(name, value::undescribed(json).map_err(blame)?);
        }
        if let Some(cell) = self.overflow(overflow) {
            self.push(&mut column, &cell);
        }
        Ok(())
    }

    fn push(&mut self, column: &mut usize, cell: &Cell<'_>) {
        if let Some(column) = self.rows.columns.get_mut(*column) {
            column.data.push(cell);
        }
        *column += 1;
    }

    fn fitted(
        &mut self,
        field: &'a MappedField,
        target: &Target,
        cell: Cell<'a>,
        json: &'a str,
    ) -> Result<Cell<'a>, Blame<'a>> {
        let Target::Column { name, column_type, pinned } = target else { return Ok(Cell::Null) };
        feed(&mut self.content, name.as_str(), &cell);
        let refuse = |reason: String| Blame { field: field.field.as_str(), reason, excerpt: excerpt(field, json) };
        match cells::fit(cell, *column_type) {
            Ok(cell) => Ok(cell),
            Err(Misfit::Refuse(reason)) => Err(refuse(reason.to_owned())),
            Err(Misfit::Widen(to)) if *pinned => {
                Err(refuse(format!("needs {to}, but the column `{name}` is {column_type} and could not be widened")))
            }
            Err(Misfit::Widen(to)) => {
                self.need(Widening { column: name.clone(), to });
                Ok(Cell::Null)
            }
        }
    }

    /// Of two needs for one column, the wider type wins.
    fn need(&mut self, widening: Widening) {
        let narrower = self.needs.iter().find_map(|need| match need {
            SchemaNeed::Widen(other) if other.column == widening.column => Some(other.clone()),
            _ => None,
        });
        match narrower {
            Some(other) if other.to == ColumnType::Numeric || other.to == widening.to => {}
            Some(other) => {
                self.needs.remove(&SchemaNeed::Widen(other));
                self.needs.insert(SchemaNeed::Widen(widening));
            }
            None => {
                self.needs.insert(SchemaNeed::Widen(widening));
            }
        }
    }

    /// The overflow column's cell, if the table has the column.
    fn overflow(&mut self, overflow: Overflow<'_>) -> Option<Cell<'a>> {
        let object = overflow.into_json();
        if let Some(object) = &object {
            feed(&mut self.content, OVERFLOW_COLUMN, &Cell::Json(object.as_str().into()));
            if !self.mapping.overflow {
                self.needs.insert(SchemaNeed::Overflow);
            }
        }
        self.mapping.overflow.then(|| object.map_or(Cell::Null, |object| Cell::Json(object.into())))
    }
}

/// Values without a column of their own, by name.
#[derive(Default)]
struct Overflow<'a> {
    members: std::collections::BTreeMap<&'a str, std::borrow::Cow<'a, str>>,
}

impl<'a> Overflow<'a> {
    fn push(&mut self, name: &'a str, json: Option<std::borrow::Cow<'a, str>>) {
        if let Some(json) = json {
            self.members.insert(name, json);
        }
    }

    fn into_json(self) -> Option<String> {
        if self.members.is_empty() {
            return None;
        }
        let mut out = String::from("{");
        for (position, (name, json)) in self.members.iter().enumerate() {
            if position > 0 {
                out.push_str(", ");
            }
            json::push_string(&mut out, name);
            out.push_str(": ");
            out.push_str(json);
        }
        out.push('}');
        Some(out)
    }
}

/// What of a refused value an operator may see: nothing that may carry a token.
fn excerpt<'a>(field: &MappedField, json: &'a str) -> Option<&'a str> {
    Some(json).filter(|json| field.kind != FieldKind::File && !value::mentions_token(json))
}

fn targets(field: &MappedField) -> impl Iterator<Item = &Target> {
    std::iter::once(&field.target)
        .chain(field.currency.as_ref())
        .filter(|target| matches!(target, Target::Column { .. }))
}

fn columns(mapping: &TableMapping, rows: usize) -> Vec<Column> {
    let mut columns: Vec<Column> = mapping
        .fields
        .iter()
        .flat_map(targets)
        .filter_map(|target| match target {
            Target::Column { name, column_type, .. } => Some(Column {
                name: name.clone(),
                column_type: *column_type,
                data: ColumnData::with_capacity(*column_type, rows),
            }),
            Target::Overflow => None,
        })
        .collect();
    if mapping.overflow {
        columns.push(Column {
            name: ColumnName::existing(OVERFLOW_COLUMN),
            column_type: ColumnType::Jsonb,
            data: ColumnData::with_capacity(ColumnType::Jsonb, rows),
        });
    }
    columns
}

/// Adds a cell to a row's content. NULLs are left out, so that a new, empty column changes no hash. The cell is taken
/// before it is fitted to its column, so that widening changes none either.
fn feed(content: &mut Vec<u8>, column: &str, cell: &Cell<'_>) {
    let number;
    let (tag, bytes): (u8, &[u8]) = match cell {
        Cell::Null => return,
        Cell::Text(text) => (b't', text.as_bytes()),
        Cell::Integer(value) => {
            number = value.to_be_bytes();
            (b'i', &number)
        }
        Cell::Decimal(text) => (b'd', text.as_bytes()),
        Cell::Boolean(value) => (b'b', if *value { b"1" } else { b"0" }),
        Cell::Instant(value) => {
            number = value.timestamp_micros().to_be_bytes();
            (b'm', &number)
        }
        Cell::Date(value) => {
            number = i64::from(chrono::Datelike::num_days_from_ce(value)).to_be_bytes();
            (b'y', &number)
        }
        Cell::Json(text) => (b'j', text.as_bytes()),
    };
    content.extend_from_slice(column.as_bytes());
    content.push(tag);
    content.extend_from_slice(&bytes.len().to_be_bytes());
    content.extend_from_slice(bytes);
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
