//! The authorisation server: a code or a refresh token in, a pair of tokens out (Bitrix24 REST 12.2 to 12.4).

use std::time::Duration;

use b24sync_domain::application::TokenError;
use b24sync_domain::error::BoxError;
use reqwest::Client;
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use url::Url;

use super::settings::ApplicationSettings;
use crate::body;
use crate::client;
use crate::config::ConfigError;
use crate::envelope::{self, Named};
use crate::lenient;
use crate::scrub;
use crate::webhook::host_and_port;

/// Bytes of an answer at most; a pair of tokens takes less than one thousand.
const MAX_BODY: usize = 64 * 1024;

/// Codes that say that the token or the code itself is not good any more, in lower case.
const LAPSED: [&str; 3] = ["invalid_grant", "bad_verification_code", "expired_token"];

/// Codes of limits and faults that pass.
const PASSING: [&str; 4] =
    ["query_limit_exceeded", "internal_server_error", "error_unexpected_answer", "overload_limit"];

/// What is exchanged for tokens.
#[derive(Clone, Copy)]
pub(super) enum Offer<'a> {
    /// What a user's browser brought back.
    Code(&'a str),
    /// The refresh token of the last pair.
    Refresh(&'a str),
}

impl<'a> Offer<'a> {
    fn secret(self) -> &'a str {
        match self {
            Offer::Code(secret) | Offer::Refresh(secret) => secret,
        }
    }

    fn pairs(self) -> [(&'static str, &'a str); 2] {
        match self {
            Offer::Code(code) => [("grant_type", "authorization_code"), ("code", code)],
            Offer::Refresh(token) => [("grant_type", "refresh_token"), ("refresh_token", token)],
        }
    }
}

/// A new pair of tokens.
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) expires_in: u64,
    pub(super) member_id: String,
    pub(super) client_endpoint: Option<String>,
    pub(super) server_endpoint: Option<String>,
}

/// The connection to authorisation servers.
pub(super) struct AuthorisationServer {
    client: Client,
    attempts: u32,
    first_delay: Duration,
    max_delay: Duration,
}

impl AuthorisationServer {
    pub(super) fn new(settings: &ApplicationSettings) -> Result<AuthorisationServer, ConfigError> {
        let client = client::builder(settings.allow_loopback)
            // Frames of HTTP/2 are logged with the path, and the secret is in its query.
            .http1_only()
            .timeout(settings.timeout)
            .build()
            .map_err(|error| ConfigError::Client(error.without_url().into()))?;
        Ok(AuthorisationServer {
            client,
            attempts: settings.retry.attempts.max(1),
            first_delay: settings.retry.other_first,
            max_delay: settings.retry.other_max,
        })
    }

    /// Exchanges what is offered, repeating requests that got no answer. Such a request may have been executed, and then
    /// the next one is refused: nothing but a new authorisation helps then.
    pub(super) async fn exchange(
        &self,
        settings: &ApplicationSettings,
        server: &Url,
        offer: Offer<'_>,
    ) -> Result<Issued, TokenError> {
        let mut attempt = 1;
        loop {
            match self.ask(settings, server, offer).await {
                Err(error @ TokenError::ServerUnavailable { .. }) if attempt < self.attempts => {
                    tracing::warn!(
                        attempt,
                        error = %b24sync_domain::error::Chain(&error),
                        "the authorisation server did not answer and is asked again"
                    );
                    let delay = self.first_delay.saturating_mul(2_u32.saturating_pow(attempt - 1));
                    tokio::time::sleep(delay.min(self.max_delay)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn ask(&self, settings: &ApplicationSettings, server: &Url, offer: Offer<'_>) -> Result<Issued, TokenError> {
        let host = host_and_port(server);
        let unavailable = |source: BoxError| TokenError::ServerUnavailable { host: host.clone(), source };
        let secret = settings.client_secret.expose_secret();
        let mut address = server.clone();
        address.set_path("/oauth/token/");
        address
            .query_pairs_mut()
            .extend_pairs(offer.pairs())
            .append_pair("client_id", &settings.client_id)
            .append_pair("client_secret", secret);
        let request = self.client.get(address);
        #[expect(clippy::disallowed_methods, reason = "this is the other place that the lint points to")]
        let response = request.send().await.map_err(|error| unavailable(error.without_url().into()))?;
        let status = response.status().as_u16();
        let text =
            body::read("oauth.token", response, MAX_BODY).await.map_err(|failure| unavailable(failure.error.into()))?;
        judge(status, &text).map_err(|refused| match refused {
            Refused::Lapsed(code) => TokenError::Lapsed { code: scrub::clean_all(&code, &[secret, offer.secret()]) },
            Refused::Application(code) => {
                TokenError::Refused { code: scrub::clean_all(&code, &[secret, offer.secret()]) }
            }
            Refused::Passing(what) => unavailable(what.into()),
        })
    }
}

/// Why there are no tokens.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Lapsed(String),
    Application(String),
    Passing(String),
}

/// The code decides, whatever the status: some refusals come with 200 (Bitrix24 REST 12.4).
fn judge(status: u16, text: &str) -> Result<Issued, Refused> {
    let passing = |what: &str| Refused::Passing(format!("{what} (HTTP {status})"));
    let Ok(answer) = serde_json::from_str::<&RawValue>(text.trim()) else {
        return Err(passing("answered with something else than JSON"));
    };
    let members = Named::of(answer);
    if let Some(error) = members.get("error") {
        let code: String = envelope::refusal(error, None).code.trim().chars().take(64).collect();
        let known = code.to_lowercase();
        return Err(if LAPSED.contains(&known.as_str()) {
            Refused::Lapsed(code)
        } else if PASSING.contains(&known.as_str()) || status >= 500 || matches!(status, 408 | 429) {
            passing("answered with a fault")
        } else {
            Refused::Application(code)
        });
    }
    let text = |name: &str| members.get(name).and_then(lenient::text).filter(|text| !text.is_empty());
    let issued = || {
        Some(Issued {
            access_token: text("access_token")?,
            refresh_token: text("refresh_token")?,
            expires_in: members.get("expires_in").and_then(lenient::integer)?.try_into().ok()?,
            member_id: text("member_id")?,
            client_endpoint: text("client_endpoint"),
            server_endpoint: text("server_endpoint"),
        })
    };
    issued().ok_or_else(|| passing("answered without tokens"))
}

/// What holds for whatever an authorisation server answers.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn laws_of_an_answer(status: u16, text: &str) {
    match judge(status, text) {
        Ok(issued) => {
            let needed = [&issued.access_token, &issued.refresh_token, &issued.member_id];
            assert!(needed.iter().all(|text| !text.is_empty()), "a pair of tokens is whole");
        }
        Err(Refused::Lapsed(words) | Refused::Application(words) | Refused::Passing(words)) => {
            assert!(words.chars().count() <= 64, "{words:?} is long");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, text: &str) -> Refused {
        judge(status, text).err().unwrap()
    }

    #[test]
    fn the_code_of_a_refusal_decides_whatever_the_status() {
        let coded = |code: &str| format!(r#"{{"error":"{code}","error_description":"x"}}"#);
        for status in [200, 400, 401] {
            assert_eq!(refused(status, &coded("invalid_grant")), Refused::Lapsed("invalid_grant".to_owned()));
            for code in ["wrong_client", "NOT_INSTALLED", "invalid_client", "PAYMENT_REQUIRED", "something new"] {
                assert_eq!(refused(status, &coded(code)), Refused::Application(code.to_owned()));
            }
            assert!(matches!(refused(status, &coded("INTERNAL_SERVER_ERROR")), Refused::Passing(_)));
        }
        assert!(matches!(refused(503, &coded("something new")), Refused::Passing(_)));
    }

    #[test]
    fn what_is_no_pair_of_tokens_passes() {
        for text in ["", "<html>", "{}", "[]", r#"{"access_token":"a","refresh_token":"b"}"#] {
            assert!(matches!(refused(200, text), Refused::Passing(_)), "{text}");
        }
    }

    #[test]
    fn the_sample_answers_are_understood() {
        for text in [
            include_str!("../../tests/fixtures/oauth.token.refresh.json"),
            include_str!("../../tests/fixtures/oauth.token.authorization_code.json"),
        ] {
            let issued = judge(200, text).ok().unwrap();
            assert_eq!((issued.expires_in, issued.refresh_token.get(..4)), (3_600, Some("FAKE")));
            assert_eq!(issued.server_endpoint.as_deref(), Some("https://oauth.bitrix.info/rest/"));
            assert_eq!(issued.client_endpoint.as_deref(), Some("https://portal.bitrix24.example/rest/"));
        }
    }
}
