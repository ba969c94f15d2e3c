//! Keys that sign, by the library below the one that verifies.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use super::encode;

/// A key under an id.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kid: &'static str,
    material: Material,
}

#[derive(Clone, Copy)]
enum Material {
    Elliptic(&'static Elliptic),
    Rsa(&'static RsaKeyPair, &'static dyn RsaEncoding),
    /// The same key as the elliptic one, with signatures in the form of X.509.
    EllipticDer(&'static EcdsaKeyPair),
    Secret(&'static [u8]),
}

struct Elliptic {
    pair: EcdsaKeyPair,
    der: EcdsaKeyPair,
}

impl Elliptic {
    fn generate() -> Elliptic {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        Elliptic { pair: pair(&ECDSA_P256_SHA256_FIXED_SIGNING), der: pair(&ECDSA_P256_SHA256_ASN1_SIGNING) }
    }
}

static EC: [LazyLock<Elliptic>; 2] = [LazyLock::new(Elliptic::generate), LazyLock::new(Elliptic::generate)];
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

impl Key {
    pub(crate) fn ec() -> Key {
        Key { kid: "ec", material: Material::Elliptic(&EC[0]) }
    }

    pub(crate) fn other_ec() -> Key {
        Key { kid: "other-ec", material: Material::Elliptic(&EC[1]) }
    }

    pub(crate) fn rsa() -> Key {
        Key { kid: "rsa", material: Material::Rsa(&RSA, &RSA_PKCS1_SHA256) }
    }

    /// The RSA key with the padding of another algorithm.
    pub(crate) fn rsa_pss() -> Key {
        Key { kid: "rsa", material: Material::Rsa(&RSA, &RSA_PSS_SHA256) }
    }

    pub(crate) fn ec_der() -> Key {
        Key { kid: "ec", material: Material::EllipticDer(&EC[0].der) }
    }

    pub(crate) fn secret(secret: impl Into<Vec<u8>>) -> Key {
        Key { kid: "", material: Material::Secret(Box::leak(secret.into().into_boxed_slice())) }
    }

    pub(crate) fn named(self, kid: &'static str) -> Key {
        Key { kid, ..self }
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self.material {
            Material::Elliptic(_) | Material::EllipticDer(_) => "ES256",
            Material::Rsa(..) => "RS256",
            Material::Secret(_) => "HS256",
        }
    }

    pub(crate) fn header(&self) -> Value {
        match self.material {
            Material::Secret(_) => json!({"alg": "HS256", "typ": "JWT"}),
            _ => json!({"alg": self.alg(), "kid": self.kid, "typ": "JWT"}),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self.material {
            Material::Elliptic(key) => key.pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Material::EllipticDer(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Material::Rsa(key, padding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Material::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
            }
        }
    }

    /// The public key as a project publishes it.
    pub(crate) fn jwk(&self) -> Value {
        match self.material {
            Material::Elliptic(key) => {
                let point = key.pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({
                    "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["verify"], "ext": true,
                    "kid": self.kid, "x": x, "y": y
                })
            }
            Material::Rsa(key, _) => {
                let public = key.public_key();
                let n = encode(public.modulus().big_endian_without_leading_zero());
                let e = encode(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": n, "e": e})
            }
            Material::EllipticDer(_) | Material::Secret(_) => panic!("not for publishing"),
        }
    }

    /// The public key as `SubjectPublicKeyInfo`.
    pub(crate) fn der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self.material {
            Material::Elliptic(key) => key.pair.public_key().as_der().unwrap(),
            Material::Rsa(key, _) => key.public_key().as_der().unwrap(),
            Material::EllipticDer(_) | Material::Secret(_) => panic!("not for publishing"),
        };
        der.as_ref().to_vec()
    }

    pub(crate) fn pem(&self) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(self.der());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}
