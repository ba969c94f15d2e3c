//! The claims of a verified token (CORRECTNESS S1). Each is asked for by name: none is checked only where it happens to
//! be present.

use b24sync_domain::access::Refusal;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::json;
use crate::subject;

/// How far the clocks of issuer and service may be apart.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// Audience, and role in the database, of users who have signed in.
const AUTHENTICATED: &str = "authenticated";
/// Roles in the database that stand for applications.
const API_KEYS: [&str; 3] = ["anon", "service_role", "supabase_admin"];

/// What a token says, once all of it has been found acceptable.
#[derive(Debug)]
pub(crate) struct Claims {
    /// The user's id.
    pub(crate) subject: String,
    /// Everything.
    pub(crate) all: Map<String, Value>,
}

impl Claims {
    /// Checks the claims in the payload of a token whose signature is right.
    pub(crate) fn check(payload: &[u8], issuer: &str, now: DateTime<Utc>) -> Result<Claims, Refusal> {
        let all = json::object(payload).ok_or(Refusal::Malformed)?;
        check_kind(&all)?;
        if all.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err(Refusal::Issuer);
        }
        if !is_for_us(all.get("aud")) {
            return Err(Refusal::Audience);
        }
        check_times(&all, now)?;
        let subject = all.get("sub").and_then(Value::as_str).and_then(subject::user_id).ok_or(Refusal::Claim("sub"))?;
        Ok(Claims { subject, all })
    }
}

/// API keys come first: what else is wrong with them does not matter.
fn check_kind(all: &Map<String, Value>) -> Result<(), Refusal> {
    match all.get("role").and_then(Value::as_str) {
        Some(AUTHENTICATED) => {}
        Some(role) if API_KEYS.contains(&role) => return Err(Refusal::ApiKey),
        _ => return Err(Refusal::Claim("role")),
    }
    match all.get("is_anonymous") {
        None | Some(Value::Bool(false)) => Ok(()),
        Some(Value::Bool(true)) => Err(Refusal::Anonymous),
        Some(_) => Err(Refusal::Claim("is_anonymous")),
    }
}

fn is_for_us(audience: Option<&Value>) -> bool {
    match audience {
        Some(Value::String(one)) => one == AUTHENTICATED,
        Some(Value::Array(several)) => {
            several.iter().all(Value::is_string) && several.iter().any(|one| one == AUTHENTICATED)
        }
        _ => false,
    }
}

fn check_times(all: &Map<String, Value>, now: DateTime<Utc>) -> Result<(), Refusal> {
    let expires = instant(all, "exp")?.ok_or(Refusal::Claim("exp"))?;
    if now.signed_duration_since(expires) >= LEEWAY {
        return Err(Refusal::Expired);
    }
    for name in ["nbf", "iat"] {
        let begins = instant(all, name)?;
        if begins.is_some_and(|begins| begins.signed_duration_since(now) > LEEWAY) {
            return Err(Refusal::NotYetValid);
        }
    }
    Ok(())
}

/// Whole seconds since 1970, as Supabase writes them.
fn instant(all: &Map<String, Value>, name: &'static str) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(value) = all.get(name) else { return Ok(None) };
    let seconds = value.as_i64().filter(|seconds| *seconds >= 0);
    let instant = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    instant.map(Some).ok_or(Refusal::Claim(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_with_a_leeway_of_thirty_seconds() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        for (name, from_now, expected) in [
            ("exp", -29, Ok(())),
            ("exp", -30, Err(Refusal::Expired)),
            ("nbf", 30, Ok(())),
            ("nbf", 31, Err(Refusal::NotYetValid)),
            ("iat", 30, Ok(())),
            ("iat", 31, Err(Refusal::NotYetValid)),
            ("iat", -1_000_000, Ok(())),
        ] {
            let mut all = Map::new();
            all.insert("exp".to_owned(), Value::from(1_000_060));
            all.insert(name.to_owned(), Value::from(1_000_000 + from_now));
            assert_eq!(check_times(&all, now), expected, "{name} {from_now}");
        }
    }
}
