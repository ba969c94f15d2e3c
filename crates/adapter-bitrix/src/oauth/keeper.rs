//! The one place that knows the application's tokens.
//!
//! Tokens are renewed by one instance at a time, under a lease; the others wait for what it stores. A new pair is stored
//! before it is used, because the old one is used up. Whoever waits for a renewal may go away; the renewal goes on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use b24sync_domain::application::{Installation, TokenError};
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::lease::{Grant, Lease, Scope};
use b24sync_domain::ports::{Instances, LeaseStore, TokenVault};
use b24sync_domain::secret::Secret;
use tokio::time::Instant;
use url::Url;

use super::seal::TokenKey;
use super::server::{AuthorisationServer, Issued, Offer};
use super::settings::ApplicationSettings;
use super::state::{Current, Heard, Refusal, State, Unsaved};
use super::tokens::Tokens;
use crate::config::ConfigError;
use crate::redirect;
use crate::webhook::host_and_port;

/// How long a renewal may take; longer than all attempts at the authorisation server together.
const LEASE_TTL: Duration = Duration::from_secs(60);

/// How often an instance that waits for another one's renewal looks whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long it waits: the other one's lease has run out by then.
const WAIT_AT_MOST: Duration = Duration::from_secs(75);

/// How often somebody else's new pair is looked for after a refusal.
const SECOND_LOOKS: u32 = 8;

/// Attempts to replace tokens that change at the same time.
const REPLACEMENTS: u32 = 5;

/// What the keeper needs from the store.
#[derive(Clone)]
pub struct TokenPorts {
    /// Keeps the sealed tokens.
    pub vault: Arc<dyn TokenVault>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Who this process is, and who is gone.
    pub instances: Arc<dyn Instances>,
}

/// Keeps, renews and forgets the tokens of an application.
pub struct TokenKeeper(Arc<Inner>);

struct Inner {
    settings: ApplicationSettings,
    server: AuthorisationServer,
    ports: TokenPorts,
    state: Mutex<State>,
    /// One renewal at a time in this process.
    renewing: tokio::sync::Mutex<()>,
}

/// What a call shows.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) token: Secret,
    /// Of the tokens that it belongs to.
    pub(crate) version: i64,
}

impl Pass {
    fn of(current: &Current) -> Pass {
        Pass { token: Secret::new(current.tokens.access_token.as_str()), version: current.version }
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKeeper").field(&self.0.settings).finish()
    }
}

impl TokenKeeper {
    /// Prepares the connection to the authorisation server; sends nothing yet.
    ///
    /// # Errors
    /// The first of [`ApplicationSettings::problems`], or [`ConfigError::Client`].
    pub fn new(settings: ApplicationSettings, ports: TokenPorts) -> Result<TokenKeeper, ConfigError> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem);
        }
        let server = AuthorisationServer::new(&settings)?;
        let (state, renewing) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(TokenKeeper(Arc::new(Inner { settings, server, ports, state, renewing })))
    }

    pub(crate) fn settings(&self) -> &ApplicationSettings {
        &self.0.settings
    }

    /// What to show with the next call. Renews it when its end is near.
    pub(crate) async fn pass(&self) -> Result<Pass, TokenError> {
        let known = self.0.state().current();
        let current = match known {
            Some(current) => current,
            None => self.0.load().await?,
        };
        if current.is_fresh(Instant::now()) {
            return Ok(Pass::of(&current));
        }
        match self.renew(current.version).await {
            Ok(renewed) => Ok(Pass::of(&renewed)),
            Err(error) if current.is_alive(Instant::now()) => {
                tracing::warn!(error = %Chain(&error), "the access token could not be renewed in good time");
                Ok(Pass::of(&current))
            }
            Err(error) => Err(error),
        }
    }

    /// What to show instead of a pass that the portal did not take.
    pub(crate) async fn renewed(&self, refused: &Pass) -> Result<Pass, TokenError> {
        Ok(Pass::of(&*self.renew(refused.version).await?))
    }

    /// In a task of its own: a pair that is under way when the caller goes away would be lost.
    async fn renew(&self, version: i64) -> Result<Arc<Current>, TokenError> {
        let inner = Arc::clone(&self.0);
        #[expect(
            clippy::disallowed_methods,
            reason = "it must outlive its caller and ends within a minute; a process that ends before loses it anyway"
        )]
        let task = tokio::spawn(async move { inner.renew(version).await });
        let host = || self.0.settings.servers.first().cloned().unwrap_or_default();
        task.await.map_err(|error| TokenError::ServerUnavailable { host: host(), source: error.into() })?
    }

    /// Keeps the tokens of an installation. The caller has proven them.
    pub(crate) async fn install(&self, installation: &Installation) -> Result<(), TokenError> {
        let tokens = Tokens::installed(&self.0.settings.client_id, installation);
        self.0.settings.server(tokens.server.as_deref()).map_err(|host| TokenError::ForeignServer { host })?;
        self.0.put(|_| tokens.clone()).await
    }

    /// What does not fit to what is known of the application already.
    pub(crate) async fn contradiction(&self, installation: &Installation) -> Result<Option<&'static str>, TokenError> {
        let settings = &self.0.settings;
        if settings.member_id.as_deref().is_some_and(|known| known != installation.member_id) {
            return Ok(Some("its member id is not that of BITRIX_MEMBER_ID"));
        }
        match self.0.load().await {
            Ok(current) => {
                // It is the same for all installations of an application in a portal (Bitrix24 REST 10.1).
                let known = current.tokens.application_token.as_deref();
                let same = known.is_none_or(|known| is_equal(known, installation.application_token.expose()));
                Ok((!same).then_some("its application token is not the one that is known"))
            }
            // Tokens that cannot be opened are replaced: that is how a lost key is dealt with.
            Err(TokenError::NotInstalled | TokenError::Sealed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Exchanges a code for tokens, and keeps them.
    pub(crate) async fn redeem(&self, code: &Secret, server: Option<&str>) -> Result<(), TokenError> {
        let inner = &self.0;
        let named = inner.settings.server(server).map_err(|host| TokenError::ForeignServer { host })?;
        let issued = inner.server.exchange(&inner.settings, &named, Offer::Code(code.expose())).await?;
        inner.check(&issued)?;
        inner.put(|known| inner.tokens(&issued, &named, known)).await
    }

    /// Forgets the tokens, here and in the store.
    pub(crate) async fn revoke(&self) -> Result<(), TokenError> {
        let inner = &self.0;
        for _ in 0..REPLACEMENTS {
            let kept = inner.ports.vault.load().await.map_err(TokenError::Store)?;
            let done = match kept.sealed {
                None => true,
                Some(_) => inner.replace(kept.version, None).await?.is_some(),
            };
            if done {
                inner.state().forget(Instant::now());
                return Ok(());
            }
        }
        Err(busy("replacing the application's tokens"))
    }

    /// What events must show.
    pub(crate) async fn application_token(&self) -> Result<Option<Secret>, TokenError> {
        let heard = self.0.state().heard(Instant::now());
        if let Some(Heard(token)) = heard {
            return Ok(token);
        }
        match self.0.load().await {
            Ok(current) => Ok(current.application_token()),
            Err(TokenError::NotInstalled) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a person authorises the application.
    pub(crate) fn authorize_url(&self, state: &str) -> String {
        let mut url = self.0.settings.portal.as_url().clone();
        url.set_path("/oauth/authorize/");
        url.query_pairs_mut().append_pair("client_id", &self.0.settings.client_id).append_pair("state", state);
        url.into()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self) -> &TokenKey {
        &self.settings.token_key
    }

    /// What the vault has.
    async fn load(&self) -> Result<Arc<Current>, TokenError> {
        let kept = self.ports.vault.load().await.map_err(TokenError::Store)?;
        let now = Instant::now();
        let tokens = match kept.sealed {
            Some(sealed) => Some(Tokens::open(self.key(), &sealed)?),
            None => None,
        };
        let Some(tokens) = tokens.filter(|tokens| tokens.client_id == self.settings.client_id) else {
            self.state().forget(now);
            return Err(TokenError::NotInstalled);
        };
        let current = Arc::new(Current::new(kept.version, tokens, kept.age, now));
        self.state().adopt(&current, now);
        Ok(current)
    }

    async fn replace(&self, known: i64, sealed: Option<Vec<u8>>) -> Result<Option<i64>, TokenError> {
        self.ports.vault.replace(known, sealed).await.map_err(TokenError::Store)
    }

    /// Keeps tokens whatever is kept now; `make` gets the ones that are, if they can be opened.
    async fn put(&self, make: impl Fn(Option<&Tokens>) -> Tokens) -> Result<(), TokenError> {
        for _ in 0..REPLACEMENTS {
            let kept = self.ports.vault.load().await.map_err(TokenError::Store)?;
            let known = kept.sealed.and_then(|sealed| Tokens::open(self.key(), &sealed).ok());
            let known = known.filter(|known| known.client_id == self.settings.client_id);
            let (tokens, now) = (make(known.as_ref()), Instant::now());
            if let Some(version) = self.replace(kept.version, Some(tokens.seal(self.key())?)).await? {
                self.state().adopt(&Arc::new(Current::new(version, tokens, Duration::ZERO, now)), now);
                return Ok(());
            }
        }
        Err(busy("replacing the application's tokens"))
    }

    /// Renews tokens of this version, unless somebody else has.
    async fn renew(&self, version: i64) -> Result<Arc<Current>, TokenError> {
        let _one = self.renewing.lock().await;
        let known = self.state().current();
        if let Some(current) = known.filter(|current| current.version != version) {
            return Ok(current);
        }
        if let Some(current) = self.save_the_unsaved().await? {
            return Ok(current);
        }
        let refusal = self.state().refusal(version, Instant::now());
        if let Some(refusal) = refusal {
            // Somebody may have authorised it again, at whichever instance.
            let current = self.load().await?;
            return if current.version == version { Err(refusal.into_error()) } else { Ok(current) };
        }
        match self.lease_or_news(version).await? {
            Turn::Theirs(current) => Ok(current),
            Turn::Ours(lease) => {
                let result = self.refresh(version).await;
                if let Err(error) = self.ports.leases.release(&lease).await {
                    tracing::warn!(error = %Chain(&error), "could not give the lease of the tokens back; it runs out by itself");
                }
                result
            }
        }
    }

    /// Waits until it is our turn, or until another instance has renewed the tokens.
    async fn lease_or_news(&self, version: i64) -> Result<Turn, TokenError> {
        let me = self.ports.instances.me();
        let since = Instant::now();
        loop {
            let current = self.load().await?;
            if current.version != version {
                return Ok(Turn::Theirs(current));
            }
            let leases = &self.ports.leases;
            let held = match leases.acquire(Scope::Tokens, &me, LEASE_TTL).await.map_err(TokenError::Store)? {
                Grant::Granted(lease) => return Ok(Turn::Ours(lease)),
                Grant::Held(held) => held,
            };
            if self.ports.instances.is_gone(&held.holder) {
                let taken = leases.take_over(Scope::Tokens, &me, &held, LEASE_TTL).await;
                if let Some(lease) = taken.map_err(TokenError::Store)? {
                    return Ok(Turn::Ours(lease));
                }
            }
            if since.elapsed() > WAIT_AT_MOST {
                return Err(busy("waiting for another process to renew the application's tokens"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Under the lease: renews what the vault has now.
    async fn refresh(&self, version: i64) -> Result<Arc<Current>, TokenError> {
        let current = self.load().await?;
        if current.version != version {
            return Ok(current);
        }
        let named = current.tokens.server.as_deref();
        let server = self.settings.server(named).map_err(|host| TokenError::ForeignServer { host })?;
        let since = Instant::now();
        let offer = Offer::Refresh(&current.tokens.refresh_token);
        let issued = match self.server.exchange(&self.settings, &server, offer).await {
            Ok(issued) => issued,
            Err(error) => return self.after_refusal(version, error).await,
        };
        self.check(&issued)?;
        let tokens = self.tokens(&issued, &server, Some(&current.tokens));
        let unsaved = Unsaved { known: version, tokens, since };
        self.state().keep_unsaved(unsaved.clone());
        tracing::info!("the application's tokens were renewed");
        match self.save(unsaved).await? {
            Some(current) => Ok(current),
            // Replaced while we asked: by an installation, which is newer than what we got.
            None => self.load().await,
        }
    }

    /// An instance whose lease ran out may have used the token, and be about to store what it got for it.
    async fn after_refusal(&self, version: i64, error: TokenError) -> Result<Arc<Current>, TokenError> {
        let Some(refusal) = Refusal::of(&error) else { return Err(error) };
        if matches!(refusal, Refusal::Lapsed(_)) {
            for _ in 0..SECOND_LOOKS {
                tokio::time::sleep(LOOK_EVERY).await;
                let current = self.load().await?;
                if current.version != version {
                    return Ok(current);
                }
            }
        }
        tracing::error!(error = %Chain(&error), advice = error.advice(), "the application's tokens cannot be renewed");
        self.state().refuse(version, refusal, Instant::now());
        Err(error)
    }

    /// Stores a pair that the vault could not take when it came: the old one is used up.
    async fn save_the_unsaved(&self) -> Result<Option<Arc<Current>>, TokenError> {
        let unsaved = self.state().unsaved();
        match unsaved {
            Some(unsaved) => self.save(unsaved).await,
            None => Ok(None),
        }
    }

    /// `None` when the vault has another version by now, which counts.
    async fn save(&self, unsaved: Unsaved) -> Result<Option<Arc<Current>>, TokenError> {
        let sealed = unsaved.tokens.seal(self.key())?;
        let replaced = self.replace(unsaved.known, Some(sealed)).await?;
        let mut state = self.state();
        state.saved();
        let Some(version) = replaced else { return Ok(None) };
        let now = Instant::now();
        let age = now.saturating_duration_since(unsaved.since);
        let current = Arc::new(Current::new(version, unsaved.tokens, age, now));
        state.adopt(&current, now);
        Ok(Some(current))
    }

    /// Whether tokens are those of our portal.
    fn check(&self, issued: &Issued) -> Result<(), TokenError> {
        let another = |known: &str, given: &str| TokenError::AnotherPortal {
            known: known.to_owned(),
            given: given.chars().filter(|character| !character.is_control()).take(100).collect(),
        };
        if let Some(known) = self.settings.member_id.as_deref().filter(|known| *known != issued.member_id) {
            return Err(another(known, &issued.member_id));
        }
        let Some(endpoint) = issued.client_endpoint.as_deref() else { return Ok(()) };
        let portal = self.settings.portal.as_url();
        let endpoint = Url::parse(endpoint).map_err(|_parse| another(&host_and_port(portal), "no address"))?;
        let same = host_and_port(&endpoint) == host_and_port(portal);
        // A portal that has moved answers with a redirect, which is followed with care.
        let moved = || redirect::may_follow(portal, &endpoint, self.settings.allow_loopback);
        if same || moved() { Ok(()) } else { Err(another(&host_and_port(portal), &host_and_port(&endpoint))) }
    }

    fn tokens(&self, issued: &Issued, asked: &Url, before: Option<&Tokens>) -> Tokens {
        // The answer names the server for the next time; one that is not allowed is not taken over.
        let named = issued.server_endpoint.as_deref().and_then(|named| self.settings.server(Some(named)).ok());
        Tokens {
            client_id: self.settings.client_id.clone(),
            access_token: issued.access_token.clone(),
            refresh_token: issued.refresh_token.clone(),
            expires_in: issued.expires_in,
            member_id: issued.member_id.clone(),
            server: Some(named.unwrap_or_else(|| asked.clone()).into()),
            application_token: before.and_then(|tokens| tokens.application_token.clone()),
        }
    }
}

/// Who renews.
enum Turn {
    /// We do.
    Ours(Lease),
    /// Somebody has.
    Theirs(Arc<Current>),
}

fn busy(doing: &'static str) -> TokenError {
    TokenError::Store(StoreError::Unavailable { doing, source: "others are at it all the time".into() })
}

/// In constant time, its length aside.
fn is_equal(known: &str, given: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(known.as_bytes(), given.as_bytes()).is_ok()
}
