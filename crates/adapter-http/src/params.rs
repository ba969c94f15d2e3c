//! Parameters in paths and query strings.

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
