//! The four entities of the portal and the two dialects that show them.

use serde::{Deserialize, Serialize};

/// One of the four entities that this portal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entity {
    /// Leads, `entityTypeId` 1.
    Lead,
    /// Deals, `entityTypeId` 2.
    Deal,
    /// Contacts, `entityTypeId` 3.
    Contact,
    /// Companies, `entityTypeId` 4.
    Company,
}

impl Entity {
    /// Every entity, by rising `entityTypeId`.
    pub const ALL: [Self; 4] = [Self::Lead, Self::Deal, Self::Contact, Self::Company];

    /// The `entityTypeId` of the universal methods.
    pub fn type_id(self) -> i64 {
        match self {
            Self::Lead => 1,
            Self::Deal => 2,
            Self::Contact => 3,
            Self::Company => 4,
        }
    }

    /// The word in the classic method names: `crm.{name}.list`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Deal => "deal",
            Self::Contact => "contact",
            Self::Company => "company",
        }
    }

    /// The `ENTITY_ID` of its user fields.
    pub fn user_field_owner(self) -> &'static str {
        match self {
            Self::Lead => "CRM_LEAD",
            Self::Deal => "CRM_DEAL",
            Self::Contact => "CRM_CONTACT",
            Self::Company => "CRM_COMPANY",
        }
    }

    /// Finds an entity by its classic word, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name().eq_ignore_ascii_case(name))
    }

    /// Finds an entity by its `entityTypeId`.
    pub fn by_type_id(type_id: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.type_id() == type_id)
    }
}

/// Which family of methods speaks: `crm.{entity}.*` or `crm.item.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `crm.deal.list` and its kin: upper-case names, strings everywhere.
    Classic,
    /// `crm.item.list` and its kin: camel-case names, native numbers.
    Item,
}
