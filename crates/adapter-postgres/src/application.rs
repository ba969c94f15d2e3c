//! What the service keeps as an application of the portal: sealed tokens, and where events go.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{Kept, RegistrationStore, TokenVault};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

type KeptRow = (i64, Option<Vec<u8>>, i64);

#[async_trait]
impl TokenVault for PgStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        retrying("reading the application's tokens", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select version, sealed, (extract(epoch from clock_timestamp() - sealed_at) * 1000)::bigint from b24sync.application")
                .rows::<(BigInt, Nullable<Binary>, BigInt)>();
            let row: Option<KeptRow> = connection.load_row(statement).await?;
            let (version, sealed, age) = row.unwrap_or_default();
            Ok(Kept { version, sealed, age: Duration::from_millis(u64::try_from(age).unwrap_or(0)) })
        })
        .await
    }

    async fn replace(&self, known: i64, sealed: Option<Vec<u8>>) -> Result<Option<i64>, StoreError> {
        retrying("keeping the application's tokens", || async {
            let mut connection = self.connections().lend().await?;
            // The same bytes under the next version: the answer to this very statement was lost.
            let statement = sql("insert into b24sync.application as a (version, sealed) values (")
                .bind::<BigInt, _>(known + 1)
                .text(", ")
                .bind::<Nullable<Binary>, _>(sealed.clone())
                .text(") on conflict (single) do update set version = excluded.version, sealed = excluded.sealed, sealed_at = clock_timestamp() where a.version = excluded.version - 1 or a.version = excluded.version and a.sealed is not distinct from excluded.sealed returning version")
                .rows::<(BigInt,)>();
            let row: Option<(i64,)> = connection.load_row(statement).await?;
            Ok(row.map(|(version,)| version))
        })
        .await
    }
}

#[async_trait]
impl RegistrationStore for PgStore {
    async fn handler(&self) -> Result<Option<String>, StoreError> {
        retrying("reading where events go", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select handler from b24sync.application").rows::<(Nullable<Text>,)>();
            let row: Option<(Option<String>,)> = connection.load_row(statement).await?;
            Ok(row.and_then(|(handler,)| handler))
        })
        .await
    }

    async fn keep_handler(&self, handler: Option<String>) -> Result<(), StoreError> {
        retrying("keeping where events go", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("insert into b24sync.application (handler) values (")
                .bind::<Nullable<Text>, _>(handler.clone())
                .text(") on conflict (single) do update set handler = excluded.handler");
            connection.perform(statement).await?;
            Ok(())
        })
        .await
    }
}
