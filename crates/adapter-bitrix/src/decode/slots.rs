//! Where the value of each key of a record goes.

use std::collections::HashMap;

use b24sync_domain::record::Layout;

use crate::dialect::{EntityDialect, MULTIFIELDS};
use crate::fields::Metadata;

/// What a key of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A field of the layout, by its position.
    Field(usize),
    Id(Option<usize>),
    Modified(Option<usize>),
    /// All multi-fields together.
    Multifields,
    /// Left out, whatever its value.
    Alias,
    /// Left out because it is always `null`; if it is not, it is kept as a stray.
    Legacy,
    /// Not in the layout: unknown, or described after the layout was made.
    Stray,
}

/// The keys of an entity's records.
#[derive(Debug)]
pub(crate) struct Slots<'a> {
    by_name: HashMap<&'a str, Slot>,
    /// Positions of the multi-fields in the layout.
    pub(crate) multifields: [Option<usize>; MULTIFIELDS.len()],
    pub(crate) wrapper: Option<&'static str>,
}

impl<'a> Slots<'a> {
    pub(crate) fn new(dialect: &'a EntityDialect, metadata: &'a Metadata, layout: &Layout) -> Slots<'a> {
        let positions: HashMap<&str, usize> =
            layout.fields().iter().enumerate().map(|(position, field)| (field.as_str(), position)).collect();
        let position = |classic: &str| positions.get(classic).copied();
        let mut by_name = HashMap::new();
        let narrow = metadata.is_narrow(dialect, layout);
        for field in &metadata.fields {
            match position(field.description.name.as_str()) {
                Some(position) => {
                    by_name.insert(field.name.as_str(), Slot::Field(position));
                }
                // A portal that brings more than it was asked for.
                None if narrow => {
                    by_name.insert(field.name.as_str(), Slot::Alias);
                }
                None => {}
            }
        }
        by_name.extend(dialect.aliases.iter().map(|name| (*name, Slot::Alias)));
        by_name.extend(dialect.never_returned.iter().map(|name| (*name, Slot::Alias)));
        by_name.extend(dialect.legacy.iter().map(|name| (*name, Slot::Legacy)));
        if let Some(key) = dialect.multifield_key {
            by_name.insert(key, Slot::Multifields);
        }
        let id = field_of(&by_name, dialect.id_name);
        by_name.insert(dialect.id_name, Slot::Id(id));
        let modified = field_of(&by_name, &dialect.modified_name);
        by_name.insert(&dialect.modified_name, Slot::Modified(modified));
        Slots { by_name, multifields: MULTIFIELDS.map(position), wrapper: dialect.list_wrapper }
    }

    pub(crate) fn of(&self, name: &str) -> Slot {
        self.by_name.get(name).copied().unwrap_or(Slot::Stray)
    }
}

fn field_of(by_name: &HashMap<&str, Slot>, name: &str) -> Option<usize> {
    match by_name.get(name) {
        Some(Slot::Field(field)) => Some(*field),
        _ => None,
    }
}
