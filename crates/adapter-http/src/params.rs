//! Parameters in paths and query strings.

use std::collections::HashSet;
use std::fmt::Display;
use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev, web};
use b24sync_domain::entity::EntityType;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::Parameter;

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

/// The query string, with known parameters only, each once. `T` takes texts: what they mean is told by whoever knows
/// their names.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + IntoParams> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Query<T>, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(query(request.query_string()).map(Query))
    }
}

fn query<T: DeserializeOwned + IntoParams>(text: &str) -> Result<T, Problem> {
    let unreadable = |error| Problem::new(Kind::Invalid, format!("the parameters after `?` cannot be read: {error}"));
    let given = web::Query::<Vec<(String, String)>>::from_query(text).map_err(unreadable)?.into_inner();
    let known = T::into_params(|| None);
    let mut seen = HashSet::new();
    for (name, _) in &given {
        if !known.iter().any(|parameter| parameter.name == *name) {
            return Err(unknown(name, &known));
        }
        if !seen.insert(name.as_str()) {
            return Err(wrong(name, "it is there more than once"));
        }
    }
    let is_missing = |parameter: &&Parameter| {
        matches!(parameter.required, Required::True) && !seen.contains(parameter.name.as_str())
    };
    if let Some(parameter) = known.iter().find(is_missing) {
        return Err(Problem::new(Kind::Invalid, format!("the parameter {} is missing", parameter.name)));
    }
    web::Query::from_query(text).map(web::Query::into_inner).map_err(unreadable)
}

fn unknown(name: &str, known: &[Parameter]) -> Problem {
    let name: String = name.chars().take(64).collect();
    let names: Vec<String> = known.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
    let are = if names.len() == 1 { "is" } else { "are" };
    let names = names.join(", ");
    Problem::new(Kind::Invalid, format!("there is no parameter `{name}` here; there {are} {names}"))
}

/// A number from 1 to `max`.
pub(crate) fn within(name: &str, value: Option<&str>, default: u32, max: u32) -> Result<u32, Problem> {
    let Some(text) = value else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        wrong(name, format!("`{text}` is no number from 1 to {max}"))
    })
}

/// The parameter cannot be used.
pub(crate) fn wrong(name: &str, why: impl Display) -> Problem {
    Problem::new(Kind::Invalid, format!("the parameter {name} is not acceptable: {why}"))
}
