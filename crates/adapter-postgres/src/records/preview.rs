//! A look at a few rows of a replica table, every value as text, for the demo and for people.

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use crate::sql::sql;
use crate::store::PgStore;
use crate::transaction::retrying;

impl PgStore {
    /// The newest rows of an entity's table, or the one with this id: these columns as PostgreSQL prints them.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such table or column.
    pub async fn preview(
        &self,
        entity: EntityType,
        columns: &[&str],
        id: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Vec<Option<String>>>, StoreError> {
        retrying("looking at a few rows", || async {
            let mut statement = sql("select array[");
            for (position, column) in columns.iter().enumerate() {
                statement = statement.text(if position == 0 { "r." } else { ", r." }).name(*column).text("::text");
            }
            statement = statement.text("] from ").table(self.table(entity)).text(" as r");
            if let Some(id) = id {
                statement = statement.text(" where r.bitrix_id = ").bind::<Text, _>(id.to_string());
            }
            let statement = statement
                .text(" order by r.bitrix_id::bigint desc limit ")
                .bind::<BigInt, _>(i64::from(limit))
                .rows::<(Array<Nullable<Text>>,)>();
            let mut connection = self.connections().lend().await?;
            let rows: Vec<(Vec<Option<String>>,)> = connection.load_rows(statement).await?;
            Ok(rows.into_iter().map(|(row,)| row).collect())
        })
        .await
    }
}
