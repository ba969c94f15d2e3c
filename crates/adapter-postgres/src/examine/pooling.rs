//! What lies between us and the server: told by which of the server's connections two clients find themselves on.

use std::collections::BTreeSet;
use std::time::Duration;

use b24sync_domain::doctor::facts::Pooling;
use diesel::sql_types::Integer;
use diesel_async::SimpleAsyncConnection as _;
use diesel_async::pooled_connection::deadpool::Object;

use crate::connection::Connection;
use crate::error::{Failure, Trouble};
use crate::pool::{Connections, Lent};
use crate::sql::sql;

/// Looks at each client.
const ROUNDS: usize = 3;

/// How long a statement may wait for a connection of the server's while the other client holds one.
const WAIT: Duration = Duration::from_secs(2);

/// Two clients that take turns have connections of their own without a pooler, or with one that gives each session its
/// own; a pooler of transactions lets them share.
pub(super) async fn find(connections: &Connections) -> Result<Pooling, Trouble> {
    let (mut one, mut other) = (connections.lend().await?, connections.lend().await?);
    let (mut of_one, mut of_other) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..ROUNDS {
        of_one.insert(server_process(&mut one).await?);
        of_other.insert(server_process(&mut other).await?);
    }
    if of_one.len() == 1 && of_other.len() == 1 && of_one.is_disjoint(&of_other) {
        return Ok(Pooling::Direct);
    }
    if let Err(error) = other.batch_execute("begin").await {
        drop(Object::take(other));
        return match Trouble::from(error) {
            Trouble::Failed(failure) if refuses_transactions(&failure) => Ok(Pooling::Statement),
            trouble => Err(trouble),
        };
    }
    let keeps_statements = keeps_statements(one, &mut other).await;
    // Whatever state it is in, nobody gets to see it.
    drop(Object::take(other));
    Ok(Pooling::Transaction { keeps_statements: keeps_statements? })
}

/// PgBouncer's words; the code is that of any breach of the protocol.
fn refuses_transactions(failure: &Failure) -> bool {
    failure.message().contains("statement pooling")
}

async fn server_process(connection: &mut Connection) -> Result<i32, Trouble> {
    let (process,): (i32,) = connection.load_one(sql("select pg_backend_pid()").rows::<(Integer,)>()).await?;
    Ok(process)
}

/// While `holder`, which is in a transaction, has the server's connection that `client` was on, a statement that `client`
/// has prepared there finds itself on another one.
async fn keeps_statements(mut client: Lent, holder: &mut Connection) -> Result<Option<bool>, Trouble> {
    server_process(holder).await?;
    match tokio::time::timeout(WAIT, server_process(&mut client)).await {
        Ok(Ok(_)) => Ok(Some(true)),
        Ok(Err(Trouble::Failed(failure))) if failure.is_stale_statement() => Ok(Some(false)),
        Ok(Err(trouble)) => Err(trouble),
        Err(_elapsed) => {
            // Its question is still open.
            drop(Object::take(client));
            Ok(None)
        }
    }
}
