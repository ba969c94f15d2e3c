//! Rows into a table by `COPY`.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::CopyInSink;

use super::Connection;
use crate::error::{Failure, Trouble};
use crate::sql::Sql;

/// A `COPY … FROM STDIN` that is on. Dropped before its end, it fails and has taken nothing in.
pub(crate) struct Copy<'c> {
    connection: &'c mut Connection,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

impl Connection {
    /// Begins a `COPY`. The statement has no binds.
    pub(crate) async fn copy_in(&mut self, statement: &Sql<'_>) -> Result<Copy<'_>, Trouble> {
        let text = statement.to_text()?;
        let statement = self.prepared(text, &[]).await?;
        match self.client.copy_in(&statement).await {
            Ok(sink) => Ok(Copy { connection: self, sink: Box::pin(sink) }),
            Err(error) => Err(self.failure(&error).into()),
        }
    }
}

impl Copy<'_> {
    /// Sends a part of what is to be copied; the parts need not be whole rows.
    pub(crate) async fn send(&mut self, part: Bytes) -> Result<(), Failure> {
        self.sink.send(part).await.map_err(|error| self.connection.failure(&error))
    }

    /// Ends it; how many rows it brought.
    pub(crate) async fn finish(mut self) -> Result<u64, Failure> {
        self.sink.as_mut().finish().await.map_err(|error| self.connection.failure(&error))
    }
}
