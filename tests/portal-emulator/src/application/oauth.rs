//! The authorisation server and the page of the portal that leads to it, without HTTP (REST.md 12).

use serde::Serialize;
use serde_json::{Value, json};

use super::installed::Installed;
use super::tokens::Pair;
use crate::events::Form;
use crate::inner::Inner;
use crate::param::Param;

/// What was asked of the authorisation server since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OauthStats {
    /// Users sent back with a code.
    pub authorizations: u64,
    /// Codes exchanged for tokens.
    pub exchanges: u64,
    /// Codes refused.
    pub refused_exchanges: u64,
    /// Pairs of tokens replaced.
    pub refreshes: u64,
    /// Refreshes refused, wrong secrets included.
    pub refused_refreshes: u64,
}

/// A refusal of the authorisation server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    code: &'static str,
    description: &'static str,
}

/// The documentation names no HTTP status of refusals; these are those of RFC 6749, 5.2.
const INVALID_REQUEST: Refusal = Refusal { status: 400, code: "invalid_request", description: "Invalid request" };
const INVALID_CLIENT: Refusal = Refusal { status: 401, code: "invalid_client", description: "Invalid client" };
const INVALID_GRANT: Refusal = Refusal { status: 400, code: "invalid_grant", description: "Invalid grant" };

impl Refusal {
    pub(crate) fn json(self) -> Value {
        json!({ "error": self.code, "error_description": self.description })
    }
}

fn text(params: &Param, name: &str) -> String {
    params.get(name).and_then(Param::text).unwrap_or_default().into_owned()
}

/// Lets the user authorise an application at once; returns where the user is sent, or what the user reads instead:
/// errors are not passed on to the application (REST.md 12.2).
pub(crate) fn authorize(inner: &Inner, params: &Param) -> Result<String, &'static str> {
    let (now, rules) = (inner.clock.now_seconds(), &inner.config.application_rules);
    let client_id = text(params, "client_id");
    let issue = |installed: &mut Installed| {
        if installed.application.client_id != client_id {
            return Err("Application not found");
        }
        let redirect_uri = installed.application.redirect_uri.clone().ok_or("The application has no address")?;
        Ok((redirect_uri, installed.scope_text(), installed.tokens.code(now, rules)))
    };
    let (redirect_uri, scope, code) = inner.hub.with_application(issue).unwrap_or(Err("Application not installed"))?;
    inner.hub.count_oauth(|stats| stats.authorizations += 1);
    let mut query = Form::default();
    query.put("code", &code);
    if let Some(state) = params.get("state").and_then(Param::text) {
        query.put("state", &state);
    }
    let address = inner.address();
    query.put("domain", address.domain());
    query.put("member_id", &inner.config.member_id);
    query.put("scope", &scope);
    query.put("server_domain", address.domain());
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    Ok(format!("{redirect_uri}{separator}{}", query.into_text()))
}

/// Issues tokens for a code or a refresh token.
pub(crate) fn token(inner: &Inner, params: &Param) -> Result<Value, Refusal> {
    let grant_type = text(params, "grant_type");
    let outcome = exchange(inner, &grant_type, params);
    inner.hub.count_oauth(|stats| match (grant_type.as_str(), outcome.is_ok()) {
        ("authorization_code", true) => stats.exchanges += 1,
        ("authorization_code", false) => stats.refused_exchanges += 1,
        ("refresh_token", true) => stats.refreshes += 1,
        ("refresh_token", false) => stats.refused_refreshes += 1,
        _ => {}
    });
    outcome
}

fn exchange(inner: &Inner, grant_type: &str, params: &Param) -> Result<Value, Refusal> {
    let (now, rules) = (inner.clock.now_seconds(), &inner.config.application_rules);
    let (client_id, secret) = (text(params, "client_id"), text(params, "client_secret"));
    let issue = |installed: &mut Installed| {
        let application = &installed.application;
        if application.client_id != client_id || application.client_secret != secret {
            return Err(INVALID_CLIENT);
        }
        let pair = match grant_type {
            "authorization_code" => installed.tokens.redeem(&text(params, "code"), now, rules),
            "refresh_token" => installed.tokens.refresh(&text(params, "refresh_token"), now, rules),
            _ => return Err(INVALID_REQUEST),
        };
        let pair = pair.ok_or(INVALID_GRANT)?;
        Ok(answer(inner, installed, &pair, now))
    };
    // "Perhaps the application is not installed" (RU `settings/oauth/error-codes.md`).
    inner.hub.with_application(issue).unwrap_or(Err(INVALID_CLIENT))
}

fn answer(inner: &Inner, installed: &Installed, pair: &Pair, now: i64) -> Value {
    let address = inner.address();
    json!({
        "access_token": pair.access_token,
        "client_endpoint": address.endpoint(),
        // That of the authorisation server, not of the portal (RU `settings/oauth/index.md`); here they are one.
        "domain": address.domain(),
        "expires": pair.expires,
        "expires_in": pair.expires - now,
        "member_id": inner.config.member_id,
        "refresh_token": pair.refresh_token,
        "scope": installed.scope_text(),
        "server_endpoint": address.endpoint(),
        "status": installed.application.status,
        "user_id": inner.config.user_id,
    })
}
