//! Names and types of columns.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::hash::BuildHasher;

use sha2::{Digest, Sha256};

use crate::field::FieldKind;

/// Longest identifier that PostgreSQL keeps, in bytes (`NAMEDATALEN` − 1).
const MAX_BYTES: usize = 63;

/// Bytes kept of a name that gets a hash: 54 + `_` + 8 hex digits = 63.
const KEPT_BYTES: usize = 54;

/// Names that belong to us or to PostgreSQL and cannot be given to a field.
const RESERVED: &[&str] = &[
    "id",
    "bitrix_id",
    "created_at",
    "updated_at",
    "deleted_at",
    // System columns, see the PostgreSQL manual, section "System Columns".
    "tableoid",
    "xmin",
    "cmin",
    "xmax",
    "cmax",
    "ctid",
];

/// Name of the column that takes what has no column of its own.
pub const OVERFLOW_COLUMN: &str = "_extra";

/// A column's name: at most 63 bytes, never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnName(String);

impl ColumnName {
    /// Takes a name that a table already has.
    pub fn existing(name: impl Into<String>) -> ColumnName {
        ColumnName(name.into())
    }

    /// The name's text, not quoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Chooses a column name for a field: lower case, everything but `a-z`, `0-9` and `_` becomes `_`, and a leading digit
/// or underscore gets an `f` before it. A name that is too long, reserved or in `taken` is cut to 54 bytes and gets
/// `_` and eight hex digits of a hash of the field's full name, so that two fields never share a column.
pub fn choose_name<S: BuildHasher>(field: &str, taken: &HashSet<String, S>) -> ColumnName {
    let plain = plain_name(field);
    if plain.len() <= MAX_BYTES && !is_reserved(&plain) && !taken.contains(&plain) {
        return ColumnName(plain);
    }
    // The counter only matters if two hashes collide, which no portal will ever see; but a law has no exceptions.
    for round in 0_u32.. {
        let name = hashed_name(&plain, field, round);
        if !taken.contains(&name) {
            return ColumnName(name);
        }
    }
    ColumnName(plain)
}

/// The name that a field would have if nothing stood against it.
pub fn plain_name(field: &str) -> String {
    let mut name = String::with_capacity(field.len());
    for character in field.chars() {
        let lower = character.to_ascii_lowercase();
        name.push(if lower.is_ascii_lowercase() || lower.is_ascii_digit() { lower } else { '_' });
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.insert(0, 'f');
    }
    name
}

/// Whether the name is kept for us or for PostgreSQL.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

fn hashed_name(plain: &str, field: &str, round: u32) -> String {
    let mut hasher = Sha256::new();
    hasher.update(field.as_bytes());
    if round > 0 {
        hasher.update(round.to_be_bytes());
    }
    let digest = hasher.finalize();
    let mut name: String = plain.chars().take(KEPT_BYTES).collect();
    name.push('_');
    for byte in digest.iter().take(4) {
        // Writing into a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Which type new columns for instants get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampStyle {
    /// `timestamp`, in UTC, as the Python service made them.
    #[default]
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
}

/// The types of columns that the service can write. Closed, so that no type name ever comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `text`.
    Text,
    /// `varchar(n)`: at most `n` characters; without `n` it is [`ColumnType::Text`].
    Varchar(u32),
    /// `smallint`: only in tables that others made.
    SmallInt,
    /// `integer`.
    Integer,
    /// `bigint`.
    BigInt,
    /// `numeric` without precision.
    Numeric,
    /// `boolean`.
    Boolean,
    /// `timestamp` in UTC.
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
    /// `date`.
    Date,
    /// `jsonb`.
    Jsonb,
    /// `json`: only in tables that others made.
    Json,
}

impl ColumnType {
    /// The type of a new column for single values of this kind (docs/field-mapping.md).
    pub fn for_field(kind: FieldKind, multiple: bool, timestamps: TimestampStyle) -> ColumnType {
        if multiple {
            return ColumnType::Jsonb;
        }
        match kind {
            FieldKind::Text
            | FieldKind::Enumeration
            | FieldKind::Status
            | FieldKind::Url
            | FieldKind::Address
            | FieldKind::Other => ColumnType::Text,
            FieldKind::Integer | FieldKind::Category => ColumnType::Integer,
            FieldKind::Double | FieldKind::Money => ColumnType::Numeric,
            FieldKind::Boolean => ColumnType::Boolean,
            FieldKind::DateTime => match timestamps {
                TimestampStyle::Timestamp => ColumnType::Timestamp,
                TimestampStyle::TimestampTz => ColumnType::TimestampTz,
            },
            FieldKind::Date => ColumnType::Date,
            FieldKind::Currency => ColumnType::Varchar(10),
            FieldKind::Reference => ColumnType::Varchar(50),
            FieldKind::File | FieldKind::Multifield | FieldKind::Object => ColumnType::Jsonb,
        }
    }
}

impl ColumnType {
    /// Whether a column of this type can hold the values of a field that would get a column of type `wanted`, if it may
    /// be given a wider type of its own family when a value asks for it.
    pub fn can_hold(self, wanted: ColumnType) -> bool {
        let is_number = |column_type| {
            matches!(column_type, ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt | ColumnType::Numeric)
        };
        let is_instant = |column_type| matches!(column_type, ColumnType::Timestamp | ColumnType::TimestampTz);
        match self {
            ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Jsonb | ColumnType::Json => true,
            _ => self == wanted || is_number(self) && is_number(wanted) || is_instant(self) && is_instant(wanted),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Text => f.write_str("text"),
            ColumnType::Varchar(n) => write!(f, "varchar({n})"),
            ColumnType::SmallInt => f.write_str("smallint"),
            ColumnType::Integer => f.write_str("integer"),
            ColumnType::BigInt => f.write_str("bigint"),
            ColumnType::Numeric => f.write_str("numeric"),
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::TimestampTz => f.write_str("timestamptz"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Jsonb => f.write_str("jsonb"),
            ColumnType::Json => f.write_str("json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(field: &str) -> String {
        choose_name(field, &HashSet::new()).0
    }

    #[test]
    fn usual_names_are_lower_case() {
        assert_eq!(name("STAGE_ID"), "stage_id");
        assert_eq!(name("UF_CRM_1720697698689"), "uf_crm_1720697698689");
    }

    #[test]
    fn odd_names_become_identifiers() {
        assert_eq!(name("1C_CODE"), "f1c_code");
        assert_eq!(name("_PRIVATE"), "f_private");
        assert_eq!(name("UF_ПОЛЕ"), "uf_____");
        assert_eq!(name("A-B.C"), "a_b_c");
        assert_eq!(name(""), "f");
    }

    #[test]
    fn our_own_names_are_not_given_away() {
        assert_eq!(name("UPDATED_AT"), "updated_at_37f27424");
        assert_eq!(name("XMIN").len(), "xmin".len() + 9);
    }

    #[test]
    fn long_names_keep_54_bytes_and_a_hash() {
        let long = "UF_CRM_".to_owned() + &"X".repeat(80);
        let name = name(&long);
        assert_eq!(name.len(), MAX_BYTES);
        assert!(name.starts_with("uf_crm_xxxx"));
    }

    #[test]
    fn fields_that_differ_only_in_case_or_signs_get_two_columns() {
        let mut taken = HashSet::new();
        let first = choose_name("UF_CRM_A-B", &taken);
        taken.insert(first.0.clone());
        let second = choose_name("UF_CRM_a_b", &taken);
        assert_eq!(first.as_str(), "uf_crm_a_b");
        assert_ne!(first, second);
    }

    proptest! {
        #[test]
        fn any_set_of_fields_gets_as_many_valid_names(fields in prop::collection::hash_set("\\PC{0,90}", 1..40)) {
            let mut taken = HashSet::new();
            for field in &fields {
                let name = choose_name(field, &taken);
                prop_assert!(name.0.len() <= MAX_BYTES && !name.0.is_empty());
                prop_assert!(name.0.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
                prop_assert!(name.0.starts_with(|c: char| c.is_ascii_lowercase()));
                prop_assert!(!is_reserved(&name.0));
                prop_assert!(taken.insert(name.0));
            }
        }

        #[test]
        fn a_name_depends_on_the_field_alone(field in "\\PC{0,90}") {
            prop_assert_eq!(name(&field), name(&field));
        }
    }
}
