//! Keeps the replica and the control tables in PostgreSQL.
//!
//! [`PgStore`] implements the storing ports of the domain: `RecordStore`, `DeletionStore`, `DriftStore`, `SchemaStore`,
//! `ReadOrder`, `RunLog`, `RunBoard`, `SettingsStore`, `LeaseStore`, `PortalStore`, `StatusStore`, `TokenVault`,
//! `RegistrationStore`, `ArrivalStore` and `BudgetStore`. [`migrate()`] makes what it needs. Everything works behind a
//! transaction pooler: no session state, no temporary tables, every name qualified.
//!
//! [`PgExaminer`] is the domain's `DatabaseExaminer`: it looks at a database that may lack all of that.
//!
//! - Control tables live in the schema `b24sync` and come from `migrations`; simple questions to them are written in
//!   diesel's language over `schema`. To add one, add a migration.
//! - `sync_config`, `sync_state` and `sync_logs` live beside the replica in a schema that is a setting, so that
//!   `system_tables` makes them, or takes over those of the Python service.
//! - Replica tables are made and filled by `records`. All SQL text with names in it is built in `sql`, and nowhere else.
//! - To add a port, write a module with its `impl … for PgStore`: transactions through `transaction`, failures through
//!   `error`.

mod application;
#[cfg(feature = "bench")]
pub mod bench;
mod budget;
mod config;
mod connection;
mod error;
mod examine;
mod inbox;
mod leases;
mod migrate;
mod order;
mod pool;
mod portal;
mod records;
mod row_counts;
mod runs;
mod schema;
mod settings;
mod sql;
mod status;
mod store;
mod system_tables;
mod tls;
mod transaction;

pub use config::{DatabaseUrl, DatabaseUrlError};
pub use examine::PgExaminer;
pub use migrate::{AdoptedTable, ExposedTable, MigrateOptions, MigrationReport, migrate, pending_migrations, plan};
pub use pool::{PoolSettings, PoolUse};
pub use store::{PgStore, SchemaName, SchemaNameError, StoreOptions};
