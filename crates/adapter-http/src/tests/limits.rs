//! Limits on how much and how often.

use std::num::NonZeroU32;

use actix_web::http::Method;

use super::support::{Mocks, answer, get, json};
use crate::{ApiSettings, RateLimit};

fn at_once(burst: u32) -> RateLimit {
    RateLimit { per_minute: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() }
}

#[actix_web::test]
async fn a_body_above_the_limit_is_413_whether_or_not_it_tells_its_length() {
    let api = Mocks::willing().api();
    let start = "/api/v1/sync/start/deal";
    let blanks = " ".repeat(1024 * 1024 - 2);
    assert_eq!(answer(&api, json(Method::POST, start, "operator", &format!("{blanks}{{}}"))).await.status, 202);
    let too_large = json(Method::POST, start, "operator", &format!(" {blanks}{{}}"));
    let answer = answer(&api, too_large).await;
    assert_eq!((answer.status, answer.header("content-type")), (413, "application/problem+json"));
}

#[actix_web::test]
async fn each_subject_has_its_own_budget() {
    let api = Mocks::willing().api_with(ApiSettings { per_subject: at_once(2), ..ApiSettings::default() });
    let path = "/api/v1/sync/running";
    for status in [200, 200, 429] {
        assert_eq!(answer(&api, get(path, "viewer")).await.status, status);
    }
    let refused = answer(&api, get(path, "viewer")).await;
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((55..=60).contains(&seconds), "{seconds}");
    assert_eq!(refused.json()["type"], "urn:b24sync:problem:too-many-requests");
    // Endpoints without a token have a budget of their own.
    assert_eq!(answer(&api, get("/health/live", "")).await.status, 200);
}

#[actix_web::test]
async fn refused_tokens_are_counted_by_address_and_good_ones_still_pass() {
    let settings = ApiSettings {
        failed_auth: at_once(2),
        trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
        ..ApiSettings::default()
    };
    let api = Mocks::willing().api_with(settings);
    let from = |address: &'static str, token: &str| {
        get("/api/v1/sync/running", token).insert_header(("X-Forwarded-For", address))
    };
    for status in [401, 401, 429] {
        assert_eq!(answer(&api, from("198.51.100.7", "forged")).await.status, status);
    }
    assert_eq!(answer(&api, from("6.6.6.6, 198.51.100.7", "")).await.status, 429);
    assert_eq!(answer(&api, from("198.51.100.8", "forged")).await.status, 401);
    assert_eq!(answer(&api, from("198.51.100.7", "viewer")).await.status, 200);
}

#[actix_web::test]
async fn endpoints_without_a_token_are_counted_by_address_but_for_liveness() {
    let api = Mocks::willing().api_with(ApiSettings { public: at_once(1), ..ApiSettings::default() });
    assert_eq!(answer(&api, get("/health", "")).await.status, 200);
    assert_eq!(answer(&api, get("/health", "")).await.status, 429);
    assert_eq!(answer(&api, get("/health/live", "")).await.status, 200);
    let other = get("/health", "").peer_addr("192.0.2.99:1".parse().unwrap());
    assert_eq!(answer(&api, other).await.status, 200);
}
