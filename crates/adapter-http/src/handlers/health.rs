//! `GET /health`: whether the service can do its work. No token, no details.

use actix_web::{HttpResponse, web};
use b24sync_domain::ports::{Health, HealthQuery};
use serde::Serialize;

/// Body of `GET /health`, as the seed's front end reads it.
#[derive(Debug, Serialize)]
struct HealthBody {
    status: &'static str,
    version: &'static str,
    scheduler: SchedulerBody,
}

#[derive(Debug, Serialize)]
struct SchedulerBody {
    running: bool,
    jobs_count: usize,
}

impl From<&Health> for HealthBody {
    fn from(health: &Health) -> HealthBody {
        HealthBody {
            status: if health.is_healthy() { "healthy" } else { "unhealthy" },
            version: env!("CARGO_PKG_VERSION"),
            scheduler: SchedulerBody { running: health.scheduler_running, jobs_count: health.jobs },
        }
    }
}

/// 200 when healthy, 503 when not.
pub async fn health(query: web::Data<dyn HealthQuery>) -> HttpResponse {
    let health = query.health().await;
    let mut response = if health.is_healthy() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header(("Cache-Control", "no-store")).json(HealthBody::from(&health))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::{App, test, web};
    use b24sync_domain::ports::{Health, HealthQuery, MockHealthQuery};

    async fn answer(database: bool) -> (u16, String) {
        let mut mock = MockHealthQuery::new();
        mock.expect_health().returning(move || Health { database, scheduler_running: true, jobs: 4 });
        let query: Arc<dyn HealthQuery> = Arc::new(mock);
        let app =
            test::init_service(App::new().app_data(web::Data::from(query)).configure(crate::routes::configure)).await;
        let response = test::call_service(&app, test::TestRequest::get().uri("/health").to_request()).await;
        let status = response.status().as_u16();
        (status, String::from_utf8(test::read_body(response).await.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn a_healthy_service_answers_as_the_front_end_expects() {
        let (status, body) = answer(true).await;
        assert_eq!(status, 200);
        insta::assert_snapshot!(body, @r#"{"status":"healthy","version":"0.1.0","scheduler":{"running":true,"jobs_count":4}}"#);
    }

    #[actix_web::test]
    async fn a_service_without_its_database_answers_503() {
        let (status, body) = answer(false).await;
        assert_eq!(status, 503);
        insta::assert_snapshot!(body, @r#"{"status":"unhealthy","version":"0.1.0","scheduler":{"running":true,"jobs_count":4}}"#);
    }
}
