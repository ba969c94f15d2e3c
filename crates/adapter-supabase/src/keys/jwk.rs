//! A key as the project publishes it (RFC 7517), and whether it may verify tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::VerifyingKey;

/// Bytes of an RSA modulus: 2048 to 8192 bits. The upper bound is one of time.
const MODULUS: std::ops::RangeInclusive<usize> = 2048 / 8..=8192 / 8;
/// The exponent that everybody uses; smaller ones have a history.
const MIN_EXPONENT: u64 = 65_537;

/// Why a key does not verify tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Members are missing or have the wrong type.
    Shape,
    /// It has its private part with it.
    Private,
    /// It is for encryption, or for signing only.
    Purpose,
    /// It is of a kind, or for an algorithm, that is not spoken.
    Kind,
    /// It is weak or broken.
    Weak,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// The key and its id.
pub(crate) fn usable_key(value: Value) -> Result<(Option<String>, VerifyingKey), Unusable> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|_json| Unusable::Shape)?;
    if jwk.d.is_some() {
        return Err(Unusable::Private);
    }
    let is_for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
    let verifies = jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
    if !(is_for_signatures && verifies) {
        return Err(Unusable::Purpose);
    }
    let says = |algorithm: &str| jwk.alg.as_deref().is_none_or(|alg| alg == algorithm);
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) if says("ES256") => elliptic(&jwk)?,
        ("RSA", None) if says("RS256") => rsa(&jwk)?,
        _ => return Err(Unusable::Kind),
    };
    Ok((jwk.kid, key))
}

/// Whether the point is on the curve is found out when a signature is verified.
fn elliptic(jwk: &Jwk) -> Result<VerifyingKey, Unusable> {
    let coordinate = |member: Option<&str>| <[u8; 32]>::try_from(bytes(member)?).map_err(|_length| Unusable::Weak);
    Ok(VerifyingKey::es256(&coordinate(jwk.x.as_deref())?, &coordinate(jwk.y.as_deref())?))
}

fn rsa(jwk: &Jwk) -> Result<VerifyingKey, Unusable> {
    let modulus = integer(jwk.n.as_deref())?;
    let exponent = integer(jwk.e.as_deref())?;
    let has_all_bits = modulus.first().is_some_and(|first| *first >= 0x80) || modulus.len() > *MODULUS.start();
    // More than eight bytes are not an exponent that anybody uses.
    let value =
        (exponent.len() <= 8).then(|| exponent.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte)));
    let is_exponent = value.is_some_and(|value| value >= MIN_EXPONENT && value % 2 == 1);
    if MODULUS.contains(&modulus.len()) && has_all_bits && is_exponent {
        Ok(VerifyingKey::rs256(&modulus, &exponent))
    } else {
        Err(Unusable::Weak)
    }
}

fn bytes(member: Option<&str>) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD.decode(member.ok_or(Unusable::Shape)?).map_err(|_base64| Unusable::Shape)
}

/// Without leading zeros, so that its length says how large it is.
fn integer(member: Option<&str>) -> Result<Vec<u8>, Unusable> {
    Ok(bytes(member)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ec() -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": coordinate, "y": coordinate})
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "RSA", "kid": "k", "n": encode(modulus), "e": encode(exponent)})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    fn reason(key: Value) -> Option<Unusable> {
        usable_key(key).err()
    }

    #[test]
    fn a_key_must_be_meant_for_verifying_tokens() {
        for (member, value, expected) in [
            ("use", json!("sig"), None),
            ("use", json!("enc"), Some(Unusable::Purpose)),
            ("use", json!(1), Some(Unusable::Shape)),
            ("key_ops", json!(["verify"]), None),
            ("key_ops", json!(["sign"]), Some(Unusable::Purpose)),
            ("key_ops", json!([]), Some(Unusable::Purpose)),
            ("alg", json!("ES256"), None),
            ("alg", json!("ES384"), Some(Unusable::Kind)),
            ("alg", json!("RS256"), Some(Unusable::Kind)),
            ("alg", json!("HS256"), Some(Unusable::Kind)),
            ("kty", json!("oct"), Some(Unusable::Kind)),
            ("kty", json!("OKP"), Some(Unusable::Kind)),
            ("kty", json!("RSA"), Some(Unusable::Kind)),
            ("crv", json!("P-384"), Some(Unusable::Kind)),
            ("x", json!("BwcH"), Some(Unusable::Weak)),
            ("x", json!("not base64url!"), Some(Unusable::Shape)),
            ("y", json!(null), Some(Unusable::Shape)),
            ("d", json!("BwcH"), Some(Unusable::Private)),
            ("x5c", json!(["ignored"]), None),
        ] {
            assert_eq!(reason(with(ec(), member, value.clone())), expected, "{member}: {value}");
        }
    }

    #[test]
    fn a_weak_rsa_key_is_left_out() {
        let e = [1, 0, 1];
        let mut barely = vec![0x80; 256];
        for (modulus, exponent, expected) in [
            (vec![0x80; 256], e.as_slice(), None),
            (vec![0xff; 1024], &e, None),
            (vec![0xff; 1025], &e, Some(Unusable::Weak)),
            (vec![0xff; 128], &e, Some(Unusable::Weak)),
            ([vec![0; 128], vec![0xff; 128]].concat(), &e, Some(Unusable::Weak)),
            (vec![], &e, Some(Unusable::Weak)),
            (barely.clone(), &[3], Some(Unusable::Weak)),
            (barely.clone(), &[1], Some(Unusable::Weak)),
            (barely.clone(), &[], Some(Unusable::Weak)),
            (barely.clone(), &[1, 0, 2], Some(Unusable::Weak)),
            (barely.clone(), &[1; 9], Some(Unusable::Weak)),
        ] {
            assert_eq!(reason(rsa(&modulus, exponent)), expected, "{} bytes, {exponent:?}", modulus.len());
        }
        barely[0] = 0x7f;
        assert_eq!(reason(rsa(&barely, &e)), Some(Unusable::Weak), "2047 bits");
    }
}
