//! Tokens that are accepted, and the roles that they bring.

use std::collections::BTreeMap;

use b24sync_domain::access::{Identity, Role};
use serde_json::{Value, json};

use crate::support::{Key, Project, SECRET, USER, encode, token, with, without};

fn operator() -> Identity {
    Identity { subject: USER.to_owned(), role: Some(Role::Operator) }
}

#[tokio::test]
async fn tokens_of_all_three_algorithms_are_accepted() {
    let keys = [Key::ec().jwk(), Key::rsa().jwk()];
    let project = Project::with(&keys, |settings| settings.jwt_secret = Some(SECRET.into()));
    for key in [Key::ec(), Key::rsa(), Key::secret(SECRET)] {
        assert_eq!(project.identify(&project.token(&key)).await, Ok(operator()), "{}", key.alg());
    }
    assert_eq!(project.server.requests(), 1, "both keys come with one request");
}

#[tokio::test]
async fn a_project_with_a_shared_secret_only_is_never_asked_for_keys() {
    let project = Project::with(&[], |settings| settings.jwt_secret = Some(SECRET.into()));
    assert_eq!(project.identify(&project.token(&Key::secret(SECRET))).await, Ok(operator()));
    assert_eq!(project.server.requests(), 0);
}

#[tokio::test]
async fn harmless_differences_are_accepted() {
    let project = Project::publishing(&[Key::ec().jwk()]);
    let (key, claims) = (Key::ec(), project.claims());
    let now = claims["iat"].as_i64().unwrap();
    let header = |header: Value| token(&header, &claims, &key);
    let changed = |member: &str, value: Value| token(&key.header(), &with(claims.clone(), member, value), &key);
    for (name, token) in [
        ("no kid where there is one key", header(json!({"alg": "ES256"}))),
        ("no typ", header(json!({"alg": "ES256", "kid": "ec"}))),
        ("an unknown member in the header", header(with(key.header(), "x5t", "abc"))),
        ("several audiences", changed("aud", json!(["other", "authenticated"]))),
        ("expired within the leeway", changed("exp", json!(now - 29))),
        ("issued a moment ahead", changed("iat", json!(now + 30))),
        ("nbf now", changed("nbf", json!(now))),
        ("subject in capitals", changed("sub", json!(USER.to_ascii_uppercase()))),
        ("no iat", token(&key.header(), &without(claims.clone(), "iat"), &key)),
        ("no is_anonymous", token(&key.header(), &without(claims.clone(), "is_anonymous"), &key)),
        ("a claim that nobody knows", changed("future", json!({"a": [1, 2.5, null]}))),
    ] {
        assert_eq!(project.identify(&token).await, Ok(operator()), "{name}");
    }
}

#[tokio::test]
async fn a_key_without_use_and_algorithm_verifies_by_its_kind() {
    let ec = without(without(without(Key::ec().jwk(), "use"), "alg"), "key_ops");
    let rsa = without(without(Key::rsa().jwk(), "use"), "alg");
    let project = Project::publishing(&[ec, rsa]);
    for key in [Key::ec(), Key::rsa()] {
        assert_eq!(project.identify(&project.token(&key)).await, Ok(operator()));
    }
}

#[tokio::test]
async fn a_broken_key_does_not_spoil_the_others() {
    let broken = [json!(1), json!({"kty": "EC"}), json!({"kty": "oct", "k": encode(SECRET), "kid": "ec"})];
    let project = Project::publishing(&[broken.as_slice(), &[Key::ec().jwk()]].concat());
    assert_eq!(project.identify(&project.token(&Key::ec())).await, Ok(operator()));
}

#[tokio::test]
async fn roles_never_come_from_what_users_write_themselves() {
    let role_users = BTreeMap::from([(Role::Viewer, vec!["0f8fad5b-d9cb-469f-a165-70867728950f".to_owned()])]);
    let project = Project::with(&[Key::ec().jwk()], |settings| settings.role_users = role_users);
    for app_metadata in [json!({}), json!(null), json!({"b24sync_role": "root"}), json!({"role": "admin"})] {
        let mut claims = with(project.claims(), "app_metadata", app_metadata.clone());
        claims["user_metadata"] = json!({"b24sync_role": "admin", "app_metadata": {"b24sync_role": "admin"}});
        claims["app_metadata.b24sync_role"] = json!("admin");
        claims["b24sync_role"] = json!("admin");
        claims["email"] = json!("admin@example.com");
        let identity = project.identify(&token(&Key::ec().header(), &claims, &Key::ec())).await.unwrap();
        assert_eq!(identity.role, None, "{app_metadata}");
        assert!(!identity.allows(Role::Viewer));
    }
}

#[tokio::test]
async fn lists_and_default_give_roles_where_no_claim_does() {
    let claims = |project: &Project, user: &str| with(without(project.claims(), "app_metadata"), "sub", user);
    let project = Project::with(&[Key::ec().jwk()], |settings| {
        settings.role_users = BTreeMap::from([(Role::Admin, vec![USER.to_ascii_uppercase()])]);
        settings.default_role = Some(Role::Viewer);
    });
    for (user, role) in [(USER, Role::Admin), ("11111111-d9cb-469f-a165-70867728950e", Role::Viewer)] {
        let token = token(&Key::ec().header(), &claims(&project, user), &Key::ec());
        assert_eq!(project.identify(&token).await.unwrap().role, Some(role));
    }
}
