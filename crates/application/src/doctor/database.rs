//! The database: the server, the login, its tables.

use b24sync_domain::doctor::facts::{ConnectionFacts, MigrationFacts, Pooling, RightsFacts, ServerFacts};
use b24sync_domain::doctor::{Finding, catalogue};
use b24sync_domain::ports::DatabaseExaminer;
use chrono::{DateTime, TimeDelta, Utc};

use super::limit::{self, limited};
use super::premises::{DatabasePremises, Premises, Replica};
use super::{exposure, some_of};

/// Oldest server that is supported.
const OLDEST_SERVER: i32 = 130_000;

/// Clocks that are further apart than this are not kept.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(10);

/// What was found, and what other groups need of it.
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    /// The tables, if they are those of this version.
    pub(super) replica: Option<Replica>,
    /// How far the database's clock is ahead of this machine's; `None` when it was not asked.
    pub(super) ahead: Option<TimeDelta>,
}

impl Examined {
    fn only(finding: Finding) -> Examined {
        Examined { findings: vec![finding], replica: None, ahead: None }
    }
}

pub(super) async fn check(premises: &Premises, fix: bool) -> Examined {
    let database = match &premises.database {
        Ok(database) => database,
        Err(unusable) => {
            let (seen, cure) = (unusable.seen.clone(), unusable.cure.clone());
            return Examined::only(Finding::fail(catalogue::DATABASE_REACHABLE, seen, cure));
        }
    };
    let examiner = database.examiner.as_ref();
    let before = premises.clock.now();
    let server = match limited(limit::DATABASE, examiner.server()).await {
        Ok(server) => server,
        Err(mut problem) => {
            problem.seen.push_str("; what depends on the database was not looked at");
            return Examined::only(problem.fail(catalogue::DATABASE_REACHABLE));
        }
    };
    let ahead = apart(server.clock, before, premises.clock.now());
    let mut findings = of_server(&server, ahead, database.private);
    findings.push(pooler(examiner).await);
    findings.push(connections(database).await);
    findings.extend(rights(examiner, &server).await);
    let (migrated, is_current) = migrations(examiner, fix).await;
    findings.push(migrated);
    let mut replica = None;
    if is_current {
        findings.extend(exposure::check(examiner, fix).await);
        findings.push(indexes(examiner).await);
        match limited(limit::DATABASE, database.opener.open()).await {
            Ok(opened) => replica = Some(opened),
            Err(problem) => findings.push(problem.fail(catalogue::DATABASE_REACHABLE)),
        }
    }
    Examined { findings, replica, ahead: Some(ahead) }
}

/// How far a clock that was read between two instants of another one is ahead of it.
pub(super) fn apart(theirs: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> TimeDelta {
    if theirs < before {
        theirs - before
    } else if theirs > after {
        theirs - after
    } else {
        TimeDelta::zero()
    }
}

fn of_server(server: &ServerFacts, ahead: TimeDelta, private: bool) -> Vec<Finding> {
    let reached = format!("{} as {}", server.database, server.role);
    let mut findings = vec![Finding::ok(catalogue::DATABASE_REACHABLE, reached)];
    findings.push(if server.version_number < OLDEST_SERVER {
        let seen = format!("PostgreSQL {} is too old", server.version);
        Finding::fail(catalogue::DATABASE_VERSION, seen, "use PostgreSQL 13 or newer")
    } else {
        Finding::ok(catalogue::DATABASE_VERSION, format!("PostgreSQL {}", server.version))
    });
    findings.push(if server.encoding == "UTF8" {
        let seen = format!("{}; time zone {}, on which nothing depends", server.encoding, server.time_zone);
        Finding::ok(catalogue::DATABASE_ENCODING, seen)
    } else {
        let seen = format!("the database has the encoding {}, which cannot hold every text", server.encoding);
        let cure = "make another database with `create database … encoding 'UTF8' template template0`";
        Finding::fail(catalogue::DATABASE_ENCODING, seen, cure)
    });
    findings.push(if server.read_only {
        let cure = "point DATABASE_URL at the primary server, or take `default_transaction_read_only` back";
        Finding::fail(catalogue::DATABASE_WRITABLE, "a standby, or set to read only", cure)
    } else {
        Finding::ok(catalogue::DATABASE_WRITABLE, "takes changes")
    });
    findings.push(if server.fragile {
        let seen = "fsync or full_page_writes is off: a crash may lose events that were answered, and damage tables";
        Finding::warn(catalogue::DATABASE_DURABLE, seen, "set both to on, unless this database is only a trial")
    } else {
        Finding::ok(catalogue::DATABASE_DURABLE, "commits survive a crash")
    });
    findings.push(if ahead.abs() > CLOCK_TOLERANCE {
        let seen = format!("the database's clock is {} this machine's", ahead_or_behind(ahead));
        let cure = "let both machines keep their clocks by NTP: tokens and figures go by them";
        Finding::warn(catalogue::DATABASE_CLOCK, seen, cure)
    } else {
        Finding::ok(catalogue::DATABASE_CLOCK, "agrees with this machine's")
    });
    findings.push(role(server, private));
    findings
}

/// `12 s ahead of`, `3 s behind`.
pub(super) fn ahead_or_behind(ahead: TimeDelta) -> String {
    let seconds = ahead.abs().num_seconds();
    if ahead < TimeDelta::zero() { format!("{seconds} s behind") } else { format!("{seconds} s ahead of") }
}

fn role(server: &ServerFacts, private: bool) -> Finding {
    let cure = "give the service a login of its own: `create role b24sync login password '…'`, and the ownership of its tables (docs/operations.md, Doctor)";
    match (server.superuser, server.bypasses_row_security) {
        _ if private => Finding::ok(catalogue::DATABASE_ROLE, "the private database is this user's own"),
        (true, _) => Finding::warn(catalogue::DATABASE_ROLE, format!("{} is a superuser", server.role), cure),
        (false, true) => {
            let seen = format!("row level security does not hold for {}", server.role);
            Finding::warn(catalogue::DATABASE_ROLE, seen, cure)
        }
        (false, false) => Finding::ok(catalogue::DATABASE_ROLE, format!("{} is an ordinary role", server.role)),
    }
}

async fn pooler(examiner: &dyn DatabaseExaminer) -> Finding {
    let check = catalogue::DATABASE_POOLER;
    match limited(limit::DATABASE, examiner.pooling()).await {
        Ok(Pooling::Direct) => Finding::ok(check, "none, or one that gives each connection one of the server's"),
        Ok(Pooling::Transaction { keeps_statements: Some(false) }) => Finding::fail(
            check,
            "a pooler shares the server's connections among transactions, and does not keep prepared statements apart",
            "use the direct or the session endpoint, or PgBouncer 1.21 or newer with max_prepared_statements above 0",
        ),
        Ok(Pooling::Transaction { .. }) => Finding::ok(
            check,
            "a pooler shares the server's connections among transactions, which is fine; migrations are better off with the direct endpoint",
        ),
        Ok(Pooling::Statement) => Finding::fail(
            check,
            "a pooler shares the server's connections among statements, so that there are no transactions",
            "set pool_mode to transaction or session, or use the direct endpoint",
        ),
        Err(problem) => problem.warn(check),
    }
}

async fn connections(database: &DatabasePremises) -> Finding {
    match limited(limit::DATABASE, database.examiner.connections()).await {
        Ok(facts) => room(facts, database.connections),
        Err(problem) => problem.warn(catalogue::DATABASE_CONNECTIONS),
    }
}

fn room(facts: ConnectionFacts, wanted: u32) -> Finding {
    let check = catalogue::DATABASE_CONNECTIONS;
    let available = (facts.free + facts.ours).max(0);
    let seen = format!("room for {available}, an instance opens {wanted} at most");
    if available >= i64::from(wanted) {
        return Finding::ok(check, seen);
    }
    let cure = "lower DATABASE_POOL_SIZE and DATABASE_MAX_OVERFLOW, raise the server's max_connections, or put a pooler before it";
    Finding::warn(check, seen, cure)
}

async fn rights(examiner: &dyn DatabaseExaminer, server: &ServerFacts) -> Vec<Finding> {
    match limited(limit::DATABASE, examiner.rights()).await {
        Ok(facts) => lacking(&facts, server),
        Err(problem) => vec![problem.fail(catalogue::DATABASE_RIGHTS)],
    }
}

/// Everything that the login may not do and has to.
fn lacking(rights: &RightsFacts, server: &ServerFacts) -> Vec<Finding> {
    let check = catalogue::DATABASE_RIGHTS;
    let ServerFacts { role, database, .. } = server;
    let mut findings = Vec::new();
    let mut lacks = |seen: String, cure: String| findings.push(Finding::fail(check, seen, cure));
    let is_new = rights.control_schema.is_none() || rights.replica_schema.is_none();
    if is_new && !rights.creates_schemas {
        let seen = format!("{role} may not create schemas in {database}");
        lacks(seen, format!("as its owner: `grant create on database {database} to {role}`"));
    }
    if rights.control_schema == Some(false) {
        let seen = format!("{role} may not create tables in the schema b24sync");
        lacks(seen, format!("as its owner: `alter schema b24sync owner to {role}`"));
    }
    if rights.replica_schema == Some(false) {
        let seen = format!("{role} may not create tables in the schema of DATABASE_SCHEMA");
        lacks(seen, format!("as its owner: `grant usage, create on schema … to {role}`"));
    }
    if !rights.foreign.is_empty() {
        let seen = format!(
            "{role} does not own {}: row level security hides their rows, and new fields get no columns",
            some_of(&rights.foreign)
        );
        lacks(seen, format!("as their owner: `alter table … owner to {role}`"));
    }
    if !rights.closed.is_empty() {
        let seen = format!("{role} may not read and write {}", some_of(&rights.closed));
        lacks(seen, format!("as their owner: `grant select, insert, update, delete on … to {role}`"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(check, "may make and change everything it needs"));
    }
    findings
}

/// Whether the control tables are those of this version now.
async fn migrations(examiner: &dyn DatabaseExaminer, fix: bool) -> (Finding, bool) {
    let check = catalogue::DATABASE_MIGRATED;
    let facts = match limited(limit::DATABASE, examiner.migrations()).await {
        Ok(facts) => facts,
        Err(problem) => return (problem.fail(check), false),
    };
    if facts.newer.is_some() || facts.pending.is_empty() || !fix {
        let is_current = facts.newer.is_none() && facts.pending.is_empty();
        return (judged(&facts), is_current);
    }
    match limited(limit::MIGRATION, examiner.migrate()).await {
        Ok(()) => (Finding::ok(check, format!("applied {}", some_of(&facts.pending))).mended(), true),
        Err(problem) => (problem.fail(check), false),
    }
}

fn judged(facts: &MigrationFacts) -> Finding {
    let check = catalogue::DATABASE_MIGRATED;
    if let Some(version) = &facts.newer {
        let seen = format!("a newer version of this program has been here ({version}); the tables were not looked at");
        return Finding::fail(check, seen, "update b24sync; this version would not understand the newer tables");
    }
    if facts.pending.is_empty() {
        return Finding::ok(check, "up to date");
    }
    let cure = "run `b24sync migrate`, or `b24sync doctor --fix`; `serve` and `sync` do it by themselves";
    if facts.untouched {
        return Finding::warn(check, "never migrated, so that there are no tables to look at", cure);
    }
    let seen = format!("not applied yet: {}; the tables were not looked at", some_of(&facts.pending));
    Finding::fail(check, seen, cure)
}

async fn indexes(examiner: &dyn DatabaseExaminer) -> Finding {
    let check = catalogue::DATABASE_INDEXES;
    let broken = match limited(limit::DATABASE, examiner.broken_indexes()).await {
        Ok(broken) => broken,
        Err(problem) => return problem.warn(check),
    };
    let Some(first) = broken.first() else { return Finding::ok(check, "all of them work") };
    let names: Vec<String> = broken.iter().map(|index| format!("{} of {}", index.name, index.table)).collect();
    let cure = format!("`reindex index concurrently {}`, or drop it if you made it and do not need it", first.name);
    Finding::fail(check, format!("not valid: {}", some_of(&names)), cure)
}
