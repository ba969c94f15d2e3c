//! What holds for whoever reads a token or a set of keys before anything is verified. Panics where it does not.
//!
//! For the fuzz targets in `fuzz/`, and for the tests that replay what they have found. Nothing here is used by the
//! program.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a law that is broken panics; not every lint fires in every build of this module"
)]

use b24sync_domain::access::Refusal;
use chrono::DateTime;
use serde_json::Value;

use crate::claims::Claims;
use crate::header::Token;
use crate::json;
use crate::keys::KeySet;
use crate::subject;

/// Bytes of a token.
const LONGEST: usize = 8 * 1024;

/// Reads `bytes` as a token, as a header, and as claims.
pub fn of_a_token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        of_a_text(text);
    }
    of_a_document(bytes);
    of_claims(bytes);
}

/// Reads `bytes` as a set of keys.
pub fn of_keys(bytes: &[u8]) {
    let Ok(set) = KeySet::parse(bytes) else { return };
    assert!(set.len() <= 32, "{} keys", set.len());
    assert!(set.find(None).is_none() || set.len() == 1, "without an id there is one key or none");
    assert!(set.find(Some("")).is_none(), "an empty id is none");
}

fn of_a_text(text: &str) {
    match Token::parse(text) {
        Ok(token) => {
            assert!(text.len() <= LONGEST);
            assert_eq!(format!("{}.{}", token.signed, token.signature), text, "what is verified is what was sent");
            assert_eq!(text.matches('.').count(), 2);
            assert!(token.kid.is_none_or(|kid| (1..=128).contains(&kid.len())));
            of_claims(&token.payload);
        }
        Err(refusal) => {
            assert_eq!(refusal == Refusal::Missing, text.is_empty());
            assert_eq!(refusal == Refusal::TooLong, text.len() > LONGEST);
            assert!(!refusal.is_our_fault(), "{refusal:?} blames us for a token");
        }
    }
}

/// Whoever is strict reads nothing that others would read in another way.
fn of_a_document(bytes: &[u8]) {
    if let Some(members) = json::object(bytes) {
        let again: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(Value::Object(members), again);
    }
}

fn of_claims(payload: &[u8]) {
    let issuer = "https://project.supabase.co/auth/v1";
    let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    if let Ok(claims) = Claims::check(payload, issuer, now) {
        assert_eq!(
            subject::user_id(&claims.subject).as_deref(),
            Some(claims.subject.as_str()),
            "a user's id has one form"
        );
        assert_eq!((&claims.all["iss"], &claims.all["role"]), (&Value::from(issuer), &Value::from("authenticated")));
        assert!(claims.all["exp"].as_i64().unwrap() > now.timestamp() - 30);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_laws_hold_for_what_was_found_by_fuzzing() {
        type Law = fn(&[u8]);
        let laws: [(&str, Law); 2] = [("token", of_a_token), ("keys", of_keys)];
        for (corpus, law) in laws {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
            let files: Vec<_> =
                fs::read_dir(directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
            assert!(!files.is_empty());
            for bytes in files {
                law(&bytes);
                (0..bytes.len()).for_each(|end| law(&bytes[..end]));
            }
        }
    }
}
