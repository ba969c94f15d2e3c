//! What the login may do.

use b24sync_domain::doctor::facts::RightsFacts;
use diesel::sql_types::{Array, Bool, Nullable, Text};

use super::our_names;
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;

pub(super) async fn facts(connection: &mut Connection, schema: &str) -> Result<RightsFacts, Trouble> {
    let may_create = "(select has_schema_privilege(n.oid, 'usage') and has_schema_privilege(n.oid, 'create') from pg_catalog.pg_namespace n where n.nspname = ";
    let statement = sql("select has_database_privilege(current_database(), 'create'), ")
        .text(may_create)
        .text("'b24sync'), ")
        .text(may_create)
        .bind::<Text, _>(schema)
        .text(")")
        .rows::<(Bool, Nullable<Bool>, Nullable<Bool>)>();
    let (creates_schemas, control_schema, replica_schema): (bool, Option<bool>, Option<bool>) =
        connection.load_one(statement).await?;
    let (foreign, closed) = tables(connection, schema).await?;
    Ok(RightsFacts { creates_schemas, control_schema, replica_schema, foreign, closed })
}

/// Our tables that the login does not own, and those that it may not use.
async fn tables(connection: &mut Connection, schema: &str) -> Result<(Vec<String>, Vec<String>), Trouble> {
    let statement = sql("select format('%I.%I', n.nspname, c.relname), pg_has_role(c.relowner, 'usage'), has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete') from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and (n.nspname = 'b24sync' or n.nspname = ")
        .bind::<Text, _>(schema)
        .text(" and c.relname = any(")
        .bind::<Array<Text>, _>(our_names())
        .text(")) order by 1")
        .rows::<(Text, Bool, Bool)>();
    let rows: Vec<(String, bool, bool)> = connection.load_rows(statement).await?;
    let foreign = rows.iter().filter(|(_, owned, _)| !owned).map(|(name, ..)| name.clone()).collect();
    let closed = rows.into_iter().filter(|(.., usable)| !usable).map(|(name, ..)| name).collect();
    Ok((foreign, closed))
}
