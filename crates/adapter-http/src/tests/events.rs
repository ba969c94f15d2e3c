//! The stream of what happens.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::test::{call_service, init_service};
use b24sync_domain::ports::MockHappenings;
use futures_util::{StreamExt, future, stream};
use tokio::time::timeout;

use super::support::{Mocks, answer, get};
use crate::server::app;
use crate::{Api, ApiSettings};

const SOON: Duration = Duration::from_secs(10);

/// Opens the stream.
async fn listen(api: &Api) -> BoxBody {
    let service = init_service(app(api)).await;
    let response = call_service(&service, get("/api/v1/events", "viewer").to_request()).await;
    assert_eq!(response.status(), 200);
    response.into_body().boxed()
}

/// The next piece; `None` at the end.
async fn next(body: &mut BoxBody) -> Option<String> {
    let piece =
        timeout(SOON, future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_next(context))).await.unwrap();
    piece.map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap())
}

fn silent() -> Mocks {
    let mut happenings = MockHappenings::new();
    happenings.expect_listen().returning(|| Box::pin(stream::pending()));
    Mocks { happenings, ..Mocks::default() }
}

#[actix_web::test]
async fn what_happens_is_told_at_once() {
    let api = Mocks::willing().api();
    let mut body = listen(&api).await;
    let mut text = String::new();
    for _ in 0..3 {
        text += &next(&mut body).await.unwrap();
    }
    insta::assert_snapshot!("events", text);
}

#[actix_web::test]
async fn the_stream_is_neither_compressed_nor_cached_nor_buffered() {
    let service = init_service(app(&Mocks::willing().api())).await;
    let request = get("/api/v1/events", "viewer").insert_header(("Accept-Encoding", "gzip")).to_request();
    let response = call_service(&service, request).await;
    let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("content-encoding"), "identity");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
}

#[actix_web::test]
async fn the_token_may_be_in_the_query_here() {
    let api = Mocks::willing().api();
    let service = init_service(app(&api)).await;
    for (uri, header, status) in [
        ("/api/v1/events?access_token=viewer", "", 200),
        ("/api/v1/events?access_token=forged", "", 401),
        ("/api/v1/events?access_token=nobody", "", 403),
        ("/api/v1/events?access_token=", "", 401),
        // A header that is there decides.
        ("/api/v1/events?access_token=viewer", "forged", 401),
    ] {
        let response = call_service(&service, get(uri, header).to_request()).await;
        assert_eq!(response.status().as_u16(), status, "{uri}");
    }
}

#[actix_web::test]
async fn a_silent_stream_shows_that_it_lives() {
    let settings = ApiSettings { event_keep_alive: Duration::from_millis(20), ..ApiSettings::default() };
    let mut body = listen(&silent().api_with(settings)).await;
    assert_eq!(next(&mut body).await.unwrap(), "retry: 3000\n\n");
    for _ in 0..3 {
        assert_eq!(next(&mut body).await.unwrap(), ": keep-alive\n\n");
    }
}

#[actix_web::test]
async fn a_listener_has_to_come_again_after_its_time() {
    let settings = ApiSettings { listener_lifetime: Duration::from_millis(20), ..ApiSettings::default() };
    let mut body = listen(&silent().api_with(settings)).await;
    assert!(next(&mut body).await.is_some());
    assert_eq!(next(&mut body).await, None);
}

#[actix_web::test]
async fn places_are_bounded_and_free_again_when_a_listener_leaves() {
    let api = silent().api_with(ApiSettings { max_listeners: 2, ..ApiSettings::default() });
    let first = listen(&api).await;
    let _second = listen(&api).await;
    let refused = answer(&api, get("/api/v1/events", "viewer")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "30"));
    drop(first);
    let _third = listen(&api).await;
}

#[actix_web::test]
async fn draining_ends_streams_and_readiness_and_nothing_else() {
    let (api, switch) = Api::new(Mocks::willing().ports(), ApiSettings::default());
    let mut body = listen(&api).await;
    assert_eq!(answer(&api, get("/health/ready", "")).await.status, 200);
    switch.begin();
    while next(&mut body).await.is_some() {}
    let ready = answer(&api, get("/health/ready", "")).await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("draining")));
    assert_eq!(answer(&api, get("/api/v1/events", "viewer")).await.status, 503);
    for path in ["/health", "/health/live", "/api/v1/sync/running"] {
        assert_eq!(answer(&api, get(path, "viewer")).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn the_stream_ends_with_the_service() {
    let mut happenings = MockHappenings::new();
    happenings.expect_listen().returning(|| Box::pin(stream::empty().boxed()));
    let mut body = listen(&Mocks { happenings, ..Mocks::default() }.api()).await;
    assert!(next(&mut body).await.is_some());
    assert_eq!(next(&mut body).await, None);
}
