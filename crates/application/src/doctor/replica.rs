//! The tables: whose they are, who works on them, and how they stand.

use std::time::Duration;

use b24sync_domain::doctor::{Finding, catalogue};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{StoreError, who};
use b24sync_domain::lease::Scope;
use b24sync_domain::ports::{EntityOverview, RunningSync};
use b24sync_domain::run::RunStatus;

use super::limit::{self, limited};
use super::premises::{Premises, Replica};
use super::{ENTITIES, portal, some_of, together};
use crate::status::free_gone;

/// Intervals that a table may lag behind.
const INTERVALS: u32 = 3;

pub(super) async fn check(premises: &Premises, replica: Option<&Replica>, fix: bool) -> Vec<Finding> {
    let Some(replica) = replica else { return Vec::new() };
    let mut findings = vec![belongs(premises, replica).await];
    let (scheduler, is_led) = scheduler(replica).await;
    findings.push(scheduler);
    findings.extend(runs(replica, is_led, fix).await);
    findings.extend(entities(replica).await);
    findings
}

async fn belongs(premises: &Premises, replica: &Replica) -> Finding {
    let check = catalogue::REPLICA_PORTAL;
    let known = match limited(limit::DATABASE, replica.portals.portal()).await {
        Ok(known) => known,
        Err(problem) => return problem.warn(check),
    };
    let given = portal::source(premises, Some(replica)).map(b24sync_domain::ports::CrmSource::address);
    match (known, given) {
        (None, _) => Finding::ok(check, "no portal was copied here yet"),
        (Some(known), Some(given)) if known.address != given => Finding::fail(
            check,
            format!("the tables have the records of {}, but the settings lead to {given}", known.address),
            "use a database or a DATABASE_SCHEMA of its own for each portal; if it is the same portal at a new address, run `b24sync sync --all --portal-moved`",
        ),
        (Some(known), _) => Finding::ok(check, known.address),
    }
}

/// Whether an instance leads; without one, nobody does what waits.
async fn scheduler(replica: &Replica) -> (Finding, bool) {
    let check = catalogue::REPLICA_SCHEDULER;
    match limited(limit::DATABASE, replica.leases.holder(Scope::Scheduler)).await {
        Ok(Some(held)) if !replica.instances.is_gone(&held.holder) => (Finding::ok(check, who(&held.holder)), true),
        Ok(_) => {
            let cure =
                "start `b24sync serve`; if you call `b24sync sync` by a timer of your own, this is as it should be";
            (Finding::warn(check, "no instance runs, so that nothing is synced by itself", cure), false)
        }
        Err(problem) => (problem.warn(check), true),
    }
}

async fn runs(replica: &Replica, is_led: bool, fix: bool) -> Vec<Finding> {
    let running = match limited(limit::DATABASE, replica.board.running()).await {
        Ok(running) => running,
        Err(problem) => return vec![problem.warn(catalogue::REPLICA_ABANDONED)],
    };
    let is_abandoned =
        |run: &&RunningSync| !run.queued && run.holder.as_ref().is_none_or(|holder| replica.instances.is_gone(holder));
    let gone: Vec<String> = running.iter().filter(is_abandoned).map(named).collect();
    let waiting: Vec<String> = running.iter().filter(|run| run.queued).map(named).collect();
    vec![abandoned(replica, &gone, fix).await, queue(&waiting, is_led)]
}

fn named(run: &RunningSync) -> String {
    format!("{} {} (run {})", run.entity, run.kind, run.run)
}

async fn abandoned(replica: &Replica, gone: &[String], fix: bool) -> Finding {
    let check = catalogue::REPLICA_ABANDONED;
    if gone.is_empty() {
        return Finding::ok(check, "no run is marked as running without one");
    }
    let seen = format!("marked as running, but nobody is at it: {}", some_of(gone));
    if !fix {
        let cure = "`b24sync doctor --fix` closes them; a running service goes on with them by itself";
        return Finding::warn(check, seen, cure);
    }
    match limited(limit::DATABASE, close(replica)).await {
        Ok(closed) => Finding::ok(check, format!("closed {closed}; {seen}")).mended(),
        Err(problem) => problem.fail(check),
    }
}

async fn close(replica: &Replica) -> Result<u64, StoreError> {
    let scopes: Vec<Scope> = Scope::of_runs().collect();
    free_gone(replica.leases.as_ref(), replica.instances.as_ref(), &scopes).await?;
    replica.runs.close_abandoned().await
}

fn queue(waiting: &[String], is_led: bool) -> Finding {
    let check = catalogue::REPLICA_QUEUE;
    if waiting.is_empty() {
        return Finding::ok(check, "no run waits");
    }
    let seen = format!("waiting: {}", some_of(waiting));
    if is_led {
        return Finding::ok(check, seen);
    }
    Finding::fail(check, format!("{seen}; no instance is there to do it"), "start `b24sync serve`")
}

async fn entities(replica: &Replica) -> Vec<Finding> {
    let overviews = match limited(limit::DATABASE, replica.status.overview()).await {
        Ok(overviews) => overviews,
        Err(problem) => return vec![problem.fail(catalogue::REPLICA_LAST_RUN)],
    };
    let mut fresh = Vec::new();
    for overview in &overviews {
        fresh.push((overview.entity, freshness(overview, selects(replica, overview.entity).await)));
    }
    let each = |judge: fn(&EntityOverview) -> Finding| {
        overviews.iter().map(|overview| (overview.entity, judge(overview))).collect::<Vec<_>>()
    };
    let mut findings = together(each(last_run));
    findings.extend(together(fresh));
    findings.extend(together(each(quarantine)));
    findings.extend(together(each(drift)));
    findings
}

fn last_run(overview: &EntityOverview) -> Finding {
    let check = catalogue::REPLICA_LAST_RUN;
    let Some(run) = &overview.last_run else { return Finding::ok(check, "none yet") };
    let seen = format!("{} {}", run.kind, run.status);
    if run.status != RunStatus::Failed.as_str() {
        return Finding::ok(check, seen);
    }
    let why = run.error.as_deref().unwrap_or("the log has no reason");
    let cure = format!("docs/operations.md, What to do when; then `b24sync sync {ENTITIES}`");
    Finding::fail(check, format!("{seen}: {why}"), cure)
}

/// Whether incremental syncs work: where they do not, the watermark stands still although the tables do not.
async fn selects(replica: &Replica, entity: EntityType) -> bool {
    let kept = limited(limit::DATABASE, replica.portals.probe(entity)).await;
    kept.ok().flatten().is_none_or(|kept| kept.probe.allows_incremental())
}

fn freshness(overview: &EntityOverview, selects: bool) -> Finding {
    let check = catalogue::REPLICA_FRESH;
    if !overview.settings.enabled {
        return Finding::ok(check, "switched off");
    }
    if !selects {
        return Finding::ok(check, "read completely each time");
    }
    if overview.watermark.is_none() {
        let cure = format!("run `b24sync sync {ENTITIES}`, or start `b24sync serve`");
        return Finding::warn(check, "never read completely", cure);
    }
    let interval = Duration::from_secs(60 * u64::from(overview.settings.sync_interval_minutes.unsigned_abs()));
    match overview.lag.filter(|lag| *lag > interval * INTERVALS) {
        None => Finding::ok(check, format!("complete up to {INTERVALS} intervals ago or less")),
        Some(lag) => {
            let (lag, interval) = (lag.as_secs() / 60, interval.as_secs() / 60);
            let seen = format!("complete up to {lag} minutes ago; it is synced every {interval} minutes");
            let cure = "see `b24sync status` and `b24sync history` for why its syncs do not run or fail";
            Finding::warn(check, seen, cure)
        }
    }
}

fn quarantine(overview: &EntityOverview) -> Finding {
    let check = catalogue::REPLICA_QUARANTINE;
    if overview.quarantined == 0 {
        return Finding::ok(check, "nothing in quarantine");
    }
    let cure =
        format!("`b24sync quarantine list` says why; correct the records, then `b24sync quarantine retry {ENTITIES}`");
    Finding::warn(check, format!("{} records cannot be stored", overview.quarantined), cure)
}

fn drift(overview: &EntityOverview) -> Finding {
    let check = catalogue::REPLICA_DRIFT;
    let Some(drift) = overview.drift else { return Finding::ok(check, "never compared") };
    if drift.missing + drift.extra + drift.different == 0 {
        return Finding::ok(check, "no difference");
    }
    let seen = format!(
        "on {} UTC {} records were missing, {} too many, {} different",
        drift.at.format("%Y-%m-%d %H:%M"),
        drift.missing,
        drift.extra,
        drift.different
    );
    Finding::warn(check, seen, format!("run `b24sync verify {ENTITIES} --repair`"))
}
