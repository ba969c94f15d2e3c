//! The self-test: each promise that is broken is found, said in words, and mended where that is safe.

use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use b24sync_portal_emulator::{Counts, DateFilter, Entity, Fault, FaultPlan, PortalConfig};
use serde_json::Value;

use crate::stage::{Finished, Stage, finish, program};

fn small() -> PortalConfig {
    let counts = Counts { deals: 60, leads: 5, contacts: 5, companies: 5 };
    PortalConfig { counts, user_fields: 2, ..PortalConfig::default() }
}

/// What the self-test said, for programs.
struct Examined {
    finished: Finished,
    report: Value,
}

impl Examined {
    async fn of(mut command: Command) -> Examined {
        command.args(["--output", "json"]);
        let finished = finish(command).await;
        let report = serde_json::from_str(&finished.stdout);
        assert!(report.is_ok(), "{finished:?}");
        let report = report.unwrap();
        Examined { finished, report }
    }

    fn all(&self, name: &str) -> Vec<&Value> {
        self.report["checks"].as_array().unwrap().iter().filter(|line| line["name"] == name).collect()
    }

    /// The worst of what was found by this check.
    fn found(&self, name: &str) -> &Value {
        let rank = |line: &&Value| ["ok", "warn", "fail"].iter().position(|verdict| line["verdict"] == *verdict);
        let found = self.all(name).into_iter().max_by_key(rank);
        assert!(found.is_some(), "no {name} in {}", self.report);
        found.unwrap()
    }

    fn verdict(&self, name: &str) -> &str {
        self.found(name)["verdict"].as_str().unwrap()
    }

    /// Asserts a verdict, and that what was seen or the cure says this.
    fn says(&self, name: &str, verdict: &str, words: &str) {
        let found = self.found(name);
        assert_eq!(found["verdict"], verdict, "{found}");
        assert!(found["seen"].as_str().unwrap().contains(words), "{found}");
        assert_eq!(found["cure"].as_str().is_none_or(str::is_empty), verdict == "ok", "{found}");
    }
}

async fn doctor(stage: &Stage, arguments: &[&str]) -> Examined {
    let arguments: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
    Examined::of(stage.command(&arguments)).await
}

/// Takes out what differs from run to run.
fn masked(text: &str, stage: &Stage) -> String {
    let version = text.split("PostgreSQL ").nth(1).and_then(|rest| rest.split("  ").next()).unwrap_or("–");
    text.replace(&stage.portal.port().to_string(), "PORT")
        .replace(stage.database.name(), "DATABASE")
        .replace(&format!("PostgreSQL {version}"), "PostgreSQL VERSION")
        .lines()
        .filter(|line| !line.contains("room for"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .map(|line| line.trim_matches(['┌', '─', '┬', '┐', '╞', '═', '╪', '╡', '└', '┴', '┘']).to_owned())
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn people_read_what_was_seen_and_what_to_do() {
    let stage = Stage::new(small()).await;
    stage.run(&["sync", "--all"]).await.expect_success();
    let shown = stage.run(&["doctor"]).await.expect_success();
    insta::assert_snapshot!(masked(&shown.stdout, &stage));
}

#[tokio::test]
async fn programs_read_the_same() {
    let stage = Stage::new(small()).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().set_admin(false);
    stage.portal().set_scopes(["user"]);
    let shown = stage.run(&["doctor", "--output", "json"]).await;
    assert_eq!(shown.code, Some(1), "{}", shown.stderr);
    let mut report: Value = serde_json::from_str(&shown.stdout).unwrap();
    let checks = report["checks"].as_array_mut().unwrap();
    assert!(checks.len() > 30, "{checks:?}");
    checks.retain(|line| line["verdict"] != "ok" && line["name"] != "database.connections");
    for count in ["ok", "warn", "fail"] {
        let count = report.as_object_mut().unwrap().remove(count).unwrap();
        assert!(count.as_u64().unwrap() > 0, "{report}");
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}

/// What is wrong with a portal, by what it does about it.
#[tokio::test]
async fn whatever_is_wrong_with_the_portal_is_found() {
    let stage = Stage::new(small()).await;
    stage.run(&["sync", "--all"]).await.expect_success();
    // What was found out before would be relied on.
    stage.client().await.execute("delete from b24sync.portal_probes", &[]).await.unwrap();
    let portal = stage.portal();
    let seen = doctor(&stage, &[]).await;
    for name in [
        "portal.reachable",
        "portal.administrator",
        "portal.scopes",
        "portal.readable",
        "portal.selection",
        "portal.clock",
    ] {
        assert_eq!(seen.verdict(name), "ok", "{}", seen.found(name));
    }

    portal.revoke_webhook();
    let seen = doctor(&stage, &[]).await;
    seen.says("portal.reachable", "fail", "refused the credentials");
    assert!(seen.all("portal.readable").is_empty() && seen.finished.code == Some(1));
    portal.reinstate_webhook();

    let no_rest = Some("REST API is available only on commercial plans.".to_owned());
    let blocked = Fault::ErrorCode { status: None, code: "ACCESS_DENIED".to_owned(), description: no_rest };
    portal.set_faults(FaultPlan::always(blocked));
    doctor(&stage, &[]).await.says("portal.reachable", "fail", "switched REST off");
    portal.set_faults(FaultPlan::always(Fault::error("expired_token")));
    doctor(&stage, &[]).await.says("portal.reachable", "fail", "expired_token");
    portal.set_faults(FaultPlan::always(Fault::HtmlWith200));
    doctor(&stage, &[]).await.says("portal.reachable", "fail", "malformed answer");
    portal.set_faults(FaultPlan::none());

    portal.set_admin(false);
    doctor(&stage, &[]).await.says("portal.administrator", "warn", "no administrator");
    portal.set_admin(true);

    portal.set_scopes(["user"]);
    let seen = doctor(&stage, &[]).await;
    seen.says("portal.scopes", "fail", "`crm` is not among the scopes: user");
    seen.says("portal.readable", "fail", "company, contact, lead, deal: the webhook may not call");
    portal.set_scopes(["crm"]);

    portal.set_crm_rights(false);
    doctor(&stage, &[]).await.says("portal.readable", "fail", "may not call");
    portal.set_crm_rights(true);
    portal.hide_all(Entity::Deal);
    let seen = doctor(&stage, &[]).await;
    seen.says("portal.readable", "fail", "0 records, but the table has 60 rows");
    assert_eq!(seen.found("portal.readable")["entity"], "deal");
    portal.unhide(Entity::Deal);

    portal.clock().follow_real_time(3_600);
    doctor(&stage, &[]).await.says("portal.clock", "warn", " s ahead of this machine's and the database's");
    portal.clock().follow_real_time(0);

    let times = portal.times();
    portal.set_times(b24sync_portal_emulator::Times { date_filter: DateFilter::Ignored, ..times });
    doctor(&stage, &[]).await.says("portal.selection", "warn", "every sync reads everything");
    portal.set_times(b24sync_portal_emulator::Times { user_zone_shift_seconds: -3_600, ..times });
    doctor(&stage, &[]).await.says("portal.time_zone", "warn", "3600 s behind");
    portal.set_times(times);

    assert_eq!(doctor(&stage, &[]).await.finished.code, Some(0));
}

#[tokio::test]
async fn what_is_not_set_is_said_and_the_rest_is_looked_at() {
    let stage = Stage::new(small()).await;
    let mut command = program();
    command.env("DATABASE_URL", stage.database.url()).arg("doctor");
    let seen = Examined::of(command).await;
    assert_eq!(seen.finished.code, Some(0), "{}", seen.report);
    seen.says("portal.configured", "warn", "no portal is set");
    seen.says("api.project", "warn", "lets nobody in");
    seen.says("events.endpoint", "warn", "closed");
    seen.says("database.migrated", "warn", "never migrated");
    seen.says("database.rights", "ok", "");
    assert!(seen.all("replica.portal").is_empty() && seen.all("portal.reachable").is_empty());
}

#[tokio::test]
async fn nothing_stops_at_the_first_failure_and_no_secret_is_told() {
    let secrets = ["c4n4ryw3bh00k", "canary-database-password", "canary-application-token", "canary-metrics-token"];
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let command = || {
        let mut command = program();
        command
            .env("BITRIX_WEBHOOK_URL", format!("http://127.0.0.1:{closed}/rest/1/{}/", secrets[0]))
            .env("BITRIX_ALLOW_LOOPBACK", "true")
            .env("DATABASE_URL", format!("postgresql://me:{}@127.0.0.1:{closed}/crm", secrets[1]))
            .env("BITRIX_APPLICATION_TOKENS", secrets[2])
            .env("METRICS_TOKEN", secrets[3])
            .env("METRICS_BIND", "0.0.0.0:9464")
            .env("DATABASE_POOL_SIZE", "many")
            .env("SUPABASE_URL", format!("http://127.0.0.1:{closed}"))
            .env("SUPABASE_JWT_SECRET", "super-secret-jwt-token-with-at-least-32-characters-long")
            .env("AUTH_DEFAULT_ROLE", "admin")
            .env("RUST_LOG", "trace")
            .arg("doctor");
        command
    };
    let seen = Examined::of(command()).await;
    assert_eq!(seen.finished.code, Some(1));
    seen.says("settings.valid", "fail", "DATABASE_POOL_SIZE: `many`");
    seen.says("database.reachable", "fail", "unreachable");
    seen.says("portal.reachable", "fail", "unreachable");
    seen.says("api.keys", "fail", "cannot be had");
    seen.says("api.secret", "fail", "is that of an example");
    seen.says("api.roles", "warn", "every user of the project has the role admin");
    seen.says("api.metrics", "warn", "without a token");
    seen.says("events.endpoint", "ok", "");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    let shown = finish(command()).await;
    for text in [&seen.finished.stdout, &seen.finished.stderr, &shown.stdout, &shown.stderr] {
        for secret in secrets.iter().chain(&["super-secret-jwt"]) {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn a_wrong_address_of_anything_is_a_finding_and_not_told() {
    let mut command = program();
    command
        .env("BITRIX_WEBHOOK_URL", "https://portal.bitrix24.com/c4n4ryw3bh00k")
        .env("DATABASE_URL", "mysql://me:canary-database-password@127.0.0.1/crm")
        .env("SUPABASE_URL", "https://me:canary-of-the-project@xyz.supabase.co")
        .arg("doctor");
    let seen = Examined::of(command).await;
    assert_eq!((seen.finished.code, seen.all("settings.valid").len()), (Some(1), 2), "{}", seen.report);
    seen.says("portal.configured", "fail", "cannot be called");
    seen.says("database.reachable", "fail", "DATABASE_URL");
    let text = seen.report.to_string() + &seen.finished.stderr;
    assert!(!text.contains("c4n4ry") && !text.contains("canary"), "{text}");
}

#[tokio::test]
async fn what_is_safe_to_mend_is_mended_and_what_may_be_meant_stays() {
    let stage = Stage::new(small()).await;
    stage.database.supabase_roles().await;
    let seen = doctor(&stage, &[]).await;
    seen.says("database.migrated", "warn", "never migrated");
    let seen = doctor(&stage, &["--fix"]).await;
    seen.says("database.migrated", "ok", "applied");
    assert_eq!(seen.found("database.migrated")["fixed"], true);
    stage.run(&["sync", "deal"]).await.expect_success();
    let client = stage.client().await;
    client
        .batch_execute(
            "grant usage on schema b24sync to anon; grant select on b24sync.item_state to anon;
             alter table b24sync.leases disable row level security; alter table crm_deals disable row level security;
             grant select on crm_deals to authenticated;
             insert into b24sync.runs (run_id, entity, kind, status, start_seq)
               values (nextval(pg_get_serial_sequence('sync_logs', 'id')), 2, 'full', 'running', 1);
             insert into sync_logs (id, entity_type, sync_type, status)
               select run_id, 'deal', 'full', 'running' from b24sync.runs where status = 'running'",
        )
        .await
        .unwrap();
    let looked = async |arguments: &[&str]| {
        let seen = doctor(&stage, arguments).await;
        let open = seen.all("database.grants").iter().filter(|line| line["verdict"] == "fail").count();
        (
            seen.finished.code,
            open,
            seen.verdict("database.row_security").to_owned(),
            seen.verdict("replica.abandoned").to_owned(),
        )
    };
    let broken = (Some(1), 1, "fail".to_owned(), "warn".to_owned());
    assert_eq!(looked(&[]).await, broken);
    assert_eq!(looked(&[]).await, broken, "looking changes nothing");
    let seen = doctor(&stage, &["--fix"]).await;
    let fixed = |name: &str| seen.all(name).iter().filter(|line| line["fixed"] == true).count();
    assert_eq!((fixed("database.grants"), fixed("database.row_security"), fixed("replica.abandoned")), (1, 1, 1));
    let (code, open, row_security, abandoned) = looked(&[]).await;
    assert_eq!((code, open, row_security.as_str(), abandoned.as_str()), (Some(0), 0, "ok", "ok"));
    let seen = doctor(&stage, &["--fix"]).await;
    seen.says("database.grants", "warn", "public.crm_deals is open to authenticated; no policy lets them see a row");
    assert!(
        seen.found("database.grants")["cure"]
            .as_str()
            .unwrap()
            .contains("`revoke all on public.crm_deals from authenticated`")
    );
    let still = "select has_table_privilege('authenticated', 'crm_deals', 'select') and not has_table_privilege('anon', 'b24sync.item_state', 'select') and not has_schema_privilege('anon', 'b24sync', 'usage')";
    assert!(client.query_one(still, &[]).await.unwrap().get::<_, bool>(0));
    let status: String =
        client.query_one("select status from sync_logs order by id desc limit 1", &[]).await.unwrap().get(0);
    assert_eq!(status, "interrupted");
}

#[tokio::test]
async fn silence_of_the_portal_shows_where_records_changed() {
    let stage = Stage::new(small()).await;
    stage.run(&["sync", "--all"]).await.expect_success();
    let client = stage.client().await;
    let look = async || {
        let mut command = stage.command(&["doctor"]);
        command.env("BITRIX_APPLICATION_TOKENS", "a-token-of-an-outgoing-webhook");
        Examined::of(command).await
    };
    look().await.says("events.arrive", "ok", "nothing changed");
    client
        .batch_execute(
            "insert into b24sync.arrivals values (2, now() - interval '3 hours'), (3, now() - interval '3 hours');
             update b24sync.item_state set modified = now() - interval '2 hours 10 minutes' where entity = 3;
             update b24sync.item_state set modified = now() - interval '1 hour' where entity = 2 and item_id in (select item_id from b24sync.item_state where entity = 2 limit 7)",
        )
        .await
        .unwrap();
    let seen = look().await;
    seen.says("events.arrive", "warn", "although 7 records changed after that");
    let lines: Vec<_> = seen
        .all("events.arrive")
        .iter()
        .filter(|line| line["verdict"] == "warn")
        .map(|line| line["entity"].clone())
        .collect();
    assert_eq!(lines, ["deal"], "a change soon after an event proves nothing");
    assert!(seen.found("events.arrive")["cure"].as_str().unwrap().contains("webhooks instructions"));
    stage.run(&["config", "set", "deal", "--webhook-enabled", "false"]).await.expect_success();
    assert_eq!(look().await.verdict("events.arrive"), "ok");
}

#[tokio::test]
async fn a_database_of_another_portal_is_refused_without_a_change() {
    let stage = Stage::new(small()).await;
    stage.run(&["migrate"]).await.expect_success();
    let client = stage.client().await;
    client.execute("insert into b24sync.portal (address) values ('old.bitrix24.com')", &[]).await.unwrap();
    let seen = doctor(&stage, &["--fix"]).await;
    seen.says("replica.portal", "fail", "the tables have the records of old.bitrix24.com");
    let kept: String = client.query_one("select address from b24sync.portal", &[]).await.unwrap().get(0);
    assert_eq!(kept, "old.bitrix24.com");
}
