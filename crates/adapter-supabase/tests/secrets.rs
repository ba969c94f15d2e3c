//! Neither the secret nor a token is shown anywhere.

use b24sync_domain::ports::Authenticator as _;
use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};

use b24sync_adapter_supabase::SupabaseSettings;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Answer, Key, Project, SECRET, USER, token, with};

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
async fn debug_shows_no_secret() {
    let mut shown = String::new();
    let project = Project::with(&[Key::ec().jwk()], |settings| {
        settings.jwt_secret = Some(SECRET.into());
        shown = format!("{settings:?} {settings:#?}");
    });
    project.authenticator.warm_up().await.unwrap();
    shown = format!("{shown} {:?} {:#?}", project.authenticator, project.authenticator);
    assert!(shown.contains("REDACTED") && shown.contains(&project.server.url()), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!shown.contains(&bytes[1..bytes.len() - 1]), "{shown}");

    let short = &SECRET[..20];
    let settings = SupabaseSettings { jwt_secret: Some(short.into()), ..SupabaseSettings::new("x") };
    for problem in settings.problems() {
        assert!(!format!("{problem} {problem:?}").contains(short), "{problem:?}");
    }
}

#[tokio::test]
async fn the_log_of_refusals_and_outages_shows_nothing_of_tokens() {
    let log = Log::default();
    record(&log);

    let project = Project::with(&[Key::ec().jwk()], |settings| settings.jwt_secret = Some(SECRET.into()));
    let claims = with(project.claims(), "app_metadata", serde_json::json!({"b24sync_role": "marked-word"}));
    let good = token(&Key::ec().header(), &claims, &Key::ec());
    let expired = token(&Key::ec().header(), &with(claims.clone(), "exp", 1), &Key::ec());
    let unknown = token(&with(Key::ec().header(), "kid", "marked-kid"), &claims, &Key::ec());
    let forged = token(&Key::secret(SECRET).header(), &claims, &Key::secret("another secret"));
    let tokens = [good, expired, unknown, forged, "sb_secret_marked".to_owned()];
    for round in 0..2 {
        for token in &tokens {
            let said = format!("{:?}", project.identify(token).await);
            assert!(!token.split('.').any(|part| said.contains(part)), "{said}");
        }
        if round == 0 {
            project.server.answer(Answer::status("500 Oops", "", "marked-body"));
            project.authenticator.forget_keys();
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in ["a token was refused", "names no role", "could not be fetched", "500"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    let parts = tokens.iter().flat_map(|token| token.split('.'));
    for hidden in parts.chain([SECRET, USER, "marked", "example.com", "eyJ"]) {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}
