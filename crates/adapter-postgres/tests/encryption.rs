//! TLS as `sslmode` asks for it. The server's certificate is for `localhost`, from an authority of our own
//! (`tests/fixtures`, valid for a hundred years; the authority's key is gone).

use b24sync_adapter_postgres::{DatabaseUrl, MigrateOptions, PgStore, migrate};
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::ports::ReadOrder;
use b24sync_pg_harness::PgServer;
use tokio_postgres::Client;

use crate::support::*;

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ca.pem");

/// Has the server itself write a file that only it can read, as it demands of keys.
async fn write(client: &Client, directory: &str, name: &str, text: &str) {
    let lines = format!("copy (select unnest(string_to_array($t${}$t$, E'\\n'))) to '{directory}/{name}'", text.trim());
    client.batch_execute(&lines).await.unwrap();
    client
        .batch_execute(&format!("copy (select 1) to program 'cat > /dev/null; chmod 600 {directory}/{name}'"))
        .await
        .unwrap();
}

async fn encrypted() -> PgServer {
    let mut server = PgServer::private().await;
    let client = server.client("postgres").await;
    let directory: String = client.query_one("show data_directory", &[]).await.unwrap().get(0);
    write(&client, &directory, "server.crt", include_str!("fixtures/server.pem")).await;
    write(&client, &directory, "server.key", include_str!("fixtures/server.key")).await;
    client.batch_execute("alter system set ssl = on").await.unwrap();
    drop(client);
    server.stop_fast().await;
    server.start().await;
    server
}

#[tokio::test]
async fn the_server_is_checked_as_strictly_as_asked() {
    let server = encrypted().await;
    let address = server.url("postgres");
    let named = address.replace("127.0.0.1", "localhost");
    migrate(&DatabaseUrl::parse(&address).unwrap(), &MigrateOptions::default()).await.unwrap();
    let ours = format!("sslrootcert={AUTHORITY}");
    let accepted = [
        format!("{named}?sslmode=verify-full&{ours}"),
        format!("{address}?sslmode=verify-ca&{ours}"),
        format!("{address}?sslmode=require&{ours}"),
        format!("{address}?sslmode=require"),
    ];
    for address in accepted {
        let store = PgStore::connect(&DatabaseUrl::parse(&address).unwrap(), options()).await.unwrap();
        store.next().await.unwrap();
        let sql = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where ssl and application_name = 'b24sync'";
        let client = server.client("postgres").await;
        assert!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0, "not encrypted");
    }
    let refused = [
        (format!("{address}?sslmode=verify-full&{ours}"), "sslrootcert=FILE"),
        (format!("{named}?sslmode=verify-full"), "sslrootcert=FILE"),
        (format!("{address}?sslmode=verify-ca"), "sslrootcert=FILE"),
        (format!("{named}?sslmode=verify-full&sslrootcert=/nowhere.pem"), "/nowhere.pem"),
    ];
    for (address, expected) in refused {
        let error = PgStore::connect(&DatabaseUrl::parse(&address).unwrap(), options()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        assert!(Chain(&error).to_string().contains(expected), "{}", Chain(&error));
    }
}
