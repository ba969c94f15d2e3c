//! Creates and drops databases, from a thread with a runtime of its own: a test's runtime is gone, or busy, when its
//! database is dropped.

use std::{
    sync::mpsc as answers,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::shared::block_on;

/// What a statement came to: the error's state and its text.
pub(crate) type Outcome = Result<(), (Option<SqlState>, String)>;

struct Order {
    sql: String,
    answer: answers::Sender<Outcome>,
}

/// A connection to the `postgres` database as the superuser.
#[derive(Debug)]
pub(crate) struct Admin {
    url: String,
    orders: mpsc::UnboundedSender<Order>,
}

impl Admin {
    pub(crate) fn connect(url: String) -> Self {
        let (orders, mut queue) = mpsc::unbounded_channel::<Order>();
        let address = url.clone();
        let worker = move || {
            block_on(async {
                let mut client = None;
                while let Some(order) = queue.recv().await {
                    let outcome = run(&mut client, &address, &order.sql).await;
                    // Whoever asked may have given up.
                    let _ = order.answer.send(outcome);
                }
            });
        };
        thread::Builder::new()
            .name("pg-harness".to_owned())
            .spawn(worker)
            .unwrap_or_else(|error| panic!("no thread for the test server: {error}"));
        Self { url, orders }
    }

    /// The address of `database` on this server.
    pub(crate) fn url(&self, database: &str) -> String {
        with_database(&self.url, database)
    }

    /// Runs `sql` and waits for it, at most 60 s.
    pub(crate) fn run(&self, sql: &str) -> Outcome {
        let (answer, outcome) = answers::channel();
        let order = Order { sql: sql.to_owned(), answer };
        let gone = |reason: &str| Err((None, format!("{reason} while running `{sql}`")));
        if self.orders.send(order).is_err() {
            return gone("the thread of the test server is gone");
        }
        outcome.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|error| gone(&error.to_string()))
    }

    /// Like [`Admin::run`] without blocking the runtime.
    pub(crate) async fn ask(&'static self, sql: String) -> Outcome {
        let asked = tokio::task::spawn_blocking(move || self.run(&sql)).await;
        asked.unwrap_or_else(|error| Err((None, error.to_string())))
    }
}

/// Replaces the database of an address that ends with one.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap_or((url, ""));
    format!("{server}/{database}")
}

/// Connects to `url` as soon as the server lets us in, and drives the connection on the current runtime.
#[expect(clippy::disallowed_methods, reason = "the connection ends with the client that is returned")]
pub(crate) async fn connect(url: &str) -> Client {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                // Its end is seen by the client.
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                return client;
            }
            // All slots taken, starting up: both pass.
            Err(error)
                if matches!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS | &SqlState::CANNOT_CONNECT_NOW))
                    && Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("cannot connect to the test server: {}", text(&error)),
        }
    }
}

async fn run(client: &mut Option<Client>, url: &str, sql: &str) -> Outcome {
    if client.as_ref().is_none_or(Client::is_closed) {
        *client = Some(connect(url).await);
    }
    let Some(client) = client else { return Err((None, "not connected".to_owned())) };
    client.batch_execute(sql).await.map_err(|error| (error.code().cloned(), text(&error)))
}

/// The whole of an error: its `Display` says no more than "db error".
pub(crate) fn text(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| format!("{error:?}"), ToString::to_string)
}
