//! The outermost layer: request numbers, the access log, and problems in place of plain errors.

use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use metrics::{counter, histogram};
use tracing::Instrument;

use crate::auth::Caller;
use crate::connections::Entry;
use crate::drain::Draining;
use crate::problem;
use crate::request_id::{self, RequestId};

/// Passes a request on and logs its answer: never its query, its headers or its body.
pub(crate) async fn observe<B: MessageBody + 'static>(
    draining: Draining,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let begun = Instant::now();
    let id = RequestId::of(request.request());
    let method = request.method().clone();
    let span = tracing::info_span!("http.request", request.id = %id);
    let busy = request.request().conn_data::<Entry>().map(Entry::busy);
    let answer = next.call(request).instrument(span.clone()).await?;
    drop(busy);
    let mut answer = problem::translate(answer.map_into_boxed_body());
    if let Some(value) = id.header() {
        answer.headers_mut().insert(request_id::HEADER, value);
    }
    if draining.has_begun() {
        answer.response_mut().head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    span.in_scope(|| log(&method, &answer, begun));
    Ok(answer)
}

fn log(method: &Method, answer: &ServiceResponse, begun: Instant) {
    let request = answer.request();
    let route = request.match_pattern().unwrap_or_else(|| "-".to_owned());
    let subject = request.extensions().get::<Caller>().map(|caller| caller.subject.clone()).unwrap_or_default();
    let status = answer.status();
    let took = begun.elapsed();
    count(method, &route, status, took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if route.starts_with("/health") && status == StatusCode::OK {
        tracing::debug!(%method, route, http.status = status.as_u16(), duration_ms, "a probe was answered");
    } else {
        tracing::info!(%method, route, http.status = status.as_u16(), duration_ms, subject, "a request was answered");
    }
}

/// By the path's pattern, so that what clients ask for makes no new series.
fn count(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_u16().to_string())];
    counter!("b24sync_http_requests_total", &labels).increment(1);
    histogram!("b24sync_http_request_duration_seconds", "route" => route.to_owned()).record(took.as_secs_f64());
}
