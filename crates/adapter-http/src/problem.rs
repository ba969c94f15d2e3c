//! Errors as `application/problem+json` (RFC 9457), with the member `message` that the front end reads.

use std::fmt;
use std::time::Duration;

use actix_cors::CorsError;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use b24sync_domain::application::ApplicationError;
use b24sync_domain::entity::UnknownEntity;
use b24sync_domain::error::{Chain, ErrorKind, Remedy, StoreError, SyncError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::headers;
use crate::request_id::RequestId;

/// Media type of every error.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Characters of a detail at most; details may repeat what the client sent.
const DETAIL_CHARS: usize = 300;

/// What a client should wait for when the database or the portal does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Every kind of error that the API answers with. Closed: clients may rely on the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Parameters or a body that cannot be read.
    Invalid,
    /// No token, or one that is not accepted; never says why.
    Unauthorized,
    /// The caller's role is not enough.
    Forbidden,
    /// There is no such path.
    NotFound,
    /// The catalogue has no such entity.
    UnknownEntity,
    /// The path does not have this method.
    MethodNotAllowed,
    /// The body took too long to arrive.
    BodyTimeout,
    /// It contradicts how things stand.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The body is not JSON, or is compressed.
    UnsupportedMedia,
    /// The body can be read, but a value is out of bounds.
    Unprocessable,
    /// Too many requests.
    TooManyRequests,
    /// Our fault.
    Internal,
    /// Something that is needed does not answer, or the service is about to stop.
    Unavailable,
}

impl Kind {
    /// Status, word of the type, title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid-request", "Invalid request"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Kind::UnknownEntity => (StatusCode::NOT_FOUND, "unknown-entity", "Unknown entity"),
            Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Kind::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body-timeout", "Request timeout"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "Conflict"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Kind::UnsupportedMedia => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type")
            }
            Kind::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "unacceptable-value", "Unacceptable value"),
            Kind::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable"),
        }
    }

    /// The kind of a bare status that something else answered with.
    fn of_status(status: StatusCode) -> Kind {
        match status {
            StatusCode::NOT_FOUND => Kind::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            status if status.is_client_error() => Kind::Invalid,
            _ => Kind::Internal,
        }
    }
}

/// An error, before it is known which request it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<Duration>,
    allow: Option<String>,
}

/// Body of an error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Names the kind of error; stable.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of error in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened this time.
    detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The request's number: what to look for in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The same as `detail`.
    message: String,
}

impl Problem {
    /// An error with a sentence for the client.
    pub(crate) fn new(kind: Kind, detail: impl fmt::Display) -> Problem {
        Problem { kind, detail: shortened(&detail.to_string()), retry_after: None, allow: None }
    }

    /// An error with an explanation of ours, as long as it is.
    pub(crate) fn explained(kind: Kind, detail: String) -> Problem {
        Problem { kind, detail, retry_after: None, allow: None }
    }

    /// The word of its type.
    pub(crate) fn word(&self) -> &'static str {
        self.kind.parts().1
    }

    /// The one answer to whoever is not known, whatever the reason.
    pub(crate) fn unauthorized() -> Problem {
        Problem::new(Kind::Unauthorized, "a valid bearer token is needed")
    }

    /// Our fault; the reason is in the log.
    pub(crate) fn internal() -> Problem {
        Problem::new(Kind::Internal, "something went wrong inside the service; the log has the reason")
    }

    /// The path has other methods.
    pub(crate) fn method_not_allowed(allow: &str) -> Problem {
        let mut problem = Problem::new(Kind::MethodNotAllowed, format!("this path has {allow} only"));
        problem.allow = Some(allow.to_owned());
        problem
    }

    /// With the time after which to try again.
    pub(crate) fn retry_after(mut self, after: Duration) -> Problem {
        self.retry_after = Some(after);
        self
    }

    /// Its body, for a request or as an example.
    pub(crate) fn body(&self, instance: Option<String>, request_id: Option<String>) -> ProblemBody {
        let (status, word, title) = self.kind.parts();
        ProblemBody {
            kind: format!("urn:b24sync:problem:{word}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            instance,
            request_id,
            message: self.detail.clone(),
        }
    }

    /// Headers that its answer has beyond the usual ones.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("Retry-After", self.retry_after.is_some()),
            ("Allow", self.allow.is_some()),
            ("WWW-Authenticate", self.kind == Kind::Unauthorized),
        ];
        all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name)
    }

    /// The answer to this request.
    pub(crate) fn respond(&self, request: &HttpRequest) -> HttpResponse {
        self.render(&self.body(Some(request.path().to_owned()), Some(RequestId::of(request).to_string())))
    }

    fn render(&self, body: &ProblemBody) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(after) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, whole_seconds(after)));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.kind == Kind::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.content_type(MEDIA_TYPE).body(json(body))
    }
}

/// Seconds, rounded up, at least one.
fn whole_seconds(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(DETAIL_CHARS) {
        Some((end, _)) => text.get(..end).map(|start| format!("{start}…")).unwrap_or_default(),
        None => text.to_owned(),
    }
}

fn json(body: &ProblemBody) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        self.render(&self.body(None, None))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(error = %Chain(&error), "the database could not answer a request");
        match error.remedy() {
            Remedy::Retry { after } => unavailable("the database does not answer", after),
            Remedy::Operator | Remedy::GiveUp => Problem::internal(),
        }
    }
}

impl From<ApplicationError> for Problem {
    fn from(error: ApplicationError) -> Problem {
        match error {
            ApplicationError::ByHand { instructions } => return Problem::explained(Kind::Conflict, instructions),
            // What an installation lacks is nobody's business who only says that there is one.
            ApplicationError::NotOurs { .. } => return Problem::new(Kind::Forbidden, error),
            ApplicationError::Store(error) => return Problem::from(error),
            _ => {}
        }
        tracing::warn!(error = %Chain(&error), advice = error.advice(), "a request about the application failed");
        match error.kind() {
            ErrorKind::Invalid => Problem::new(Kind::Invalid, error),
            ErrorKind::NotFound => Problem::new(Kind::NotFound, error),
            ErrorKind::Conflict => Problem::new(Kind::Conflict, format!("{error}: {}", error.advice())),
            ErrorKind::Unavailable => unavailable(&error.to_string(), None),
            ErrorKind::Internal => Problem::internal(),
        }
    }
}

impl From<SyncError> for Problem {
    fn from(error: SyncError) -> Problem {
        tracing::warn!(error = %Chain(&error), "a request failed");
        match error.kind() {
            ErrorKind::Invalid => Problem::new(Kind::Invalid, error),
            ErrorKind::NotFound => Problem::new(Kind::NotFound, error),
            ErrorKind::Conflict => Problem::new(Kind::Conflict, error),
            ErrorKind::Unavailable => unavailable("the portal or the database does not answer", None),
            ErrorKind::Internal => Problem::internal(),
        }
    }
}

impl From<UnknownEntity> for Problem {
    fn from(error: UnknownEntity) -> Problem {
        let name = error.name.chars().take(64).collect();
        Problem::new(Kind::UnknownEntity, UnknownEntity { name })
    }
}

fn unavailable(what: &str, after: Option<Duration>) -> Problem {
    Problem::new(Kind::Unavailable, format!("{what}; try again in a moment")).retry_after(after.unwrap_or(RETRY_AFTER))
}

/// Gives an error that a handler returned its request's path and number.
pub(crate) fn complete(response: ServiceResponse) -> ServiceResponse {
    let problem = response.response().error().and_then(|error| error.as_error::<Problem>()).cloned();
    match problem {
        Some(problem) => {
            let answer = problem.respond(response.request());
            response.into_response(answer)
        }
        None => response,
    }
}

/// Turns an error in plain text, which only middleware makes, into a problem; headers stay.
pub(crate) fn translate(response: ServiceResponse) -> ServiceResponse {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_json(&response) {
        return response;
    }
    let request = response.request();
    let error = response.response().error();
    let detail = match error.and_then(|error| error.as_error::<CorsError>()) {
        Some(error) => headers::refused(error, request),
        None => status.canonical_reason().unwrap_or("the request was refused").to_lowercase(),
    };
    let problem = Problem::new(Kind::of_status(status), detail);
    let mut body = problem.body(Some(request.path().to_owned()), Some(RequestId::of(request).to_string()));
    body.status = status.as_u16();
    let text = json(&body);
    response.map_body(|head, _| {
        head.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        head.headers_mut().remove(header::CONTENT_ENCODING);
        BoxBody::new(text)
    })
}

fn is_json(response: &ServiceResponse) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json") || value == MEDIA_TYPE)
}
