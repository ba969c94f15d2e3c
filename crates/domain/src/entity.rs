//! Entities and records by identity: which kinds of things are replicated, and how one is named.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

/// Everything the service needs to know about one kind of record, declared once.
#[derive(Debug)]
pub struct EntityDescriptor {
    /// Public name, used in paths, settings and logs; also the middle part of the classic method names
    /// (`crm.deal.list`).
    pub key: &'static str,
    /// Replica table.
    pub table: &'static str,
    /// The portal's `entityTypeId` (Bitrix24 REST, universal methods); also the entity's number in control tables.
    pub type_id: i16,
    /// Classic name of the field that holds the time of the last change.
    pub modified_field: &'static str,
    /// What the portal puts between `ONCRM` and `ADD`, `UPDATE`, `DELETE` in event names.
    pub event_stem: &'static str,
}

/// All replicated entities, in the order in which `--all` takes them.
/// Companies and contacts come before the deals that point at them.
pub static CATALOGUE: &[EntityDescriptor] = &[
    EntityDescriptor {
        key: "company",
        table: "crm_companies",
        type_id: 4,
        modified_field: "DATE_MODIFY",
        event_stem: "COMPANY",
    },
    EntityDescriptor {
        key: "contact",
        table: "crm_contacts",
        type_id: 3,
        modified_field: "DATE_MODIFY",
        event_stem: "CONTACT",
    },
    EntityDescriptor { key: "lead", table: "crm_leads", type_id: 1, modified_field: "DATE_MODIFY", event_stem: "LEAD" },
    EntityDescriptor { key: "deal", table: "crm_deals", type_id: 2, modified_field: "DATE_MODIFY", event_stem: "DEAL" },
];

/// A kind of record that the catalogue declares. Two are equal when their `type_id` is.
#[derive(Clone, Copy)]
pub struct EntityType(&'static EntityDescriptor);

impl EntityType {
    /// Every entity of the catalogue, in its order.
    pub fn all() -> impl Iterator<Item = EntityType> {
        CATALOGUE.iter().map(EntityType)
    }

    /// The entity with this number in control tables, if the catalogue has it.
    pub fn from_type_id(type_id: i16) -> Option<EntityType> {
        EntityType::all().find(|entity| entity.type_id() == type_id)
    }

    /// Public name: `deal`.
    pub fn key(self) -> &'static str {
        self.0.key
    }

    /// Replica table: `crm_deals`.
    pub fn table(self) -> &'static str {
        self.0.table
    }

    /// The portal's `entityTypeId`.
    pub fn type_id(self) -> i16 {
        self.0.type_id
    }

    /// Classic name of the modification time: `DATE_MODIFY`.
    pub fn modified_field(self) -> &'static str {
        self.0.modified_field
    }

    /// The entity's part of event names: `DEAL`.
    pub fn event_stem(self) -> &'static str {
        self.0.event_stem
    }
}

impl PartialEq for EntityType {
    fn eq(&self, other: &Self) -> bool {
        self.0.type_id == other.0.type_id
    }
}

impl Eq for EntityType {}

impl std::hash::Hash for EntityType {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.type_id.hash(state);
    }
}

impl PartialOrd for EntityType {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntityType {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.type_id.cmp(&other.0.type_id)
    }
}

impl fmt::Debug for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.key)
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.key)
    }
}

/// The name given for an entity is not in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown entity `{name}`; known entities are {}", known_keys())]
pub struct UnknownEntity {
    /// The name as given.
    pub name: String,
}

fn known_keys() -> String {
    CATALOGUE.iter().map(|descriptor| format!("`{}`", descriptor.key)).collect::<Vec<_>>().join(", ")
}

impl FromStr for EntityType {
    type Err = UnknownEntity;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        EntityType::all()
            .find(|entity| entity.key().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownEntity { name: name.to_owned() })
    }
}

/// A record's id in its portal: 1 to 2^63−1. Unique within one entity only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(NonZeroI64);

impl RecordId {
    /// Accepts positive numbers only: the portal has no others.
    pub fn new(id: i64) -> Option<RecordId> {
        if id > 0 { NonZeroI64::new(id).map(RecordId) } else { None }
    }

    /// The number itself.
    pub fn get(self) -> i64 {
        self.0.get()
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One record of a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Its entity.
    pub entity: EntityType,
    /// Its id there.
    pub id: RecordId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_unknown_entity_names_the_known_ones() {
        let error = "invoice".parse::<EntityType>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown entity `invoice`; known entities are `company`, `contact`, `lead`, `deal`"
        );
    }

    #[test]
    fn keys_tables_and_numbers_of_the_catalogue_are_unique() {
        let keys: HashSet<_> = CATALOGUE.iter().map(|d| d.key).collect();
        let tables: HashSet<_> = CATALOGUE.iter().map(|d| d.table).collect();
        let numbers: HashSet<_> = CATALOGUE.iter().map(|d| d.type_id).collect();
        assert_eq!((keys.len(), tables.len(), numbers.len()), (CATALOGUE.len(), CATALOGUE.len(), CATALOGUE.len()));
    }

    #[test]
    fn ids_are_positive() {
        assert_eq!(RecordId::new(0), None);
        assert_eq!(RecordId::new(-1), None);
        assert_eq!(RecordId::new(i64::MAX).map(RecordId::get), Some(i64::MAX));
    }
}
