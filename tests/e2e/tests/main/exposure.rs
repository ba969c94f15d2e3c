//! I14 from outside: on a database that opens everything by default, as Supabase does, web roles can use nothing of what
//! the program makes, after each of its changes of tables.

use b24sync_portal_emulator::{Counts, Entity, Portal, PortalConfig, UserFieldSpec, UserType};
use tokio_postgres::Client;

use crate::running::figure;
use crate::stage::{Stage, finish};

/// What Supabase does with every new schema, table, sequence and function.
const DEFAULTS: &str = "
grant usage on schema public to anon, authenticated;
alter default privileges grant usage on schemas to anon, authenticated;
alter default privileges grant all on tables to anon, authenticated;
alter default privileges grant all on sequences to anon, authenticated;
alter default privileges grant all on functions to anon, authenticated;
alter default privileges in schema public grant all on tables to anon, authenticated;
alter default privileges in schema public grant all on sequences to anon, authenticated;
alter default privileges in schema public grant all on functions to anon, authenticated;
";

/// Everything in these schemas that one of the roles can use in any way. To enter a schema means nothing where all in it is
/// closed, and is what makes grants to single tables work: only that of the control tables is closed itself.
const OPEN: &str = "
with roles(name) as (values ('anon'), ('authenticated'), ('public')),
ours as (select oid, nspname from pg_namespace where nspname = any ($1))
select format('%s may use %s %s', r.name, o.nspname, c.relname)
  from roles r, ours o join pg_class c on c.relnamespace = o.oid
 where c.relkind in ('r', 'p', 'v', 'm', 'f') and (has_table_privilege(r.name, c.oid, 'select, insert, update, delete, truncate, references, trigger')
    or has_any_column_privilege(r.name, c.oid, 'select, insert, update, references'))
union all
select format('%s may use the sequence %s', r.name, c.relname)
  from roles r, ours o join pg_class c on c.relnamespace = o.oid
 where case c.relkind when 'S' then has_sequence_privilege(r.name, c.oid, 'usage, select, update') else false end
union all
select format('%s may call %s', r.name, p.proname)
  from roles r, ours o join pg_proc p on p.pronamespace = o.oid where has_function_privilege(r.name, p.oid, 'execute')
union all
select format('%s may enter %s', r.name, o.nspname)
  from roles r, ours o where o.nspname = 'b24sync' and has_schema_privilege(r.name, o.oid, 'usage, create')
union all
select format('%s has no row level security', c.oid::regclass)
  from ours o join pg_class c on c.relnamespace = o.oid where c.relkind in ('r', 'p') and not c.relrowsecurity";

/// A schema of the user's, and what was looked at.
struct Watch {
    client: Client,
    schemas: Vec<&'static str>,
    steps: usize,
    most: i64,
}

impl Watch {
    /// Fails where anything is open.
    async fn look(&mut self, after: &str) {
        let open = self.client.query(OPEN, &[&self.schemas]).await.unwrap();
        let open: Vec<String> = open.iter().map(|row| row.get(0)).collect();
        assert!(open.is_empty(), "after {after}: {open:#?}");
        let count = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                     where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'S')";
        self.most = self.most.max(self.client.query_one(count, &[&self.schemas]).await.unwrap().get(0));
        self.steps += 1;
    }
}

/// Something that happens in the portal.
type Happening = Box<dyn Fn(&Portal)>;

/// What may happen to fields of deals, one after the other.
fn field_changes() -> Vec<(&'static str, Happening)> {
    const NAME: &str = "UF_CRM_EXPOSED";
    vec![
        (
            "a new field",
            Box::new(|portal| {
                let spec = UserFieldSpec {
                    filled: true,
                    name: Some(NAME.to_owned()),
                    ..UserFieldSpec::new(UserType::Integer, "N")
                };
                portal.add_user_field(Entity::Deal, &spec);
            }),
        ),
        (
            "another type",
            Box::new(|portal| {
                portal.retype_user_field(Entity::Deal, NAME, UserType::String);
            }),
        ),
        (
            "several values",
            Box::new(|portal| {
                portal.make_multiple(Entity::Deal, NAME, true);
            }),
        ),
        (
            "another label",
            Box::new(|portal| {
                portal.rename_label(Entity::Deal, NAME, "M");
            }),
        ),
        (
            "a value that is too wide",
            Box::new(|portal| {
                portal.edit(
                    Entity::Deal,
                    portal.ids(Entity::Deal)[0],
                    [("CURRENCY_ID", "A-CURRENCY-OF-MANY-LETTERS".into())],
                );
            }),
        ),
        (
            "a field that is gone",
            Box::new(|portal| {
                portal.remove_user_field(Entity::Deal, NAME);
            }),
        ),
    ]
}

async fn nothing_is_open(schema: &'static str) {
    let counts = Counts { deals: 40, leads: 10, contacts: 10, companies: 10 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }).await;
    stage.database.supabase_roles().await;
    let client = stage.client().await;
    client.batch_execute(DEFAULTS).await.unwrap();
    let mut watch = Watch { client, schemas: vec![schema, "b24sync"], steps: 0, most: 0 };
    let run = async |arguments: &[&str], settings: &[(&str, &str)]| {
        let mut command = stage.command(arguments);
        command.env("DATABASE_SCHEMA", schema).envs(settings.iter().copied());
        finish(command).await.expect_success();
    };
    run(&["migrate"], &[]).await;
    watch.look("the migration").await;
    run(&["sync", "--all"], &[]).await;
    watch.look("the first sync").await;
    for (change, make) in field_changes() {
        make(stage.portal());
        run(&["sync", "deal"], &[]).await;
        watch.look(change).await;
    }
    run(&["sync", "lead"], &[("DELETE_MODE", "soft"), ("TIMESTAMP_TYPE", "timestamptz")]).await;
    watch.look("a column for the time of deletions").await;
    let dropped = format!("drop table {schema}.crm_leads");
    watch.client.batch_execute(&dropped).await.unwrap();
    run(&["sync", "lead"], &[]).await;
    watch.look("a table that was dropped and made again").await;
    run(&["verify", "--all", "--repair"], &[]).await;
    run(&["migrate"], &[]).await;
    watch.look("another migration").await;
    figure(&format!("schema {schema}: 0 objects of {} are open after each of {} changes", watch.most, watch.steps));
    assert!(watch.most > 20 && watch.steps == 11, "{} objects, {} steps", watch.most, watch.steps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i14_web_roles_can_use_nothing_after_any_change_of_tables() {
    nothing_is_open("public").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i14_web_roles_can_use_nothing_in_a_schema_of_its_own_either() {
    nothing_is_open("crm").await;
}

/// Tables as the Python service made them, closed by their owner.
const ADOPTED: &str = "
create table sync_config (id serial primary key, entity_type varchar(50) unique not null, enabled boolean default true, sync_interval_minutes integer default 30, webhook_enabled boolean default true, last_sync_at timestamp, created_at timestamp default now(), updated_at timestamp default now());
create table sync_state (entity_type varchar(50) primary key, last_modified_date timestamp, total_records integer default 0, created_at timestamp default now(), updated_at timestamp default now());
create table sync_logs (id bigserial primary key, entity_type varchar(50), sync_type varchar(50), status varchar(50), records_processed integer, error_message text, started_at timestamp, completed_at timestamp);
create table crm_deals (id serial primary key, bitrix_id varchar(50) unique not null, title text, created_at timestamp default now(), updated_at timestamp default now());
revoke all on all tables in schema public from public, anon, authenticated;
revoke all on all sequences in schema public from public, anon, authenticated;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i14_tables_that_are_taken_over_are_not_opened_and_get_no_new_open_ones_beside_them() {
    let counts = Counts { deals: 40, leads: 10, contacts: 10, companies: 10 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }).await;
    stage.database.supabase_roles().await;
    let client = stage.client().await;
    client.batch_execute(DEFAULTS).await.unwrap();
    client.batch_execute(ADOPTED).await.unwrap();
    stage.run(&["migrate"]).await.expect_success();
    stage.run(&["sync", "--all"]).await.expect_success();
    let open = client.query(OPEN, &[&vec!["public", "b24sync"]]).await.unwrap();
    // Row level security of tables that were there before is their owner's business.
    let open: Vec<String> =
        open.iter().map(|row| row.get(0)).filter(|line: &String| !line.ends_with("no row level security")).collect();
    assert!(open.is_empty(), "{open:#?}");
}
