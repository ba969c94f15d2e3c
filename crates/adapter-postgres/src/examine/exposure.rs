//! Who else may use what is ours, and closing it.

use b24sync_domain::doctor::facts::{ObjectKind, OpenObject};
use b24sync_domain::entity::EntityType;
use diesel::sql_types::{Array, BigInt, Bool, Text};

use super::our_names;
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::{Table, access, sql};

type OpenRow = (String, String, bool, bool, Vec<String>, bool, i64);

/// Objects of the control schema, that schema itself, and our tables with their sequences: those that the web roles or
/// PUBLIC have some right on, and tables without row level security.
pub(super) async fn open(connection: &mut Connection, schema: &str) -> Result<Vec<OpenObject>, Trouble> {
    let names = our_names();
    let statement = sql("with tables as (select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = ")
        .bind::<Text, _>(schema)
        .text(" and c.relkind in ('r', 'p') and c.relname = any(")
        .bind::<Array<Text>, _>(names)
        .text(")), objects as (select format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind, n.nspname = 'b24sync' as control, n.nspname = 'b24sync' or exists (select from b24sync.replicas r where r.relation = c.oid and r.ours) as ours, coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's'::\"char\" else 'r'::\"char\" end, c.relowner)) as acl, c.relrowsecurity or c.relkind not in ('r', 'p') as secured, (select count(*) from pg_catalog.pg_policy p where p.polrelid = c.oid) as policies from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'S') and (n.nspname = 'b24sync' or c.oid in (select oid from tables) or c.relkind = 'S' and exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_catalog.pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjid in (select oid from tables))) union all select quote_ident(n.nspname), 'n', true, true, coalesce(n.nspacl, acldefault('n', n.nspowner)), true, 0 from pg_catalog.pg_namespace n where n.nspname = 'b24sync'), granted as (select o.*, array(select distinct g.name from aclexplode(o.acl) a cross join lateral (select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as name) g where g.name in ('public', 'anon', 'authenticated') order by 1) as grantees from objects o) select name, kind, control, ours, grantees, secured, policies from granted where cardinality(grantees) > 0 or not secured order by control desc, name")
        .rows::<(Text, Text, Bool, Bool, Array<Text>, Bool, BigInt)>();
    let rows: Vec<OpenRow> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(open_object).collect())
}

fn open_object(row: OpenRow) -> OpenObject {
    let (name, kind, control, ours, grantees, row_security, policies) = row;
    let kind = match kind.as_str() {
        "S" => ObjectKind::Sequence,
        "n" => ObjectKind::Schema,
        "v" | "m" => ObjectKind::View,
        _ => ObjectKind::Table,
    };
    OpenObject { name, kind, control, ours, grantees, row_security, policies }
}

/// Closes the control schema, and puts row level security before replica tables that this program made.
pub(super) async fn close(connection: &mut Connection, schema: &str) -> Result<(), Trouble> {
    access::close_control_schema(connection).await?;
    let names: Vec<&str> = EntityType::all().map(EntityType::table).collect();
    let statement = sql("select c.relname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace join b24sync.replicas r on r.relation = c.oid where r.ours and not c.relrowsecurity and n.nspname = ")
        .bind::<Text, _>(schema)
        .text(" and c.relname = any(")
        .bind::<Array<Text>, _>(names)
        .text(")")
        .rows::<(Text,)>();
    let open: Vec<(String,)> = connection.load_rows(statement).await?;
    for (name,) in open {
        let table = Table::new(schema, &name);
        connection.change(&sql("alter table ").table(table).text(" enable row level security")).await?;
    }
    Ok(())
}
