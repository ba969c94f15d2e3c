//! Array binds straight from the domain's packed columns: no value is copied before it is in the message.
//!
//! Layout (PostgreSQL source, `array_recv`): number of dimensions, flags, element type, then per dimension its length
//! and lower bound, then per element its length (−1 for NULL) and bytes; all integers are 32 bits, big-endian.

use std::io::Write;

use b24sync_domain::entity::RecordId;
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::cells::{ColumnData, Texts};
use b24sync_domain::mapping::rows::{Column, ContentHash};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::result::QueryResult;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Array, BigInt, Bool, Bytea, Date, Nullable, Text, Timestamp, Timestamptz};

// Types of elements, from pg_type.dat.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const TEXT: u32 = 25;
const DATE: u32 = 1082;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// 2000-01-01 as days of the common era.
const EPOCH_DAYS: i32 = 730_120;

type Result = serialize::Result;

/// Writes an array of one dimension.
fn write<E: AsRef<[u8]>>(
    out: &mut Output<'_, '_, Pg>,
    element_type: u32,
    length: usize,
    elements: impl Iterator<Item = Option<E>>,
) -> Result {
    out.write_all(&1_i32.to_be_bytes())?;
    out.write_all(&0_i32.to_be_bytes())?;
    out.write_all(&element_type.to_be_bytes())?;
    out.write_all(&i32::try_from(length)?.to_be_bytes())?;
    out.write_all(&1_i32.to_be_bytes())?;
    for element in elements {
        match element {
            Some(element) => {
                let bytes = element.as_ref();
                out.write_all(&i32::try_from(bytes.len())?.to_be_bytes())?;
                out.write_all(bytes)?;
            }
            None => out.write_all(&(-1_i32).to_be_bytes())?,
        }
    }
    Ok(IsNull::No)
}

/// What PostgreSQL counts from, for microseconds since 1970.
pub(super) fn micros(since_1970: i64) -> [u8; 8] {
    since_1970.saturating_sub(EPOCH_MICROS).to_be_bytes()
}

fn instant(instant: DateTime<Utc>) -> [u8; 8] {
    micros(instant.timestamp_micros())
}

/// The same for a day.
pub(super) fn days(day: NaiveDate) -> [u8; 4] {
    (day.num_days_from_ce() - EPOCH_DAYS).to_be_bytes()
}

/// `text[]`.
#[derive(Debug)]
struct TextArray<'a>(&'a Texts);

impl ToSql<Array<Nullable<Text>>, Pg> for TextArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, TEXT, self.0.len(), self.0.iter())
    }
}

/// `bigint[]`.
#[derive(Debug)]
struct IntegerArray<'a>(&'a [Option<i64>]);

impl ToSql<Array<Nullable<BigInt>>, Pg> for IntegerArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, INT8, self.0.len(), self.0.iter().map(|value| value.map(i64::to_be_bytes)))
    }
}

/// `boolean[]`.
#[derive(Debug)]
struct BooleanArray<'a>(&'a [Option<bool>]);

impl ToSql<Array<Nullable<Bool>>, Pg> for BooleanArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, BOOL, self.0.len(), self.0.iter().map(|value| value.map(|value| [u8::from(value)])))
    }
}

/// `timestamp[]` in UTC, or `timestamptz[]`.
#[derive(Debug)]
pub(crate) struct InstantArray<'a>(pub(crate) &'a [Option<DateTime<Utc>>]);

impl ToSql<Array<Nullable<Timestamp>>, Pg> for InstantArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, TIMESTAMP, self.0.len(), self.0.iter().map(|value| value.map(instant)))
    }
}

impl ToSql<Array<Nullable<Timestamptz>>, Pg> for InstantArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, TIMESTAMPTZ, self.0.len(), self.0.iter().map(|value| value.map(instant)))
    }
}

/// `date[]`.
#[derive(Debug)]
struct DateArray<'a>(&'a [Option<NaiveDate>]);

impl ToSql<Array<Nullable<Date>>, Pg> for DateArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, DATE, self.0.len(), self.0.iter().map(|value| value.map(days)))
    }
}

/// `bigint[]` of ids.
#[derive(Debug)]
pub(crate) struct IdArray<'a>(pub(crate) &'a [RecordId]);

impl ToSql<Array<BigInt>, Pg> for IdArray<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, INT8, self.0.len(), self.0.iter().map(|id| Some(id.get().to_be_bytes())))
    }
}

/// `bytea[]`.
#[derive(Debug)]
pub(crate) struct ContentHashes<'a>(pub(crate) &'a [ContentHash]);

impl ToSql<Array<Bytea>, Pg> for ContentHashes<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, BYTEA, self.0.len(), self.0.iter().map(|hash| Some(hash.0)))
    }
}

/// `bytea[]`.
#[derive(Debug)]
pub(crate) struct AnswerHashes<'a>(pub(crate) &'a [AnswerHash]);

impl ToSql<Array<Bytea>, Pg> for AnswerHashes<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        write(out, BYTEA, self.0.len(), self.0.iter().map(|hash| Some(hash.0)))
    }
}

/// The cells of a column as one bind with its cast, `$1::text[]`.
pub(crate) struct CellArray<'a> {
    column: &'a Column,
    value: Cells<'a>,
}

enum Cells<'a> {
    Texts(TextArray<'a>),
    Integers(IntegerArray<'a>),
    Booleans(BooleanArray<'a>),
    Instants(InstantArray<'a>),
    Dates(DateArray<'a>),
}

impl<'a> CellArray<'a> {
    pub(crate) fn new(column: &'a Column) -> CellArray<'a> {
        let value = match &column.data {
            ColumnData::Texts(texts) => Cells::Texts(TextArray(texts)),
            ColumnData::Integers(values) => Cells::Integers(IntegerArray(values)),
            ColumnData::Booleans(values) => Cells::Booleans(BooleanArray(values)),
            ColumnData::Instants(values) => Cells::Instants(InstantArray(values)),
            ColumnData::Dates(values) => Cells::Dates(DateArray(values)),
        };
        CellArray { column, value }
    }
}

impl QueryFragment<Pg> for CellArray<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let cast = match &self.value {
            Cells::Texts(texts) => {
                out.push_bind_param::<Array<Nullable<Text>>, _>(texts)?;
                "::text[]"
            }
            Cells::Integers(values) => {
                out.push_bind_param::<Array<Nullable<BigInt>>, _>(values)?;
                "::bigint[]"
            }
            Cells::Booleans(values) => {
                out.push_bind_param::<Array<Nullable<Bool>>, _>(values)?;
                "::boolean[]"
            }
            Cells::Instants(values) if self.column.column_type == ColumnType::TimestampTz => {
                out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(values)?;
                "::timestamptz[]"
            }
            Cells::Instants(values) => {
                out.push_bind_param::<Array<Nullable<Timestamp>>, _>(values)?;
                "::timestamp[]"
            }
            Cells::Dates(values) => {
                out.push_bind_param::<Array<Nullable<Date>>, _>(values)?;
                "::date[]"
            }
        };
        out.push_sql(cast);
        Ok(())
    }
}
