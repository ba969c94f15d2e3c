//! Tokens as the store may see them: AES-256-GCM under a key that only the environment knows.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::config::ConfigError;

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// First byte of what is sealed: how it is.
const FORMAT: u8 = 1;

/// What is sealed is no use anywhere else.
const PURPOSE: &[u8] = b"b24sync tokens";

/// The key that tokens are sealed with (`BITRIX_TOKEN_KEY`): 32 bytes in base64.
#[derive(Clone)]
pub struct TokenKey(Arc<RandomizedNonceKey>);

impl FromStr for TokenKey {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_text| ConfigError::TokenKey("is not base64"))?;
        if bytes.len() != KEY_LEN {
            return Err(ConfigError::TokenKey("is not 32 bytes long"));
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes);
        Ok(TokenKey(Arc::new(key.map_err(|_unspecified| ConfigError::TokenKey("cannot be used"))?)))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

impl TokenKey {
    /// A new key, as it is written into the environment.
    ///
    /// # Errors
    /// [`ConfigError::TokenKey`] when the system has no random numbers.
    pub fn generate() -> Result<String, ConfigError> {
        let mut bytes = [0; KEY_LEN];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| ConfigError::TokenKey("cannot be made"))?;
        Ok(STANDARD.encode(bytes))
    }

    /// Format, nonce, then text and tag. `None` only when the system has no random numbers.
    pub(crate) fn seal(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = text.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(PURPOSE), &mut sealed).ok()?;
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(nonce.as_ref());
        bytes.append(&mut sealed);
        Some(bytes)
    }

    /// What was sealed; `None` when it was not with this key, or was changed.
    pub(crate) fn open(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (format, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().filter(|_| *format == FORMAT)?;
        let mut sealed = sealed.to_vec();
        self.0.open_in_place(nonce, Aad::from(PURPOSE), &mut sealed).ok().map(|text| text.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TokenKey {
        TokenKey::generate().unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_only_and_unchanged_only() {
        let key = key();
        let sealed = key.seal(b"s3cr3t t0k3n").unwrap();
        assert_eq!(key.open(&sealed).unwrap(), b"s3cr3t t0k3n");
        assert!(!sealed.windows(4).any(|window| window == b"s3cr"));
        assert_ne!(key.seal(b"s3cr3t t0k3n").unwrap(), sealed, "each has a nonce of its own");
        assert_eq!(self::key().open(&sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&changed), None, "byte {at}");
        }
        assert_eq!((key.open(&[]), key.open(&sealed[..5]), key.open(&sealed[..13])), (None, None, None));
    }

    #[test]
    fn a_key_has_32_bytes_and_does_not_show() {
        let text = STANDARD.encode([7; 32]);
        for good in [text.as_str(), text.trim_end_matches('='), &format!(" {text}\n")] {
            assert!(good.parse::<TokenKey>().is_ok(), "{good}");
        }
        let shown = format!("{:?}", text.parse::<TokenKey>().unwrap());
        assert_eq!(shown, "TokenKey(…)");
        for bad in ["", "s3cr3t", "!!!", &STANDARD.encode([7; 31]), &STANDARD.encode([7; 33])] {
            let error = bad.parse::<TokenKey>().unwrap_err().to_string();
            assert!(error.contains("BITRIX_TOKEN_KEY") && error.contains("openssl rand -base64 32"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
