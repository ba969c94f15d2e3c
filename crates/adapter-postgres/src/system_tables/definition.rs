//! The seed's three tables, column by column.

use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::schema::ActualType;

/// What a column may be in a table that another program made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `text` or `varchar(n)`; `Some(n)`: at least so many characters.
    Words(Option<u32>),
    /// Any integer type.
    Number,
    /// `boolean`.
    Flag,
    /// `timestamp` in UTC, or `timestamptz`.
    Time,
}

impl Family {
    pub(super) fn accepts(self, actual: &ActualType) -> bool {
        let ActualType::Known(known) = actual else { return false };
        match self {
            Family::Words(_) => matches!(known, ColumnType::Text | ColumnType::Varchar(_)),
            Family::Number => matches!(known, ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt),
            Family::Flag => *known == ColumnType::Boolean,
            Family::Time => matches!(known, ColumnType::Timestamp | ColumnType::TimestampTz),
        }
    }
}

/// A column of the seed's.
pub(super) struct SystemColumn {
    pub(super) name: &'static str,
    pub(super) family: Family,
    /// As in `create table`.
    pub(super) definition: &'static str,
    /// As in `alter table … add column`, where that is something else.
    pub(super) added: Option<&'static str>,
}

const fn column(name: &'static str, family: Family, definition: &'static str) -> SystemColumn {
    SystemColumn { name, family, definition, added: None }
}

/// A table of the seed's.
pub(super) struct SystemTable {
    pub(super) name: &'static str,
    pub(super) columns: &'static [SystemColumn],
    /// Whether there is one row per entity.
    pub(super) per_entity: bool,
}

/// A number of its own for every row; in a table that has another primary key, only unique.
const ID: SystemColumn =
    SystemColumn { name: "id", family: Family::Number, definition: "serial primary key", added: Some("serial unique") };

const KEY: SystemColumn = SystemColumn {
    name: "entity_type",
    family: Family::Words(Some(50)),
    definition: "varchar(50) unique not null",
    added: None,
};

const CREATED: SystemColumn = column("created_at", Family::Time, "timestamp default now()");
const UPDATED: SystemColumn = column("updated_at", Family::Time, "timestamp default now()");

/// Settings, one row per entity.
pub(super) const SYNC_CONFIG: SystemTable = SystemTable {
    name: "sync_config",
    columns: &[
        ID,
        KEY,
        column("enabled", Family::Flag, "boolean default true"),
        column("sync_interval_minutes", Family::Number, "integer default 30"),
        column("webhook_enabled", Family::Flag, "boolean default true"),
        column("last_sync_at", Family::Time, "timestamp"),
        CREATED,
        UPDATED,
    ],
    per_entity: true,
};

/// What is there, one row per entity.
pub(super) const SYNC_STATE: SystemTable = SystemTable {
    name: "sync_state",
    columns: &[
        ID,
        KEY,
        column("last_modified_date", Family::Time, "timestamp"),
        column("total_records", Family::Number, "integer default 0"),
        CREATED,
        UPDATED,
    ],
    per_entity: true,
};

/// One row per run. The seed has VARCHAR(20) for `sync_type` and `status`; `completed_with_quarantine` has 25
/// characters.
pub(super) const SYNC_LOGS: SystemTable = SystemTable {
    name: "sync_logs",
    columns: &[
        ID,
        SystemColumn { definition: "varchar(50) not null", ..KEY },
        column("sync_type", Family::Words(Some(50)), "varchar(50) not null"),
        column("status", Family::Words(Some(50)), "varchar(50) not null"),
        column("records_processed", Family::Number, "integer default 0"),
        column("error_message", Family::Words(None), "text"),
        column("started_at", Family::Time, "timestamp default now()"),
        column("completed_at", Family::Time, "timestamp"),
    ],
    per_entity: false,
};

/// All three.
pub(super) const ALL: [&SystemTable; 3] = [&SYNC_CONFIG, &SYNC_STATE, &SYNC_LOGS];
