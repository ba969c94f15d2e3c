//! Cells of one column, packed so that a value costs no allocation of its own, and the question whether a cell fits
//! its column.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};

use super::column::ColumnType;
use super::json;
use super::value::Cell;

/// Texts of one column in one buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    data: String,
    /// End of each text in `data`, where the next one begins; with [`NULL`] set there is none.
    ends: Vec<usize>,
}

/// A bit that no length has: nothing in memory is longer than `isize::MAX`.
const NULL: usize = 1 << (usize::BITS - 1);

impl Texts {
    fn with_capacity(rows: usize) -> Texts {
        Texts { data: String::new(), ends: Vec::with_capacity(rows) }
    }

    /// Appends a text, or NULL.
    pub fn push(&mut self, text: Option<&str>) {
        self.data.push_str(text.unwrap_or_default());
        let end = self.data.len();
        self.ends.push(if text.is_some() { end } else { end | NULL });
    }

    /// The text of a row; `None` where it is NULL, or where there is no such row.
    pub fn get(&self, row: usize) -> Option<&str> {
        let end = self.ends.get(row).copied().filter(|end| end & NULL == 0)?;
        self.data.get(self.end_of_first(row)..end)
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.ends.len()).map(|row| self.get(row))
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.data.truncate(self.end_of_first(self.ends.len()));
    }

    /// Where the first texts end.
    fn end_of_first(&self, rows: usize) -> usize {
        let last = rows.checked_sub(1).and_then(|last| self.ends.get(last));
        last.map_or(0, |end| end & !NULL)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all texts together.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// The cells of one column, one per row.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    /// For `text`, `varchar`, `numeric`, `json` and `jsonb`: all of them travel as text.
    Texts(Texts),
    /// For the integer types.
    Integers(Vec<Option<i64>>),
    /// For `boolean`.
    Booleans(Vec<Option<bool>>),
    /// For `timestamp` and `timestamptz`.
    Instants(Vec<Option<DateTime<Utc>>>),
    /// For `date`.
    Dates(Vec<Option<NaiveDate>>),
}

impl ColumnData {
    /// An empty column of this type.
    pub fn new(column_type: ColumnType) -> ColumnData {
        ColumnData::with_capacity(column_type, 0)
    }

    /// An empty column of this type with room for so many cells.
    pub fn with_capacity(column_type: ColumnType, rows: usize) -> ColumnData {
        match column_type {
            ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Numeric | ColumnType::Jsonb | ColumnType::Json => {
                ColumnData::Texts(Texts::with_capacity(rows))
            }
            ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => {
                ColumnData::Integers(Vec::with_capacity(rows))
            }
            ColumnType::Boolean => ColumnData::Booleans(Vec::with_capacity(rows)),
            ColumnType::Timestamp | ColumnType::TimestampTz => ColumnData::Instants(Vec::with_capacity(rows)),
            ColumnType::Date => ColumnData::Dates(Vec::with_capacity(rows)),
        }
    }

    /// Takes back all cells but the first ones.
    pub fn truncate(&mut self, rows: usize) {
        match self {
            ColumnData::Texts(texts) => texts.truncate(rows),
            ColumnData::Integers(values) => values.truncate(rows),
            ColumnData::Booleans(values) => values.truncate(rows),
            ColumnData::Instants(values) => values.truncate(rows),
            ColumnData::Dates(values) => values.truncate(rows),
        }
    }

    /// Appends a cell that [`fit`] accepted for the column's type; another one becomes NULL.
    pub fn push(&mut self, cell: &Cell<'_>) {
        match self {
            ColumnData::Texts(texts) => texts.push(match cell {
                Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => Some(text),
                _ => None,
            }),
            ColumnData::Integers(values) => values.push(match cell {
                Cell::Integer(value) => Some(*value),
                _ => None,
            }),
            ColumnData::Booleans(values) => values.push(match cell {
                Cell::Boolean(value) => Some(*value),
                _ => None,
            }),
            ColumnData::Instants(values) => values.push(match cell {
                Cell::Instant(value) => Some(*value),
                _ => None,
            }),
            ColumnData::Dates(values) => values.push(match cell {
                Cell::Date(value) => Some(*value),
                _ => None,
            }),
        }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        match self {
            ColumnData::Texts(texts) => texts.len(),
            ColumnData::Integers(values) => values.len(),
            ColumnData::Booleans(values) => values.len(),
            ColumnData::Instants(values) => values.len(),
            ColumnData::Dates(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the cells are.
    pub fn bytes(&self) -> usize {
        match self {
            ColumnData::Texts(texts) => texts.bytes() + 4 * texts.len(),
            ColumnData::Booleans(values) => 5 * values.len(),
            ColumnData::Integers(_) | ColumnData::Instants(_) | ColumnData::Dates(_) => 12 * self.len(),
        }
    }

    /// The cells of these rows, in this order.
    #[must_use]
    pub fn select(&self, keep: &[bool]) -> ColumnData {
        fn picked<T: Copy>(values: &[T], keep: &[bool]) -> Vec<T> {
            values.iter().zip(keep).filter(|(_, keep)| **keep).map(|(value, _)| *value).collect()
        }
        match self {
            ColumnData::Texts(texts) => {
                let mut selected = Texts::default();
                texts.iter().zip(keep).filter(|(_, keep)| **keep).for_each(|(text, _)| selected.push(text));
                ColumnData::Texts(selected)
            }
            ColumnData::Integers(values) => ColumnData::Integers(picked(values, keep)),
            ColumnData::Booleans(values) => ColumnData::Booleans(picked(values, keep)),
            ColumnData::Instants(values) => ColumnData::Instants(picked(values, keep)),
            ColumnData::Dates(values) => ColumnData::Dates(picked(values, keep)),
        }
    }
}

/// Why a cell does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It would fit a column of this wider type.
    Widen(ColumnType),
    /// No wider type of the same family holds it.
    Refuse(&'static str),
}

/// Brings a cell into the shape of the column's type, without losing anything.
///
/// # Errors
/// [`Misfit`] when the type cannot hold the cell.
pub fn fit(cell: Cell<'_>, column_type: ColumnType) -> Result<Cell<'_>, Misfit> {
    if cell == Cell::Null {
        return Ok(cell);
    }
    match column_type {
        ColumnType::Text => Ok(Cell::Text(as_text(cell))),
        ColumnType::Varchar(limit) => {
            let text = as_text(cell);
            // PostgreSQL counts characters, not bytes.
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            if text.len() <= limit || text.chars().count() <= limit {
                Ok(Cell::Text(text))
            } else {
                Err(Misfit::Widen(ColumnType::Text))
            }
        }
        ColumnType::SmallInt => integer(cell, i64::from(i16::MIN)..=i64::from(i16::MAX), ColumnType::Integer),
        ColumnType::Integer => integer(cell, i64::from(i32::MIN)..=i64::from(i32::MAX), ColumnType::BigInt),
        ColumnType::BigInt => integer(cell, i64::MIN..=i64::MAX, ColumnType::Numeric),
        ColumnType::Numeric => match cell {
            Cell::Integer(value) => Ok(Cell::Decimal(Cow::Owned(value.to_string()))),
            Cell::Decimal(_) => Ok(cell),
            _ => Err(Misfit::Refuse("not a number, but its column is numeric")),
        },
        ColumnType::Boolean => match cell {
            Cell::Boolean(_) => Ok(cell),
            _ => Err(Misfit::Refuse("not a yes or no, but its column is boolean")),
        },
        ColumnType::Timestamp | ColumnType::TimestampTz => match cell {
            Cell::Instant(_) => Ok(cell),
            Cell::Date(day) => Ok(Cell::Instant(day.and_time(NaiveTime::MIN).and_utc())),
            _ => Err(Misfit::Refuse("not a time, but its column is a timestamp")),
        },
        ColumnType::Date => match cell {
            Cell::Date(_) => Ok(cell),
            _ => Err(Misfit::Refuse("not a day, but its column is a date")),
        },
        ColumnType::Jsonb | ColumnType::Json => Ok(Cell::Json(as_json(cell))),
    }
}

fn integer(cell: Cell<'_>, range: std::ops::RangeInclusive<i64>, wider: ColumnType) -> Result<Cell<'_>, Misfit> {
    match cell {
        Cell::Integer(value) if range.contains(&value) => Ok(cell),
        Cell::Integer(value) if wider == ColumnType::Integer && i32::try_from(value).is_err() => {
            Err(Misfit::Widen(ColumnType::BigInt))
        }
        Cell::Integer(_) => Err(Misfit::Widen(wider)),
        Cell::Decimal(_) => Err(Misfit::Widen(ColumnType::Numeric)),
        // A table that others made may hold list options or ids as numbers.
        Cell::Text(text) => match text.parse() {
            Ok(value) if value_is_canonical(value, &text) => integer(Cell::Integer(value), range, wider),
            _ => Err(Misfit::Refuse("not a whole number, but its column is an integer")),
        },
        _ => Err(Misfit::Refuse("not a whole number, but its column is an integer")),
    }
}

/// `007` is a text, not the number 7.
fn value_is_canonical(value: i64, text: &str) -> bool {
    value.to_string() == text
}

fn as_text(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Null => Cow::Borrowed(""),
        Cell::Text(text) | Cell::Decimal(text) | Cell::Json(text) => text,
        Cell::Integer(value) => Cow::Owned(value.to_string()),
        Cell::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Cell::Instant(value) => Cow::Owned(value.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Cell::Date(value) => Cow::Owned(value.to_string()),
    }
}

fn as_json(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Json(json) => json,
        Cell::Boolean(_) | Cell::Integer(_) => as_text(cell),
        cell => {
            let mut out = String::new();
            json::push_string(&mut out, &as_text(cell));
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(text))
    }

    #[test]
    fn integers_widen_step_by_step_and_never_wrap() {
        assert_eq!(fit(Cell::Integer(2_147_483_648), ColumnType::Integer), Err(Misfit::Widen(ColumnType::BigInt)));
        assert_eq!(fit(Cell::Integer(40_000), ColumnType::SmallInt), Err(Misfit::Widen(ColumnType::Integer)));
        assert_eq!(fit(Cell::Integer(i64::MAX), ColumnType::SmallInt), Err(Misfit::Widen(ColumnType::BigInt)));
        let huge = Cell::Decimal(Cow::Borrowed("99999999999999999999"));
        assert_eq!(fit(huge, ColumnType::BigInt), Err(Misfit::Widen(ColumnType::Numeric)));
    }

    #[test]
    fn varchar_counts_characters() {
        assert_eq!(fit(text("йцукенгшщз"), ColumnType::Varchar(10)), Ok(text("йцукенгшщз")));
        assert_eq!(fit(text("йцукенгшщзх"), ColumnType::Varchar(10)), Err(Misfit::Widen(ColumnType::Text)));
    }

    #[test]
    fn a_text_with_leading_zeros_does_not_become_a_number() {
        assert!(matches!(fit(text("007"), ColumnType::Integer), Err(Misfit::Refuse(_))));
        assert_eq!(fit(text("89"), ColumnType::Integer), Ok(Cell::Integer(89)));
    }

    #[test]
    fn anything_fits_text_and_json() {
        assert_eq!(fit(Cell::Boolean(true), ColumnType::Text), Ok(text("true")));
        assert_eq!(fit(text("a\"b"), ColumnType::Jsonb), Ok(Cell::Json(Cow::Borrowed(r#""a\"b""#))));
    }

    #[test]
    fn texts_keep_empty_and_null_apart() {
        let mut texts = Texts::default();
        for text in [Some("a"), None, Some(""), Some("bc")] {
            texts.push(text);
        }
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("a"), None, Some(""), Some("bc")]);
        let selected = ColumnData::Texts(texts).select(&[false, true, true, true]);
        let ColumnData::Texts(mut selected) = selected else { panic!("texts stay texts") };
        assert_eq!(selected.iter().collect::<Vec<_>>(), [None, Some(""), Some("bc")]);
        selected.truncate(2);
        selected.push(Some("d"));
        assert_eq!(selected.iter().collect::<Vec<_>>(), [None, Some(""), Some("d")]);
        selected.truncate(1);
        selected.push(Some("e"));
        assert_eq!(selected.iter().collect::<Vec<_>>(), [None, Some("e")]);
    }
}
