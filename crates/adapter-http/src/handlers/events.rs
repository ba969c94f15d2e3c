//! `/api/v1/events`: what happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use b24sync_domain::ports::{Happening, Happenings, Listener};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::history::LoggedRunBody;
use super::sync::RunningAnswer;
use crate::auth::By;
use crate::connections::{Busy, Entry};
use crate::drain::Draining;
use crate::places::{Place, Places};
use crate::problem::{Kind, Problem};
use crate::settings::ApiSettings;

/// First words of a stream: how many milliseconds to wait before coming again.
const PREAMBLE: &str = "retry: 3000\n\n";
/// A sign of life.
const COMMENT: &str = ": keep-alive\n\n";

/// One listener's stream.
struct Channel {
    happenings: Listener,
    keep_alive: Interval,
    end: Instant,
    draining: Draining,
    _place: Place,
    _busy: Option<Busy>,
}

impl Channel {
    /// The next piece of text; `None` at the end.
    async fn next(&mut self) -> Option<web::Bytes> {
        tokio::select! {
            biased;
            () = self.draining.begun() => None,
            () = sleep_until(self.end) => None,
            happening = self.happenings.next() => happening.map(|happening| render(&happening)),
            _ = self.keep_alive.tick() => Some(web::Bytes::from_static(COMMENT.as_bytes())),
        }
    }
}

fn render(happening: &Happening) -> web::Bytes {
    match happening {
        Happening::Running(syncs) => event("running", &RunningAnswer::from(&**syncs)),
        Happening::Ended(run) => event("ended", &LoggedRunBody::from(run.clone())),
    }
}

fn event(name: &str, data: &impl Serialize) -> web::Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// What happens, as server-sent events.
///
/// `running` tells the syncs that are on or queued whenever they change, like `/sync/running`; `ended` a run that has
/// ended, like an item of `/status/history`. A comment is sent every 5 seconds. The stream ends after a quarter of an
/// hour and when the service stops: come again. The token may also be given as `access_token` in the query, because
/// `EventSource` cannot send headers.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "sync",
    params(("access_token" = Option<String>, Query, description = "The token, in place of the header")),
    responses((status = 200, description = "A stream without end", content_type = "text/event-stream", body = String,
        example = "event: running\ndata: {\"running_syncs\":[],\"count\":0,\"runs\":[]}\n\n"))
)]
pub(crate) async fn events(
    request: HttpRequest,
    by: By,
    happenings: web::Data<dyn Happenings>,
    places: web::Data<Places>,
    draining: web::Data<Draining>,
    settings: web::Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    if draining.has_begun() {
        return Err(Problem::new(Kind::Unavailable, "the service is about to stop; come again")
            .retry_after(Duration::from_secs(5)));
    }
    let place = places.take(&by.0.subject)?;
    let busy = request.conn_data::<Entry>().map(Entry::busy);
    let stream = channel(happenings.listen(), &settings, draining.get_ref().clone(), place, busy);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Compression would hold events back; so do proxies that are not told.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream))
}

fn channel(
    happenings: Listener,
    settings: &ApiSettings,
    draining: Draining,
    place: Place,
    busy: Option<Busy>,
) -> impl Stream<Item = Result<web::Bytes, Infallible>> + 'static {
    let mut keep_alive = interval_at(Instant::now() + settings.event_keep_alive, settings.event_keep_alive);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + settings.listener_lifetime;
    let channel = Channel { happenings, keep_alive, end, draining, _place: place, _busy: busy };
    let preamble = stream::once(async { web::Bytes::from_static(PREAMBLE.as_bytes()) });
    let rest = stream::unfold(channel, |mut channel| async { channel.next().await.map(|text| (text, channel)) });
    preamble.chain(rest).map(Ok)
}
