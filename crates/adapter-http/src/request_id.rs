//! `X-Request-Id`: the client's when it has a harmless form, else one of ours.

use std::fmt;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;

/// The header, in requests and answers.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's number, of 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The number of this request; the same whenever it is asked for.
    pub(crate) fn of(request: &HttpRequest) -> RequestId {
        if let Some(id) = request.extensions().get::<RequestId>() {
            return id.clone();
        }
        let id = request.headers().get(HEADER).and_then(RequestId::accept).unwrap_or_else(RequestId::make);
        request.extensions_mut().insert(id.clone());
        id
    }

    fn accept(value: &HeaderValue) -> Option<RequestId> {
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let bytes = value.as_bytes();
        if !(1..=64).contains(&bytes.len()) || !bytes.iter().all(harmless) {
            return None;
        }
        value.to_str().ok().map(|text| RequestId(text.to_owned()))
    }

    fn make() -> RequestId {
        RequestId(Uuid::now_v7().simple().to_string())
    }

    /// As the value of a header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
