//! Headers of every answer, and which web pages may call.

use actix_cors::Cors;
use actix_web::http::header;
use actix_web::middleware::DefaultHeaders;

use crate::request_id;
use crate::routes;
use crate::settings::ApiSettings;

/// How long browsers may remember what they may do, in seconds.
const PREFLIGHT_SECONDS: usize = 3600;

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
