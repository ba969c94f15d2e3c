//! A set of keys as the project publishes it (RFC 7517), reduced to those that may verify tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tracing::{debug, warn};

use super::jwk::{Unusable, usable_key};
use crate::algorithm::VerifyingKey;

/// Keys of a set.
const MAX_KEYS: usize = 32;

/// The keys that may verify tokens.
#[derive(Debug)]
pub(crate) struct KeySet {
    by_kid: BTreeMap<String, Arc<VerifyingKey>>,
    /// The key of a set that has one key only.
    only: Option<Arc<VerifyingKey>>,
}

/// Why an answer is no set of keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAKeySet {
    #[error("the answer is not a set of keys")]
    Shape,
    #[error("the set has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
}

impl KeySet {
    /// Reads a set. Keys that may not verify tokens are left out, whatever else is wrong with them; an empty set is a
    /// set: the project then trusts no key.
    pub(crate) fn parse(json: &[u8]) -> Result<KeySet, NotAKeySet> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<Value>,
        }

        let published: Published = serde_json::from_slice(json).map_err(|_json| NotAKeySet::Shape)?;
        let count = published.keys.len();
        if count > MAX_KEYS {
            return Err(NotAKeySet::TooMany(count));
        }
        let mut usable = Vec::new();
        for (number, value) in (1..).zip(published.keys) {
            match usable_key(value) {
                Ok(key) => usable.push(key),
                Err(Unusable::Private) => {
                    warn!(number, "the project publishes a private key; whoever has read it can sign tokens");
                }
                Err(reason) => debug!(number, ?reason, "a key of the project is not used"),
            }
        }
        Ok(KeySet::of(usable, count))
    }

    fn of(usable: Vec<(Option<String>, VerifyingKey)>, count: usize) -> KeySet {
        let mut by_kid: BTreeMap<String, Option<Arc<VerifyingKey>>> = BTreeMap::new();
        let mut only = None;
        for (kid, key) in usable {
            let key = Arc::new(key);
            if let Some(kid) = kid {
                // Two keys with one id: nobody knows which of them is meant.
                by_kid.entry(kid).and_modify(|known| *known = None).or_insert_with(|| Some(Arc::clone(&key)));
            }
            only = (count == 1).then_some(key);
        }
        let by_kid = by_kid.into_iter().filter_map(|(kid, key)| Some((kid, key?))).collect();
        KeySet { by_kid, only }
    }

    /// The key with this id; without an id, the key of a set that has no other.
    pub(crate) fn find(&self, kid: Option<&str>) -> Option<Arc<VerifyingKey>> {
        match kid {
            Some(kid) => self.by_kid.get(kid).cloned(),
            None => self.only.clone(),
        }
    }

    /// How many keys can be found.
    pub(crate) fn len(&self) -> usize {
        self.by_kid.len().max(usize::from(self.only.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::header::Token;

    fn ec() -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": coordinate, "y": coordinate})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    fn set(keys: &Value) -> KeySet {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_token_without_a_key_id_needs_a_set_of_one() {
        let other = with(ec(), "kid", json!("k2"));
        for (keys, without, named) in [
            (json!([]), false, false),
            (json!([ec()]), true, true),
            (json!([with(ec(), "kid", json!(null))]), true, false),
            (json!([ec(), other]), false, true),
            (json!([ec(), with(other, "use", json!("enc"))]), false, true),
            (json!([with(ec(), "use", json!("enc"))]), false, false),
            (json!([ec(), ec()]), false, false),
        ] {
            let set = set(&keys);
            assert_eq!((set.find(None).is_some(), set.find(Some("k")).is_some()), (without, named), "{keys}");
        }
    }

    #[test]
    fn tokens_of_another_library_are_verified_by_the_keys_that_it_published() {
        let made: Value = serde_json::from_str(include_str!("../../tests/fixtures/openssl.json")).unwrap();
        let set = set(&made["keys"]);
        for token in made["tokens"].as_array().unwrap() {
            let token = Token::parse(token.as_str().unwrap()).unwrap();
            let key = set.find(token.kid.as_deref()).unwrap();
            assert_eq!(key.verify(token.algorithm, token.signed, token.signature), Ok(()), "{:?}", token.algorithm);
        }
    }

    #[test]
    fn what_is_no_set_is_refused_whole() {
        for text in ["", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, "<html>", r#"{"keys":[]}x"#] {
            assert_eq!(KeySet::parse(text.as_bytes()).err(), Some(NotAKeySet::Shape), "{text}");
        }
        let many = json!({"keys": vec![ec(); 33]}).to_string();
        assert_eq!(KeySet::parse(many.as_bytes()).err(), Some(NotAKeySet::TooMany(33)));
        assert_eq!(set(&json!([1, null, "x", [], {}])).len(), 0);
    }
}
