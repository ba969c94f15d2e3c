//! The webhook's code never shows, and neither do an application's secret and tokens.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use b24sync_adapter_bitrix::{BitrixConfig, BudgetPacer, Dialect, WebhookUrl};
use b24sync_domain::application::Installation;
use b24sync_domain::error::Chain;
use b24sync_domain::ports::{CrmSource, PortalGrant};
use b24sync_domain::secret::Secret;
use b24sync_portal_emulator::{Application, ApplicationRules, Counts, Fault, FaultPlan, When};
use b24sync_testkit::observe::NamedInstance;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::application::{Scene, call};
use crate::support::{Rig, config, entity, portal};

const CANARY: &str = "c4n4ryc4n4ry";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

thread_local! {
    /// Whether this thread's log is kept.
    static RECORDING: Cell<bool> = const { Cell::new(false) };
}

/// One subscriber for all tests of the binary, because those of single threads miss what others have seen first.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_filter(dynamic_filter_fn(|_, _| RECORDING.get()));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    log
});

/// Keeps what this thread logs from now on.
fn record() -> &'static Log {
    RECORDING.set(true);
    &LOG
}

#[tokio::test]
async fn the_code_is_in_no_error_no_debug_and_no_log() {
    let (portal, running) = portal(|config| {
        config.counts = Counts::deals(120);
        CANARY.clone_into(&mut config.webhook_code);
    });
    let echo = |status| Fault::ErrorCode {
        status: Some(status),
        code: format!("X_{CANARY}"),
        description: Some(format!("no such address: /rest/1/{CANARY}/batch")),
    };
    let faults = [
        Fault::Status { status: 502 },
        Fault::Status { status: 404 },
        Fault::HtmlWith200,
        Fault::TruncatedBody,
        Fault::CutJson,
        Fault::ConnectionReset,
        Fault::LostAfterExecution,
        Fault::error("NO_AUTH_FOUND"),
        Fault::error("QUERY_LIMIT_EXCEEDED"),
        Fault::DeepNesting { depth: 100 },
        Fault::Redirect302 { location: "https://portal.evil.example".to_owned() },
        Fault::Redirect302 { location: format!("https://{CANARY}.evil.example") },
        echo(400),
        echo(401),
        echo(403),
        echo(500),
    ];
    let log = record();
    let mut said = Vec::new();
    let config = config(&running.webhook_url(), Dialect::Item);
    let rig = Rig::with(&config);
    said.push(format!("{:?}", rig.source));
    rig.read_all(entity("deal")).await.unwrap();
    for fault in faults {
        portal.set_faults(FaultPlan::always(fault));
        let rig = Rig::with(&config);
        let error = rig.source.fields(entity("deal")).await.unwrap_err();
        said.push(format!("{error:?} {} {}", Chain(&error), error.advice()));
    }
    drop(running);
    let error = Rig::with(&config).source.profile().await.unwrap_err();
    said.push(format!("{error:?} {}", Chain(&error)));
    assert!(said.last().unwrap().contains("refused"), "{said:?}");
    said.push(format!("{config:?} {:#?} {:?}", config.access, BudgetPacer::alone(config.rate_limits(), 480.0)));
    let text = log.text();
    assert!(text.contains("portal.call") && text.contains("TRACE"), "the log is not empty");
    assert_eq!(text.lines().find(|line| line.contains(CANARY)), None);
    assert_eq!(said.iter().find(|said| said.contains(CANARY)), None);
}

#[tokio::test]
async fn an_applications_secret_and_tokens_are_in_no_error_no_debug_and_no_log() {
    let client_secret = format!("s3cr3t{CANARY}");
    let application = Application { client_secret: client_secret.clone(), ..Application::default() };
    let scene = Scene::with(ApplicationRules::default(), application);
    let settings = || {
        let mut settings = scene.settings();
        settings.client_secret = client_secret.clone().into();
        settings
    };
    let log = record();
    let mut said = vec![format!("{:?} {:?}", settings(), scene.installation())];
    let source = scene.instance_with("one", settings());
    source.install(&scene.installation()).await.unwrap();
    let mut secrets = vec![client_secret.clone()];
    let mut note = |scene: &Scene| {
        let issued = scene.portal.application_tokens().unwrap();
        secrets.extend([issued.access_token, issued.refresh_token, issued.application_token]);
    };
    note(&scene);
    scene.portal.expire_access_tokens();
    call(&source).await.unwrap();
    note(&scene);
    let issued = scene.portal.application_tokens().unwrap();
    // Whoever answers may repeat what it was sent.
    let echo = |status, secret: &str| Fault::ErrorCode {
        status: Some(status),
        code: format!("X_{secret}"),
        description: Some(format!("auth={secret}")),
    };
    for fault in [echo(400, &issued.access_token), echo(401, &issued.access_token), echo(500, &issued.access_token)] {
        scene.portal.set_faults(FaultPlan::always(fault));
        let error = call(&source).await.unwrap_err();
        said.push(format!("{error:?} {} {}", Chain(&error), error.advice()));
        let access_token = Secret::new(issued.access_token.as_str());
        let installation = Installation { access_token, ..scene.installation() };
        let error = source.install(&installation).await.unwrap_err();
        said.push(format!("{error:?} {} {}", Chain(&error), error.advice()));
    }
    scene.portal.expire_access_tokens();
    for fault in [
        echo(200, &client_secret),
        echo(400, &issued.refresh_token),
        echo(500, &client_secret),
        Fault::Status { status: 502 },
        Fault::TruncatedBody,
        Fault::CutJson,
        Fault::ConnectionReset,
        Fault::Redirect302 { location: "https://evil.example".to_owned() },
        Fault::LostAfterExecution,
    ] {
        scene.portal.set_faults(FaultPlan::none().and(Some("oauth.token"), When::Always, vec![fault]));
        let source = scene.instance_with("two", settings());
        let error = call(&source).await.unwrap_err();
        said.push(format!("{error:?} {} {}", Chain(&error), error.advice()));
        let error = source.redeem(&Secret::new(CANARY), None).await.unwrap_err();
        said.push(format!("{error:?} {}", Chain(&error)));
    }
    said.push(format!("{source:?} {:?}", scene.keeper(NamedInstance::new("three"), settings())));
    let text = log.text();
    assert!(text.contains("app.info") && text.contains("the application's tokens were renewed"), "{text}");
    secrets.push(CANARY.to_owned());
    for secret in &secrets {
        assert_eq!(text.lines().find(|line| line.contains(secret)), None);
        assert_eq!(said.iter().find(|said| said.contains(secret)), None);
    }
}

#[test]
fn errors_of_the_configuration_do_not_repeat_it() {
    let error = WebhookUrl::parse(&format!("https://portal.example/rest/{CANARY}")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY));
    let webhook = WebhookUrl::parse(&format!("http://portal.example/rest/1/{CANARY}/")).unwrap();
    let problems = BitrixConfig::new(webhook).problems();
    assert!(!problems.is_empty() && !format!("{problems:?}").contains(CANARY));
}

#[tokio::test]
async fn the_address_is_host_and_port_alone() {
    let (_portal, running) = portal(|config| CANARY.clone_into(&mut config.webhook_code));
    let rig = Rig::on(&running, Dialect::Item);
    assert_eq!(format!("http://{}", rig.source.address()), running.base_url());
    for (webhook, address) in [
        ("https://Portal.Bitrix24.COM/rest/17/", "portal.bitrix24.com"),
        ("https://portal.bitrix24.com:443/rest/17/", "portal.bitrix24.com"),
        ("https://crm.example.com:8443/rest/17/", "crm.example.com:8443"),
    ] {
        let config = config(&format!("{webhook}{CANARY}/"), Dialect::Item);
        assert_eq!(Rig::with(&config).source.address(), address);
    }
}
