//! JSON bodies: bounded in size and time, and strict.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, dev, web};
use serde::de::DeserializeOwned;

use crate::problem::{Kind, Problem};
use crate::settings::ApiSettings;

/// A JSON body; an empty one is `{}`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Body<T>, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let encoding = check_encoding(request);
        let is_json = is_json(request);
        let settings = request.app_data::<web::Data<ApiSettings>>().cloned();
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            encoding?;
            let settings = settings.ok_or_else(Problem::internal)?;
            let payload = payload.await.map_err(|_unreadable: actix_web::Error| broken())?;
            let bytes = read(payload, settings.body_limit, settings.body_timeout).await?;
            if bytes.is_empty() {
                return parse(b"{}").map(Body);
            }
            if !is_json {
                return Err(Problem::new(Kind::UnsupportedMedia, "the body must be application/json"));
            }
            parse(&bytes).map(Body)
        })
    }
}

/// A body of `limit` bytes at most that arrives within `timeout`.
pub(crate) async fn read(payload: web::Payload, limit: usize, timeout: Duration) -> Result<web::Bytes, Problem> {
    match tokio::time::timeout(timeout, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(broken()),
        Ok(Err(_)) => Err(Problem::new(Kind::TooLarge, format!("the body must have at most {limit} bytes"))),
        Err(_) => Err(Problem::new(Kind::BodyTimeout, "the body took too long to arrive")),
    }
}

fn broken() -> Problem {
    Problem::new(Kind::Invalid, "the body could not be read")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde also reads structs from arrays.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Kind::Invalid, "the body must be a JSON object"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Kind::Invalid, format!("the body is not acceptable: {error}")))
}

/// Nothing is decompressed.
pub(crate) fn check_encoding(request: &HttpRequest) -> Result<(), Problem> {
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(Problem::new(Kind::UnsupportedMedia, "the body must not be compressed"))
        }
        _ => Ok(()),
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}
