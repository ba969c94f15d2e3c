//! A database with a store, and batches made by the domain's own mapping.

use std::sync::Arc;
use std::time::Duration;

use b24sync_adapter_postgres::{DatabaseUrl, MigrateOptions, PgStore, PoolSettings, SchemaName, StoreOptions, migrate};
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::field::{FieldDescription, FieldKind, FieldName};
use b24sync_domain::lease::{Grant, Lease, Scope};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::rows::{MappedBatch, map};
use b24sync_domain::mapping::schema::{SchemaPlan, TableMapping, plan};
use b24sync_domain::ports::{Commit, LeaseStore, ReadOrder, RecordStore, RunLog, Step};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::{ReadToken, RecordBatchBuilder};
use b24sync_domain::run::{Run, RunKind};
use b24sync_pg_harness::TestDatabase;
use chrono::{DateTime, Utc};
use tokio_postgres::Client;

pub(crate) fn deal() -> EntityType {
    "deal".parse().unwrap()
}

pub(crate) fn id(number: i64) -> RecordId {
    RecordId::new(number).unwrap()
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn url(database: &TestDatabase) -> DatabaseUrl {
    DatabaseUrl::parse(&database.url()).unwrap()
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        pool: PoolSettings { size: 4, max_overflow: 0, ..PoolSettings::default() },
        ..StoreOptions::default()
    }
}

/// A migrated database and a store on it.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: PgStore,
    pub(crate) sql: Client,
}

impl World {
    pub(crate) async fn new() -> World {
        let database = TestDatabase::from_template("migrated", async |url| {
            migrate(&DatabaseUrl::parse(url).unwrap(), &MigrateOptions::default()).await.unwrap();
        })
        .await;
        let store = PgStore::connect(&url(&database), options()).await.unwrap();
        let sql = database.client().await;
        World { database, store, sql }
    }

    /// A database that `sql` prepared before it was migrated.
    pub(crate) async fn adopted(sql: &str) -> (World, b24sync_adapter_postgres::MigrationReport) {
        let database = TestDatabase::create().await;
        let client = database.client().await;
        client.batch_execute(sql).await.unwrap();
        let report = migrate(&url(&database), &MigrateOptions::default()).await.unwrap();
        let store = PgStore::connect(&url(&database), options()).await.unwrap();
        (World { database, store, sql: client }, report)
    }

    pub(crate) async fn lease(&self) -> Lease {
        let grant = self.store.acquire(Scope::Sync(deal()), "test", Duration::from_secs(60)).await.unwrap();
        let Grant::Granted(lease) = grant else { panic!("the lease is taken: {grant:?}") };
        lease
    }

    pub(crate) async fn run(&self, lease: &Lease) -> Run {
        self.store.open(deal(), RunKind::Full, lease).await.unwrap()
    }

    pub(crate) async fn plan(&self, fields: &[FieldDescription]) -> SchemaPlan {
        let known = self.store.known_table(deal()).await.unwrap();
        plan(deal(), fields, &known, TimestampStyle::Timestamp).unwrap()
    }

    /// Brings the table to these fields.
    pub(crate) async fn table(&self, fields: &[FieldDescription]) -> SchemaPlan {
        let plan = self.plan(fields).await;
        self.store.ensure_table(&plan).await.unwrap();
        plan
    }

    pub(crate) async fn token(&self) -> ReadToken {
        self.store.next().await.unwrap()
    }

    /// One value of the database, as text; `None` for no row and for NULL.
    pub(crate) async fn ask(&self, sql: &str) -> Option<String> {
        let messages = self.sql.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        })?
    }

    /// All rows as text, columns joined by `|`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let messages = self.sql.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        messages
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|column| row.get(column).unwrap_or("∅").to_owned());
                    Some(cells.collect::<Vec<_>>().join("|"))
                }
                _ => None,
            })
            .collect()
    }

    pub(crate) async fn run_sql(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// A world in the middle of a full run of deals with a table.
pub(crate) struct Running {
    pub(crate) world: World,
    pub(crate) plan: SchemaPlan,
    pub(crate) lease: Lease,
    pub(crate) run: Run,
}

impl Running {
    pub(crate) async fn with(fields: &[(&str, &str)]) -> Running {
        Running::on(World::new().await, fields).await
    }

    pub(crate) async fn on(world: World, fields: &[(&str, &str)]) -> Running {
        let fields: Vec<_> = fields.iter().map(|(name, kind)| field(name, kind)).collect();
        let plan = world.table(&fields).await;
        let lease = world.lease().await;
        let run = world.run(&lease).await;
        Running { world, plan, lease, run }
    }

    pub(crate) fn step(&self, cursor: i64, processed: u64) -> Step {
        Step {
            run: self.run.id,
            cursor: Some(Cursor::after(cursor)),
            source_start: at("2026-01-01T00:00:00Z"),
            processed,
        }
    }

    pub(crate) async fn try_commit(&self, read: ReadToken, records: &[Record<'_>]) -> Result<Commit, StoreError> {
        let batch = batch(&self.plan.mapping, read, records);
        let last = records.iter().map(|record| record.0).max().unwrap_or_default();
        // Ids stand for counts: the run has processed as many records as its highest id says.
        let step = self.step(last, u64::try_from(last).unwrap());
        self.world.store.commit(&batch, &step, &self.lease).await
    }

    pub(crate) async fn commit(&self, read: ReadToken, records: &[Record<'_>]) -> Commit {
        self.try_commit(read, records).await.unwrap()
    }

    pub(crate) async fn read_and_commit(&self, records: &[Record<'_>]) -> Commit {
        let read = self.world.token().await;
        self.commit(read, records).await
    }
}

/// Id, modification time, and JSON values in the order of the fields' names.
pub(crate) type Record<'a> = (i64, Option<&'a str>, &'a [&'a str]);

pub(crate) fn field(name: &str, type_name: &str) -> FieldDescription {
    FieldDescription {
        name: FieldName::new(name),
        type_name: type_name.to_owned(),
        kind: FieldKind::of(type_name),
        multiple: false,
        label: None,
        options: Vec::new(),
    }
}

pub(crate) fn batch(mapping: &TableMapping, read: ReadToken, records: &[Record<'_>]) -> MappedBatch {
    let source_time = at("2026-01-01T00:00:00Z").fixed_offset();
    let mut builder =
        RecordBatchBuilder::new(mapping.entity, Arc::clone(&mapping.layout), read, source_time, String::new());
    for (number, modified, values) in records {
        builder.begin(id(*number), modified.map(at));
        for (position, value) in values.iter().enumerate() {
            builder.set_derived(position, value);
        }
    }
    map(mapping, &builder.finish(false)).unwrap()
}

pub(crate) fn schema(name: &str) -> SchemaName {
    SchemaName::new(name).unwrap()
}
