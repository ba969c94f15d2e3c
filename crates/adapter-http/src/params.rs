//! Parameters in paths and query strings.

use std::fmt::Display;
use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev, web};
use b24sync_domain::entity::EntityType;
use serde::de::DeserializeOwned;

use crate::problem::{Kind, Problem};

/// The entity that the path names.
pub(crate) struct KnownEntity(pub(crate) EntityType);

impl FromRequest for KnownEntity {
    type Error = Problem;
    type Future = Ready<Result<KnownEntity, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let name = request.match_info().get("entity").unwrap_or_default();
        ready(name.parse().map(KnownEntity).map_err(Problem::from))
    }
}

/// The query string, with known parameters only.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Query<T>, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(match web::Query::<T>::from_query(request.query_string()) {
            Ok(query) => Ok(Query(query.into_inner())),
            Err(error) => Err(Problem::new(Kind::Invalid, format!("the query is not acceptable: {error}"))),
        })
    }
}

/// A number from 1 to `max`.
pub(crate) fn within(name: &str, value: Option<u32>, default: u32, max: u32) -> Result<u32, Problem> {
    match value.unwrap_or(default) {
        value if (1..=max).contains(&value) => Ok(value),
        _ => Err(wrong(name, format!("it must be from 1 to {max}"))),
    }
}

/// The parameter cannot be used.
pub(crate) fn wrong(name: &str, why: impl Display) -> Problem {
    Problem::new(Kind::Invalid, format!("the parameter {name} is not acceptable: {why}"))
}
