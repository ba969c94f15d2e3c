//! The offline queue: what an application comes and fetches (REST.md 11). Time is seconds of the portal's clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use crate::data::mix;
use crate::events::Event;

/// How long a reservation lives.
const RESERVATION: i64 = 30 * 86_400;

/// A row of the queue, for tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfflineRecord {
    /// Number of the row; also its `MESSAGE_ID`.
    pub id: i64,
    /// When the event happened last, in epoch seconds.
    pub at: i64,
    /// Name of the event.
    pub event: String,
    /// The id in its data, if it has one.
    pub object: Option<i64>,
    /// The key of the queue; empty by default.
    pub connector: String,
    /// Who reserved it; empty if nobody did.
    pub process_id: String,
    /// Whether its processing failed.
    pub error: bool,
}

/// The last event of one kind for one object.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) event: Arc<Event>,
    pub(crate) connector: String,
    /// Empty while nobody reserved it.
    pub(crate) process_id: String,
    pub(crate) error: bool,
    reserved_at: i64,
}

impl Row {
    pub(crate) fn message_id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self) -> Key {
        (self.event.name.clone(), self.event.id, self.connector.clone())
    }

    fn record(&self) -> OfflineRecord {
        OfflineRecord {
            id: self.id,
            at: self.at,
            event: self.event.name.clone(),
            object: self.event.id,
            connector: self.connector.clone(),
            process_id: self.process_id.clone(),
            error: self.error,
        }
    }
}

/// What an event is about: its name, the object, the queue.
type Key = (String, Option<i64>, String);

/// Which rows `event.offline.get` takes.
#[derive(Clone, Debug)]
pub(crate) struct Pick<'p> {
    pub(crate) connector: &'p str,
    /// Rows that this process reserved before, instead of free ones.
    pub(crate) process_id: Option<&'p str>,
    /// Rows whose processing failed, instead of the others.
    pub(crate) error: bool,
    pub(crate) limit: usize,
    /// Reserve them instead of deleting them.
    pub(crate) keep: bool,
}

/// The rows of an application.
#[derive(Debug, Default)]
pub(crate) struct OfflineQueue {
    rows: BTreeMap<i64, Row>,
    /// The free row of each object: there is one at most, and it holds the last state.
    free: HashMap<Key, i64>,
    last_id: i64,
    processes: u64,
}

impl OfflineQueue {
    /// Notes an event. A free row of the same object only gets the new time; a reserved one is left to its process.
    pub(crate) fn note(&mut self, event: &Arc<Event>, connector: &str, now: i64) {
        let key = (event.name.clone(), event.id, connector.to_owned());
        if let Some(row) = self.free.get(&key).and_then(|id| self.rows.get_mut(id)) {
            (row.at, row.event) = (now, Arc::clone(event));
            return;
        }
        self.last_id += 1;
        self.free.insert(key, self.last_id);
        let row = Row {
            id: self.last_id,
            at: now,
            event: Arc::clone(event),
            connector: connector.to_owned(),
            process_id: String::new(),
            error: false,
            reserved_at: 0,
        };
        self.rows.insert(self.last_id, row);
    }

    /// Takes rows in the order that `sort` gives them, reserves or deletes them, and returns them with the number of
    /// the process, if any.
    pub(crate) fn pick(
        &mut self,
        pick: &Pick<'_>,
        now: i64,
        matches: impl Fn(&Row) -> bool,
        sort: impl FnOnce(&mut [Row]),
    ) -> (Option<String>, Vec<Row>) {
        self.forget_old_reservations(now);
        let wanted = pick.process_id.unwrap_or_default();
        let belongs = |row: &&Row| {
            row.connector == pick.connector && row.process_id == wanted && row.error == pick.error && matches(row)
        };
        let mut rows: Vec<Row> = self.rows.values().filter(belongs).cloned().collect();
        sort(&mut rows);
        rows.truncate(pick.limit);
        if !pick.keep {
            for row in &rows {
                self.remove(row.id);
            }
            return (None, rows);
        }
        let process_id = pick.process_id.map_or_else(|| self.next_process(), str::to_owned);
        for row in &rows {
            self.reserve(row.id, &process_id, now);
        }
        (Some(process_id), rows)
    }

    fn next_process(&mut self) -> String {
        self.processes += 1;
        let root = mix(self.processes);
        format!("{root:016x}{:016x}", mix(root))
    }

    fn reserve(&mut self, id: i64, process_id: &str, now: i64) {
        if let Some(row) = self.rows.get_mut(&id) {
            if row.process_id.is_empty() {
                row.reserved_at = now;
            }
            process_id.clone_into(&mut row.process_id);
            self.forget_free(id);
        }
    }

    /// The object of this row gets a new one next time.
    fn forget_free(&mut self, id: i64) {
        if let Some(key) = self.rows.get(&id).map(Row::key).filter(|key| self.free.get(key) == Some(&id)) {
            self.free.remove(&key);
        }
    }

    fn remove(&mut self, id: i64) {
        self.forget_free(id);
        self.rows.remove(&id);
    }

    fn forget_old_reservations(&mut self, now: i64) {
        self.rows.retain(|_, row| row.process_id.is_empty() || now < row.reserved_at + RESERVATION);
    }

    fn of_process(&self, process_id: &str, matches: impl Fn(&Row) -> bool) -> Vec<i64> {
        let reserved = |row: &&Row| !process_id.is_empty() && row.process_id == process_id && matches(row);
        self.rows.values().filter(reserved).map(|row| row.id).collect()
    }

    /// Deletes rows that a process reserved.
    pub(crate) fn clear(&mut self, process_id: &str, matches: impl Fn(&Row) -> bool) {
        for id in self.of_process(process_id, matches) {
            self.remove(id);
        }
    }

    /// Gives rows that a process reserved back, marked as failed: only a `get` with `error=1` sees them again.
    pub(crate) fn fail(&mut self, process_id: &str, matches: impl Fn(&Row) -> bool) {
        for id in self.of_process(process_id, matches) {
            if let Some(row) = self.rows.get_mut(&id) {
                row.error = true;
                row.process_id.clear();
            }
        }
    }

    /// All rows by number, reserved and failed ones included.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(crate) fn records(&self) -> Vec<OfflineRecord> {
        self.rows().map(Row::record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::events::Verb;

    const GET: Pick<'static> = Pick { connector: "", process_id: None, error: false, limit: 50, keep: true };

    fn noted(events: &[(Verb, i64, i64)]) -> OfflineQueue {
        let mut queue = OfflineQueue::default();
        for (verb, id, at) in events {
            queue.note(&Arc::new(Event::record(Entity::Deal, *verb, *id)), "", *at);
        }
        queue
    }

    fn get(queue: &mut OfflineQueue, pick: &Pick<'_>, now: i64) -> (String, Vec<Option<i64>>) {
        let (process, rows) = queue.pick(pick, now, |_| true, |_| ());
        (process.unwrap_or_default(), rows.iter().map(|row| row.event.id).collect())
    }

    #[test]
    fn a_thousand_edits_are_one_row_and_a_deletion_is_another() {
        let mut edits: Vec<_> = (0..1_000).map(|at| (Verb::Update, 5, at)).collect();
        edits.push((Verb::Delete, 5, 1_000));
        let queue = noted(&edits);
        let records = queue.records();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].event.as_str(), records[0].at), ("ONCRMDEALUPDATE", 999));
        assert_eq!((records[1].event.as_str(), records[1].at), ("ONCRMDEALDELETE", 1_000));
    }

    #[test]
    fn a_reserved_row_is_left_alone_and_a_new_edit_makes_a_new_one() {
        let mut queue = noted(&[(Verb::Update, 5, 1), (Verb::Update, 6, 1)]);
        let (process, first) = get(&mut queue, &Pick { limit: 1, ..GET }, 10);
        let (_, second) = get(&mut queue, &GET, 10);
        assert_eq!((first, second), (vec![Some(5)], vec![Some(6)]));
        queue.note(&Arc::new(Event::record(Entity::Deal, Verb::Update, 5)), "", 20);
        let again = Pick { process_id: Some(process.as_str()), ..GET };
        assert_eq!(get(&mut queue, &again, 20).1, [Some(5)]);
        queue.clear(&process, |_| true);
        assert_eq!(get(&mut queue, &again, 20).1, []);
        assert_eq!(get(&mut queue, &GET, 20).1, [Some(5)]);
    }

    #[test]
    fn what_failed_is_read_again_only_on_request() {
        let mut queue = noted(&[(Verb::Update, 5, 1)]);
        let (process, _) = get(&mut queue, &GET, 10);
        queue.fail(&process, |row| row.message_id() == "1");
        assert_eq!(get(&mut queue, &GET, 10).1, []);
        let (process, failed) = get(&mut queue, &Pick { error: true, ..GET }, 10);
        assert_eq!(failed, [Some(5)]);
        queue.clear(&process, |_| true);
        assert_eq!(queue.records(), []);
    }

    #[test]
    fn without_a_reservation_rows_are_gone_at_once() {
        let mut queue = noted(&[(Verb::Add, 5, 1)]);
        assert_eq!(get(&mut queue, &Pick { keep: false, ..GET }, 10), (String::new(), vec![Some(5)]));
        assert_eq!(queue.records(), []);
        queue.note(&Arc::new(Event::record(Entity::Deal, Verb::Add, 5)), "", 20);
        assert_eq!(queue.records().len(), 1);
    }

    #[test]
    fn queues_with_keys_are_apart_and_reservations_end_after_thirty_days() {
        let mut queue = noted(&[(Verb::Add, 5, 1)]);
        queue.note(&Arc::new(Event::record(Entity::Deal, Verb::Add, 5)), "key", 1);
        let (process, rows) = get(&mut queue, &Pick { connector: "key", ..GET }, 10);
        assert_eq!(rows.len(), 1);
        let again = Pick { connector: "key", process_id: Some(process.as_str()), ..GET };
        assert_eq!(get(&mut queue, &again, 10 + RESERVATION - 1).1.len(), 1);
        assert_eq!(get(&mut queue, &again, 10 + RESERVATION).1.len(), 0);
        assert_eq!(queue.records().len(), 1);
    }
}
