//! Observers and instances for tests.

use std::collections::HashSet;
use std::sync::Mutex;

use b24sync_domain::ports::{Instances, RunEvent, RunObserver};

/// Remembers what it saw.
#[derive(Debug, Default)]
pub struct RecordingObserver {
    events: Mutex<Vec<RunEvent>>,
}

impl RecordingObserver {
    /// What it saw so far.
    pub fn events(&self) -> Vec<RunEvent> {
        self.events.lock().expect("no test panics while it holds the lock").clone()
    }
}

impl RunObserver for RecordingObserver {
    fn on(&self, event: &RunEvent) {
        self.events.lock().expect("no test panics while it holds the lock").push(event.clone());
    }
}

/// A process with a name; others are gone when it is told so.
#[derive(Debug)]
pub struct NamedInstance {
    name: String,
    gone: Mutex<HashSet<String>>,
}

impl NamedInstance {
    /// A process with this name that believes everybody alive.
    pub fn new(name: &str) -> NamedInstance {
        NamedInstance { name: name.to_owned(), gone: Mutex::default() }
    }

    /// Tells it that another process is gone.
    pub fn bury(&self, holder: &str) {
        self.gone.lock().expect("no test panics while it holds the lock").insert(holder.to_owned());
    }
}

impl Instances for NamedInstance {
    fn me(&self) -> String {
        self.name.clone()
    }

    fn is_gone(&self, holder: &str) -> bool {
        self.gone.lock().expect("no test panics while it holds the lock").contains(holder)
    }
}
