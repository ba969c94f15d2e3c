//! The webhook's code never shows.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};

use b24sync_adapter_bitrix::{BitrixConfig, Dialect, LocalPacer, WebhookUrl};
use b24sync_domain::error::Chain;
use b24sync_domain::ports::CrmSource;
use b24sync_portal_emulator::{Counts, Fault, FaultPlan};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

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
fn record(log: &Log) {
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_filter(dynamic_filter_fn(|_, _| RECORDING.get()));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    RECORDING.set(true);
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
    let log = Log::default();
    record(&log);
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
    said.push(format!("{config:?} {:#?} {:?}", config.access, LocalPacer::new(2.0, 50)));
    let text = log.text();
    assert!(text.contains("portal.call") && text.contains("TRACE"), "the log is not empty");
    assert_eq!(text.lines().find(|line| line.contains(CANARY)), None);
    assert_eq!(said.iter().find(|said| said.contains(CANARY)), None);
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
