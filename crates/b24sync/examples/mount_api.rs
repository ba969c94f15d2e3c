//! Our HTTP interface inside an actix application of one's own, with the service's work going on beside it.
//!
//! ```sh
//! cargo run --example mount_api
//! curl http://127.0.0.1:8080/
//! curl -H 'Authorization: Bearer let-me-in' http://127.0.0.1:8080/api/v1/sync/status
//! curl -X POST -H 'Authorization: Bearer let-me-in' http://127.0.0.1:8080/api/v1/sync/start/deal
//! ```
//!
//! The portal is an emulated one. With `DATABASE_URL` the tables go there, else into a private PostgreSQL.
//! docs/embedding.md says more.
#![expect(clippy::print_stdout, reason = "this program's purpose")]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use b24sync::background::{self, Subscriptions};
use b24sync::cli::DatabaseArgs;
use b24sync::failure::Failure;
use b24sync::output::Output;
use b24sync::progress::Quiet;
use b24sync::settings::{CrmApi, DatabaseSettings, PortalSettings, Problems};
use b24sync::wiring::{self, Database, Outside};
use b24sync_adapter_http::{Api, ApiSettings, routes};
use b24sync_application::service::feed::Feed;
use b24sync_application::service::intake::Signals;
use b24sync_application::service::mapping::MappingService;
use b24sync_domain::access::{Identity, Refusal, Role};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::Authenticator;
use b24sync_portal_emulator::{Counts, Portal, PortalConfig, RunningPortal};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const RECONCILE: Duration = Duration::from_secs(24 * 3_600);

/// Who calls is for the application to say: this one knows a single user.
struct OneUser;

#[async_trait]
impl Authenticator for OneUser {
    async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        match token {
            "let-me-in" => {
                let subject = "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned();
                Ok(Identity { subject, role: Some(Role::Operator) })
            }
            _ => Err(Refusal::Signature),
        }
    }

    fn forget_keys(&self) {}
}

async fn home() -> &'static str {
    "a page of the application's own\n"
}

fn portal_settings(portal: &RunningPortal) -> PortalSettings {
    PortalSettings {
        webhook: SecretString::from(portal.webhook_url()),
        application: None,
        api: CrmApi::Item,
        rate_per_second: 2.0,
        rate_burst: 50,
        operating_limit: 480.0,
        allow_loopback: true,
    }
}

/// Serves until `stop` is cancelled.
async fn serve(settings: &DatabaseSettings, listener: TcpListener, stop: CancellationToken) -> Result<(), Failure> {
    let counts = Counts { deals: 300, leads: 50, contacts: 120, companies: 40 };
    let portal = Portal::new(PortalConfig { counts, ..PortalConfig::demo() }).start();
    let portal = portal.map_err(|error| Failure::of("the emulated portal could not be started", &error))?;
    let mut problems = Problems::default();
    let checked = wiring::source(&portal_settings(&portal), &mut problems);
    problems.check()?;
    let database = Database::open_migrated(settings, Output::default()).await?;
    let ports = database.ports(wiring::built(checked)?.connect(&database)?, Arc::new(Quiet));

    // The work: schedule, sync, apply events. Each loop ends with `stop`.
    let (tasks, closed) = (TaskTracker::new(), CancellationToken::new());
    background::start_work(&database, ports.clone(), TimestampStyle::Timestamp, RECONCILE, &tasks, &stop);
    let intake = background::start_intake(&database, Arc::new(Signals::default()), false, &tasks, &stop, &closed);
    let feed = Feed::new(stop.clone());
    let (watched, board) = (feed.clone(), database.service_ports().board);
    tasks.spawn(async move { watched.watch(board).await });

    // The interface: its routes, with limits and roles, beside the application's own.
    let subscriptions = Subscriptions::by_hand(true, None);
    let inbound = database.api_ports(Outside {
        mapping: Arc::new(MappingService::new(ports, TimestampStyle::Timestamp)),
        happenings: Arc::new(feed),
        authenticator: Arc::new(OneUser),
        metrics: database.figures(None),
        intake,
        application: subscriptions.application,
        registration: subscriptions.registration,
        reconcile: RECONCILE,
    });
    let (api, drain) = Api::new(inbound, ApiSettings::default());
    let application =
        move || App::new().route("/", web::get().to(home)).configure(|config| routes::configure(config, &api));
    let broken = |error: std::io::Error| Failure::of("the server broke", &error);
    let server = HttpServer::new(application).workers(1).disable_signals().listen(listener).map_err(broken)?.run();
    let handle = server.handle();
    let stopping = async {
        stop.cancelled().await;
        // Readiness says no and event streams end; then the server may stop.
        drain.begin();
        handle.stop(true).await;
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = server => result.map_err(broken),
        () = stopping => Ok(()),
    };
    stop.cancel();
    closed.cancel();
    tasks.close();
    tasks.wait().await;
    database.close(Output::default()).await;
    result
}

fn database_settings() -> Result<DatabaseSettings, Failure> {
    let mut problems = Problems::default();
    let mut settings = DatabaseSettings::new(&DatabaseArgs::default(), &mut problems);
    problems.check()?;
    // What this example writes must never meet real data in the private server.
    settings.private_database = "b24sync_example";
    Ok(settings)
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let stop = b24sync::lifecycle::stop_on_signals();
    let result = async {
        let listener = b24sync::commands::serve::listen("127.0.0.1", 8080)?;
        println!("listening on http://127.0.0.1:8080; Ctrl-C ends it");
        serve(&database_settings()?, listener, stop).await
    };
    match result.await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(Output::default()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use b24sync_pg_harness::TestDatabase;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// Status line and body of the answer to a request without a body.
    async fn ask(port: u16, method: &str, path: &str, token: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: example\r\nconnection: close\r\ncontent-length: 0\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn our_routes_answer_beside_those_of_the_application() {
        let database = TestDatabase::create().await;
        let mut settings = database_settings().unwrap();
        settings.url = Some(SecretString::from(database.url()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let asking = async {
            assert!(ask(port, "GET", "/", "").await.1.contains("application's own"));
            assert!(ask(port, "GET", "/api/v1/sync/status", "wrong").await.0.contains("401"));
            assert!(ask(port, "GET", "/api/v1/sync/status", "let-me-in").await.0.contains("200"));
            assert!(ask(port, "POST", "/api/v1/sync/start/deal", "let-me-in").await.0.contains("202"));
            assert!(ask(port, "PUT", "/api/v1/sync/config", "let-me-in").await.0.contains("403"));
            let began = Instant::now();
            loop {
                let (_, body) = ask(port, "GET", "/api/v1/status/stats", "let-me-in").await;
                if body.contains("\"count\":300") {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(60), "{body}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            stopped.cancel();
        };
        let (served, ()) = tokio::join!(serve(&settings, listener, stop), asking);
        served.unwrap();
    }
}
