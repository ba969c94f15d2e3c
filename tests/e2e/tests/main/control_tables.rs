//! What the database says, and waiting until it says so.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// The number that a query answers; 0 where it fails or has no row.
pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.map_or(0, |row| row.get(0))
}

/// Returns once the query answers another number than 0.
pub(crate) async fn until(client: &Client, what: &str, sql: &str) {
    let deadline = Instant::now() + PATIENCE;
    while number(client, sql).await == 0 {
        assert!(Instant::now() < deadline, "{what} did not happen: {:#?}", log(client).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The run log, a line for each run.
pub(crate) async fn log(client: &Client) -> Vec<String> {
    let sql = "select concat_ws(' ', id, entity_type, sync_type, status, records_processed, error_message) from sync_logs order by id";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
