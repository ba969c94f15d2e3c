//! Tokens that must be refused, each by its name and for its reason.

use std::collections::BTreeSet;

use b24sync_domain::access::Refusal;
use serde_json::{Value, json};

use crate::support::{Key, Project, SECRET, USER, decode, encode, signed, token, with, without};

struct Hostile {
    name: String,
    token: String,
    expected: Refusal,
}

fn hostile(name: impl Into<String>, token: impl Into<String>, expected: Refusal) -> Hostile {
    Hostile { name: name.into(), token: token.into(), expected }
}

/// A key too weak for the library to sign with, and a token that it has signed.
fn weak() -> Value {
    serde_json::from_str(include_str!("fixtures/rsa1024.json")).unwrap()
}

/// Publishes usable keys of both kinds and others that must not be used, and has a shared secret.
fn project() -> Project {
    let encrypts = with(Key::other_ec().named("enc").jwk(), "use", "enc");
    let contradicts = with(Key::other_ec().named("contradicts").jwk(), "alg", "ES384");
    let private = with(Key::other_ec().named("private").jwk(), "d", encode([7; 32]));
    let secret = json!({"kty": "oct", "kid": "oct", "alg": "HS256", "k": encode("published secret")});
    let twice = [Key::ec().named("twice").jwk(), Key::other_ec().named("twice").jwk()];
    let odd = [encrypts, contradicts, private, secret, weak()["jwk"].clone()];
    let keys = [[Key::ec().jwk(), Key::rsa().jwk()].as_slice(), &odd, &twice].concat();
    Project::with(&keys, |settings| settings.jwt_secret = Some(SECRET.into()))
}

fn forms(project: &Project) -> Vec<Hostile> {
    let good = project.token(&Key::ec());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let malformed = |name: &str, token: String| hostile(name, token, Refusal::Malformed);
    let bytes = decode(signature);
    vec![
        hostile("nothing", "", Refusal::Missing),
        malformed("a space", " ".to_owned()),
        malformed("a word", "token".to_owned()),
        malformed("dots only", "..".to_owned()),
        malformed("four dots", "....".to_owned()),
        malformed("the header only", header.to_owned()),
        malformed("the header and a dot", format!("{header}.")),
        malformed("header and payload", format!("{header}.{payload}")),
        malformed("payload and signature", format!("{payload}.{signature}")),
        malformed("the header is empty", format!(".{payload}.{signature}")),
        hostile("the payload is empty", format!("{header}..{signature}"), Refusal::Signature),
        hostile("the signature is empty", format!("{header}.{payload}."), Refusal::Signature),
        hostile("the signature is cut", format!("{header}.{payload}.{}", encode(&bytes[3..])), Refusal::Signature),
        hostile(
            "the signature is longer",
            format!("{header}.{payload}.{}", encode([&bytes[..], b"abc"].concat())),
            Refusal::Signature,
        ),
        hostile("the payload is cut", format!("{header}.{}.{signature}", &payload[4..]), Refusal::Signature),
        malformed("the header is cut", format!("{}.{payload}.{signature}", &header[..header.len() - 4])),
        malformed("an empty fourth part", format!("{good}.")),
        malformed("a fourth part", format!("{good}.{signature}")),
        malformed("five parts, as of an encrypted token", format!("{header}.{header}.{payload}.{payload}.{signature}")),
        malformed("a part before the header", format!(".{good}")),
        malformed("with Bearer", format!("Bearer {good}")),
        malformed("a space before", format!(" {good}")),
        malformed("a space after", format!("{good} ")),
        malformed("a line feed after", format!("{good}\n")),
        malformed("a line feed inside", format!("{header}.\r\n{payload}.{signature}")),
        malformed("a zero byte after", format!("{good}\0")),
        malformed("in quotes", format!("\"{good}\"")),
        malformed("two tokens", format!("{good},{good}")),
        malformed("a padded header", format!("{header}=.{payload}.{signature}")),
        malformed("a padded payload", format!("{header}.{payload}=.{signature}")),
        malformed("a padded signature", format!("{good}==")),
        malformed("plain base64", format!("{header}.{payload}.{}", "+/".repeat(43))),
        malformed("percent signs", good.replace('.', "%2E")),
        malformed("full-width dots", good.replace('.', "\u{ff0e}")),
        malformed("letters of another script", format!("{header}.{payload}.\u{430}{}", &signature[1..])),
        malformed("unused bits in the signature", {
            // The last of 86 characters carries two bits; any other spelling of them is another token.
            let last = signature.chars().last().unwrap();
            let other = char::from(u8::try_from(u32::from(last)).unwrap() + 1);
            format!("{header}.{payload}.{}{other}", &signature[..signature.len() - 1])
        }),
        hostile("one byte too long", "a".repeat(8 * 1024 + 1), Refusal::TooLong),
        hostile("a megabyte", "e".repeat(1 << 20), Refusal::TooLong),
        hostile(
            "a large token with the right signature",
            token(&Key::ec().header(), &with(project.claims(), "pad", "x".repeat(8 * 1024)), &Key::ec()),
            Refusal::TooLong,
        ),
        malformed("not UTF-8 in the header", signed(b"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", "{}", &Key::ec())),
        malformed("the header is no JSON", signed("alg=ES256", project.claims().to_string(), &Key::ec())),
        malformed("the header is an array", signed("[\"ES256\"]", project.claims().to_string(), &Key::ec())),
        malformed("a header of great depth", signed("{\"a\":".repeat(900), "{}", &Key::ec())),
        malformed(
            "something after the header",
            signed("{\"alg\":\"ES256\",\"kid\":\"ec\"}{}", project.claims().to_string(), &Key::ec()),
        ),
    ]
}

fn algorithms(project: &Project) -> Vec<Hostile> {
    let claims = project.claims();
    let mut table = Vec::new();
    let unsigned = |header: &Value| format!("{}.{}.", encode(header.to_string()), encode(claims.to_string()));
    for none in ["none", "None", "NONE", "nOnE", " none", "none ", "none\0", ""] {
        let header = json!({"alg": none, "typ": "JWT"});
        table.push(hostile(format!("alg `{none}` without signature"), unsigned(&header), Refusal::Algorithm));
    }
    let header = json!({"alg": "none", "kid": "ec"});
    table.push(hostile("alg none with a signature", token(&header, &claims, &Key::ec()), Refusal::Algorithm));
    for (name, alg) in [
        ("no algorithm", json!(null)),
        ("an algorithm in small letters", json!("es256")),
        ("an algorithm that is not spoken", json!("ES384")),
        ("PS256", json!("PS256")),
        ("HS512", json!("HS512")),
        ("EdDSA", json!("EdDSA")),
        ("a list of algorithms", json!(["ES256"])),
        ("a number for an algorithm", json!(256)),
    ] {
        table.push(hostile(
            name,
            token(&with(Key::ec().header(), "alg", alg), &claims, &Key::ec()),
            Refusal::Algorithm,
        ));
    }

    // HS256 with what everybody knows for a secret.
    for key in [Key::ec(), Key::rsa()] {
        let jwk = key.jwk();
        let (pem, der) = (key.pem(), key.der());
        let point = if key.alg() == "ES256" { der[der.len() - 65..].to_vec() } else { der.clone() };
        for (what, secret) in [
            ("PEM", pem.clone().into_bytes()),
            ("PEM without its last line feed", pem.trim_end().as_bytes().to_vec()),
            ("DER", der.clone()),
            ("key as JSON", jwk.to_string().into_bytes()),
            ("bare key", point),
            ("id", key.kid.as_bytes().to_vec()),
        ] {
            let forged = token(&json!({"alg": "HS256", "kid": key.kid, "typ": "JWT"}), &claims, &Key::secret(secret));
            table.push(hostile(format!("HS256 by the public {} {what}", key.alg()), forged, Refusal::Signature));
        }
    }
    for (name, secret) in [("an empty secret", ""), ("a guessed secret", "secret"), ("a cut secret", &SECRET[1..])] {
        let forged = token(&json!({"alg": "HS256", "typ": "JWT"}), &claims, &Key::secret(secret));
        table.push(hostile(format!("HS256 by {name}"), forged, Refusal::Signature));
    }
    let published = Key::secret("published secret");
    let header = json!({"alg": "HS256", "kid": "oct", "typ": "JWT"});
    table.push(hostile("HS256 by a secret in the set", token(&header, &claims, &published), Refusal::Signature));

    // The key decides, not the token.
    for (name, header, key, expected) in [
        ("RS256 with the id of an EC key", json!({"alg": "RS256", "kid": "ec"}), Key::rsa(), Refusal::Algorithm),
        ("ES256 with the id of an RSA key", json!({"alg": "ES256", "kid": "rsa"}), Key::ec(), Refusal::Algorithm),
        (
            "ES256 by HMAC with the secret",
            json!({"alg": "ES256", "kid": "ec"}),
            Key::secret(SECRET),
            Refusal::Signature,
        ),
        ("ES256 in the form of X.509", Key::ec().header(), Key::ec_der(), Refusal::Signature),
        ("RS256 with the padding of PS256", Key::rsa().header(), Key::rsa_pss(), Refusal::Signature),
        ("ES256 by another key", Key::ec().header(), Key::other_ec(), Refusal::Signature),
    ] {
        table.push(hostile(name, token(&header, &claims, &key), expected));
    }
    table
}

fn headers(project: &Project) -> Vec<Hostile> {
    let claims = project.claims();
    let mut table = Vec::new();
    let foreign = "https://attacker.example/jwks.json";
    for (name, value) in [
        ("jku", json!(foreign)),
        ("x5u", json!(foreign)),
        ("jwk", Key::other_ec().jwk()),
        ("x5c", json!([encode(Key::other_ec().der())])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("jwt")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("typ", json!(["JWT"])),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!(["ec"])),
        ("kid", json!(null)),
        ("kid", json!("k".repeat(1000))),
    ] {
        let header = with(Key::ec().header(), name, value.clone());
        let name_of_case = format!("`{name}` is {}", value.to_string().chars().take(20).collect::<String>());
        table.push(hostile(name_of_case, token(&header, &claims, &Key::ec()), Refusal::Header(name)));
    }
    // Signed by the key that the header brings along.
    let header = with(with(Key::ec().header(), "jwk", Key::other_ec().jwk()), "kid", "other-ec");
    table.push(hostile("a key of its own", token(&header, &claims, &Key::other_ec()), Refusal::Header("jwk")));

    for (name, header) in [
        ("alg twice", r#"{"alg":"none","alg":"ES256","kid":"ec"}"#),
        ("kid twice", r#"{"alg":"ES256","kid":"other-ec","kid":"ec"}"#),
        ("alg twice, spelled differently", r#"{"alg":"ES256","\u0061lg":"HS256","kid":"ec"}"#),
    ] {
        table.push(hostile(name, signed(header, claims.to_string(), &Key::ec()), Refusal::Malformed));
    }
    let unknown = [
        "other-ec",
        "EC",
        "ec ",
        "ec\0",
        "../ec",
        "' or 1=1 --",
        "/dev/null",
        "http://127.0.0.1/",
        "enc",
        "contradicts",
        "private",
        "twice",
        "rsa-1024",
    ];
    for kid in unknown {
        let header = with(Key::ec().header(), "kid", kid);
        table.push(hostile(format!("kid `{kid}`"), token(&header, &claims, &Key::other_ec()), Refusal::UnknownKey));
    }
    let anonymous = without(Key::ec().header(), "kid");
    table.push(hostile(
        "no kid where there are several keys",
        token(&anonymous, &claims, &Key::ec()),
        Refusal::UnknownKey,
    ));
    let weak = weak()["token"].as_str().unwrap().to_owned();
    table.push(hostile("an RSA key of 1024 bits", weak, Refusal::UnknownKey));
    table
}

fn alterations(project: &Project) -> Vec<Hostile> {
    let mut table = Vec::new();
    for key in [Key::ec(), Key::rsa(), Key::secret(SECRET)] {
        let alg = key.alg();
        let good = project.token(&key);
        let parts: Vec<&str> = good.split('.').collect();
        let (header, payload, signature) = (parts[0], parts[1], parts[2]);
        let mut bad = |name: &str, token: String| {
            table.push(hostile(format!("{alg}: {name}"), token, Refusal::Signature));
        };
        let promoted = with(project.claims(), "app_metadata", json!({"b24sync_role": "admin"}));
        let spaced = key.header().to_string().replace(':', ": ");
        bad("the payload promotes itself", format!("{header}.{}.{signature}", encode(promoted.to_string())));
        bad("the header is written differently", format!("{}.{payload}.{signature}", encode(spaced)));
        let other = token(&key.header(), &with(project.claims(), "sub", "1".repeat(36)), &key);
        let theirs = other.rsplit_once('.').unwrap().1;
        bad("the signature of another token", format!("{header}.{payload}.{theirs}"));
        let bytes = decode(signature);
        let zeros = encode(vec![0; bytes.len()]);
        bad("a signature of zeros", format!("{header}.{payload}.{zeros}"));
        bad("the signature twice", format!("{header}.{payload}.{}", encode([bytes.clone(), bytes].concat())));
        for (name, at) in [("first", 0), ("middle", signature.len() / 2)] {
            let flipped = if signature[at..].starts_with('A') { "B" } else { "A" };
            let changed = format!("{}{flipped}{}", &signature[..at], &signature[at + 1..]);
            bad(&format!("the signature's {name} byte"), format!("{header}.{payload}.{changed}"));
        }
    }
    table
}

fn claims(project: &Project) -> Vec<Hostile> {
    let good = project.claims();
    let now = good["iat"].as_i64().unwrap();
    let issuer = good["iss"].as_str().unwrap();
    let key = Key::ec();
    let mut table = Vec::new();
    for (name, expected) in [
        ("iss", Refusal::Issuer),
        ("aud", Refusal::Audience),
        ("exp", Refusal::Claim("exp")),
        ("sub", Refusal::Claim("sub")),
        ("role", Refusal::Claim("role")),
    ] {
        let missing = token(&key.header(), &without(good.clone(), name), &key);
        table.push(hostile(format!("without {name}"), missing, expected));
        let written = good.to_string();
        let twice = written.replacen('{', &format!("{{\"{name}\":{},", good[name]), 1);
        table.push(hostile(format!("{name} twice"), signed(key.header().to_string(), twice, &key), Refusal::Malformed));
        let null = token(&key.header(), &with(good.clone(), name, json!(null)), &key);
        table.push(hostile(format!("{name} is null"), null, expected));
    }
    let cases = [
        ("iss", json!(""), Refusal::Issuer),
        ("iss", json!("supabase"), Refusal::Issuer),
        ("iss", json!(format!("{issuer}/")), Refusal::Issuer),
        ("iss", json!(issuer.to_uppercase()), Refusal::Issuer),
        ("iss", json!(issuer.replace("http:", "https:")), Refusal::Issuer),
        ("iss", json!(issuer.trim_end_matches("/auth/v1")), Refusal::Issuer),
        ("iss", json!("https://other.supabase.co/auth/v1"), Refusal::Issuer),
        ("iss", json!([issuer]), Refusal::Issuer),
        ("iss", json!({"iss": issuer}), Refusal::Issuer),
        ("aud", json!(""), Refusal::Audience),
        ("aud", json!("anon"), Refusal::Audience),
        ("aud", json!("Authenticated"), Refusal::Audience),
        ("aud", json!("authenticated "), Refusal::Audience),
        ("aud", json!("authenticated,other"), Refusal::Audience),
        ("aud", json!([]), Refusal::Audience),
        ("aud", json!(["other", "anon"]), Refusal::Audience),
        ("aud", json!([["authenticated"]]), Refusal::Audience),
        ("aud", json!(["authenticated", 1]), Refusal::Audience),
        ("aud", json!({"authenticated": true}), Refusal::Audience),
        ("aud", json!(true), Refusal::Audience),
        ("exp", json!(now - 30), Refusal::Expired),
        ("exp", json!(now - 86_400), Refusal::Expired),
        ("exp", json!(0), Refusal::Expired),
        ("exp", json!(-1), Refusal::Claim("exp")),
        ("exp", json!(i64::MIN), Refusal::Claim("exp")),
        ("exp", json!(i64::MAX), Refusal::Claim("exp")),
        ("exp", json!(u64::MAX), Refusal::Claim("exp")),
        ("exp", json!(1e300), Refusal::Claim("exp")),
        ("exp", json!(f64::from(i32::MAX) + 0.5), Refusal::Claim("exp")),
        ("exp", json!((now + 3600).to_string()), Refusal::Claim("exp")),
        ("exp", json!(true), Refusal::Claim("exp")),
        ("exp", json!([now + 3600]), Refusal::Claim("exp")),
        ("exp", json!("2099-01-01T00:00:00Z"), Refusal::Claim("exp")),
        ("nbf", json!(now + 31), Refusal::NotYetValid),
        ("nbf", json!("0"), Refusal::Claim("nbf")),
        ("nbf", json!(null), Refusal::Claim("nbf")),
        ("nbf", json!(-1), Refusal::Claim("nbf")),
        ("iat", json!(now + 86_400), Refusal::NotYetValid),
        ("iat", json!("now"), Refusal::Claim("iat")),
        ("iat", json!(1.5), Refusal::Claim("iat")),
        ("sub", json!(""), Refusal::Claim("sub")),
        ("sub", json!("someone@example.com"), Refusal::Claim("sub")),
        ("sub", json!("42"), Refusal::Claim("sub")),
        ("sub", json!(42), Refusal::Claim("sub")),
        ("sub", json!([USER]), Refusal::Claim("sub")),
        ("sub", json!(format!("{USER}\n")), Refusal::Claim("sub")),
        ("sub", json!(USER.replace('-', "")), Refusal::Claim("sub")),
        ("sub", json!(format!("{{{USER}}}")), Refusal::Claim("sub")),
        ("sub", json!("00000000-0000-0000-0000-000000000000"), Refusal::Claim("sub")),
        ("role", json!("anon"), Refusal::ApiKey),
        ("role", json!("service_role"), Refusal::ApiKey),
        ("role", json!("supabase_admin"), Refusal::ApiKey),
        ("role", json!("postgres"), Refusal::Claim("role")),
        ("role", json!("AUTHENTICATED"), Refusal::Claim("role")),
        ("role", json!(["authenticated"]), Refusal::Claim("role")),
        ("is_anonymous", json!(true), Refusal::Anonymous),
        ("is_anonymous", json!("false"), Refusal::Claim("is_anonymous")),
        ("is_anonymous", json!(1), Refusal::Claim("is_anonymous")),
        ("is_anonymous", json!(null), Refusal::Claim("is_anonymous")),
    ];
    for (name, value, expected) in cases {
        let changed = token(&key.header(), &with(good.clone(), name, value.clone()), &key);
        table.push(hostile(format!("{name} is {value}"), changed, expected));
    }
    table
}

fn payloads(project: &Project) -> Vec<Hostile> {
    let good = project.claims().to_string();
    let header = Key::ec().header().to_string();
    let inner = |text: &str| good.replacen('{', &format!("{{{text},"), 1);
    let mut table = Vec::new();
    for (name, payload) in [
        ("an empty payload", String::new()),
        ("a payload that is no JSON", "sub=1".to_owned()),
        ("an array of claims", format!("[{good}]")),
        ("a text of claims", json!(good).to_string()),
        ("claims twice", good.repeat(2)),
        ("a comma too many", good.replace('}', ",}")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a number beyond all numbers", inner(r#""a":1e999"#)),
        ("great depth", inner(&format!(r#""a":{}1{}"#, "[".repeat(900), "]".repeat(900)))),
        ("depth that never ends", inner(&format!(r#""a":{}"#, "[".repeat(900)))),
        ("a claim twice, deep inside", inner(r#""a":[{"b":1,"b":2}]"#)),
        (
            "the role twice",
            good.replace(r#""b24sync_role":"operator""#, r#""b24sync_role":"viewer","b24sync_role":"admin""#),
        ),
        ("half a character", inner(r#""a":"\ud800""#)),
    ] {
        table.push(hostile(name, signed(&header, payload, &Key::ec()), Refusal::Malformed));
    }
    let bytes = [good.trim_end_matches('}').as_bytes(), b",\"a\":\"\xff\xfe\"}"].concat();
    table.push(hostile("not UTF-8", signed(&header, bytes, &Key::ec()), Refusal::Malformed));
    table
}

fn api_keys(project: &Project) -> Vec<Hostile> {
    let secret = Key::secret(SECRET);
    let mut table = vec![
        hostile("a publishable key", "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH", Refusal::ApiKey),
        hostile("a secret key", "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz", Refusal::ApiKey),
    ];
    for role in ["anon", "service_role"] {
        let key = json!({"iss": "supabase", "ref": "xyz", "role": role, "iat": 1_700_000_000, "exp": 2_015_000_000});
        table.push(hostile(format!("the {role} key"), token(&secret.header(), &key, &secret), Refusal::ApiKey));
        let dressed = with(project.claims(), "role", role);
        table.push(hostile(
            format!("a session as {role}"),
            token(&secret.header(), &dressed, &secret),
            Refusal::ApiKey,
        ));
    }
    table
}

#[tokio::test]
async fn every_hostile_token_is_refused_for_its_reason() {
    let project = project();
    let groups: [fn(&Project) -> Vec<Hostile>; 7] =
        [forms, algorithms, headers, alterations, claims, payloads, api_keys];
    let table: Vec<Hostile> = groups.iter().flat_map(|group| group(&project)).collect();
    let mut wrong = Vec::new();
    for Hostile { name, token, expected } in &table {
        let found = project.identify(token).await;
        if found != Err(*expected) {
            wrong.push(format!("{name}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let names: BTreeSet<&str> = table.iter().map(|hostile| hostile.name.as_str()).collect();
    assert_eq!(names.len(), table.len(), "a name occurs twice");
    assert!(table.len() >= 60, "{}", table.len());

    // The table is about the tokens, not about a project that lets nobody in.
    for key in [Key::ec(), Key::rsa(), Key::secret(SECRET)] {
        assert_eq!(project.refusal(&project.token(&key)).await, None);
    }
    assert_eq!(project.server.requests(), 1, "on a clock that stands still");
}

#[tokio::test]
async fn without_a_shared_secret_its_algorithm_is_not_spoken() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    for (name, secret) in [("the right secret", SECRET), ("an empty secret", ""), ("the public key", &Key::ec().pem())]
    {
        let forged = project.token(&Key::secret(secret));
        assert_eq!(project.refusal(&forged).await, Some(Refusal::Algorithm), "{name}");
    }
    assert_eq!(project.server.requests(), 0);
}

#[tokio::test]
async fn a_set_without_good_keys_lets_nobody_in() {
    for jwk in [
        with(Key::ec().jwk(), "use", "enc"),
        with(Key::ec().jwk(), "alg", "ES512"),
        with(Key::ec().jwk(), "key_ops", json!(["sign"])),
        with(Key::ec().jwk(), "d", encode([1; 32])),
        with(Key::ec().jwk(), "crv", "secp256k1"),
        with(Key::ec().jwk(), "y", encode([0; 32])),
        without(Key::ec().jwk(), "kid"),
        with(Key::ec().jwk(), "kty", "oct"),
    ] {
        let project = Project::publishing(std::slice::from_ref(&jwk));
        let refusal = project.refusal(&project.token(&Key::ec())).await;
        assert!(matches!(refusal, Some(Refusal::UnknownKey | Refusal::Signature)), "{jwk}: {refusal:?}");
        let nameless = token(&json!({"alg": "HS256"}), &project.claims(), &Key::secret("x"));
        assert_eq!(project.refusal(&nameless).await, Some(Refusal::Algorithm));
    }
}
