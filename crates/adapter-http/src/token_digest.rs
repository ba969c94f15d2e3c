//! Shared secrets that a request must show: only their digests are kept, and they are compared in constant time.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The SHA-256 of a shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of this secret.
    pub fn of(secret: &str) -> TokenDigest {
        TokenDigest(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether this is the secret. Takes the same time whatever is given, its length aside.
    pub(crate) fn matches(&self, given: &str) -> bool {
        self.0.ct_eq(&TokenDigest::of(given).0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches_and_it_is_not_shown() {
        let digest = TokenDigest::of("s3cret");
        assert!(digest.matches("s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!digest.matches(wrong), "{wrong}");
        }
        assert_eq!(format!("{digest:?}"), "TokenDigest(…)");
    }
}
