//! Rows in the binary format of `COPY` (PostgreSQL manual, `COPY`, "Binary Format"): a header, then for each row the
//! number of its fields and for each field its length (−1 for NULL) and bytes, then a trailer. All integers are
//! big-endian; what the bytes of a type are is what its `recv` function reads.

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::cells::ColumnData;
use b24sync_domain::mapping::rows::Column;
use bytes::{BufMut, BytesMut};
use diesel::sql_types::{BigInt, SmallInt};

use super::arrays::{days, micros};
use super::numeric::put_numeric;
use super::{Sql, Table, sql};

/// Signature, flags, and the length of a header extension that there is not.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The fields of a row besides the columns of a batch: its id, and when it was created and updated.
const OWN_FIELDS: usize = 3;

/// Version of `jsonb`'s binary format, before the text.
const JSONB_VERSION: u8 = 1;

/// The statement that takes rows in.
pub(crate) fn copy<'a>(table: Table<'a>, columns: &'a [Column]) -> Sql<'a> {
    let mut statement = sql("copy ").table(table).text(" (bitrix_id");
    for column in columns {
        statement = statement.text(", ").name(column.name.as_str());
    }
    statement.text(", created_at, updated_at) from stdin (format binary)")
}

/// The transaction's time, in microseconds since 1970, if the entity's table is one that we made.
pub(crate) fn time_for_our_table<'a>(entity: EntityType) -> Sql<'a, (BigInt,)> {
    sql("select (extract(epoch from now()) * 1000000)::bigint from b24sync.replicas where ours and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .rows()
}

/// Writes rows one after the other.
pub(crate) struct RowWriter<'a> {
    columns: &'a [Column],
    /// Microseconds since 2000, for when rows were created and updated.
    now: [u8; 8],
    out: BytesMut,
}

impl<'a> RowWriter<'a> {
    /// Begins with the header. `now`: microseconds since 1970.
    pub(crate) fn new(columns: &'a [Column], now: i64) -> RowWriter<'a> {
        let mut out = BytesMut::new();
        out.put_slice(HEADER);
        RowWriter { columns, now: micros(now), out }
    }

    /// Appends a row. `None` when a value cannot be written in this format; it is of no use then.
    pub(crate) fn row(&mut self, id: RecordId, row: usize) -> Option<()> {
        self.out.put_i16(i16::try_from(self.columns.len() + OWN_FIELDS).ok()?);
        put(&mut self.out, id.get().to_string().as_bytes())?;
        for column in self.columns {
            cell(&mut self.out, column, row)?;
        }
        put(&mut self.out, &self.now)?;
        put(&mut self.out, &self.now)
    }

    /// Appends the trailer.
    pub(crate) fn end(&mut self) {
        self.out.put_i16(-1);
    }

    /// Bytes that have not been taken.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// What was written so far; there will be about as much again.
    pub(crate) fn take(&mut self) -> bytes::Bytes {
        let taken = self.out.split().freeze();
        self.out.reserve(taken.len());
        taken
    }
}

fn cell(out: &mut BytesMut, column: &Column, row: usize) -> Option<()> {
    match &column.data {
        ColumnData::Texts(texts) => match (texts.get(row), column.column_type) {
            (None, _) => null(out),
            (Some(text), ColumnType::Numeric) => put_numeric(out, text)?,
            (Some(text), ColumnType::Jsonb) => {
                out.put_i32(i32::try_from(text.len() + 1).ok()?);
                out.put_u8(JSONB_VERSION);
                out.put_slice(text.as_bytes());
            }
            (Some(text), _) => put(out, text.as_bytes())?,
        },
        ColumnData::Integers(values) => match (values.get(row)?, column.column_type) {
            (None, _) => null(out),
            (Some(value), ColumnType::SmallInt) => put(out, &i16::try_from(*value).ok()?.to_be_bytes())?,
            (Some(value), ColumnType::Integer) => put(out, &i32::try_from(*value).ok()?.to_be_bytes())?,
            (Some(value), _) => put(out, &value.to_be_bytes())?,
        },
        ColumnData::Booleans(values) => match values.get(row)? {
            None => null(out),
            Some(value) => put(out, &[u8::from(*value)])?,
        },
        ColumnData::Instants(values) => match values.get(row)? {
            None => null(out),
            Some(value) => put(out, &micros(value.timestamp_micros()))?,
        },
        ColumnData::Dates(values) => match values.get(row)? {
            None => null(out),
            Some(day) => put(out, &days(*day))?,
        },
    }
    Some(())
}

fn null(out: &mut BytesMut) {
    out.put_i32(-1);
}

fn put(out: &mut BytesMut, bytes: &[u8]) -> Option<()> {
    out.put_i32(i32::try_from(bytes.len()).ok()?);
    out.put_slice(bytes);
    Some(())
}
