//! An application on an emulated portal, and instances of the service that share a store.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_adapter_bitrix::{
    ApplicationSettings, BitrixConfig, BitrixSource, RetryPolicy, TokenKeeper, TokenKey, TokenPorts,
};
use b24sync_domain::application::Installation;
use b24sync_domain::error::{SourceError, StoreError};
use b24sync_domain::ports::{CrmSource, Kept, PortalGrant, TokenVault};
use b24sync_domain::secret::Secret;
use b24sync_portal_emulator::{Application, ApplicationRules, Counts, IssuedTokens, Portal, RunningPortal};
use b24sync_testkit::observe::NamedInstance;
use b24sync_testkit::store::FakeStore;

use crate::support::{Witness, config, portal};

/// A vault whose tokens can be old, and that can refuse.
#[derive(Default)]
pub(crate) struct Vault {
    pub(crate) store: Arc<FakeStore>,
    age: Mutex<Duration>,
    refusals: Mutex<u32>,
}

impl Vault {
    /// Tokens that are kept now came this long ago.
    pub(crate) fn make_old(&self, age: Duration) {
        *self.age.lock().unwrap() = age;
    }

    /// Fails the next changes.
    pub(crate) fn refuse(&self, times: u32) {
        *self.refusals.lock().unwrap() = times;
    }
}

#[async_trait]
impl TokenVault for Vault {
    async fn load(&self) -> Result<Kept, StoreError> {
        let age = *self.age.lock().unwrap();
        Ok(Kept { age, ..self.store.load().await? })
    }

    async fn replace(&self, known: i64, sealed: Option<Vec<u8>>) -> Result<Option<i64>, StoreError> {
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(StoreError::Unavailable { doing: "testing", source: "it was told to".into() });
            }
        }
        let replaced = self.store.replace(known, sealed).await?;
        if replaced.is_some() {
            self.make_old(Duration::ZERO);
        }
        Ok(replaced)
    }
}

/// A portal with an application, and the store that all instances share.
pub(crate) struct Scene {
    pub(crate) portal: Portal,
    pub(crate) running: Option<RunningPortal>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) issued: IssuedTokens,
    address: String,
    key: TokenKey,
}

impl Scene {
    pub(crate) fn with(rules: ApplicationRules, application: Application) -> Scene {
        let (portal, running) = portal(|config| {
            config.counts = Counts { deals: 5, leads: 3, contacts: 0, companies: 0 };
            config.application_rules = rules;
        });
        let issued = portal.install_application(application);
        let (address, key) = (running.base_url(), TokenKey::generate().unwrap().parse().unwrap());
        Scene { portal, running: Some(running), vault: Arc::default(), issued, address, key }
    }

    pub(crate) fn new() -> Scene {
        Scene::with(ApplicationRules::default(), Application::default())
    }

    /// With the tokens of its installation kept.
    pub(crate) async fn installed() -> (Scene, BitrixSource) {
        let scene = Scene::new();
        let source = scene.instance("one");
        source.install(&scene.installation()).await.unwrap();
        (scene, source)
    }

    /// What the portal posts after an installation.
    pub(crate) fn installation(&self) -> Installation {
        Installation {
            access_token: Secret::new(self.issued.access_token.as_str()),
            refresh_token: Secret::new(self.issued.refresh_token.as_str()),
            expires_in: 3_600,
            application_token: Secret::new(self.issued.application_token.as_str()),
            member_id: self.portal.member_id().to_owned(),
            server_endpoint: Some(format!("{}/rest/", self.address)),
        }
    }

    pub(crate) fn settings(&self) -> ApplicationSettings {
        let Application { client_id, client_secret, .. } = Application::default();
        let portal = self.address.parse().unwrap();
        ApplicationSettings {
            allow_loopback: true,
            timeout: Duration::from_secs(5),
            retry: RetryPolicy {
                attempts: 3,
                other_first: Duration::from_millis(1),
                other_max: Duration::from_millis(5),
                ..RetryPolicy::default()
            },
            ..ApplicationSettings::new(portal, client_id, client_secret.into(), self.key.clone())
        }
    }

    pub(crate) fn keeper(&self, instance: NamedInstance, settings: ApplicationSettings) -> Arc<TokenKeeper> {
        let vault = Arc::clone(&self.vault);
        let leases = Arc::clone(&self.vault.store);
        let ports = TokenPorts { vault, leases, instances: Arc::new(instance) };
        Arc::new(TokenKeeper::new(settings, ports).unwrap())
    }

    /// An instance of the service.
    pub(crate) fn instance(&self, name: &str) -> BitrixSource {
        self.instance_with(name, self.settings())
    }

    pub(crate) fn instance_with(&self, name: &str, settings: ApplicationSettings) -> BitrixSource {
        self.source(NamedInstance::new(name), settings)
    }

    pub(crate) fn source(&self, instance: NamedInstance, settings: ApplicationSettings) -> BitrixSource {
        let webhook = config("http://127.0.0.1:1/rest/1/c/", b24sync_adapter_bitrix::Dialect::Item);
        let config = BitrixConfig { access: self.keeper(instance, settings).into(), ..webhook };
        BitrixSource::new(&config, Arc::new(Witness::default())).unwrap()
    }

    pub(crate) fn refreshes(&self) -> (u64, u64) {
        let stats = self.portal.oauth_stats();
        (stats.refreshes, stats.refused_refreshes)
    }
}

/// Whether the source may call the portal.
pub(crate) async fn call(source: &BitrixSource) -> Result<i64, SourceError> {
    source.profile().await.map(|profile| profile.user_id)
}
