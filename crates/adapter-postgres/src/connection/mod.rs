//! A connection of our own below diesel-async's traits.
//!
//! `diesel_async::AsyncPgConnection` will not do: it drops the SQLSTATE of most errors, without which no failure can be
//! told from another; it issues `SET` when it connects, which must not happen behind a transaction pooler; and its
//! cache of prepared statements has no bound. Queries are diesel's all the same, and so is the pool.

mod bind;
mod copy;
mod row;
mod statements;

use std::num::NonZeroU32;
use std::sync::Arc;

use diesel::connection::{CacheSize, Instrumentation};
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{AsQuery, QueryBuilder, QueryFragment, QueryId};
use diesel::result::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection, TransactionManager,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{Client, Statement};

use self::bind::Bind;
use self::row::PgRow;
use self::statements::{Key, Statements};
use crate::error::Failure;

/// A connection to PostgreSQL.
pub(crate) struct Connection {
    client: Client,
    statements: Statements,
    transaction: AnsiTransactionManager,
    instrumentation: Box<dyn Instrumentation>,
    last_failure: Option<Failure>,
    /// Whether another connection would lead to a better server.
    doomed: bool,
}

impl Connection {
    /// Takes a client whose other half is being driven by a task.
    pub(crate) fn new(client: Client) -> Connection {
        Connection {
            client,
            statements: Statements::default(),
            transaction: AnsiTransactionManager::default(),
            instrumentation: Box::new(|_: diesel::connection::InstrumentationEvent<'_>| {}),
            last_failure: None,
            doomed: false,
        }
    }

    /// Why the last batch of statements failed, for callers that get to see diesel's errors only.
    pub(crate) fn last_failure(&mut self) -> Option<Failure> {
        self.last_failure.take()
    }

    async fn prepared(&mut self, text: String, binds: &[Bind]) -> Result<Statement, Failure> {
        let key = Key { text, types: binds.iter().map(|bind| bind.oid).collect() };
        if let Some(statement) = self.statements.get(&key) {
            return Ok(statement);
        }
        let types: Vec<Type> = key.types.iter().map(|oid| type_of(*oid)).collect();
        let statement = self.client.prepare_typed(&key.text, &types).await.map_err(|error| self.failure(&error))?;
        self.statements.put(key, statement.clone());
        Ok(statement)
    }

    /// Translates an error, and draws the conclusions for this connection.
    fn failure(&mut self, error: &tokio_postgres::Error) -> Failure {
        let failure = Failure::new(error, self.client.is_closed());
        if failure.is_stale_statement() {
            tracing::debug!(statements = self.statements.len(), "prepared statements of a connection are out of date");
            self.statements.clear();
        }
        self.doomed |= failure.is_read_only();
        failure
    }

    async fn query(&mut self, query: Built) -> QueryResult<BoxStream<'static, QueryResult<PgRow>>> {
        let statement = self.prepared(query.text, &query.binds).await?;
        let types: Arc<[NonZeroU32]> = statement
            .columns()
            .iter()
            .map(|column| NonZeroU32::new(column.type_().oid()).unwrap_or(NonZeroU32::MIN))
            .collect();
        let rows = self.client.query_raw(&statement, query.binds).await.map_err(|error| self.failure(&error))?;
        let rows = rows.map(move |row| match row {
            Ok(row) => Ok(PgRow::new(row, Arc::clone(&types))),
            Err(error) => Err(Failure::new(&error, false).into()),
        });
        Ok(rows.boxed())
    }

    async fn run(&mut self, query: Built) -> QueryResult<usize> {
        let statement = self.prepared(query.text, &query.binds).await?;
        let rows = self.client.execute_raw(&statement, query.binds).await.map_err(|error| self.failure(&error))?;
        usize::try_from(rows).map_err(|error| Failure::ours(error.to_string()).into())
    }
}

/// Text and binds of a query, free of the query's own lifetime.
struct Built {
    text: String,
    binds: Vec<Bind>,
}

fn build(query: &dyn QueryFragment<Pg>) -> QueryResult<Built> {
    let mut builder = PgQueryBuilder::default();
    query.to_sql(&mut builder, &Pg)?;
    Ok(Built { text: builder.finish(), binds: bind::collect(query)? })
}

/// Bytes of a query as it would be sent.
#[cfg(feature = "bench")]
pub(crate) fn encoded(query: &dyn QueryFragment<Pg>) -> QueryResult<usize> {
    let built = build(query)?;
    Ok(built.text.len() + built.binds.iter().map(Bind::len).sum::<usize>())
}

fn type_of(oid: u32) -> Type {
    Type::from_oid(oid).unwrap_or_else(|| Type::new(String::new(), oid, Kind::Simple, String::new()))
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, text: &str) -> QueryResult<()> {
        self.client.batch_execute(text).await.map_err(|error| {
            let failure = self.failure(&error);
            self.last_failure = Some(failure.clone());
            failure.into()
        })
    }
}

impl AsyncConnectionCore for Connection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = BoxStream<'static, QueryResult<PgRow>>;
    type Row<'conn, 'query> = PgRow;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let built = build(&source.as_query());
        Box::pin(async move { self.query(built?).await })
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let built = build(&source);
        Box::pin(async move { self.run(built?).await })
    }
}

impl AsyncConnection for Connection {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(_: &str) -> ConnectionResult<Connection> {
        std::future::ready(()).await;
        Err(ConnectionError::BadConnection("connections come from the pool".to_owned()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transaction
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.instrumentation.as_mut()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = Box::new(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, _: CacheSize) {}
}

impl PoolableConnection for Connection {
    fn is_broken(&mut self) -> bool {
        self.doomed || self.client.is_closed() || AnsiTransactionManager::is_broken_transaction_manager(self)
    }
}
