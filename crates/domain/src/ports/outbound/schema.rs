//! What the tables are and what would become of them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::entity::EntityType;
use crate::error::StoreError;
use crate::field::{FieldName, FieldOption};
use crate::mapping::ColumnName;
use crate::mapping::schema::SchemaPlan;

/// A field of the data dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownField {
    /// The field.
    pub field: FieldName,
    /// Its column; `None` when its values are in the overflow column.
    pub column: Option<ColumnName>,
    /// Column of its currency, for amounts.
    pub currency: Option<ColumnName>,
    /// Its type as the portal calls it.
    pub bitrix_type: String,
    /// Its column's type as PostgreSQL calls it.
    pub column_type: Option<String>,
    /// Whether a value is a list.
    pub multiple: bool,
    /// What people call it.
    pub label: Option<String>,
    /// Its options, for lists to choose from.
    pub options: Vec<FieldOption>,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
    /// Whether the portal does not have it any more; the column and its values stay.
    pub retired: bool,
    /// Whether its change has still to reach records that were stored before.
    pub pending: bool,
}

/// Shows what a replica table is and what would become of it. Changes nothing.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SchemaStore: Send + Sync {
    /// The data dictionary of an entity, by field; empty before its first sync.
    async fn dictionary(&self, entity: EntityType) -> Result<Vec<KnownField>, StoreError>;

    /// The statements that would bring the table to `plan`, as text; none when there is nothing to change.
    async fn statements(&self, plan: &SchemaPlan) -> Result<Vec<String>, StoreError>;
}
