//! From fields to columns and from values to cells. All of it is pure.
//!
//! - [`mod@column`]: names and types of columns.
//! - [`schema`]: which columns an entity needs, and how an existing table gets there.
//! - [`value`]: one JSON value by its field's kind → [`value::Cell`].
//! - [`cells`]: cells of one column, packed; and whether a cell fits the column's type.
//! - [`rows`]: a batch of records → columns, hashes and rejections.

pub mod answer;
pub mod cells;
pub mod column;
pub mod json;
pub mod rows;
pub mod schema;
pub mod value;

pub use column::{ColumnName, ColumnType, TimestampStyle};
