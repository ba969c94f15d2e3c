//! Brings a database to what this version needs.
//!
//! Everything happens in one transaction under an advisory lock of that transaction, so that two processes may migrate
//! at once, also through a pooler. diesel's list of applied migrations has no schema of its own: within the
//! transaction `search_path` is `b24sync`, so that it lies there and not in `public`.

use std::time::Duration;

use b24sync_domain::doctor::facts::MigrationFacts;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Bool, Nullable, Oid, SmallInt, Text};
use diesel_async::SimpleAsyncConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::config::DatabaseUrl;
use crate::connection::Connection;
use crate::error::{Failure, Trouble, chain};
use crate::pool::{Connections, PoolSettings};
use crate::sql::{Table, access, catalog, sql};
use crate::store::SchemaName;
use crate::system_tables;
use crate::transaction::{Transaction, retrying};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

const DOING: &str = "migrating the database";

/// Oldest server that is tried; older ones are long out of support.
const OLDEST_SERVER: i32 = 130_000;

/// Key of the advisory lock: "b24sync" in ASCII.
const LOCK: i64 = 0x0062_3234_7379_6e63;

/// How to migrate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateOptions {
    /// Where the replica and `sync_config`, `sync_state`, `sync_logs` live (`DATABASE_SCHEMA`).
    pub schema: SchemaName,
    /// Interval of entities that have no settings yet (`SYNC_DEFAULT_INTERVAL_MINUTES`).
    pub default_interval_minutes: i32,
}

impl Default for MigrateOptions {
    fn default() -> MigrateOptions {
        MigrateOptions { schema: SchemaName::default(), default_interval_minutes: 30 }
    }
}

/// A table that was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedTable {
    /// Its name.
    pub table: String,
    /// What was done to it.
    pub changes: Vec<String>,
}

/// A table that others than its owner may read. Whoever made the table wanted it so, or did not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedTable {
    /// Its name.
    pub table: String,
    /// Who may read it, of `public`, `anon` and `authenticated`.
    pub readers: Vec<String>,
    /// Whether row level security still stands before the rows.
    pub row_security: bool,
}

/// What a migration did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Versions of the migrations that were applied.
    pub applied: Vec<String>,
    /// Tables that were there and have been taken over, or changed since.
    pub adopted: Vec<AdoptedTable>,
    /// Tables that are open to others; their grants have been left as they are.
    pub exposed: Vec<ExposedTable>,
}

/// Brings the database to what this version needs; idempotent, and safe when two processes do it at once.
///
/// # Errors
/// [`StoreError::CannotAdopt`] when a table that is there stands in the way, [`StoreError::TooNew`] when a newer
/// version has been here, [`StoreError::Forbidden`] when the user may not create schemas or change the tables.
pub async fn migrate(url: &DatabaseUrl, options: &MigrateOptions) -> Result<MigrationReport, StoreError> {
    let connections = single(url)?;
    surviving_races(DOING, || migrate_once(&connections, options)).await
}

/// What [`migrate`] would do: it is done, and undone again. Tables that would be changed are locked meanwhile.
///
/// # Errors
/// Those of [`migrate`].
pub async fn plan(url: &DatabaseUrl, options: &MigrateOptions) -> Result<MigrationReport, StoreError> {
    let connections = single(url)?;
    surviving_races("planning the migration", || async {
        let (mut transaction, report) = perform(&connections, options).await?;
        transaction.undo().await?;
        Ok(report)
    })
    .await
}

/// Does the work again where another program was at the same thing: `create schema` takes no lock that the advisory one
/// could stand for.
async fn surviving_races<F, W>(doing: &'static str, work: F) -> Result<MigrationReport, StoreError>
where
    F: Fn() -> W,
    W: Future<Output = Result<MigrationReport, Trouble>>,
{
    let mut races = 0;
    loop {
        let outcome = retrying(doing, || async {
            match Box::pin(work()).await {
                Err(trouble) if trouble.failure().is_some_and(Failure::is_creation_race) && races < 5 => Ok(None),
                other => other.map(Some),
            }
        })
        .await?;
        if let Some(report) = outcome {
            return Ok(report);
        }
        races += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Versions of the migrations that [`migrate`] would apply, the oldest first.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn pending_migrations(url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
    let connections = single(url)?;
    let doing = "reading the list of migrations";
    let applied = async {
        let mut connection = connections.lend().await?;
        applied(&mut connection).await
    };
    let applied = applied.await.map_err(|trouble: Trouble| trouble.into_store(doing))?.unwrap_or_default();
    let known = known().map_err(|failure| failure.into_store(doing))?;
    Ok(known.into_iter().filter(|version| !applied.contains(version)).collect())
}

/// Which control tables the database has.
pub(crate) async fn facts(connection: &mut Connection) -> Result<MigrationFacts, Trouble> {
    let known = known()?;
    let applied = applied(connection).await?;
    let untouched = applied.is_none();
    let applied = applied.unwrap_or_default();
    let newer = applied.iter().filter(|version| !known.contains(version)).max().cloned();
    let pending = known.into_iter().filter(|version| !applied.contains(version)).collect();
    Ok(MigrationFacts { pending, untouched, newer })
}

/// Refuses a database that this version cannot work with.
pub(crate) async fn check(connection: &mut Connection) -> Result<(), Trouble> {
    let known = known()?;
    let applied = applied(connection).await?.ok_or(StoreError::NotMigrated)?;
    refuse_newer(&known, &applied)?;
    if known.iter().all(|version| applied.contains(version)) { Ok(()) } else { Err(StoreError::NotMigrated.into()) }
}

fn refuse_newer(known: &[String], applied: &[String]) -> Result<(), Trouble> {
    match applied.iter().filter(|version| !known.contains(version)).max() {
        Some(version) => Err(StoreError::TooNew { version: version.clone() }.into()),
        None => Ok(()),
    }
}

/// Moves the order of reads above everything that was stored, for a backup that was put back may have moved it down.
pub(crate) async fn raise_read_order(connection: &mut Connection) -> Result<(), Trouble> {
    let highest = "select greatest((select max(write_seq) from b24sync.item_state), (select max(start_seq) from b24sync.runs), (select max(read_seq) from b24sync.quarantine)), (select last_value from b24sync.read_order)";
    let (highest, last): (Option<i64>, i64) =
        connection.load_one(sql(highest).rows::<(Nullable<BigInt>, BigInt)>()).await?;
    if let Some(highest) = highest.filter(|highest| *highest > last) {
        tracing::warn!(highest, last, "the order of reads was behind what is stored; raising it");
        let statement = sql("select setval('b24sync.read_order', greatest(")
            .bind::<BigInt, _>(highest)
            .text(", (select last_value from b24sync.read_order)))");
        let _: (i64,) = connection.load_one(statement.rows::<(BigInt,)>()).await?;
    }
    Ok(())
}

fn single(url: &DatabaseUrl) -> Result<Connections, StoreError> {
    let settings = PoolSettings { size: 1, max_overflow: 0, ..PoolSettings::default() };
    Connections::new(url, settings).map_err(|failure| failure.into_store(DOING))
}

async fn migrate_once(connections: &Connections, options: &MigrateOptions) -> Result<MigrationReport, Trouble> {
    let (transaction, report) = perform(connections, options).await?;
    transaction.finish(Ok(report)).await
}

/// Does everything, and leaves it to the caller to commit it.
async fn perform(
    connections: &Connections,
    options: &MigrateOptions,
) -> Result<(Transaction, MigrationReport), Trouble> {
    let mut transaction = Transaction::begin_change(connections).await?;
    let lock = sql("select pg_advisory_xact_lock(").bind::<BigInt, _>(LOCK).text(")");
    // Another process may be migrating: that is worth waiting for.
    transaction.batch_execute("set local lock_timeout = '5min'").await?;
    transaction.perform(lock).await?;
    transaction.batch_execute("set local lock_timeout = '10s'").await?;
    let outcome = prepare(&mut transaction).await;
    if let Err(trouble) = outcome {
        return transaction.finish(Err(trouble)).await;
    }
    let (mut transaction, applied) = run(transaction).await?;
    match finish(&mut transaction, options, applied).await {
        Ok(report) => Ok((transaction, report)),
        Err(trouble) => transaction.finish(Err(trouble)).await,
    }
}

/// Makes the control schema, if it is not there: asking for it costs a right that one need not have otherwise.
async fn prepare(connection: &mut Connection) -> Result<(), Trouble> {
    let (server,): (i32,) = connection.load_one(catalog::server_version()).await?;
    if server < OLDEST_SERVER {
        let message = "PostgreSQL 13 or newer is needed; this server is older";
        return Err(StoreError::Database { doing: DOING, source: message.into() }.into());
    }
    if !catalog::has_schema(connection, "b24sync").await? {
        connection.batch_execute("create schema b24sync").await?;
    }
    if let Some(applied) = applied(connection).await? {
        refuse_newer(&known()?, &applied)?;
    }
    Ok(())
}

/// Applies what is pending. diesel's harness is synchronous: it gets a thread of its own, and the transaction with it.
async fn run(mut transaction: Transaction) -> Result<(Transaction, Vec<String>), Trouble> {
    transaction.batch_execute("set local search_path = b24sync").await?;
    transaction.last_failure();
    let joined = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncConnectionWrapper::<_, Runtime>::from(transaction);
        let applied = harness
            .run_pending_migrations(MIGRATIONS)
            .map(|versions| versions.iter().map(ToString::to_string).collect::<Vec<_>>());
        let applied = applied.map_err(|error| Failure::ours(error.to_string()));
        let mut transaction = harness.into_inner();
        // The harness hides the database's own failure in a private type.
        let applied = applied.map_err(|hidden| transaction.last_failure().unwrap_or(hidden));
        (transaction, applied)
    })
    .await;
    let (mut transaction, applied) = joined.map_err(|error| Failure::ours(chain(&error)))?;
    let outcome = match applied {
        Ok(applied) => transaction.batch_execute("set local search_path to default").await.map(|()| applied),
        Err(failure) => Err(failure.into()),
    };
    match outcome {
        Ok(applied) => Ok((transaction, applied)),
        Err(error) => transaction.finish(Err(error.into())).await,
    }
}

/// Waits on a thread made for waiting.
struct Runtime(tokio::runtime::Handle);

impl BlockOn for Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn get_runtime() -> Runtime {
        Runtime(tokio::runtime::Handle::current())
    }
}

/// Everything that is not a migration: the seed's tables, who may read what, the order of reads.
async fn finish(
    connection: &mut Connection,
    options: &MigrateOptions,
    applied: Vec<String>,
) -> Result<MigrationReport, Trouble> {
    let schema = options.schema.as_str();
    if !catalog::has_schema(connection, schema).await? {
        connection.change(&sql("create schema ").name(schema)).await?;
    }
    access::close_control_schema(connection).await?;
    raise_read_order(connection).await?;
    let first = !applied.is_empty();
    let mut adopted = system_tables::bring(connection, schema, options.default_interval_minutes).await?;
    let mut exposed = Vec::new();
    for adopted in &adopted {
        exposed.extend(exposure(connection, Table::new(schema, &adopted.table)).await?);
    }
    for entity in EntityType::all() {
        let table = Table::new(schema, entity.table());
        exposed.extend(exposure(connection, table).await?);
        if note_replica(connection, entity, table).await? {
            adopted.push(AdoptedTable { table: entity.table().to_owned(), changes: Vec::new() });
        }
    }
    adopted.retain(|adopted| first || !adopted.changes.is_empty());
    Ok(MigrationReport { applied, adopted, exposed })
}

async fn exposure(connection: &mut Connection, table: Table<'_>) -> Result<Option<ExposedTable>, Trouble> {
    let Some(relation) = catalog::relation(connection, table).await? else { return Ok(None) };
    let readers = access::readers(connection, relation.oid).await?;
    let exposed = ExposedTable { table: table.name.to_owned(), readers, row_security: relation.row_security };
    Ok(Some(exposed).filter(|exposed| !exposed.readers.is_empty()))
}

/// Remembers that a replica table was there before us. Returns whether that is news.
async fn note_replica(connection: &mut Connection, entity: EntityType, table: Table<'_>) -> Result<bool, Trouble> {
    let Some(relation) = catalog::relation(connection, table).await? else { return Ok(false) };
    if !relation.is_table() {
        let reason = "it is not a table".to_owned();
        return Err(StoreError::CannotAdopt { table: table.name.to_owned(), reason }.into());
    }
    let statement = sql("insert into b24sync.replicas (entity, table_schema, table_name, relation, ours) values (")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", ")
        .bind::<Text, _>(table.schema)
        .text(", ")
        .bind::<Text, _>(table.name)
        .text(", ")
        .bind::<Oid, _>(relation.oid)
        .text(", false) on conflict (entity) do nothing");
    Ok(connection.perform(statement).await? > 0)
}

/// Versions of the migrations that this program has, the oldest first.
fn known() -> Result<Vec<String>, Failure> {
    let migrations: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| Failure::ours(error.to_string()))?;
    let mut versions: Vec<String> = migrations.iter().map(|migration| migration.name().version().to_string()).collect();
    versions.sort();
    Ok(versions)
}

/// Versions of the migrations that the database has; `None` before the first one.
async fn applied(connection: &mut Connection) -> Result<Option<Vec<String>>, Trouble> {
    let exists = sql("select to_regclass('b24sync.__diesel_schema_migrations') is not null").rows::<(Bool,)>();
    let (exists,): (bool,) = connection.load_one(exists).await?;
    if !exists {
        return Ok(None);
    }
    let statement = sql("select version::text from b24sync.__diesel_schema_migrations").rows::<(Text,)>();
    let versions: Vec<(String,)> = connection.load_rows(statement).await?;
    Ok(Some(versions.into_iter().map(|(version,)| version).collect()))
}
