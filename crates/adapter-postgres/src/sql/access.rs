//! Who may read what we make: nobody but its owner, until an operator grants it (CORRECTNESS I14, S9).
//!
//! Hosts such as Supabase grant every new table of `public` to their web roles by default privileges. So everything is
//! revoked after it is made, in the same transaction.

use diesel::sql_types::{Bool, Oid, Text};

use super::{Table, sql};
use crate::connection::Connection;
use crate::error::Trouble;

/// Roles behind the web API of Supabase; other hosts may not have them.
const WEB_ROLES: [&str; 2] = ["anon", "authenticated"];

/// Closes a table that this program made, and its sequences.
pub(crate) async fn close_table(connection: &mut Connection, table: Table<'_>, relation: u32) -> Result<(), Trouble> {
    let statement = sql("select relrowsecurity from pg_catalog.pg_class where oid = ").bind::<Oid, _>(relation);
    let (secured,): (bool,) = connection.load_one(statement.rows::<(Bool,)>()).await?;
    // Only then: the statement locks the table against everybody.
    if !secured {
        connection.change(&sql("alter table ").table(table).text(" enable row level security")).await?;
    }
    let roles = web_roles(connection).await?;
    revoke(connection, "table", table, &roles).await?;
    close_new_sequences(connection, table, relation, &[]).await
}

/// Closes the sequences that a table has now and had not before: those of columns that were added to a table of others.
pub(crate) async fn close_new_sequences(
    connection: &mut Connection,
    table: Table<'_>,
    relation: u32,
    before: &[String],
) -> Result<(), Trouble> {
    let roles = web_roles(connection).await?;
    for sequence in sequences(connection, relation).await?.iter().filter(|sequence| !before.contains(sequence)) {
        revoke(connection, "sequence", Table::new(table.schema, sequence), &roles).await?;
    }
    Ok(())
}

async fn revoke(
    connection: &mut Connection,
    kind: &'static str,
    object: Table<'_>,
    roles: &[&'static str],
) -> Result<(), Trouble> {
    let mut statement = sql("revoke all on ").text(kind).text(" ").table(object).text(" from public");
    for role in roles {
        statement = statement.text(", ").name(*role);
    }
    connection.change(&statement).await
}

/// Closes the control schema and everything in it.
pub(crate) async fn close_control_schema(connection: &mut Connection) -> Result<(), Trouble> {
    let roles = web_roles(connection).await?;
    let statement = sql(
        "select c.relname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'b24sync' and c.relkind in ('r', 'p') and not c.relrowsecurity",
    );
    let open: Vec<(String,)> = connection.load_rows(statement.rows::<(Text,)>()).await?;
    for (table,) in open {
        let table = Table::new("b24sync", &table);
        connection.change(&sql("alter table ").table(table).text(" enable row level security")).await?;
    }
    for object in ["schema b24sync", "all tables in schema b24sync", "all sequences in schema b24sync"] {
        let mut statement = sql("revoke all on ").text(object).text(" from public");
        for role in &roles {
            statement = statement.text(", ").name(*role);
        }
        connection.change(&statement).await?;
    }
    Ok(())
}

async fn web_roles(connection: &mut Connection) -> Result<Vec<&'static str>, Trouble> {
    let statement = sql("select rolname::text from pg_catalog.pg_roles where rolname in ('anon', 'authenticated')");
    let found: Vec<(String,)> = connection.load_rows(statement.rows::<(Text,)>()).await?;
    Ok(WEB_ROLES.into_iter().filter(|role| found.iter().any(|(name,)| name == role)).collect())
}

/// Names of the sequences that belong to columns of a table.
pub(crate) async fn sequences(connection: &mut Connection, relation: u32) -> Result<Vec<String>, Trouble> {
    let statement = sql("select s.relname::text from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S' where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjid = ")
        .bind::<Oid, _>(relation)
        .rows::<(Text,)>();
    let rows: Vec<(String,)> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Who of the web roles and PUBLIC may read a table of others.
pub(crate) async fn readers(connection: &mut Connection, relation: u32) -> Result<Vec<String>, Trouble> {
    let statement = sql("select distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end from pg_catalog.pg_class c cross join lateral aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a where a.privilege_type = 'SELECT' and (a.grantee = 0 or a.grantee::regrole::text in ('anon', 'authenticated')) and c.oid = ")
        .bind::<Oid, _>(relation)
        .text(" order by 1")
        .rows::<(Text,)>();
    let rows: Vec<(String,)> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}
