//! Indexes that do not work: what `create index concurrently` leaves behind when it fails, for example.

use b24sync_domain::doctor::facts::BrokenIndex;
use diesel::sql_types::{Array, Text};

use super::our_names;
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;

pub(super) async fn broken(connection: &mut Connection, schema: &str) -> Result<Vec<BrokenIndex>, Trouble> {
    let statement = sql("select format('%I.%I', n.nspname, x.relname), format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid join pg_catalog.pg_class x on x.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace where not (i.indisvalid and i.indisready and i.indislive) and (n.nspname = 'b24sync' or n.nspname = ")
        .bind::<Text, _>(schema)
        .text(" and c.relname = any(")
        .bind::<Array<Text>, _>(our_names())
        .text(")) order by 1")
        .rows::<(Text, Text)>();
    let rows: Vec<(String, String)> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(|(name, table)| BrokenIndex { name, table }).collect())
}
