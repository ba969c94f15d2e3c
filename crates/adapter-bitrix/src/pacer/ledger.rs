//! The execution time of each method, as answers tell it (Bitrix24 REST 4.2).
//!
//! The portal's documentation and measurements contradict each other about whether a batch is charged to `batch` or to the
//! methods in it. Both are accounts here, and a request must fit into all that it may be charged to.

use std::collections::HashMap;
use std::time::Duration;

use b24sync_domain::ports::{BudgetReport, Lane, MethodPause, PortalRequest};
use tokio::time::Instant;

/// Part of the limit up to which requests of a lane are sent. What is above is for more important ones, and for what other
/// processes are about to use. 90 %, as REST 4.2 advises, would make a full sync take 11 % longer (ADR 9).
fn share(lane: Lane) -> f64 {
    match lane {
        Lane::Hint => 0.99,
        Lane::Incremental => 0.97,
        Lane::Full => 0.96,
    }
}

/// Part of the limit from which on requests of a method go one after another.
const SLOW: f64 = 0.6;

/// Part of the limit that the first request after a reset may cost: how much was given back is not known before.
const PROBE: f64 = 0.005;

/// When time is given back where the portal does not say: the portal counts in tenths of its window of ten minutes.
const TENTH_OF_WINDOW: Duration = Duration::from_secs(60);

/// Shortest wait for a reset, so that a portal whose clock jumps is not asked without end.
const SHORTEST: Duration = Duration::from_millis(200);

/// Time after which nothing is left in the portal's window of what was heard.
const WINDOW: Duration = Duration::from_secs(600);

/// Pause of a refused method: at least, and at most or where the portal does not say how long. It lifts the block by itself
/// after ten minutes.
const PAUSE_LEAST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = WINDOW;

/// Part of the configured limit below which nothing is learned, and what comes back of it in each window.
const LEARNED_LEAST: f64 = 0.05;
const RESTORED: f64 = 0.01;

/// Weight of the newest observation in the cost of a command, where it is the smaller one.
const NEWEST: f64 = 0.2;

/// What is known of one method.
#[derive(Debug, Default)]
struct Account {
    /// Seconds used, when that was heard, and when part of it comes back.
    heard: Option<Heard>,
    /// Seconds that a command costs; `None` before two answers have been heard.
    cost: Option<f64>,
    in_flight: u32,
    /// What those on their way will cost.
    expected: f64,
    paused_until: Option<Instant>,
    /// A limit that a refusal has shown, and when.
    learned: Option<(f64, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    used: f64,
    /// Commands of the request that it was the answer to.
    commands: usize,
    at: Instant,
    resets_at: Instant,
}

/// Whether a request may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// With so many commands.
    Go(usize),
    /// Not before then, or, without a time, before something changes.
    Wait(Option<Instant>),
}

/// What one request was entered with.
pub(super) type Entry = Vec<(String, f64)>;

/// A refusal for execution time, for others to hear of.
pub(super) type Refused = Option<MethodPause>;

/// Accounts by method.
#[derive(Debug)]
pub(super) struct Ledger {
    limit: f64,
    accounts: HashMap<String, Account>,
}

impl Ledger {
    /// `limit`: seconds that a method may use in the portal's window.
    pub(super) fn new(limit: f64) -> Ledger {
        Ledger { limit, accounts: HashMap::new() }
    }

    pub(super) fn verdict(&self, request: &PortalRequest, now: Instant) -> Verdict {
        let verdicts = request.methods.iter().filter_map(|method| self.accounts.get(method));
        let verdicts = verdicts.map(|account| account.verdict(request, self.limit, now));
        verdicts.fold(Verdict::Go(*request.commands.end()), |all, one| match (all, one) {
            (Verdict::Go(all), Verdict::Go(one)) => Verdict::Go(all.min(one)),
            (Verdict::Wait(Some(all)), Verdict::Wait(Some(one))) => Verdict::Wait(Some(all.max(one))),
            (Verdict::Wait(None), _) | (_, Verdict::Wait(None)) => Verdict::Wait(None),
            (Verdict::Wait(until), Verdict::Go(_)) | (Verdict::Go(_), Verdict::Wait(until)) => Verdict::Wait(until),
        })
    }

    /// Enters a request that is sent with so many commands.
    pub(super) fn begin(&mut self, request: &PortalRequest, commands: usize) -> Entry {
        let mut entry = Vec::with_capacity(request.methods.len());
        for method in &request.methods {
            let account = self.accounts.entry(method.clone()).or_default();
            let expected = account.cost.unwrap_or_default() * number(commands);
            account.in_flight += 1;
            account.expected += expected;
            entry.push((method.clone(), expected));
        }
        entry
    }

    /// The request is over.
    pub(super) fn end(&mut self, entry: &Entry) {
        for (method, expected) in entry {
            let Some(account) = self.accounts.get_mut(method) else { continue };
            account.in_flight = account.in_flight.saturating_sub(1);
            // Sums of floating point numbers do not come back to nothing by themselves.
            account.expected = if account.in_flight == 0 { 0.0 } else { (account.expected - expected).max(0.0) };
        }
    }

    /// Learns from an answer. A refusal is returned, so that others can be told.
    pub(super) fn hear(&mut self, report: &BudgetReport, now: Instant) -> Refused {
        let account = self.accounts.entry(report.method.clone()).or_default();
        if let Some(used) = report.operating_seconds {
            account.used(used, report, now);
            account.learned = account.learned.filter(|(limit, _)| used <= *limit);
        }
        report.method_refused.then(|| {
            let pause = report.resets_in.map_or(PAUSE_MOST, |left| left.clamp(PAUSE_LEAST, PAUSE_MOST));
            let limit = account.refused(self.limit, pause, now);
            MethodPause { method: report.method.clone(), pause, limit_seconds: limit }
        })
    }

    /// Somebody else was refused a method.
    pub(super) fn told(&mut self, told: &MethodPause, now: Instant) {
        let account = self.accounts.entry(told.method.clone()).or_default();
        account.paused_until = account.paused_until.max(Some(now + told.pause));
        if let Some(limit) = told.limit_seconds.filter(|limit| *limit < account.limit(self.limit, now)) {
            account.learned = Some((limit, now));
        }
    }

    /// Part of its limit that a method has used, as last heard.
    pub(super) fn used_ratio(&self, method: &str, now: Instant) -> Option<f64> {
        let account = self.accounts.get(method)?;
        Some(account.heard?.used / account.limit(self.limit, now))
    }
}

impl Account {
    /// The limit in force: a learned one comes back to the configured one little by little, in case it was others who had
    /// used up the time.
    fn limit(&self, configured: f64, now: Instant) -> f64 {
        let Some((learned, at)) = self.learned else { return configured };
        let windows = now.saturating_duration_since(at).as_secs_f64() / WINDOW.as_secs_f64();
        (learned + configured * RESTORED * windows).min(configured)
    }

    fn verdict(&self, request: &PortalRequest, configured: f64, now: Instant) -> Verdict {
        let (least, most) = (*request.commands.start(), *request.commands.end());
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Verdict::Wait(Some(until));
        }
        let Some(heard) = self.heard.filter(|heard| now < heard.at + WINDOW) else { return Verdict::Go(most) };
        let limit = self.limit(configured, now);
        if self.in_flight > 0 && heard.used >= SLOW * limit {
            return Verdict::Wait(None);
        }
        let cost = self.cost.unwrap_or_default();
        let left = share(request.lane) * limit - heard.used - self.expected;
        if left > 0.0 && cost * number(least) <= left {
            return Verdict::Go(affordable(cost, left, most).max(least));
        }
        if self.in_flight > 0 {
            return Verdict::Wait(None);
        }
        if heard.resets_at > now {
            return Verdict::Wait(Some(heard.resets_at));
        }
        // Something was given back meanwhile; how much, the answer to a small request tells.
        let small = if self.cost.is_some() { affordable(cost, PROBE * limit, most) } else { least };
        Verdict::Go(small.max(least))
    }

    fn used(&mut self, used: f64, report: &BudgetReport, now: Instant) {
        let before = self.heard.filter(|before| now < before.resets_at && used >= before.used);
        if let Some(before) = before {
            // Where batches are charged to `batch`, the account of a method shows what the first command found: the
            // difference is then the cost of the request before. Requests of about the same size tell the same either way.
            let (this, last) = (report.commands.max(1), before.commands);
            let is_alike = this <= 2 * last && last <= 2 * this;
            let cost = (used - before.used) / number(this);
            self.cost = Some(match self.cost {
                Some(known) if !is_alike => known,
                Some(known) if known > cost => known * (1.0 - NEWEST) + cost * NEWEST,
                _ => cost,
            });
        }
        let resets_in = report.resets_in.unwrap_or(TENTH_OF_WINDOW).clamp(SHORTEST, WINDOW);
        let commands = report.commands.max(1);
        self.heard = Some(Heard { used, commands, at: now, resets_at: now + resets_in });
    }

    /// Pauses, and returns the limit that the refusal has shown.
    fn refused(&mut self, configured: f64, pause: Duration, now: Instant) -> Option<f64> {
        let limit = self.limit(configured, now);
        let shown = self.heard.filter(|heard| now < heard.at + WINDOW).map(|heard| heard.used);
        let shown = shown.map(|used| used.max(configured * LEARNED_LEAST)).filter(|used| *used < limit);
        if let Some(shown) = shown {
            self.learned = Some((shown, now));
        }
        let until = now + pause;
        self.paused_until = self.paused_until.max(Some(until));
        // Whatever was heard, the account is empty until then; after that a small request tells.
        self.heard = Some(Heard { used: shown.unwrap_or(limit), commands: 1, at: now, resets_at: until });
        shown
    }
}

/// How many commands of this cost `left` pays for, `most` at most.
fn affordable(cost: f64, left: f64, most: usize) -> usize {
    (1..=most).take_while(|commands| cost * number(*commands) <= left).count()
}

/// A number of commands, which are few.
fn number(commands: usize) -> f64 {
    u32::try_from(commands).map_or(f64::MAX, f64::from)
}
