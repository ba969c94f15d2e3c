//! The algorithms that are spoken, and a key that speaks exactly one of them (CORRECTNESS S1).

use std::fmt;

use b24sync_domain::access::Refusal;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// ECDSA on P-256: what Supabase makes for new projects.
    Es256,
    /// RSA, PKCS #1 v1.5.
    Rs256,
    /// HMAC with the project's old shared secret.
    Hs256,
}

impl Algorithm {
    /// The algorithm with exactly this name: `none`, `NONE` and `es256` are not among them.
    pub(crate) fn named(name: &str) -> Option<Algorithm> {
        match name {
            "ES256" => Some(Algorithm::Es256),
            "RS256" => Some(Algorithm::Rs256),
            "HS256" => Some(Algorithm::Hs256),
            _ => None,
        }
    }

    fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

/// A key with the one algorithm that it is for. A token cannot choose another.
pub(crate) struct VerifyingKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    /// A point of P-256, by its coordinates.
    pub(crate) fn es256(x: &[u8; 32], y: &[u8; 32]) -> VerifyingKey {
        // SEC 1: 4 stands for "uncompressed".
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        VerifyingKey { algorithm: Algorithm::Es256, key: DecodingKey::from_ec_der(&point) }
    }

    pub(crate) fn rs256(modulus: &[u8], exponent: &[u8]) -> VerifyingKey {
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        VerifyingKey { algorithm: Algorithm::Rs256, key }
    }

    pub(crate) fn hs256(secret: &[u8]) -> VerifyingKey {
        VerifyingKey { algorithm: Algorithm::Hs256, key: DecodingKey::from_secret(secret) }
    }

    /// Checks that `signature` (base64url) is this key's for `signed`, by the algorithm of the key; `claimed` is what
    /// the token says about it.
    pub(crate) fn verify(&self, claimed: Algorithm, signed: &str, signature: &str) -> Result<(), Refusal> {
        if claimed != self.algorithm {
            return Err(Refusal::Algorithm);
        }
        // The library asks a provider that is global to the process and panics where it has none, which happens when
        // another crate switches a second one on. The first call decides, so that a failure means "already decided".
        let _decided = aws_lc::DEFAULT_PROVIDER.install_default();
        let verified =
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, self.algorithm.of_library());
        if matches!(verified, Ok(true)) { Ok(()) } else { Err(Refusal::Signature) }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn coordinate(text: &str) -> [u8; 32] {
        bytes(text).try_into().unwrap()
    }

    /// RFC 7515, A.1 and A.3.
    #[test]
    fn the_examples_of_the_standard_are_verified() {
        const PAYLOAD: &str =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let hs256 = VerifyingKey::hs256(&bytes(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        ));
        let es256 = VerifyingKey::es256(
            &coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            &coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        );
        for (key, header, signature) in [
            (&hs256, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            (
                &es256,
                "eyJhbGciOiJFUzI1NiJ9",
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
        ] {
            let signed = format!("{header}.{PAYLOAD}");
            assert_eq!(key.verify(key.algorithm, &signed, signature), Ok(()));
            assert_eq!(key.verify(key.algorithm, &format!("{signed}x"), signature), Err(Refusal::Signature));
            assert_eq!(key.verify(Algorithm::Rs256, &signed, signature), Err(Refusal::Algorithm));
        }
    }

    #[test]
    fn a_point_that_is_not_on_the_curve_verifies_nothing() {
        let key = VerifyingKey::es256(&[7; 32], &[7; 32]);
        assert_eq!(key.verify(Algorithm::Es256, "a.b", &URL_SAFE_NO_PAD.encode([0; 64])), Err(Refusal::Signature));
    }
}
