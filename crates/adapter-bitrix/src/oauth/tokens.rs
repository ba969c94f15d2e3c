//! What an installation or an answer of the authorisation server brings.

use std::time::Duration;

use b24sync_domain::application::{Installation, TokenError};
use serde::{Deserialize, Serialize};

use super::seal::TokenKey;

/// The tokens of an installation. No `Debug`: everything in it is a secret.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Whose they are: those of another application are no use.
    pub(crate) client_id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Seconds that the access token lived from when it came.
    pub(crate) expires_in: u64,
    pub(crate) member_id: String,
    /// The authorisation server, as it was named; judged anew before each use.
    pub(crate) server: Option<String>,
    /// What events show. It comes with an installation only.
    pub(crate) application_token: Option<String>,
}

impl Tokens {
    /// Those that an installation brings.
    pub(crate) fn installed(client_id: &str, installation: &Installation) -> Tokens {
        Tokens {
            client_id: client_id.to_owned(),
            access_token: installation.access_token.expose().to_owned(),
            refresh_token: installation.refresh_token.expose().to_owned(),
            expires_in: installation.expires_in,
            member_id: installation.member_id.clone(),
            server: installation.server_endpoint.clone(),
            application_token: Some(installation.application_token.expose().to_owned()),
        }
    }

    pub(crate) fn seal(&self, key: &TokenKey) -> Result<Vec<u8>, TokenError> {
        // A struct of texts and numbers always serialises.
        key.seal(&serde_json::to_vec(self).unwrap_or_default()).ok_or(TokenError::Sealed)
    }

    pub(crate) fn open(key: &TokenKey, sealed: &[u8]) -> Result<Tokens, TokenError> {
        let text = key.open(sealed).ok_or(TokenError::Sealed)?;
        serde_json::from_slice(&text).map_err(|_shape| TokenError::Sealed)
    }

    pub(crate) fn life(&self) -> Duration {
        Duration::from_secs(self.expires_in)
    }
}
