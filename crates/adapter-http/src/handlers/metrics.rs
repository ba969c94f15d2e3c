//! `/metrics`: figures for Prometheus.

use actix_web::{HttpResponse, web};
use b24sync_domain::ports::MetricsQuery;

/// Media type of the text format (Prometheus, "Exposition formats").
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Figures for Prometheus.
///
/// Closed unless `METRICS_TOKEN` is set, which is then the bearer token. With `METRICS_BIND`, the same figures are served
/// without a token at an address of their own.
#[utoipa::path(
    get, path = "/metrics", tag = "status",
    responses((status = 200, description = "Text format, version 0.0.4", content_type = "text/plain", body = String,
        example = "# TYPE b24sync_runs_total counter\nb24sync_runs_total{entity=\"deal\",kind=\"full\",status=\"completed\"} 1\n"))
)]
pub(crate) async fn metrics(query: web::Data<dyn MetricsQuery>) -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(query.exposition().await)
}
