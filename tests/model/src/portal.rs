//! What the portal holds: records with whole seconds of modification, changes that become visible late, rights.

use std::collections::BTreeMap;

use b24sync_domain::progress::{Cursor, Window};
use b24sync_testkit::build::portal_time;
use chrono::{DateTime, TimeDelta, Utc};

use crate::chance::Chance;

/// How far a watermark stays behind a pass's start (CORRECTNESS 4.3). On purpose not the core's own constant.
pub const OVERLAP: TimeDelta = TimeDelta::seconds(300);

/// How late a change may become visible while only lease holders write: an overlap, to the second.
const LATEST: Millis = 300_000;

/// How late it may be while others write too. A pass's first read may lose against a read that began later and was
/// answered earlier, so that the overlap also has to cover the time from drawing a token to the portal's look at its
/// data; what is left of it covers a minute in any case (CORRECTNESS 6, I6).
const LATEST_AMONG_OTHERS: Millis = 60_000;

/// Milliseconds since the history began, on the clock that nobody in the model can see.
pub type Millis = i64;

/// One version of a record, as a reader sees it. No two versions have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Rises with every change of any record.
    pub number: i64,
    /// Second of the portal's clock that the record shows as its last change.
    pub modified: i64,
}

/// A record, there or gone.
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its content; kept when it is deleted, because it can be restored.
    pub version: Version,
    /// When this version became visible.
    pub visible_at: Millis,
    /// Whether it exists.
    pub exists: bool,
    /// Whether an incremental pass has to find its latest change. Not so after what only a full pass promises to find:
    /// deletion, a modification time that went back, a change while the record could not be listed.
    pub promised: bool,
    /// Whether an event was taken in since its latest change, and nothing has kept it from being read since.
    pub told: bool,
    hidden: bool,
    omitted: bool,
    /// A change has begun and is not visible yet: nobody else can change the record.
    locked: bool,
    /// Times of its absence: from, until.
    absences: Vec<(Millis, Option<Millis>)>,
}

/// What one transaction of the portal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Creates or changes a record; the second is the one it shows.
    Write(i64, i64),
    /// Sets the modification time back, with a change.
    SetBack(i64, i64),
    /// Deletes it.
    Delete(i64),
    /// Brings it back under its id, with this modification time or the old one.
    Restore(i64, Option<i64>),
}

impl Change {
    /// Which record.
    pub fn id(self) -> i64 {
        match self {
            Change::Write(id, _) | Change::SetBack(id, _) | Change::Delete(id) | Change::Restore(id, _) => id,
        }
    }
}

/// The portal. Every look at it first lets become visible what is due.
#[derive(Debug)]
pub struct Portal {
    records: BTreeMap<i64, Entry>,
    versions: BTreeMap<i64, i64>,
    late: Vec<(Millis, Change)>,
    /// Events that are on their way out: which record, and whether it was deleted.
    events: Vec<(i64, bool)>,
    last_id: i64,
    last_version: i64,
    /// The portal's clock at the beginning of the history.
    offset: Millis,
    type_removed: bool,
    now: Millis,
    /// How late changes become visible.
    pub latest: Millis,
}

/// Never deleted and never hidden: a portal that shows nothing at all is another story (`NothingVisible`).
pub const ANCHOR: i64 = 1;

impl Portal {
    /// An empty portal whose clock is this much ahead. `others` write to the replica without a lease.
    pub fn new(offset: Millis, others: bool) -> Portal {
        Portal {
            records: BTreeMap::new(),
            versions: BTreeMap::new(),
            late: Vec::new(),
            events: Vec::new(),
            last_id: 0,
            last_version: 0,
            offset,
            type_removed: false,
            now: 0,
            latest: if others { LATEST_AMONG_OTHERS } else { LATEST },
        }
    }

    /// Moves the clock, and lets late changes become visible that are due, each at its own time.
    pub fn at(&mut self, now: Millis) -> &mut Portal {
        self.late.sort_by_key(|(due, _)| *due);
        while let Some((due, change)) = self.late.first().copied().filter(|(due, _)| *due <= now) {
            self.late.remove(0);
            self.now = due;
            if let Some(entry) = self.records.get_mut(&change.id()) {
                entry.locked = false;
            }
            self.apply(change);
        }
        self.now = now;
        self
    }

    /// The portal's clock, whole seconds.
    pub fn second(&self) -> i64 {
        (self.now + self.offset).div_euclid(1_000)
    }

    /// A time of the portal in its seconds.
    pub fn second_of(time: DateTime<Utc>) -> i64 {
        (time - portal_time(0).with_timezone(&Utc)).num_seconds()
    }

    /// Whether this moment was before that second of the portal's clock.
    pub fn before(&self, moment: Millis, second: i64) -> bool {
        moment + self.offset < second * 1_000
    }

    /// A new id; ids rise in the order of their transactions' beginnings.
    pub fn new_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// Makes the change now.
    pub fn apply(&mut self, change: Change) {
        let now = self.now;
        self.events.push((change.id(), matches!(change, Change::Delete(_))));
        match change {
            Change::Write(id, second) => self.write(id, second, true),
            Change::SetBack(id, second) => self.write(id, second, false),
            Change::Delete(id) => {
                if let Some(entry) = self.records.get_mut(&id) {
                    entry.exists = false;
                    entry.promised = false;
                    entry.told = false;
                    entry.absences.push((now, None));
                }
            }
            Change::Restore(id, second) => {
                let Some(old) = self.records.get(&id).map(|entry| entry.version.modified) else { return };
                self.write(id, second.unwrap_or(old), second.is_some());
            }
        }
    }

    fn write(&mut self, id: i64, modified: i64, promised: bool) {
        self.last_version += 1;
        let version = Version { number: self.last_version, modified };
        self.versions.insert(version.number, modified);
        let now = self.now;
        let entry = self.records.entry(id).or_insert_with(|| Entry {
            version,
            visible_at: now,
            exists: false,
            promised,
            told: false,
            hidden: false,
            omitted: false,
            locked: false,
            // It was not there since the beginning.
            absences: vec![(Millis::MIN, None)],
        });
        if !entry.exists
            && let Some((_, until)) = entry.absences.last_mut()
        {
            *until = Some(now);
        }
        entry.exists = true;
        entry.version = version;
        entry.visible_at = now;
        entry.told = false;
        entry.promised = promised && !entry.hidden && !entry.omitted && !self.type_removed;
    }

    /// Begins a change now that becomes visible later.
    pub fn apply_late(&mut self, change: Change, delay: Millis) {
        let due = self.now + delay;
        if let Some(entry) = self.records.get_mut(&change.id()) {
            entry.locked = true;
        }
        self.late.push((due, change));
    }

    /// The worst moment: a pass has just had its first look, and a change becomes visible that began an overlap ago, in
    /// the very second that the pass's watermark will have. Returns the record.
    pub fn surprise(&mut self, chance: &Chance) -> Option<i64> {
        let second = self.second() - OVERLAP.num_seconds();
        let untouched = |entry: &Entry| entry.exists && !entry.locked && self.before(entry.visible_at, second);
        let ids: Vec<i64> = self.records.iter().filter(|(_, entry)| untouched(entry)).map(|(id, _)| *id).collect();
        let id = chance.pick(&ids)?;
        self.apply(Change::Write(id, second));
        Some(id)
    }

    /// Deletes this record, if it can be deleted now.
    pub fn lose(&mut self, id: i64) {
        if self.removable().contains(&id) {
            self.apply(Change::Delete(id));
        }
    }

    /// The first full pass is complete, and the watermark stands at this second. What it did not see of records that
    /// show an older time is not promised to an incremental pass: the floor for new records begins at the highest id
    /// that is known now, not at one known an overlap ago, so that a transaction that made a lower id visible after the
    /// listing had passed it is left to the next full pass.
    pub fn begin_floor(&mut self, watermark: i64, known: impl Fn(i64) -> bool) {
        for (id, entry) in &mut self.records {
            if entry.version.modified < watermark && !known(*id) {
                entry.promised = false;
            }
        }
        for (_, change) in &mut self.late {
            if let Change::Write(id, second) = *change
                && second < watermark
                && !self.records.contains_key(&id)
            {
                *change = Change::SetBack(id, second);
            }
        }
    }

    /// Hides a record from the webhook's user, or shows it again.
    pub fn hide(&mut self, id: i64, hidden: bool) {
        if let Some(entry) = self.records.get_mut(&id) {
            entry.hidden = hidden;
            entry.promised = false;
            entry.told = false;
        }
    }

    /// Makes listings leave a record out, or show it again.
    pub fn omit(&mut self, id: i64, omitted: bool) {
        if let Some(entry) = self.records.get_mut(&id) {
            entry.omitted = omitted;
            entry.promised = false;
        }
    }

    /// Takes the whole type away from the webhook's user: listings are validly empty, and "not found" is the answer to
    /// every id.
    pub fn remove_type(&mut self, removed: bool) {
        self.type_removed = removed;
        for entry in self.records.values_mut() {
            entry.promised = false;
            entry.told = false;
        }
    }

    /// Events that have left since this was asked last.
    pub fn take_events(&mut self) -> Vec<(i64, bool)> {
        std::mem::take(&mut self.events)
    }

    /// An event of this record was taken in.
    pub fn tell(&mut self, id: i64) {
        let may_be_read = |entry: &Entry| !entry.hidden && !self.type_removed;
        if let Some(entry) = self.records.get_mut(&id).filter(|entry| may_be_read(entry)) {
            entry.told = true;
        }
    }

    /// Records of whose latest change an event was taken in, there or gone.
    pub fn told(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.records.iter().filter(|(_, entry)| entry.told).map(|(id, entry)| (*id, entry))
    }

    /// Ends everything that keeps records from being read.
    pub fn show_all(&mut self) {
        self.type_removed = false;
        for entry in self.records.values_mut() {
            entry.hidden = false;
            entry.omitted = false;
        }
    }

    /// Ids that can be changed now, of records that are there or of those that are gone.
    pub fn changeable(&self, existing: bool) -> Vec<i64> {
        let free = self.records.iter().filter(|(_, entry)| entry.exists == existing && !entry.locked);
        free.map(|(id, _)| *id).collect()
    }

    /// Ids that are there and can be hidden or deleted.
    pub fn removable(&self) -> Vec<i64> {
        self.changeable(true).into_iter().filter(|id| *id != ANCHOR).collect()
    }

    /// All ids that were ever given out.
    pub fn last_id(&self) -> i64 {
        self.last_id
    }

    /// A page of a listing by id.
    pub fn page(&self, window: Window, cursor: Cursor, limit: usize) -> Vec<(i64, Version)> {
        let wanted = |entry: &Entry| match window {
            Window::Everything => true,
            Window::ModifiedSince(bound) => portal_time(entry.version.modified).with_timezone(&Utc) >= bound.at,
        };
        let above = self.records.range(cursor.get() + 1..);
        let listed = above.filter(|(_, entry)| self.readable(entry) && !entry.omitted);
        listed.filter(|(_, entry)| wanted(entry)).take(limit).map(|(id, entry)| (*id, entry.version)).collect()
    }

    fn readable(&self, entry: &Entry) -> bool {
        entry.exists && !entry.hidden && !self.type_removed
    }

    /// One record by its id, if the webhook's user may read it.
    pub fn read(&self, id: i64) -> Option<Version> {
        self.records.get(&id).filter(|entry| self.readable(entry)).map(|entry| entry.version)
    }

    /// Whether the portal says "not found" of an id: it does so too when the type is gone.
    pub fn not_found(&self, id: i64) -> bool {
        self.type_removed || !self.exists(id)
    }

    /// Whether a record exists, readable or not.
    pub fn exists(&self, id: i64) -> bool {
        self.records.get(&id).is_some_and(|entry| entry.exists)
    }

    /// Whether a record did not exist at some moment since then.
    pub fn was_absent_since(&self, id: i64, since: Millis) -> bool {
        let Some(entry) = self.records.get(&id) else { return true };
        entry.absences.iter().any(|(_, until)| until.is_none_or(|until| until >= since))
    }

    /// The modification time that a version shows.
    pub fn modified_of(&self, version: i64) -> Option<i64> {
        self.versions.get(&version).copied()
    }

    /// All records that exist.
    pub fn existing(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.records.iter().filter(|(_, entry)| entry.exists).map(|(id, entry)| (*id, entry))
    }
}
