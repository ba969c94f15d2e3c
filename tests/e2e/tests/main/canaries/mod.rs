//! I13, S6: no secret is in logs at `trace`, answers, figures, the database, its own log, or process arguments, whatever
//! goes wrong.
//!
//! Each setting that is a secret has a value of its own that is found again in any form; so have the tokens that the
//! portal gives out, and those of users. Only the environment of the processes holds them, and the portal.

mod hunt;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use b24sync_pg_harness::PgServer;
use b24sync_portal_emulator::{
    Application, Counts, Entity, Fault, FaultPlan, Portal, PortalConfig, RunningPortal, When,
};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::control_tables::until;
use crate::listening::{QUIET, subscribe_with};
use crate::running::{Service, figure, signed_token};
use crate::stage::{finish, program};
use hunt::Hunt;

const WEBHOOK_CODE: &str = "c4n4ryw3bh00kc0d3";
const DATABASE_PASSWORD: &str = "c4n4ry d4t4b4s3/p4ss+w0rd%";
const JWT_SECRET: &str = "c4n4ry-of-the-projects-shared-secret-0123456789";
const APPLICATION_TOKEN: &str = "c4n4ry0f4n4pplic4ti0nt0k3n000001";
const METRICS_TOKEN: &str = "c4n4ry-of-the-watchers-token";
const CLIENT_SECRET: &str = "c4n4ry-of-the-applications-secret";
/// Of 32 bytes, as it must be.
const TOKEN_KEY: &str = "YzRuNHJ5LW9mLXRoZS10b2tlbi1rZXktMzItYnl0ZXM=";
const AUTHORISATION_CODE: &str = "c4n4ry0f4n4uth0ris4ti0nc0d3";

const ID: &str = "local.674ab1c2d3e4f5.12345678";
const PROJECT: &str = "http://127.0.0.1:9";
const DATABASE: &str = "replica";

/// Time for an answer, and for the beginning of one that does not end.
const PLENTY: Duration = Duration::from_secs(30);
const ENDLESS: Duration = Duration::from_millis(300);

/// How the service is let in by the portal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Webhook,
    Application,
}

/// A portal, a server whose log has every statement, and the program between them with canaries for secrets.
struct Place {
    portal: RunningPortal,
    server: PgServer,
    access: Access,
    hunt: Hunt,
    log: Arc<Mutex<String>>,
}

impl Place {
    async fn new(access: Access) -> Place {
        let counts = Counts { deals: 60, leads: 20, contacts: 20, companies: 10 };
        let config =
            PortalConfig { counts, user_fields: 2, webhook_code: WEBHOOK_CODE.to_owned(), ..PortalConfig::default() };
        let portal = Portal::new(config).start().expect("the emulator listens");
        let server = PgServer::private_with(&[("log_statement", "all"), ("log_error_verbosity", "verbose")]).await;
        server.create_database(DATABASE).await;
        let client = server.client("postgres").await;
        // Who makes the password is not the program.
        client.batch_execute("set log_statement = 'none'").await.unwrap();
        let made = format!(
            "create role canary login superuser password '{DATABASE_PASSWORD}'; alter database {DATABASE} owner to canary"
        );
        client.batch_execute(&made).await.unwrap();
        let mut hunt = Hunt::default();
        for (name, value) in [
            ("the webhook's code", WEBHOOK_CODE),
            ("the database's password", DATABASE_PASSWORD),
            ("the project's secret", JWT_SECRET),
            ("the application token", APPLICATION_TOKEN),
            ("the metrics token", METRICS_TOKEN),
            ("the application's secret", CLIENT_SECRET),
            ("the token key", TOKEN_KEY),
            ("an authorisation code", AUTHORISATION_CODE),
        ] {
            hunt.secret(name, value);
        }
        Place { portal, server, access, hunt, log: Arc::default() }
    }

    fn database_url(&self) -> String {
        let password = "c4n4ry%20d4t4b4s3%2Fp4ss%2Bw0rd%25";
        format!("postgresql://canary:{password}@127.0.0.1:{}/{DATABASE}", self.server.port())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .env("DATABASE_URL", self.database_url())
            .env("BITRIX_ALLOW_LOOPBACK", "true")
            .env("BITRIX_RATE_PER_SECOND", "10000")
            .env("BITRIX_RATE_BURST", "100000")
            .env("SUPABASE_URL", PROJECT)
            .env("SUPABASE_JWT_SECRET", JWT_SECRET)
            .env("METRICS_TOKEN", METRICS_TOKEN)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .args(arguments);
        match self.access {
            Access::Webhook => {
                command
                    .env("BITRIX_WEBHOOK_URL", self.portal.webhook_url())
                    .env("BITRIX_APPLICATION_TOKENS", format!("{APPLICATION_TOKEN},another0token0of0somebody00000001"));
            }
            Access::Application => {
                command
                    .env("BITRIX_PORTAL_URL", self.portal.base_url())
                    .env("BITRIX_CLIENT_ID", ID)
                    .env("BITRIX_CLIENT_SECRET", CLIENT_SECRET)
                    .env("BITRIX_TOKEN_KEY", TOKEN_KEY);
            }
        }
        command
    }

    fn serve(&self) -> Service {
        let log = Arc::clone(&self.log);
        Service::launch_heard(self.command(&["serve", "--host", "127.0.0.1", "--port", "0"]), move |line| {
            let mut log = log.lock().unwrap();
            log.push_str(line);
            log.push('\n');
        })
    }

    /// Runs a command, whatever comes of it, and keeps what it says.
    async fn hear(&mut self, arguments: &[&str], settings: &[(&str, &str)]) {
        let mut command = self.command(arguments);
        command.envs(settings.iter().copied());
        let finished = finish(command).await;
        let what = format!("{} {settings:?}", arguments.join(" "));
        // Settings that are wrong on purpose are no secrets by their names.
        let what = what.replace(WEBHOOK_CODE, "…").replace("c4n4ry", "…");
        self.hunt.saw(format!("stdout of {what}"), finished.stdout);
        self.hunt.saw(format!("stderr of {what}"), finished.stderr);
    }

    async fn client(&self) -> Client {
        self.server.client(DATABASE).await
    }

    /// Everything in the database, as text, and what the server wrote down of it.
    async fn look_into_the_database(&mut self) {
        let client = self.client().await;
        let tables = "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                      where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')";
        let mut rows = 0;
        for table in texts(&client, tables).await {
            let found = texts(&client, &format!("select t::text from {table} t")).await;
            rows += found.len();
            self.hunt.saw(format!("table {table}"), found.join("\n"));
        }
        assert!(rows > 100, "that few rows: {rows}");
        let statements = "select concat_ws(' ', usename, application_name, query) from pg_stat_activity where pid <> pg_backend_pid()";
        let statements = texts(&client, statements).await;
        self.hunt.saw("statements of the server's sessions", statements.join("\n"));
        let comments = texts(&client, "select description from pg_description where objoid >= 16384").await;
        self.hunt.saw("comments", comments.join("\n"));
        self.hunt.saw("the server's log", self.server.log());
    }
}

async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

/// Arguments of all processes, looked at again and again.
struct Arguments {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<String>,
}

impl Arguments {
    fn watch() -> Arguments {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut all = std::collections::BTreeSet::new();
            while !told.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    all.insert(String::from_utf8_lossy(&arguments).replace('\0', " "));
                }
                thread::sleep(Duration::from_millis(20));
            }
            all.into_iter().collect::<Vec<_>>().join("\n")
        });
        Arguments { over, thread }
    }

    fn seen(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The whole answer, head and body.
fn talk(address: &str, request: &str) -> String {
    talk_for(address, request, PLENTY)
}

/// Of an answer that does not end, what came before there was nothing for so long.
fn talk_for(address: &str, request: &str, patience: Duration) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 16_384];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, path: &str, headers: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: test\r\n{headers}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Asks every route, as everybody and as an administrator; how many answers came.
fn ask_everything(hunt: &mut Hunt, address: &str, tokens: &[String]) -> usize {
    let described = talk(address, &request("GET", "/api/v1/openapi.json", "", "text/plain", ""));
    let described: Value = serde_json::from_str(described.split_once("\r\n\r\n").unwrap().1).unwrap();
    let mut answers = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        let path = path.replace("{entity}", "deal");
        let path = if path.contains("register") { format!("{path}?handler_base_url=http://{address}") } else { path };
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            for token in std::iter::once(None).chain(tokens.iter().map(Some)) {
                let headers = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
                for body in ["{}", "{\"entity_type\": 7"] {
                    let request = request(&method, &path, &headers, "application/json", body);
                    let endless = path.ends_with("/events");
                    let answer = talk_for(address, &request, if endless { ENDLESS } else { PLENTY });
                    assert!(answer.starts_with("HTTP/1."), "{method} {path}: {answer}");
                    hunt.saw(format!("{method} {path}"), answer);
                    answers += 1;
                }
            }
        }
    }
    for path in ["/docs", "/docs/", "/metrics", "/nowhere", "/health"] {
        for headers in [String::new(), format!("Authorization: Bearer {METRICS_TOKEN}\r\n")] {
            hunt.saw(format!("GET {path}"), talk(address, &request("GET", path, &headers, "text/plain", "")));
            answers += 1;
        }
    }
    answers
}

/// Events that are right, wrong and mangled, with the right token in each.
fn send_events(hunt: &mut Hunt, address: &str, application_token: &str) {
    let auth = format!("auth%5Bapplication_token%5D={application_token}&auth%5Baccess_token%5D={AUTHORISATION_CODE}");
    for form in [
        format!("event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D=3&ts=1766047124&{auth}"),
        format!("event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D=x&ts=1766047124&{auth}"),
        format!("event={application_token}&data%5BFIELDS%5D%5BID%5D=3&ts=1&{auth}"),
        format!("{auth}&{auth}"),
        format!("event=ONCRMDEALUPDATE&%zz={application_token}"),
        format!("event=ONCRMDEALUPDATE&auth%5Bapplication_token%5D={application_token}x"),
        format!("event=ONCRMDEALUPDATE&{application_token}%5B%5D%5B%5D%5B%5D%5B%5D%5B%5D%5B%5D=1"),
        application_token.repeat(3_000),
    ] {
        for kind in ["application/x-www-form-urlencoded", "application/json"] {
            let answer = talk(address, &request("POST", "/api/v1/webhooks/bitrix", "", kind, &form));
            hunt.saw("POST /api/v1/webhooks/bitrix", answer);
        }
    }
    // A request that is none, with secrets in its head.
    let odd = format!("GET /{WEBHOOK_CODE} HTTP/9.9\r\nAuthorization: Bearer {METRICS_TOKEN}\r\nno header\r\n\r\n");
    hunt.saw("an odd request", talk(address, &odd));
}

/// What the portal may do to whoever asks it with this secret: one plan for each command that is to meet it. Faults that
/// pass take turns, so that the attempts of one call meet all of them.
fn faults(secret: &str) -> Vec<Vec<Fault>> {
    let echo = |status| Fault::ErrorCode {
        status: Some(status),
        code: format!("X_{secret}"),
        description: Some(format!("no such thing: auth={secret} /rest/1/{secret}/batch")),
    };
    vec![
        vec![echo(500), Fault::Status { status: 502 }, Fault::TruncatedBody, Fault::CutJson, Fault::ConnectionReset],
        vec![echo(400)],
        vec![echo(401)],
        vec![Fault::Redirect302 { location: format!("https://{secret}.stranger.example") }],
        vec![Fault::Redirect302 { location: "https://portal.stranger.example".to_owned() }],
    ]
}

/// A user's token, and the same with another signature.
fn user_tokens(hunt: &mut Hunt) -> Vec<String> {
    let good = signed_token(JWT_SECRET, PROJECT, Some("admin"));
    let signature = good.rsplit('.').next().unwrap().to_owned();
    hunt.secret("a user's session", &signature);
    let bad = signed_token("another-secret-that-is-long-enough-too", PROJECT, Some("admin"));
    hunt.secret("a session that is refused", bad.rsplit('.').next().unwrap());
    vec![good, bad]
}

async fn conclude(mut place: Place, arguments: Arguments, answers: usize) {
    place.look_into_the_database().await;
    let arguments = arguments.seen();
    assert!(arguments.contains("serve --host 127.0.0.1"), "the service was seen");
    place.hunt.saw("arguments of processes", arguments);
    let log = std::mem::take(&mut *place.log.lock().unwrap());
    assert!(log.contains("TRACE") || log.contains("\"trace\""), "the log is not complete: {}", log.len());
    place.hunt.saw("the service's log", log);
    let ((places, bytes), (secrets, forms)) = (place.hunt.extent(), place.hunt.game());
    let caught = place.hunt.catch();
    assert!(caught.is_empty(), "{} times: {:#?}", caught.len(), &caught[..caught.len().min(20)]);
    figure(&format!(
        "{secrets} secrets in {forms} forms are in none of {places} places, {bytes} bytes, {answers} answers of routes"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_shows_where_the_service_has_a_webhook() {
    let mut place = Place::new(Access::Webhook).await;
    let tokens = user_tokens(&mut place.hunt);
    let arguments = Arguments::watch();
    let service = place.serve();
    let client = place.client().await;
    until(&client, "the first syncs", "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed' and sync_type = 'full') c where n = 4").await;
    until(&client, "rest", QUIET).await;
    subscribe_with(place.portal.portal(), &service.address, APPLICATION_TOKEN);
    place.portal.portal().edit_random(Entity::Deal, 5, 1);
    let mut answers = ask_everything(&mut place.hunt, &service.address, &tokens);
    send_events(&mut place.hunt, &service.address, APPLICATION_TOKEN);
    for faults in faults(WEBHOOK_CODE) {
        place.portal.portal().set_faults(FaultPlan::none().and(None, When::Always, faults));
        place.hear(&["sync", "deal", "--id", "1,3"], &[]).await;
    }
    place.hear(&["doctor"], &[]).await;
    place.portal.portal().edit_random(Entity::Lead, 5, 1);
    until(&client, "a failed run", "select count(*) from sync_logs where status = 'failed'").await;
    place.portal.portal().set_faults(FaultPlan::none());
    place.server.terminate_backends(DATABASE).await;
    answers += ask_everything(&mut place.hunt, &service.address, &tokens);
    for arguments in [
        ["status"].as_slice(),
        &["doctor", "--output", "json"],
        &["migrate", "--plan"],
        &["sync", "deal", "--incremental", "-vv"],
        &["verify", "deal"],
        &["history"],
        &["config", "list"],
        &["config", "export"],
        &["schema", "show", "deal"],
        &["schema", "plan", "deal"],
        &["quarantine", "list"],
        &["inbox", "list"],
        &["webhooks", "instructions", "--public-url", "https://sync.example.com"],
        &["webhooks", "list"],
        &["openapi"],
        &["serve", "--help"],
    ] {
        place.hear(arguments, &[]).await;
    }
    // Settings that are wrong, with the secret in them.
    let webhook = format!("https://portal.example/rest/x/{WEBHOOK_CODE}");
    let mysql = "mysql://me:c4n4ry%20d4t4b4s3%2Fp4ss%2Bw0rd%25@127.0.0.1/crm";
    let refused = place.database_url().replace("canary:", "nobody:");
    let unreachable = format!("postgresql://canary:c4n4ry%20d4t4b4s3%2Fp4ss%2Bw0rd%25@127.0.0.1:9/{DATABASE}");
    for settings in [
        [("BITRIX_WEBHOOK_URL", webhook.as_str())],
        [("DATABASE_URL", mysql)],
        [("DATABASE_URL", refused.as_str())],
        [("DATABASE_URL", unreachable.as_str())],
        [("BITRIX_RATE_PER_SECOND", "-1")],
    ] {
        place.hear(&["status"], &settings).await;
        place.hear(&["sync", "deal"], &settings).await;
    }
    drop(service);
    conclude(place, arguments, answers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_shows_where_the_service_is_an_application() {
    let mut place = Place::new(Access::Application).await;
    let tokens = user_tokens(&mut place.hunt);
    let arguments = Arguments::watch();
    let mut service = place.serve();
    let client = place.client().await;
    place.portal.portal().install_application(Application {
        client_id: ID.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        install_url: Some(format!("http://{}/api/v1/webhooks/bitrix", service.address)),
        ..Application::default()
    });
    let note = |place: &mut Place| {
        let issued = place.portal.portal().application_tokens().unwrap();
        place.hunt.secret("an access token", &issued.access_token);
        place.hunt.secret("a refresh token", &issued.refresh_token);
        place.hunt.secret("the token of events", &issued.application_token);
        issued
    };
    until(&client, "the first syncs", "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed' and sync_type = 'full') c where n = 4").await;
    let issued = note(&mut place);
    let mut answers = ask_everything(&mut place.hunt, &service.address, &tokens);
    send_events(&mut place.hunt, &service.address, &issued.application_token);
    place.portal.portal().expire_access_tokens();
    place.hear(&["sync", "deal", "--incremental"], &[]).await;
    let issued = note(&mut place);
    // A portal repeats what it was sent: nobody else sends another token meanwhile.
    service.kill();
    for faults in faults(&issued.access_token) {
        place.portal.portal().set_faults(FaultPlan::none().and(None, When::Always, faults));
        place.hear(&["sync", "deal", "--id", "1,3"], &[]).await;
    }
    // The authorisation server knows the other two.
    let of_the_secret = faults(CLIENT_SECRET).swap_remove(1);
    for faults in faults(&issued.refresh_token).into_iter().chain([of_the_secret]) {
        place.portal.portal().expire_access_tokens();
        place.portal.portal().set_faults(FaultPlan::none().and(Some("oauth.token"), When::Always, faults));
        place.hear(&["sync", "deal", "--id", "1,3"], &[]).await;
    }
    place.portal.portal().set_faults(FaultPlan::none());
    note(&mut place);
    let service = place.serve();
    place.hear(&["doctor"], &[]).await;
    place.hear(&["webhooks", "list"], &[]).await;
    // Another key cannot open what is kept; another secret is refused.
    place.hear(&["sync", "deal"], &[("BITRIX_TOKEN_KEY", "YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=")]).await;
    place.hear(&["sync", "deal"], &[("BITRIX_TOKEN_KEY", TOKEN_KEY.trim_start_matches('Y'))]).await;
    place.portal.portal().uninstall_application(false);
    answers += ask_everything(&mut place.hunt, &service.address, &tokens);
    drop(service);
    conclude(place, arguments, answers).await;
}
