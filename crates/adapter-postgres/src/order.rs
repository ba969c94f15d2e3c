//! Numbers reads.

use async_trait::async_trait;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::ReadOrder;
use b24sync_domain::record::ReadToken;
use diesel::sql_types::BigInt;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

/// Draws the next number.
pub(crate) async fn draw(connection: &mut Connection) -> Result<i64, Trouble> {
    let (number,): (i64,) =
        connection.load_one(sql("select nextval('b24sync.read_order')").rows::<(BigInt,)>()).await?;
    Ok(number)
}

#[async_trait]
impl ReadOrder for PgStore {
    async fn next(&self) -> Result<ReadToken, StoreError> {
        retrying("numbering a read", || async {
            let mut connection = self.connections().lend().await?;
            draw(&mut connection).await.map(ReadToken)
        })
        .await
    }
}
