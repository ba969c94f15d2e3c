//! Events of the portal: whether they are let in, whether they come, and whether they are applied.

use std::time::Duration;

use b24sync_domain::application::Mode;
use b24sync_domain::doctor::facts::Arrival;
use b24sync_domain::doctor::{Finding, catalogue};
use b24sync_domain::entity::EntityType;
use b24sync_domain::ports::InboxDepth;
use chrono::{DateTime, Utc};

use super::limit::{self, limited};
use super::premises::{ApplicationPremises, Premises, Replica};
use super::{some_of, together};

/// How much later than the last event a change has to be made to prove that its event did not come: events may be late,
/// and clocks differ.
const GRACE: Duration = Duration::from_secs(3_600);

/// How long an event may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn check(premises: &Premises, replica: Option<&Replica>) -> Vec<Finding> {
    let mode = premises.portal.mode.unwrap_or(Mode::Webhook);
    let is_open = mode == Mode::Application || premises.service.application_tokens > 0;
    let mut findings = vec![endpoint(mode, premises.service.application_tokens)];
    let Some(replica) = replica else { return findings };
    if let Some(application) = &replica.application {
        findings.push(handlers(application).await);
    }
    findings.extend(arrivals(replica, mode, is_open).await);
    match limited(limit::DATABASE, replica.inbox.depth()).await {
        Ok(depths) => findings.extend(waiting(&depths)),
        Err(problem) => findings.push(problem.warn(catalogue::EVENTS_BACKLOG)),
    }
    findings
}

fn endpoint(mode: Mode, tokens: usize) -> Finding {
    let check = catalogue::EVENTS_ENDPOINT;
    match (mode, tokens) {
        (Mode::Application, _) => Finding::ok(check, "the application's own token lets them in"),
        (Mode::Webhook, 0) => Finding::warn(
            check,
            "closed: changes come with the next incremental sync, not within seconds",
            "`b24sync webhooks instructions` says what to enter in the portal; then set BITRIX_APPLICATION_TOKENS",
        ),
        (Mode::Webhook, tokens) => Finding::ok(check, format!("tokens of outgoing webhooks: {tokens}")),
    }
}

async fn handlers(application: &ApplicationPremises) -> Finding {
    let check = catalogue::EVENTS_HANDLERS;
    match limited(limit::PORTAL, application.service.missing()).await {
        Ok(None) => Finding::warn(
            check,
            "nobody has said where events go",
            "`b24sync webhooks register https://ADDRESS-OF-THIS-SERVICE`, or set PUBLIC_URL for the service",
        ),
        Ok(Some(missing)) if missing.is_empty() => Finding::ok(check, "every event has its handler"),
        Ok(Some(missing)) => {
            let missing: Vec<String> = missing.into_iter().collect();
            let seen = format!("no handler for {}", some_of(&missing));
            let cure = "a running service binds them again within an hour, `b24sync webhooks register` at once";
            Finding::fail(check, seen, cure)
        }
        Err(problem) => problem.fail(check),
    }
}

async fn arrivals(replica: &Replica, mode: Mode, is_open: bool) -> Vec<Finding> {
    let check = catalogue::EVENTS_ARRIVE;
    let asked = limited(limit::DATABASE, async {
        Ok::<_, b24sync_domain::error::StoreError>((
            replica.arrivals.arrivals(GRACE).await?,
            replica.status.overview().await?,
        ))
    });
    let (arrivals, overviews) = match asked.await {
        Ok(answers) => answers,
        Err(problem) => return vec![problem.warn(check)],
    };
    let is_on = |entity: EntityType| {
        overviews
            .iter()
            .find(|overview| overview.entity == entity)
            .is_none_or(|overview| overview.settings.webhook_enabled)
    };
    // Where nobody asked for events, none is missed.
    let expected = arrivals.iter().filter(|arrival| is_open || arrival.last_event.is_some());
    let found = expected.map(|arrival| (arrival.entity, arrived(arrival, is_on(arrival.entity), mode)));
    together(found.collect())
}

fn arrived(arrival: &Arrival, is_on: bool, mode: Mode) -> Finding {
    let check = catalogue::EVENTS_ARRIVE;
    if !is_on {
        return Finding::ok(check, "switched off");
    }
    if arrival.changed == 0 {
        let seen =
            if arrival.last_event.is_some() { "no change without one" } else { "none came yet, and nothing changed" };
        return Finding::ok(check, seen);
    }
    let since = match arrival.last_event {
        Some(last) => format!("no event came since {} UTC", instant(last)),
        None => "no event ever came".to_owned(),
    };
    let newest = arrival.newest_change.map(|at| format!(", the last one at {} UTC", instant(at))).unwrap_or_default();
    let seen = format!("{since}, although {} records changed after that{newest}", arrival.changed);
    let cure = match mode {
        Mode::Webhook => {
            "check the outgoing webhook in the portal, its address, its events and its token: `b24sync webhooks instructions` says what belongs there"
        }
        Mode::Application => {
            "compare `b24sync webhooks list` with the service's address; `b24sync webhooks register` binds what is missing"
        }
    };
    Finding::warn(check, seen, cure)
}

fn instant(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%d %H:%M:%S")
}

fn waiting(depths: &[InboxDepth]) -> Vec<Finding> {
    let backlog = depths.iter().map(|depth| (depth.entity, backlog(depth))).collect();
    let dead = depths.iter().map(|depth| (depth.entity, dead_letters(depth))).collect();
    let mut findings = together(backlog);
    findings.extend(together(dead));
    findings
}

fn backlog(depth: &InboxDepth) -> Finding {
    let check = catalogue::EVENTS_BACKLOG;
    match depth.oldest.filter(|oldest| *oldest > LONGEST_WAIT) {
        None => Finding::ok(check, "none waits longer"),
        Some(oldest) => {
            let seen = format!("{} wait, the oldest for {} minutes", depth.pending, oldest.as_secs() / 60);
            let cure = "start `b24sync serve` if no instance runs; else `b24sync inbox list` says what holds them up";
            Finding::warn(check, seen, cure)
        }
    }
}

fn dead_letters(depth: &InboxDepth) -> Finding {
    let check = catalogue::EVENTS_DEAD;
    if depth.dead == 0 {
        return Finding::ok(check, "none was given up");
    }
    let cure = "`b24sync inbox list --dead` says why; then `b24sync inbox retry`, or `b24sync inbox discard --all`";
    Finding::warn(check, format!("{} events could not be applied", depth.dead), cure)
}
