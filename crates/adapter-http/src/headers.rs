//! Headers of every answer, and which web pages may call.

use actix_cors::{Cors, CorsError};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, AcceptEncoding, Encoding, HeaderName};
use actix_web::middleware::{DefaultHeaders, Next};
use actix_web::{Error, HttpMessage, HttpRequest};

use crate::request_id;
use crate::routes;
use crate::settings::ApiSettings;

/// How long browsers may remember what they may do, in seconds.
const PREFLIGHT_SECONDS: usize = 3600;

/// Forms that an answer can have.
const ENCODINGS: [Encoding; 3] = [Encoding::identity(), Encoding::gzip(), Encoding::deflate()];

/// Whoever accepts no form that an answer can have gets it as it is: one that it may be able to read after all is better
/// than a refusal, which it could read no better.
pub(crate) async fn plain_if_nothing_else<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let accepted = request.get_header::<AcceptEncoding>();
    if accepted.is_some_and(|accepted| accepted.negotiate(ENCODINGS.iter()).is_none()) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    next.call(request).await
}

/// What a page was refused, for whoever sets origins up.
pub(crate) fn refused(error: &CorsError, request: &HttpRequest) -> String {
    let sent = |name: HeaderName| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().chars().take(100).collect::<String>()
    };
    match error {
        CorsError::OriginNotAllowed | CorsError::MissingOrigin => format!(
            "CORS: the page is of the origin `{}`, which API_ALLOWED_ORIGINS does not list",
            sent(header::ORIGIN)
        ),
        CorsError::MethodNotAllowed | CorsError::BadRequestMethod => {
            format!("CORS: pages may not call with the method `{}`", sent(header::ACCESS_CONTROL_REQUEST_METHOD))
        }
        CorsError::HeadersNotAllowed | CorsError::BadRequestHeaders => format!(
            "CORS: pages may send the headers Authorization, Content-Type and X-Request-Id only, not all of `{}`",
            sent(header::ACCESS_CONTROL_REQUEST_HEADERS)
        ),
        CorsError::MissingRequestMethod => {
            "CORS: Access-Control-Request-Method must say with which method the page wants to call".to_owned()
        }
        _ => "CORS: the page may not call".to_owned(),
    }
}

/// Headers that protect whoever gets the answer; a handler may set its own in their place.
pub(crate) fn security() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .add((header::REFERRER_POLICY, "no-referrer"))
}

/// The configured origins and no others; never with cookies.
pub(crate) fn cors(settings: &ApiSettings) -> Cors {
    let cors = Cors::default()
        .allowed_methods(routes::endpoints().iter().map(|endpoint| endpoint.method.clone()))
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, request_id::HEADER])
        .expose_headers([request_id::HEADER, header::RETRY_AFTER])
        .max_age(PREFLIGHT_SECONDS);
    settings.allowed_origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
