//! A database of one test.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio_postgres::{Client, error::SqlState};

use crate::{
    admin::{Outcome, connect, text},
    shared::{self, Shared},
};

/// A database on the shared server. Dropping it drops the database, whoever is still connected; that takes some 10 ms
/// and blocks.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: &'static Shared,
}

impl TestDatabase {
    /// An empty database.
    pub async fn create() -> Self {
        let server = shared::server().await;
        Self::clone_of(server, "template0").await.unwrap_or_else(|(_, error)| panic!("no test database: {error}"))
    }

    /// A clone of the database that `build` fills, given its address. It is built by the first who asks on this
    /// server, for each `name` and test binary: a binary that was built anew may build something else. `build` should
    /// close its connections; what is left of them is cut.
    pub async fn from_template(name: &str, build: impl AsyncFnOnce(&str)) -> Self {
        let server = shared::server().await;
        let template = template(name);
        match Self::clone_of(server, &template).await {
            Ok(database) => return database,
            Err((Some(SqlState::UNDEFINED_DATABASE), _)) => {}
            Err((_, error)) => panic!("no clone of the template `{name}`: {error}"),
        }
        build_template(server, &template, build).await;
        Self::clone_of(server, &template)
            .await
            .unwrap_or_else(|(_, error)| panic!("no clone of the template `{name}`: {error}"))
    }

    async fn clone_of(server: &'static Shared, template: &str) -> Result<Self, (Option<SqlState>, String)> {
        let name = unique();
        server.admin.ask(format!("create database {name} template {template}")).await?;
        Ok(Self { name, server })
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of the database for the superuser: `postgresql://postgres:…@127.0.0.1:PORT/NAME`.
    pub fn url(&self) -> String {
        self.server.admin.url(&self.name)
    }

    /// The address of the database for another role, which must exist and be allowed to log in. The password must
    /// need no escaping in an address.
    pub fn role_url(&self, role: &str, password: &str) -> String {
        let url = self.url();
        let (_, server) = url.rsplit_once('@').unwrap_or(("", &url));
        format!("postgresql://{role}:{password}@{server}")
    }

    /// A connection as the superuser.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// Cuts every connection to this database, as a restart of the server would; returns how many.
    pub async fn terminate_backends(&self) -> u64 {
        terminate_backends(&connect(&self.server.admin.url("postgres")).await, &self.name).await
    }

    /// Makes sure that the roles of Supabase exist: `anon`, `authenticated` and `service_role`, none of which may log
    /// in, the last of which passes row level security. Roles belong to the server and stay.
    pub async fn supabase_roles(&self) {
        const ROLES: &str = "
            select pg_advisory_xact_lock(7240917240917);
            do $$
            begin
                if to_regrole('anon') is null then create role anon nologin noinherit; end if;
                if to_regrole('authenticated') is null then create role authenticated nologin noinherit; end if;
                if to_regrole('service_role') is null then create role service_role nologin noinherit bypassrls; end if;
            end $$;";
        // Advisory locks are per database: all go through the same one.
        let created = self.server.admin.ask(ROLES.to_owned()).await;
        created.unwrap_or_else(|(_, error)| panic!("cannot create the roles of Supabase: {error}"));
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = &self.name;
        // `force` alone looks for open connections every 100 ms.
        let cut = format!(
            "do $$ begin
                 perform pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}';
                 for attempt in 1..50 loop
                     perform pg_stat_clear_snapshot();
                     exit when not exists (select from pg_stat_activity where datname = '{name}');
                     perform pg_sleep(0.002);
                 end loop;
             end $$"
        );
        // What is left goes with the server.
        let _: Outcome = self.server.admin.run(&cut);
        let _: Outcome = self.server.admin.run(&format!("drop database if exists {name} with (force)"));
    }
}

pub(crate) async fn terminate_backends(client: &Client, database: &str) -> u64 {
    const SQL: &str = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
                       where datname = $1 and pid <> pg_backend_pid()";
    let row = client.query_one(SQL, &[&database]).await;
    let count: i64 = row.unwrap_or_else(|error| panic!("cannot cut connections: {}", text(&error))).get(0);
    u64::try_from(count).unwrap_or_default()
}

/// Builds `template` beside its place and renames it, so that a half-built one is never cloned.
async fn build_template(server: &'static Shared, template: &str, build: impl AsyncFnOnce(&str)) {
    let client = connect(&server.admin.url("postgres")).await;
    let sql = async |sql: String| {
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("`{sql}` failed: {}", text(&error)));
    };
    // Held by the session: whoever fails or is killed gives it back.
    sql(format!("select pg_advisory_lock(hashtextextended('{template}', 0))")).await;
    let found = client.query_opt("select from pg_database where datname = $1", &[&template]).await;
    if found.unwrap_or_else(|error| panic!("cannot look for a template: {}", text(&error))).is_some() {
        return;
    }
    let raw = format!("{template}_raw");
    sql(format!("drop database if exists {raw} with (force)")).await;
    sql(format!("create database {raw} template template0")).await;
    build(&server.admin.url(&raw)).await;
    // A template nobody is or can be connected to is copied without waiting.
    sql(format!("alter database {raw} with allow_connections false")).await;
    terminate_backends(&client, &raw).await;
    sql(format!("alter database {raw} rename to {template}")).await;
}

/// The database of the template `name` as this test binary builds it.
fn template(name: &str) -> String {
    static BINARY: OnceLock<u64> = OnceLock::new();
    let binary = BINARY.get_or_init(|| {
        let path = env::current_exe().ok();
        let built = path.as_ref().and_then(|path| fs::metadata(path).ok()?.modified().ok());
        hash(&(path, built))
    });
    format!("template_{:016x}", hash(&(binary, name)))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A name that no other process has used: ids of processes come again.
fn unique() -> String {
    static STARTED: OnceLock<u128> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let started =
        STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()));
    format!("test_{}_{started:x}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_fit() {
        assert_ne!(unique(), unique());
        assert!(unique().len() < 63);
        assert_ne!(template("a"), template("b"));
        assert_eq!(crate::admin::with_database("postgresql://u:p@h:1/postgres", "x"), "postgresql://u:p@h:1/x");
    }
}
