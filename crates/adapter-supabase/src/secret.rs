//! What may serve as the shared secret (CORRECTNESS S1).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::SettingsError;

/// Bytes of a secret for HMAC with SHA-256 (RFC 7518, 3.2).
const MIN_SECRET: usize = 32;

/// Whether it can be used: as it is, for HMAC with SHA-256.
pub(crate) fn check(secret: &SecretString) -> Result<(), SettingsError> {
    let secret = secret.expose_secret();
    if let Some(what) = what_else(secret) {
        return Err(SettingsError::NotASecret(what));
    }
    if secret.len() < MIN_SECRET { Err(SettingsError::SecretTooShort) } else { Ok(()) }
}

/// Secrets of examples that many installations never changed: Supabase's own for self-hosting and for its command line.
const EXAMPLES: [&str; 2] = [
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "super-secret-jwt-token-with-at-least-32-characters-long",
];

/// Different characters that a secret drawn by chance has at least; one of 32 hexadecimal digits has 9 or more of the 16
/// in all but one of a hundred thousand cases.
const FEWEST_CHARACTERS: usize = 9;

/// Why others may know a secret that [`check`] lets pass.
pub(crate) fn weakness(secret: &SecretString) -> Option<&'static str> {
    let secret = secret.expose_secret();
    let characters: BTreeSet<char> = secret.chars().collect();
    if EXAMPLES.contains(&secret) {
        Some("is that of an example")
    } else if characters.len() < FEWEST_CHARACTERS {
        Some("repeats a few characters")
    } else {
        None
    }
}

/// What else was put where the secret belongs. Public keys above all: whoever can read one could sign tokens with it.
fn what_else(secret: &str) -> Option<&'static str> {
    let text = secret.trim();
    let is_token = text.starts_with("eyJ") && text.split('.').count() == 3;
    if is_token || text.starts_with("sb_") {
        return Some("an API key");
    }
    if text.starts_with('{') || text.contains("-----BEGIN") || is_public_key(text) {
        return Some("a key of another kind");
    }
    None
}

/// Whether this is the base64 of a public key (`SubjectPublicKeyInfo`): RFC 5912, `rsaEncryption` and `ecPublicKey`.
fn is_public_key(text: &str) -> bool {
    const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const EC: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let text: String = text.split_whitespace().collect();
    let decode = |engine: &GeneralPurpose| engine.decode(&text).ok();
    decode(&STANDARD).or_else(|| decode(&URL_SAFE_NO_PAD)).is_some_and(|der| {
        der.windows(RSA.len()).any(|part| part == RSA) || der.windows(EC.len()).any(|part| part == EC)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_an_example_or_of_few_characters_is_weak() {
        let weakness = |text: &str| weakness(&text.to_owned().into());
        for text in EXAMPLES {
            assert_eq!(weakness(text), Some("is that of an example"));
        }
        assert_eq!(weakness(&"abcd".repeat(8)), Some("repeats a few characters"));
        assert_eq!(weakness("0f8fad5bd9cb469fa16570867728950e"), None);
    }

    #[test]
    fn a_secret_is_long_and_not_public() {
        let rsa = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun";
        let ec = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==";
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{ec}\n-----END PUBLIC KEY-----");
        for (text, expected) in [
            ("s".repeat(32), None),
            ("Zm9vYmFyYmF6".repeat(7) + "Zm8=", None),
            ("s".repeat(31), Some("fewer than 32 bytes")),
            (String::new(), Some("fewer than 32 bytes")),
            (pem, Some("a key of another kind")),
            (ec.to_owned(), Some("a key of another kind")),
            (rsa.to_owned(), Some("a key of another kind")),
            (r#"{"kty":"EC","crv":"P-256","x":"aaaaaaaa","y":"aaaaaaaa"}"#.to_owned(), Some("a key of another kind")),
            ("eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2lnbmF0dXJl".to_owned(), Some("an API key")),
            ("sb_secret_0123456789012345678901234567890123456789".to_owned(), Some("an API key")),
        ] {
            let said = check(&text.clone().into()).err().map(|problem| problem.to_string());
            assert_eq!(said.is_some(), expected.is_some(), "{text}: {said:?}");
            if let (Some(said), Some(expected)) = (said, expected) {
                assert!(said.contains("SUPABASE_JWT_SECRET") && said.contains(expected), "{said}");
                assert!(text.is_empty() || !said.contains(&text), "{said}");
            }
        }
    }
}
