//! Who calls: the bearer token of a request, and the caller that it speaks for.

use std::future::{Ready, ready};

use actix_web::dev::{self, ServiceRequest};
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use b24sync_domain::access::{Refusal, Role};
use b24sync_domain::ports::Actor;
use serde::Deserialize;

use crate::problem::{Kind, Problem};
use crate::request_id::RequestId;

/// A caller whose token was accepted and whose role is enough.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) subject: String,
}

/// The caller, as the audit knows it.
pub(crate) struct By(pub(crate) Actor);

impl FromRequest for By {
    type Error = Problem;
    type Future = Ready<Result<By, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        let actor =
            caller.map(|Caller { subject }| Actor { subject, request: Some(RequestId::of(request).to_string()) });
        ready(actor.map(By).ok_or_else(Problem::internal))
    }
}

/// The token of a request: from the one `Authorization` header or, where the endpoint allows it, from the query.
pub(crate) fn token(request: &ServiceRequest, in_query: bool) -> Result<String, Refusal> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    match (values.next(), values.next()) {
        (Some(value), None) => from_header(value.to_str().unwrap_or_default()),
        (None, _) if in_query => from_query(request.query_string()),
        (None, _) => Err(Refusal::Missing),
        (Some(_), Some(_)) => Err(Refusal::Malformed),
    }
}

fn from_header(value: &str) -> Result<String, Refusal> {
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => given(token.trim()),
        _ => Err(Refusal::Malformed),
    }
}

#[derive(Deserialize)]
struct InQuery {
    access_token: Option<String>,
}

fn from_query(query: &str) -> Result<String, Refusal> {
    match web::Query::<InQuery>::from_query(query) {
        Ok(query) => given(query.access_token.as_deref().unwrap_or_default()),
        Err(_) => Err(Refusal::Malformed),
    }
}

fn given(token: &str) -> Result<String, Refusal> {
    if token.is_empty() { Err(Refusal::Missing) } else { Ok(token.to_owned()) }
}

/// The answer to a caller whose role is not enough.
pub(crate) fn forbidden(needed: Role) -> Problem {
    Problem::new(Kind::Forbidden, format!("this needs the role `{needed}`"))
}

/// The answer when tokens cannot be verified at present.
pub(crate) fn keys_unavailable() -> Problem {
    Problem::new(Kind::Unavailable, "tokens cannot be verified at present; try again in a moment")
        .retry_after(std::time::Duration::from_secs(5))
}
