//! The portal: access, clock, limits, and each entity.

use b24sync_domain::application::Mode;
use b24sync_domain::appraisal::Appraisal;
use b24sync_domain::doctor::{Check, Finding, catalogue};
use b24sync_domain::entity::EntityType;
use b24sync_domain::portal::{EntityProbe, PortalProfile, Probed};
use b24sync_domain::ports::CrmSource;
use b24sync_domain::progress::Window;
use b24sync_domain::record::Layout;
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;

use super::database::{ahead_or_behind, apart};
use super::limit::{self, limited};
use super::premises::{PortalPremises, Premises, Replica};
use super::together;
use crate::pass::OVERLAP;

/// The portal's clock shows whole seconds, and its answer takes some.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// What the largest plan of the cloud allows (Bitrix24 REST 4.1).
const FASTEST: f64 = 5.0;
const MOST_AT_ONCE: u32 = 250;

/// What the ordinary plans allow.
const USUAL: f64 = 2.0;
const USUAL_AT_ONCE: u32 = 50;

/// The portal that is set, however it is called.
pub(super) fn source<'a>(premises: &'a Premises, replica: Option<&'a Replica>) -> Option<&'a dyn CrmSource> {
    let of_application =
        replica.and_then(|replica| replica.application.as_ref()).map(|application| &application.source);
    premises.portal.source.as_ref().or(of_application).map(AsRef::as_ref)
}

pub(super) async fn check(
    premises: &Premises,
    replica: Option<&Replica>,
    database_ahead: Option<TimeDelta>,
) -> Vec<Finding> {
    if premises.portal.mode.is_none() {
        let cure = "set BITRIX_WEBHOOK_URL, or BITRIX_CLIENT_ID for an application (docs/operations.md)";
        return vec![Finding::warn(catalogue::PORTAL_CONFIGURED, "no portal is set, so that none was looked at", cure)];
    }
    let Some(source) = source(premises, replica) else {
        if premises.portal.mode == Some(Mode::Application) && replica.is_none() {
            let seen = "the application's tokens are in the database, whose tables could not be looked at";
            return vec![Finding::warn(catalogue::PORTAL_CONFIGURED, seen, "mend what is said of the database first")];
        }
        let cure = "mend what is said of the settings first";
        return vec![Finding::fail(catalogue::PORTAL_CONFIGURED, "a portal is set, but it cannot be called", cure)];
    };
    let mut findings = vec![Finding::ok(catalogue::PORTAL_CONFIGURED, source.address())];
    findings.push(limits(&premises.portal));
    let before = premises.clock.now();
    let profile = match limited(limit::PORTAL, source.profile()).await {
        Ok(profile) => profile,
        Err(mut problem) => {
            problem.seen.push_str("; its entities were not looked at");
            findings.push(problem.fail(catalogue::PORTAL_REACHABLE));
            return findings;
        }
    };
    let ahead = apart(profile.server_time.with_timezone(&Utc), before, premises.clock.now());
    findings.extend(access(&profile));
    findings.push(clock(ahead, database_ahead));
    findings.extend(entities(source, replica).await);
    findings
}

fn limits(portal: &PortalPremises) -> Finding {
    let check = catalogue::PORTAL_LIMITS;
    let seen = format!("{} requests a second, {} at once", portal.rate_per_second, portal.rate_burst);
    if portal.rate_per_second > FASTEST || portal.rate_burst > MOST_AT_ONCE {
        let cure = "set BITRIX_RATE_PER_SECOND and BITRIX_RATE_BURST to 2 and 50, or 5 and 250 with Enterprise; only a portal on your own server may have no limit";
        return Finding::warn(check, format!("{seen}: more than any plan of the cloud allows"), cure);
    }
    let plan =
        if portal.rate_per_second > USUAL || portal.rate_burst > USUAL_AT_ONCE { ": Enterprise only" } else { "" };
    Finding::ok(check, format!("{seen}{plan}"))
}

fn access(profile: &PortalProfile) -> Vec<Finding> {
    let mut findings = vec![Finding::ok(catalogue::PORTAL_REACHABLE, format!("answers user {}", profile.user_id))];
    findings.push(match profile.admin {
        Some(true) => Finding::ok(catalogue::PORTAL_ADMINISTRATOR, "an administrator"),
        Some(false) => Finding::warn(
            catalogue::PORTAL_ADMINISTRATOR,
            "no administrator: records that this user may not read are missing in the tables, without a word",
            "make the webhook as an administrator, best one made for integrations, or give the user the right to read all of CRM",
        ),
        None => Finding::ok(catalogue::PORTAL_ADMINISTRATOR, "the portal does not say"),
    });
    findings.push(scopes(&profile.scopes));
    findings.push(time_zone(profile));
    findings
}

fn scopes(scopes: &[String]) -> Finding {
    let check = catalogue::PORTAL_SCOPES;
    let listed = if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") };
    if scopes.iter().any(|scope| scope.eq_ignore_ascii_case("crm")) {
        return Finding::ok(check, listed);
    }
    let cure = "edit the webhook (or the application's card) in the portal and give it the scope `crm`";
    Finding::fail(check, format!("`crm` is not among the scopes: {listed}"), cure)
}

fn time_zone(profile: &PortalProfile) -> Finding {
    let check = catalogue::PORTAL_TIME_ZONE;
    let zone = profile.time_zone.as_deref().unwrap_or("the portal's own");
    if profile.behind.is_zero() {
        return Finding::ok(check, format!("{zone}; the portal's clock is {}", profile.server_time.offset()));
    }
    let seen = format!(
        "{zone} is {} s behind the portal's clock; incremental syncs look further back by that",
        profile.behind.num_seconds()
    );
    Finding::warn(check, seen, "give the webhook's owner the portal's own time zone")
}

fn clock(ahead: TimeDelta, database_ahead: Option<TimeDelta>) -> Finding {
    let check = catalogue::PORTAL_CLOCK;
    let of_database = database_ahead.map(|database| ahead - database).filter(|apart| apart.abs() > CLOCK_TOLERANCE);
    let of_machine = Some(ahead).filter(|apart| apart.abs() > CLOCK_TOLERANCE);
    let whose = match (of_machine, of_database) {
        (Some(apart), Some(_)) => format!("{} this machine's and the database's", ahead_or_behind(apart)),
        (Some(apart), None) => format!("{} this machine's", ahead_or_behind(apart)),
        (None, Some(apart)) => format!("{} the database's", ahead_or_behind(apart)),
        (None, None) => return Finding::ok(check, "agrees with this machine's and the database's"),
    };
    let cure = "keep the clocks of your machines by NTP; syncs go by the portal's clock alone, but how old the tables look does not";
    Finding::warn(check, format!("the portal's clock is {whose}"), cure)
}

/// All entities at once, so that a portal that does not answer is waited for once.
async fn entities(source: &dyn CrmSource, replica: Option<&Replica>) -> Vec<Finding> {
    let overviews = match replica {
        Some(replica) => limited(limit::DATABASE, replica.status.overview()).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let looks = EntityType::all().map(|entity| {
        let rows = overviews.iter().find(|overview| overview.entity == entity).and_then(|overview| overview.rows);
        async move {
            let readable = read(source, rows, entity).await;
            // What cannot be read cannot be selected either.
            let selected = match readable.cure {
                None => Some(selection(source, replica, entity).await),
                Some(_) => None,
            };
            (entity, readable, selected)
        }
    });
    let (mut readable, mut selected) = (Vec::new(), Vec::new());
    for (entity, read, selection) in join_all(looks).await {
        readable.push((entity, read));
        selected.extend(selection.map(|selection| (entity, selection)));
    }
    let mut findings = together(readable);
    findings.extend(together(selected));
    findings
}

async fn read(source: &dyn CrmSource, rows: Option<i64>, entity: EntityType) -> Finding {
    let check = catalogue::PORTAL_READABLE;
    let fields = match limited(limit::PORTAL, source.fields(entity)).await {
        Ok(fields) => fields,
        Err(problem) => return problem.fail(check),
    };
    let own = fields.iter().filter(|field| field.name.as_str().starts_with("UF_")).count();
    let described = format!("{} fields, {own} of them user fields", fields.len());
    let layout = Layout::new(fields.into_iter().map(|field| field.name).collect());
    match limited(limit::PORTAL, source.appraise(entity, &layout, Window::Everything)).await {
        Ok(Some(appraisal)) => {
            seen_records(check, &described, &appraisal, rows.and_then(|rows| u64::try_from(rows).ok()))
        }
        Ok(None) => Finding::ok(check, described),
        // Counting is slow where there are millions, and proves nothing that the description does not.
        Err(problem) if problem.late => Finding::ok(check, format!("{described}; counting the records takes too long")),
        Err(problem) => problem.fail(check),
    }
}

/// Fewer records than the table has, by more than deletions that wait for a sweep explain, look like rights that were
/// taken away.
fn seen_records(check: Check, described: &str, appraisal: &Appraisal, rows: Option<u64>) -> Finding {
    let (count, (lasts, _)) = (appraisal.records, appraisal.at_least());
    let takes = format!("{} requests, {} s at least", appraisal.requests, lasts.as_secs_f64().ceil());
    let seen = format!("{described}, {count} records ({takes})");
    let Some(rows) = rows.filter(|rows| count < rows.saturating_sub((rows / 10).max(50)) || (count == 0 && *rows > 0))
    else {
        return Finding::ok(check, seen);
    };
    let seen = format!(
        "{described}, {count} records, but the table has {rows} rows: the webhook's user sees fewer than before, or many were deleted"
    );
    let cure =
        "see whether this user's rights in CRM have changed; nothing is deleted in the tables before that is clear";
    if count == 0 { Finding::fail(check, seen, cure) } else { Finding::warn(check, seen, cure) }
}

/// As found before, if that was lately, or else asked now. Nothing is kept: that is for syncs to do.
async fn selection(source: &dyn CrmSource, replica: Option<&Replica>, entity: EntityType) -> Finding {
    if let Some(replica) = replica
        && let Ok(Some(kept)) = limited(limit::DATABASE, replica.portals.probe(entity)).await
        && !kept.stale
    {
        return understood(&kept.probe);
    }
    let check = catalogue::PORTAL_SELECTION;
    match limited(limit::PORTAL, source.probe(entity)).await {
        Ok(Probed::Answered(probe)) => understood(&probe),
        Ok(Probed::Empty) => Finding::ok(check, "no record to try it with"),
        Ok(Probed::Unsettled) => Finding::ok(check, "the newest record changes too fast to try it with"),
        Err(problem) => problem.fail(check),
    }
}

fn understood(probe: &EntityProbe) -> Finding {
    let check = catalogue::PORTAL_SELECTION;
    let cure = "give the webhook's owner the portal's own time zone; if that does not help, nothing is lost: every sync reads everything";
    if !probe.keyset {
        return Finding::warn(check, "listings do not begin above an id: every sync reads everything", cure);
    }
    let Some(style) = probe.bounds else {
        return Finding::warn(
            check,
            "no way to write a time selects what it should: every sync reads everything",
            cure,
        );
    };
    if probe.ahead > OVERLAP / 2 {
        let seen = format!("modified times lie {} s ahead of the portal's clock", probe.ahead.num_seconds());
        return Finding::warn(check, seen, cure);
    }
    Finding::ok(check, format!("by time ({}) and by id", style.as_str()))
}
