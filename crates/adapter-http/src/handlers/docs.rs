//! `/api/v1/openapi.json` and the human page at `/docs`.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use crate::problem::{Kind, Problem};

/// What the page may load: its own files, and inline styles, which it sets by script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The description, as text.
pub(crate) struct Description(pub(crate) String);

/// The description of the interface.
pub(crate) async fn openapi(description: web::Data<Description>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(description.0.clone())
}

/// The page's files are relative to `/docs/`.
pub(crate) async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// A file of the page.
pub(crate) async fn file(path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let config = Config::from("/api/v1/openapi.json").persist_authorization(false).validator_url("none");
    let file = utoipa_swagger_ui::serve(&path, Arc::new(config)).map_err(|error| {
        tracing::error!(%error, "the documentation page could not be rendered");
        Problem::internal()
    })?;
    let file = file.ok_or_else(|| Problem::new(Kind::NotFound, "the documentation has no such file"))?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(file.content_type);
    answer.insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY));
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.body(file.bytes.into_owned()))
}
