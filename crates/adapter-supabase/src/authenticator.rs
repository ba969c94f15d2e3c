//! From a token to an identity.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use b24sync_domain::access::{Identity, Refusal};
use b24sync_domain::error::BoxError;
use b24sync_domain::ports::{Authenticator, Clock, KeySetExaminer};
use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::algorithm::{Algorithm, VerifyingKey};
use crate::claims::Claims;
use crate::header::Token;
use crate::keys::{Fetcher, KeyCache};
use crate::roles::RolePolicy;
use crate::settings::{SettingsError, SupabaseSettings};

/// Below the project's address.
const ISSUER: &str = "/auth/v1";
const KEY_SET: &str = "/auth/v1/.well-known/jwks.json";

/// Verifies the session tokens of one Supabase project.
pub struct SupabaseAuthenticator {
    issuer: String,
    keys: Arc<KeyCache>,
    secret: Option<VerifyingKey>,
    roles: RolePolicy,
    clock: Arc<dyn Clock>,
}

impl SupabaseAuthenticator {
    /// An authenticator that asks for keys when the first token needs them.
    ///
    /// # Errors
    /// The first of the settings' [problems](SupabaseSettings::problems).
    pub fn new(settings: &SupabaseSettings, clock: Arc<dyn Clock>) -> Result<SupabaseAuthenticator, SettingsError> {
        SupabaseAuthenticator::with_tasks(settings, clock, TaskTracker::new())
    }

    /// The same, with its requests as tasks of `tasks`, so that a shutdown can wait for them.
    ///
    /// # Errors
    /// As [`new`](SupabaseAuthenticator::new).
    pub fn with_tasks(
        settings: &SupabaseSettings,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Result<SupabaseAuthenticator, SettingsError> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem);
        }
        let mut url = settings.project()?;
        let issuer = format!("{}{ISSUER}", url.origin().ascii_serialization());
        url.set_path(KEY_SET);
        let fetcher =
            Fetcher::new(url, settings.allow_loopback).map_err(|error| SettingsError::Client(error.into()))?;
        Ok(SupabaseAuthenticator {
            issuer,
            keys: Arc::new(KeyCache::new(fetcher, Arc::clone(&clock), tasks)),
            secret: settings.jwt_secret.as_ref().map(|secret| VerifyingKey::hs256(secret.expose_secret().as_bytes())),
            roles: settings.roles()?,
            clock,
        })
    }

    /// Makes sure that there are keys, and says how many: for the start of a service and for its self-test. A project
    /// that signs by its shared secret has none.
    ///
    /// # Errors
    /// [`Refusal::KeysUnavailable`]; the log says why.
    pub async fn warm_up(&self) -> Result<usize, Refusal> {
        Ok(self.keys.set().await?.len())
    }

    async fn verify(&self, text: &str) -> Result<Identity, Refusal> {
        let token = Token::parse(text)?;
        match token.algorithm {
            Algorithm::Hs256 => {
                let secret = self.secret.as_ref().ok_or(Refusal::Algorithm)?;
                secret.verify(token.algorithm, token.signed, token.signature)?;
            }
            Algorithm::Es256 | Algorithm::Rs256 => {
                let key = self.keys.find(token.kid.as_deref()).await?;
                key.verify(token.algorithm, token.signed, token.signature)?;
            }
        }
        let claims = Claims::check(&token.payload, &self.issuer, self.clock.now())?;
        let role = self.roles.role(&claims);
        Ok(Identity { subject: claims.subject, role })
    }
}

#[async_trait]
impl Authenticator for SupabaseAuthenticator {
    async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        let verified = self.verify(token).await;
        if let Err(refusal) = &verified {
            debug!(reason = refusal.as_str(), error = %refusal, "a token was refused");
        }
        verified
    }

    fn forget_keys(&self) {
        self.keys.purge();
    }
}

#[async_trait]
impl KeySetExaminer for SupabaseAuthenticator {
    fn issuer(&self) -> String {
        self.issuer.clone()
    }

    async fn published_keys(&self) -> Result<usize, BoxError> {
        Ok(self.keys.ask_now().await?.len())
    }
}

impl fmt::Debug for SupabaseAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupabaseAuthenticator")
            .field("issuer", &self.issuer)
            .field("has_secret", &self.secret.is_some())
            .finish_non_exhaustive()
    }
}
