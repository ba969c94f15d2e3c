//! Every check, by group. `docs/operations.md` has the same list.

use super::Check;

/// Each variable, by itself.
pub const SETTINGS_VALID: Check = Check::new("settings.valid", "every setting can be used");

/// The way to the server, and the login.
pub const DATABASE_REACHABLE: Check = Check::new("database.reachable", "the database answers and takes the login");
/// Age of the server.
pub const DATABASE_VERSION: Check = Check::new("database.version", "PostgreSQL is 13 or newer");
/// Encoding of texts.
pub const DATABASE_ENCODING: Check = Check::new("database.encoding", "every text of the portal can be stored");
/// Not a standby.
pub const DATABASE_WRITABLE: Check = Check::new("database.writable", "the database takes changes");
/// What a commit survives.
pub const DATABASE_DURABLE: Check = Check::new("database.durable", "what was committed survives a crash");
/// The database's clock against this machine's.
pub const DATABASE_CLOCK: Check = Check::new("database.clock", "its clock and this machine's agree");
/// Power of the login.
pub const DATABASE_ROLE: Check = Check::new("database.role", "the login has no more power than it needs");
/// Transaction pooling and its like.
pub const DATABASE_POOLER: Check = Check::new("database.pooler", "a pooler on the way does no harm");
/// Room for the pool.
pub const DATABASE_CONNECTIONS: Check =
    Check::new("database.connections", "there is room for all connections of an instance");
/// Schema changes and tables.
pub const DATABASE_RIGHTS: Check = Check::new("database.rights", "the login may make and change what it needs");
/// Control tables of this version.
pub const DATABASE_MIGRATED: Check = Check::new("database.migrated", "the control tables are those of this version");
/// Grants.
pub const DATABASE_GRANTS: Check =
    Check::new("database.grants", "web roles and PUBLIC may read nothing that nobody meant to share");
/// Row level security.
pub const DATABASE_ROW_SECURITY: Check =
    Check::new("database.row_security", "row level security stands before our tables");
/// Indexes that were not finished.
pub const DATABASE_INDEXES: Check = Check::new("database.indexes", "every index of our tables works");

/// Whether there is a portal at all.
pub const PORTAL_CONFIGURED: Check = Check::new("portal.configured", "a portal is set");
/// Webhook or tokens, REST, network.
pub const PORTAL_REACHABLE: Check = Check::new("portal.reachable", "the portal answers and lets us in");
/// The owner's rights.
pub const PORTAL_ADMINISTRATOR: Check =
    Check::new("portal.administrator", "the webhook's owner sees every record of CRM");
/// What the webhook may call.
pub const PORTAL_SCOPES: Check = Check::new("portal.scopes", "the webhook has the scope `crm`");
/// The owner's zone.
pub const PORTAL_TIME_ZONE: Check = Check::new("portal.time_zone", "times are shown by the portal's own clock");
/// The portal's clock against the others.
pub const PORTAL_CLOCK: Check = Check::new("portal.clock", "the portal's clock and ours agree");
/// Configured limits.
pub const PORTAL_LIMITS: Check = Check::new("portal.limits", "requests stay within what a plan allows");
/// Fields and records of an entity.
pub const PORTAL_READABLE: Check = Check::new("portal.readable", "fields and records of the entity can be read");
/// Selection by time and by id.
pub const PORTAL_SELECTION: Check =
    Check::new("portal.selection", "the portal selects by time and id as it should, so that incremental syncs work");

/// Whose replica it is.
pub const REPLICA_PORTAL: Check = Check::new("replica.portal", "the tables belong to this portal");
/// Somebody schedules.
pub const REPLICA_SCHEDULER: Check = Check::new("replica.scheduler", "an instance schedules and does syncs");
/// Runs without a process.
pub const REPLICA_ABANDONED: Check = Check::new("replica.abandoned", "every run that is on has a process");
/// Runs that wait.
pub const REPLICA_QUEUE: Check = Check::new("replica.queue", "runs that wait are done");
/// The last run.
pub const REPLICA_LAST_RUN: Check = Check::new("replica.last_run", "the last run ended well");
/// How far the tables are complete.
pub const REPLICA_FRESH: Check = Check::new("replica.fresh", "the table is complete up to three intervals ago");
/// Records that could not be stored.
pub const REPLICA_QUARANTINE: Check = Check::new("replica.quarantine", "every record could be stored");
/// What `verify` found.
pub const REPLICA_DRIFT: Check = Check::new("replica.drift", "the last `verify` found no difference");

/// The project whose users may call.
pub const API_PROJECT: Check = Check::new("api.project", "users of a Supabase project may call the API");
/// Its keys.
pub const API_KEYS: Check = Check::new("api.keys", "the project's tokens can be verified");
/// The shared secret.
pub const API_SECRET: Check = Check::new("api.secret", "nobody can guess the secret that signs tokens");
/// Who gets which role.
pub const API_ROLES: Check = Check::new("api.roles", "users of whom nothing is said change nothing");
/// Figures.
pub const API_METRICS: Check = Check::new("api.metrics", "figures are closed to strangers");
/// Where it listens.
pub const API_BIND: Check = Check::new("api.bind", "the service is not on the Internet without TLS");

/// Whether the portal is let in.
pub const EVENTS_ENDPOINT: Check = Check::new("events.endpoint", "events of the portal are let in");
/// Handlers of an application.
pub const EVENTS_HANDLERS: Check = Check::new("events.handlers", "the portal knows where its events go");
/// Whether events come.
pub const EVENTS_ARRIVE: Check = Check::new("events.arrive", "an event came for what changed in the portal");
/// How long events wait.
pub const EVENTS_BACKLOG: Check = Check::new("events.backlog", "events are applied within a minute");
/// Dead letters.
pub const EVENTS_DEAD: Check = Check::new("events.dead_letters", "every event could be applied");

/// All of them, group by group.
pub const ALL: &[Check] = &[
    SETTINGS_VALID,
    DATABASE_REACHABLE,
    DATABASE_VERSION,
    DATABASE_ENCODING,
    DATABASE_WRITABLE,
    DATABASE_DURABLE,
    DATABASE_CLOCK,
    DATABASE_ROLE,
    DATABASE_POOLER,
    DATABASE_CONNECTIONS,
    DATABASE_RIGHTS,
    DATABASE_MIGRATED,
    DATABASE_GRANTS,
    DATABASE_ROW_SECURITY,
    DATABASE_INDEXES,
    PORTAL_CONFIGURED,
    PORTAL_REACHABLE,
    PORTAL_ADMINISTRATOR,
    PORTAL_SCOPES,
    PORTAL_TIME_ZONE,
    PORTAL_CLOCK,
    PORTAL_LIMITS,
    PORTAL_READABLE,
    PORTAL_SELECTION,
    REPLICA_PORTAL,
    REPLICA_SCHEDULER,
    REPLICA_ABANDONED,
    REPLICA_QUEUE,
    REPLICA_LAST_RUN,
    REPLICA_FRESH,
    REPLICA_QUARANTINE,
    REPLICA_DRIFT,
    API_PROJECT,
    API_KEYS,
    API_SECRET,
    API_ROLES,
    API_METRICS,
    API_BIND,
    EVENTS_ENDPOINT,
    EVENTS_HANDLERS,
    EVENTS_ARRIVE,
    EVENTS_BACKLOG,
    EVENTS_DEAD,
];
