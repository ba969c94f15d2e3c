//! The server, its room, and the login.

use b24sync_domain::doctor::facts::{ConnectionFacts, ServerFacts};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Integer, Text, Timestamptz};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;

type ServerRow = ((String, i32, String, String), DateTime<Utc>, (String, String), (bool, bool, bool, bool));
type ServerColumns = ((Text, Integer, Text, Text), Timestamptz, (Text, Text), (Bool, Bool, Bool, Bool));

pub(super) async fn facts(connection: &mut Connection) -> Result<ServerFacts, Trouble> {
    let statement = sql("select current_setting('server_version'), current_setting('server_version_num')::integer, current_setting('server_encoding'), current_setting('TimeZone'), clock_timestamp(), current_database()::text, current_user::text, r.rolsuper, r.rolbypassrls, pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on', current_setting('fsync') = 'off' or current_setting('full_page_writes') = 'off' from pg_catalog.pg_roles r where r.rolname = current_user")
        .rows::<ServerColumns>();
    let row: ServerRow = connection.load_one(statement).await?;
    let ((version, version_number, encoding, time_zone), clock, (database, role), flags) = row;
    let (superuser, bypasses_row_security, read_only, fragile) = flags;
    Ok(ServerFacts {
        version,
        version_number,
        encoding,
        time_zone,
        clock,
        database,
        role,
        superuser,
        bypasses_row_security,
        read_only,
        fragile,
    })
}

/// The limits of the server, the role and the database; the narrowest counts. Statistics of databases count every
/// connection, also those that this login may not see.
pub(super) async fn connections(connection: &mut Connection) -> Result<ConnectionFacts, Trouble> {
    let statement = sql("select least(current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint - coalesce(current_setting('reserved_connections', true)::bigint, 0) - (select sum(numbackends) from pg_catalog.pg_stat_database)::bigint, (select r.rolconnlimit::bigint - (select count(*) from pg_catalog.pg_stat_activity a where a.usesysid = r.oid) from pg_catalog.pg_roles r where r.rolname = current_user and r.rolconnlimit >= 0 and not r.rolsuper), (select d.datconnlimit::bigint - (select s.numbackends from pg_catalog.pg_stat_database s where s.datid = d.oid) from pg_catalog.pg_database d where d.datname = current_database() and d.datconnlimit >= 0)), (select count(*) from pg_catalog.pg_stat_activity a where a.application_name = 'b24sync' and a.usename = current_user)")
        .rows::<(BigInt, BigInt)>();
    let (free, ours): (i64, i64) = connection.load_one(statement).await?;
    Ok(ConnectionFacts { free, ours })
}
