//! A project that is made up: its keys, its key endpoint, its tokens and its time.

mod keys;
mod server;

use std::sync::{Arc, Mutex};

use b24sync_adapter_supabase::{SupabaseAuthenticator, SupabaseSettings};
use b24sync_domain::access::{Identity, Refusal};
use b24sync_domain::ports::{Authenticator as _, Clock};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

pub(crate) use keys::Key;
pub(crate) use server::{Answer, KeyServer};

pub(crate) const SECRET: &str = "a-shared-secret-of-more-than-32-bytes==";
pub(crate) const USER: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
/// 2026-06-01 00:00:00 UTC.
pub(crate) const START: i64 = 1_780_272_000;

pub(crate) struct FakeClock(Mutex<DateTime<Utc>>);

impl FakeClock {
    pub(crate) fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

pub(crate) struct Project {
    pub(crate) server: KeyServer,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) authenticator: SupabaseAuthenticator,
}

impl Project {
    /// A project that publishes `keys` and has no shared secret.
    pub(crate) fn publishing(keys: &[Value]) -> Project {
        Project::with(keys, |_settings| {})
    }

    pub(crate) fn with(keys: &[Value], change: impl FnOnce(&mut SupabaseSettings)) -> Project {
        let server = KeyServer::start(Answer::keys(keys));
        let mut settings = SupabaseSettings { allow_loopback: true, ..SupabaseSettings::new(server.url()) };
        change(&mut settings);
        let clock = Arc::new(FakeClock(Mutex::new(DateTime::from_timestamp(START, 0).unwrap())));
        let time: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
        let authenticator = SupabaseAuthenticator::new(&settings, time).unwrap();
        Project { server, clock, authenticator }
    }

    /// What Supabase puts into a token that is issued now.
    pub(crate) fn claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": format!("{}/auth/v1", self.server.url()),
            "sub": USER,
            "aud": "authenticated",
            "exp": now + 3600,
            "iat": now,
            "email": "someone@example.com",
            "phone": "",
            "app_metadata": {"provider": "email", "providers": ["email"], "b24sync_role": "operator"},
            "user_metadata": {"b24sync_role": "admin"},
            "role": "authenticated",
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": "b3f1d2a4-31a4-4a3a-8c39-2b6f6d7a8e90",
            "is_anonymous": false
        })
    }

    /// A good token.
    pub(crate) fn token(&self, key: &Key) -> String {
        token(&key.header(), &self.claims(), key)
    }

    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        self.authenticator.identify(token).await
    }

    pub(crate) async fn refusal(&self, token: &str) -> Option<Refusal> {
        self.identify(token).await.err()
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

pub(crate) fn token(header: &Value, claims: &Value, key: &Key) -> String {
    signed(header.to_string(), claims.to_string(), key)
}

/// A token of exactly these bytes, with a signature that is right.
pub(crate) fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, key: &Key) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The object with one member changed or added.
pub(crate) fn with(mut object: Value, member: &str, value: impl Into<Value>) -> Value {
    object[member] = value.into();
    object
}

/// The object without one member.
pub(crate) fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member);
    object
}
