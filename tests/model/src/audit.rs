//! The invariants of docs/CORRECTNESS.md, checked from what crosses the ports. Knows nothing of how the core or the store
//! come to what they do.

use std::collections::{BTreeMap, HashMap};

use b24sync_domain::lease::{Lease, Scope};
use b24sync_domain::run::{RunKind, RunStatus};
use chrono::{DateTime, TimeDelta, Utc};

use crate::portal::{Millis, OVERLAP, Portal, Version};

/// What the audit remembers of a row, there or gone.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    version: Option<i64>,
    /// The latest read whose answer agrees with the row.
    read: i64,
    /// Highest token that had been drawn when the row was last written or buried: later ones began after that.
    drawn: i64,
    written_at: Millis,
}

/// A run as far as its owner's part in it goes.
#[derive(Debug, Clone)]
struct Part {
    run: i64,
    kind: RunKind,
    /// The run's cursor as it was opened.
    opened_at: i64,
    changed_ended: bool,
    everything_ended: bool,
    /// What the log says of it since this owner ended it.
    ended_as: Option<RunStatus>,
}

/// The highest lease of a scope that was granted.
#[derive(Debug, Clone, Default)]
struct Holder {
    token: i64,
    owner: String,
    until: Millis,
}

/// Watches a history.
#[derive(Debug, Default)]
pub struct Audit {
    now: Millis,
    drawn: i64,
    /// What answers said, by token and record: one answer may show a record in two listings, at two moments.
    reads: BTreeMap<(i64, i64), Vec<i64>>,
    rows: BTreeMap<i64, Row>,
    holders: HashMap<Scope, Holder>,
    parts: BTreeMap<String, Part>,
    cursors: BTreeMap<i64, i64>,
    endings: BTreeMap<i64, RunStatus>,
    watermark: Option<DateTime<Utc>>,
    first_times: BTreeMap<i64, DateTime<Utc>>,
    violation: Option<String>,
    traced: bool,
    trace: Vec<String>,
    /// What happened, for knowing that the histories are not idle.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Audit {
    /// A watch; `traced` keeps what happens as text.
    pub fn new(traced: bool) -> Audit {
        Audit { traced, ..Audit::default() }
    }

    /// Tells the time.
    pub fn at(&mut self, now: Millis) -> &mut Audit {
        self.now = now;
        self
    }

    /// Adds a line to the trace.
    pub fn note(&mut self, who: &str, what: impl FnOnce() -> String) {
        if self.traced && self.violation.is_none() {
            let (seconds, millis) = (self.now.div_euclid(1_000), self.now.rem_euclid(1_000));
            self.trace.push(format!("{seconds:>5}.{millis:03} {who:<4} {}", what()));
        }
    }

    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Remembers the first violation.
    pub fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// The lines of the trace.
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// A token was drawn.
    pub fn token(&mut self, token: i64) {
        if token <= self.drawn {
            self.violated(format!("I2: the token {token} is not greater than {} drawn before it", self.drawn));
        }
        self.drawn = self.drawn.max(token);
    }

    /// The portal's answer under this token has these records.
    pub fn read(&mut self, token: i64, versions: &[(i64, Version)]) {
        for (id, version) in versions {
            self.reads.entry((token, *id)).or_default().push(version.number);
        }
    }

    /// The listing of changes, or of everything, has ended with a valid empty page, and the owner has the answer.
    pub fn listing_ended(&mut self, owner: &str, changes: bool) {
        if let Some(part) = self.parts.get_mut(owner) {
            if changes {
                part.changed_ended = true;
            } else {
                part.everything_ended = true;
            }
        }
    }

    /// I7: a full pass never asks for what its run has committed.
    pub fn listed_from(&mut self, owner: &str, cursor: i64) {
        let Some(part) = self.parts.get(owner).filter(|part| part.kind == RunKind::Full) else { return };
        if cursor < part.opened_at {
            let message = format!("I7: run {} reads again from {cursor}, stands at {}", part.run, part.opened_at);
            self.violated(message);
        }
    }

    /// A lease was granted or prolonged.
    pub fn granted(&mut self, owner: &str, lease: &Lease, until: Millis) {
        let token = lease.token;
        // I8: a token has one holder, and nobody gets one while somebody else's is good.
        let holder = self.holders.get(&lease.scope).cloned().unwrap_or_default();
        if token < holder.token || (token == holder.token && owner != holder.owner) {
            self.violated(format!("I8: {owner} got the token {token}, {} has {}", holder.owner, holder.token));
        }
        self.holders.insert(lease.scope, Holder { token, owner: owner.to_owned(), until });
    }

    /// The holder gave its lease back.
    pub fn released(&mut self, lease: &Lease) {
        if let Some(holder) = self.holders.get_mut(&lease.scope).filter(|holder| holder.token == lease.token) {
            holder.until = Millis::MIN;
        }
    }

    /// I8: whatever changes run state, watermark or rows under a lease does so under the lease that is good now.
    pub fn fenced(&mut self, owner: &str, lease: &Lease, what: &str) {
        let holder = self.holders.get(&lease.scope).cloned().unwrap_or_default();
        if lease.token != holder.token || owner != holder.owner {
            let Holder { token, owner: other, .. } = holder;
            self.violated(format!("I8: {what} by {owner} under token {}; {other} holds {token}", lease.token));
        } else if self.now >= holder.until {
            self.violated(format!("I8: {what} by {owner} under a lease that had run out"));
        }
    }

    /// A run was begun or resumed.
    pub fn opened(&mut self, owner: &str, run: &b24sync_domain::run::Run) {
        let (id, cursor) = (run.id.0, run.cursor.get());
        let known = *self.cursors.entry(id).or_default();
        // I7: it goes on exactly from its last commit.
        if cursor != known {
            self.violated(format!("I7: run {id} was opened at {cursor}, its last commit was at {known}"));
        }
        let part = Part {
            run: id,
            kind: run.kind,
            opened_at: cursor,
            changed_ended: false,
            everything_ended: false,
            ended_as: None,
        };
        self.parts.insert(owner.to_owned(), part);
        self.endings.insert(id, RunStatus::Running);
    }

    /// A run was taken back to its start.
    pub fn rewound(&mut self, owner: &str, run: i64) {
        self.cursors.insert(run, 0);
        if let Some(part) = self.parts.get_mut(owner) {
            part.opened_at = 0;
            part.everything_ended = false;
        }
        self.first_times.remove(&run);
    }

    /// A run's cursor moved in a commit, and this was the portal's time at its first page.
    pub fn advanced(&mut self, run: i64, cursor: Option<i64>, source_start: DateTime<Utc>) {
        let known = self.cursors.entry(run).or_default();
        *known = cursor.unwrap_or(*known).max(*known);
        self.first_times.entry(run).or_insert(source_start);
    }

    /// A row is as `version` says after a read under `token` was applied.
    pub fn applied(&mut self, portal: &Portal, id: i64, token: i64, version: Option<i64>) {
        let row = self.rows.get(&id).copied().unwrap_or_default();
        let delivered = self.reads.get(&(token, id)).cloned().unwrap_or_default();
        let agrees = version.is_some_and(|version| delivered.contains(&version));
        if version != row.version {
            if !agrees {
                self.violated(format!("I11: record {id} became {version:?}, but read {token} said {delivered:?}"));
            }
            self.check_order(portal, id, token, version, row);
            self.rows.insert(id, Row { version, read: token, drawn: self.drawn, written_at: self.now });
        } else if agrees && token > row.read {
            self.rows.insert(id, Row { read: token, drawn: self.drawn, written_at: self.now, ..row });
        }
    }

    fn check_order(&mut self, portal: &Portal, id: i64, token: i64, version: Option<i64>, row: Row) {
        let overlapped = token <= row.drawn;
        match (row.version, version) {
            // I2: no row from a read that began earlier than the one it replaces.
            (Some(old), Some(new)) if token <= row.read => {
                self.violated(format!(
                    "I2: record {id} went from version {old} of read {} to {new} of read {token}",
                    row.read
                ));
            }
            // I2: and while the two overlap, the modification time does not go back.
            (Some(old), Some(new)) if overlapped && portal.modified_of(new) < portal.modified_of(old) => {
                self.violated(format!("I2: overlapping reads took record {id} back from version {old} to {new}"));
            }
            // I5: no revival by a read that began before the record was buried.
            (None, Some(new)) if row.read > 0 && overlapped => {
                self.violated(format!("I5: the stale read {token} revived record {id} as version {new}"));
            }
            _ => {}
        }
    }

    /// A row was taken out on the word of a read under `token`.
    pub fn buried(&mut self, portal: &Portal, id: i64, token: i64) {
        self.count("buried");
        let row = self.rows.get(&id).copied().unwrap_or_default();
        // I4: the record was really gone at some moment since its row was written, and the evidence is newer than that.
        if row.version.is_some() && !portal.was_absent_since(id, row.written_at) {
            self.violated(format!("I4: record {id} was buried, but the portal has had it all the time"));
        }
        if row.version.is_some() && token <= row.drawn {
            self.violated(format!("I4: record {id} was buried on evidence older than its row (read {token})"));
        }
        self.rows.insert(id, Row { version: None, read: token, drawn: self.drawn, written_at: self.now });
    }

    /// I6: the watermark has not moved outside of a completion.
    pub fn watermark_is(&mut self, watermark: Option<DateTime<Utc>>) {
        if watermark != self.watermark {
            self.violated(format!(
                "I6: the watermark moved from {:?} to {watermark:?} before the pass was complete",
                self.watermark
            ));
        }
    }

    /// Where the watermark stands.
    pub fn watermark(&self) -> Option<DateTime<Utc>> {
        self.watermark
    }

    /// A run was completed, and the watermark stands here now.
    pub fn completed(
        &mut self,
        portal: &Portal,
        owner: &str,
        run: i64,
        status: RunStatus,
        watermark: Option<DateTime<Utc>>,
    ) {
        self.endings.insert(run, status);
        let Some(part) = self.parts.get_mut(owner).filter(|part| part.run == run) else {
            return self.violated(format!("I9: {owner} completed run {run}, which it has not opened"));
        };
        part.ended_as = Some(status);
        let part = part.clone();
        self.count(part.kind.as_str());
        // I9: completed means that every listing ended with a valid empty page.
        let ended = match part.kind {
            RunKind::Full | RunKind::Sweep => part.everything_ended,
            RunKind::Incremental => part.everything_ended && part.changed_ended,
            RunKind::Webhook => true,
        };
        if !ended {
            self.violated(format!("I9: run {run} ({}) is {status}, but its listing never ended", part.kind));
        }
        let before = self.watermark;
        self.watermark = watermark;
        if watermark < before {
            self.violated(format!("I6: the watermark went back from {before:?} to {watermark:?}"));
        }
        if watermark == before {
            return;
        }
        let first = self.first_times.get(&run).copied().unwrap_or_default();
        // I6: from the portal's clock at the run's first request, an overlap of 60 s at least behind it.
        if watermark.is_some_and(|watermark| watermark > first - TimeDelta::seconds(60)) {
            self.violated(format!("I6: the watermark {watermark:?} is too near to the pass's start {first}"));
        }
        if let Some(watermark) = watermark {
            self.check_due(portal, watermark);
        }
    }

    /// I6: the watermark says that every change stamped before it is applied, of those that were visible when the pass
    /// began. What is stamped later, the next pass finds.
    fn check_due(&mut self, portal: &Portal, watermark: DateTime<Utc>) {
        let (stamped, visible) = (Portal::second_of(watermark), Portal::second_of(watermark + OVERLAP));
        for (id, entry) in portal.existing() {
            let seen = entry.version.modified < stamped && portal.before(entry.visible_at, visible);
            let due = entry.promised && seen;
            let held = self.rows.get(&id).and_then(|row| row.version);
            if due && held != Some(entry.version.number) {
                let wanted = entry.version;
                self.violated(format!(
                    "I6: the watermark passed record {id}: the portal has {wanted:?}, visible since {}, the replica {held:?}",
                    entry.visible_at
                ));
            }
        }
    }

    /// A run ended without being complete.
    pub fn ended(&mut self, owner: &str, run: i64, status: RunStatus) {
        let ending = self.endings.entry(run).or_insert(status);
        if *ending == RunStatus::Running {
            *ending = status;
        }
        if let Some(part) = self.parts.get_mut(owner).filter(|part| part.run == run) {
            part.ended_as = Some(*ending);
        }
    }

    /// I9: what a caller was told is what the run log says.
    pub fn told(&mut self, owner: &str, run: i64, status: RunStatus) {
        let logged = self.parts.get(owner).filter(|part| part.run == run).and_then(|part| part.ended_as);
        if logged != Some(status) {
            self.violated(format!("I9: {owner} was told that run {run} is {status}, the log says {logged:?}"));
        }
    }

    /// Whether a run is logged as it ended, at the end of the history.
    pub fn check_log(&mut self, run: i64, logged: &str) {
        let known = self.endings.get(&run).copied();
        let interrupted = known == Some(RunStatus::Running) && logged == RunStatus::Interrupted.as_str();
        if !interrupted && known.map(RunStatus::as_str) != Some(logged) {
            self.violated(format!("I9: run {run} is logged as {logged}, but it ended as {known:?}"));
        }
    }
}
