//! Figures for Prometheus (SPEC 11): what the crates count while they work, and what the database knows, put together when
//! somebody asks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_adapter_postgres::PgStore;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::Chain;
use b24sync_domain::ports::{EntityOverview, EventInbox, InboxDepth, MetricsQuery, StatusQuery};
use b24sync_domain::run::{RunKind, RunStatus};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How often what histograms have gathered is put into their buckets, so that memory stays flat while nobody asks.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long the database may take; without its figures the rest is served.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long what the database said is good for: it is asked once, however many watch.
const GOOD_FOR: Duration = Duration::from_secs(1);

const RUN_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];
const WAIT_SECONDS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];
const REQUEST_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How runs end in the process that is at them.
const ENDS: [RunStatus; 4] =
    [RunStatus::Completed, RunStatus::CompletedWithQuarantine, RunStatus::Failed, RunStatus::Cancelled];

/// What a figure is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Seconds(&'static [f64]),
}

/// Every figure that there is: its name, what it is, and what it says. `docs/operations.md` has the same list.
const FIGURES: &[(&str, Kind, &str)] = &[
    ("b24sync_build_info", Kind::Gauge, "1, with the version as a label"),
    (
        "b24sync_records_total",
        Kind::Counter,
        "Records by what became of them: written, unchanged, deleted, quarantined",
    ),
    ("b24sync_runs_total", Kind::Counter, "Runs that ended in this process, by how"),
    ("b24sync_run_duration_seconds", Kind::Seconds(RUN_SECONDS), "How long this process was at a run"),
    ("b24sync_table_rows", Kind::Gauge, "Rows of the replica table"),
    ("b24sync_complete_lag_seconds", Kind::Gauge, "Now minus the portal time up to which the table is complete"),
    ("b24sync_freshness_lag_seconds", Kind::Gauge, "Now minus the modified time of the newest change that was applied"),
    ("b24sync_quarantined_records", Kind::Gauge, "Records that cannot be stored"),
    ("b24sync_drift_records", Kind::Gauge, "What the last verify found: missing, extra, different"),
    (
        "b24sync_events_total",
        Kind::Counter,
        "Events of the portal by their answer: accepted, ignored, or the kind of problem",
    ),
    ("b24sync_inbox_pending", Kind::Gauge, "Hints that wait to be applied"),
    ("b24sync_inbox_oldest_seconds", Kind::Gauge, "How long the hint that waits longest has waited; 0 when none does"),
    ("b24sync_inbox_dead_letters", Kind::Gauge, "Hints that could not be applied"),
    ("b24sync_portal_requests_total", Kind::Counter, "Attempts to call the portal: ok, limited, failed, refused"),
    ("b24sync_portal_limit_answers_total", Kind::Counter, "Answers that named a limit of the portal: rate, operating"),
    (
        "b24sync_portal_operating_used_ratio",
        Kind::Gauge,
        "Part of a method's execution time that is used up, as last heard; of a lower limit where a refusal has shown one",
    ),
    ("b24sync_pacer_wait_seconds", Kind::Seconds(WAIT_SECONDS), "How long requests waited for the portal's limits"),
    (
        "b24sync_pacer_rate",
        Kind::Gauge,
        "Requests a second that all processes together may send, after what was learned",
    ),
    ("b24sync_pacer_slots_total", Kind::Counter, "Requests that the shared budget granted to this process"),
    ("b24sync_scheduler_leader", Kind::Gauge, "1 where this process schedules"),
    ("b24sync_database_connections", Kind::Gauge, "Connections of this process: open, lent, waiting, most"),
    ("b24sync_database_up", Kind::Gauge, "1 when the database answered just now"),
    ("b24sync_http_requests_total", Kind::Counter, "Requests that were answered"),
    ("b24sync_http_request_duration_seconds", Kind::Seconds(REQUEST_SECONDS), "How long answers took"),
];

/// Records figures from now on, for [`Figures`] to show.
///
/// # Errors
/// When something else records already.
pub fn install() -> Result<PrometheusHandle, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::usage(format!("metrics could not be set up: {error}"), "report this");
    let mut builder = PrometheusBuilder::new();
    for (name, kind, _) in FIGURES {
        if let Kind::Seconds(buckets) = kind {
            let matcher = Matcher::Full((*name).to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets).map_err(|error| failed(&error))?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
    for (name, kind, text) in FIGURES {
        match kind {
            Kind::Counter => describe_counter!(*name, *text),
            Kind::Gauge => describe_gauge!(*name, *text),
            Kind::Seconds(_) => describe_histogram!(*name, Unit::Seconds, *text),
        }
    }
    gauge!("b24sync_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("b24sync_scheduler_leader").set(0.0);
    begin_at_zero();
    Ok(handle)
}

/// Counters whose labels are known begin at 0: the first event is an increase then, and rates and alerts see it.
fn begin_at_zero() {
    for entity in EntityType::all().map(EntityType::key) {
        for outcome in ["written", "unchanged", "deleted", "quarantined"] {
            counter!("b24sync_records_total", "entity" => entity, "outcome" => outcome).increment(0);
        }
        for (kind, status) in RunKind::ALL.iter().flat_map(|kind| ENDS.map(|status| (kind.as_str(), status.as_str()))) {
            counter!("b24sync_runs_total", "entity" => entity, "kind" => kind, "status" => status).increment(0);
        }
    }
    for outcome in ["accepted", "ignored", "forbidden", "invalid-request", "unavailable"] {
        counter!("b24sync_events_total", "outcome" => outcome).increment(0);
    }
    for limit in ["rate", "operating"] {
        counter!("b24sync_portal_limit_answers_total", "limit" => limit).increment(0);
    }
}

/// Puts gathered figures in order until the service stops.
pub async fn keep_up(handle: PrometheusHandle, stop: CancellationToken) {
    while !stop.is_cancelled() {
        handle.run_upkeep();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(UPKEEP_EVERY) => {}
        }
    }
}

/// Implements [`MetricsQuery`] over the recorder and the database.
pub struct Figures {
    handle: PrometheusHandle,
    status: Arc<dyn StatusQuery>,
    inbox: Arc<dyn EventInbox>,
    store: PgStore,
    /// When the database was asked last, and whether it answered; held while it is asked, so that others wait for that.
    asked: Mutex<Option<(Instant, bool)>>,
}

impl Figures {
    /// What the recorder has, and what these know.
    pub fn new(handle: PrometheusHandle, status: Arc<dyn StatusQuery>, store: PgStore) -> Figures {
        Figures { handle, status, inbox: Arc::new(store.clone()), store, asked: Mutex::new(None) }
    }

    /// Whether the database answers; its figures are at most [`GOOD_FOR`] old then.
    async fn are_up_to_date(&self) -> bool {
        let mut asked = self.asked.lock().await;
        match *asked {
            Some((at, up)) if at.elapsed() < GOOD_FOR => up,
            _ => {
                let up = self.ask_the_database().await;
                *asked = Some((Instant::now(), up));
                up
            }
        }
    }

    async fn ask_the_database(&self) -> bool {
        let asked = async { tokio::try_join!(self.status.overview(), self.inbox.depth()) };
        match tokio::time::timeout(DATABASE_TIMEOUT, asked).await {
            Ok(Ok((overview, depths))) => {
                overview.iter().for_each(show_entity);
                depths.iter().for_each(show_depth);
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "the database's figures could not be read");
                false
            }
            Err(_elapsed) => false,
        }
    }
}

#[async_trait]
impl MetricsQuery for Figures {
    async fn exposition(&self) -> String {
        let up = self.are_up_to_date().await;
        gauge!("b24sync_database_up").set(f64::from(u8::from(up)));
        let pool = self.store.pool_use();
        for (state, count) in [("open", pool.open), ("lent", pool.lent), ("waiting", pool.waiting), ("most", pool.most)]
        {
            gauge!("b24sync_database_connections", "state" => state)
                .set(float(u64::try_from(count).unwrap_or(u64::MAX)));
        }
        self.handle.render()
    }
}

fn show_entity(overview: &EntityOverview) {
    let entity = overview.entity.key();
    let set = |name: &'static str, value: f64| gauge!(name, "entity" => entity).set(value);
    set("b24sync_quarantined_records", float(u64::try_from(overview.quarantined).unwrap_or_default()));
    if let Some(rows) = overview.rows {
        set("b24sync_table_rows", float(u64::try_from(rows).unwrap_or_default()));
    }
    if let Some(lag) = overview.lag {
        set("b24sync_complete_lag_seconds", lag.as_secs_f64());
    }
    if let Some(lag) = overview.newest_change_age {
        set("b24sync_freshness_lag_seconds", lag.as_secs_f64());
    }
    if let Some(drift) = overview.drift {
        for (kind, count) in [("missing", drift.missing), ("extra", drift.extra), ("different", drift.different)] {
            gauge!("b24sync_drift_records", "entity" => entity, "kind" => kind).set(float(count));
        }
    }
}

fn show_depth(depth: &InboxDepth) {
    let entity = depth.entity.key();
    gauge!("b24sync_inbox_pending", "entity" => entity).set(float(depth.pending));
    gauge!("b24sync_inbox_dead_letters", "entity" => entity).set(float(depth.dead));
    gauge!("b24sync_inbox_oldest_seconds", "entity" => entity).set(depth.oldest.unwrap_or_default().as_secs_f64());
}

/// Exact up to 2^53, and no figure is larger.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "there is no lossless conversion")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_lists_every_figure_and_no_other() {
        let text = include_str!("../../../docs/operations.md");
        let listed: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("| `b24sync_")?.split('`').next()).collect();
        let known: Vec<&str> = FIGURES.iter().filter_map(|(name, _, _)| name.strip_prefix("b24sync_")).collect();
        assert_eq!(listed, known);
    }

    /// Names of figures in a text, without what Prometheus puts behind those of histograms.
    fn named(text: &str) -> BTreeSet<&str> {
        text.split(|letter: char| !letter.is_ascii_lowercase() && !matches!(letter, '0'..='9' | '_'))
            .filter(|word| word.starts_with("b24sync_"))
            .map(|name| {
                ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
            })
            .collect()
    }

    #[test]
    fn the_dashboard_shows_every_figure_and_alerts_and_dashboard_no_other() {
        let known: BTreeSet<&str> = FIGURES.iter().map(|(name, _, _)| *name).collect();
        let dashboard = named(include_str!("../../../deploy/grafana/dashboards/b24sync.json"));
        assert_eq!(dashboard, known);
        for text in [
            include_str!("../../../deploy/prometheus/alerts.yaml"),
            include_str!("../../../deploy/prometheus/alerts_test.yaml"),
        ] {
            let unknown: Vec<_> = named(text).difference(&known).copied().collect();
            assert!(unknown.is_empty(), "{unknown:?}");
        }
    }
}
