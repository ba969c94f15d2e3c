//! The parts of a token, and its header read strictly (CORRECTNESS S1). Nothing here is trusted yet.

use b24sync_domain::access::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::json;

/// Bytes of a token.
const MAX_TOKEN: usize = 8 * 1024;
/// Bytes of a key's id; Supabase uses UUIDs.
const MAX_KID: usize = 128;
/// How API keys of the newer kind begin: `sb_publishable_…`, `sb_secret_…`.
const API_KEY: &str = "sb_";

/// Members that bring keys along, change what is signed or encrypt it.
const FORBIDDEN: [&str; 9] = ["jku", "x5u", "jwk", "x5c", "crit", "b64", "enc", "zip", "cty"];

/// A token in its parts, unverified.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    /// The key that is said to have signed it.
    pub(crate) kid: Option<String>,
    /// What the signature is about: header and payload as they were sent.
    pub(crate) signed: &'a str,
    /// As sent, known to be base64url.
    pub(crate) signature: &'a str,
    /// Decoded.
    pub(crate) payload: Vec<u8>,
}

impl Token<'_> {
    pub(crate) fn parse(text: &str) -> Result<Token<'_>, Refusal> {
        if text.is_empty() {
            return Err(Refusal::Missing);
        }
        if text.len() > MAX_TOKEN {
            return Err(Refusal::TooLong);
        }
        if text.starts_with(API_KEY) {
            return Err(Refusal::ApiKey);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header = json::object(&decode(header)?).ok_or(Refusal::Malformed)?;
        let payload = decode(payload)?;
        decode(signature)?;
        let (algorithm, kid) = read(&header)?;
        Ok(Token { algorithm, kid, signed, signature, payload })
    }
}

/// Without padding, white space or unused bits: the same bytes have one spelling only. A dot is no such character, so
/// that there are never more than three parts.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_what| Refusal::Malformed)
}

fn read(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Refusal> {
    if let Some(name) = FORBIDDEN.into_iter().find(|name| header.contains_key(*name)) {
        return Err(Refusal::Header(name));
    }
    if header.get("typ").is_some_and(|typ| typ != "JWT") {
        return Err(Refusal::Header("typ"));
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=MAX_KID).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err(Refusal::Header("kid")),
    };
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named).ok_or(Refusal::Algorithm)?;
    Ok((algorithm, kid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"), "c2ln")
    }

    #[test]
    fn the_parts_are_kept_as_they_were_sent() {
        let text = token(r#"{"alg":"ES256","kid":"k1","typ":"JWT","x5t":"unknown members are let pass"}"#);
        let token = Token::parse(&text).unwrap();
        assert_eq!((token.algorithm, token.kid.as_deref()), (Algorithm::Es256, Some("k1")));
        assert_eq!((token.payload.as_slice(), token.signature), (b"{}".as_slice(), "c2ln"));
        assert_eq!(format!("{}.{}", token.signed, token.signature), text);
    }

    #[test]
    fn the_limit_comes_before_everything_else() {
        assert_eq!(Token::parse(&"s".repeat(MAX_TOKEN + 1)).unwrap_err(), Refusal::TooLong);
        assert_eq!(Token::parse(&"s".repeat(MAX_TOKEN)).unwrap_err(), Refusal::Malformed);
    }

    #[test]
    fn a_key_id_is_a_short_text() {
        for (kid, refused) in
            [(r#""k""#, false), (r#""""#, true), ("1", true), ("null", true), ("[]", true), (r#"{"a":1}"#, true)]
        {
            let text = token(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#));
            assert_eq!(Token::parse(&text).err(), refused.then_some(Refusal::Header("kid")), "{kid}");
        }
        let long = token(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(MAX_KID + 1)));
        assert_eq!(Token::parse(&long).unwrap_err(), Refusal::Header("kid"));
    }
}
