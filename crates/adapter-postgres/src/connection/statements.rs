//! Prepared statements of one connection, the least recently used forgotten first.

use std::collections::HashMap;

use tokio_postgres::Statement;

/// Statements kept by a connection. A statement is its text, so each table and column set has one of its own; what a
/// changed column set leaves behind is forgotten in time.
const CAPACITY: usize = 128;

/// Text of a statement and the types of its binds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) types: Vec<u32>,
}

/// The cache.
#[derive(Default)]
pub(super) struct Statements {
    entries: HashMap<Key, (Statement, u64)>,
    clock: u64,
}

impl Statements {
    pub(super) fn get(&mut self, key: &Key) -> Option<Statement> {
        self.clock += 1;
        let (statement, used) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(statement.clone())
    }

    pub(super) fn put(&mut self, key: Key, statement: Statement) {
        if self.entries.len() >= CAPACITY {
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            // The server forgets a statement as soon as its last handle is gone.
            oldest.and_then(|key| self.entries.remove(&key));
        }
        self.entries.insert(key, (statement, self.clock));
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
