//! One entity as a call sees it: records, their values, and what is needed to print them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::PortalConfig;
use crate::data::{Subject, World};
use crate::filter::Node;
use crate::schema::{Field, Schema};
use crate::store::{self, Override, Store};
use crate::times::Times;
use crate::truth::Truth;

/// Read access to one entity for the time of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'v> {
    pub(crate) store: &'v Store,
    pub(crate) world: &'v World,
    pub(crate) config: &'v PortalConfig,
    pub(crate) times: Times,
    pub(crate) tokens: &'v AtomicU64,
}

/// One record of a view.
#[derive(Clone, Debug)]
pub(crate) struct Row<'v> {
    pub(crate) view: View<'v>,
    pub(crate) subject: Subject<'v>,
    over: Option<&'v Override>,
}

impl<'v> View<'v> {
    pub(crate) fn schema(&self) -> &'v Schema {
        &self.store.schema
    }

    pub(crate) fn row(&self, id: i64) -> Row<'v> {
        let subject = Subject::new(self.world, self.store.schema.entity, id);
        Row { view: *self, subject, over: self.store.override_of(id) }
    }

    /// Whether a record passes a filter.
    pub(crate) fn passes(&self, filter: &Node, id: i64) -> bool {
        let mut row = None;
        filter.passes(id, &mut |at| {
            let row = row.get_or_insert_with(|| self.row(id));
            self.schema().field(at).map_or(Truth::Null, |field| row.value(field))
        })
    }

    /// A token that no other answer has carried.
    pub(crate) fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }
}

impl Row<'_> {
    /// Whether anything of it is not as it was generated.
    pub(crate) fn is_edited(&self) -> bool {
        self.over.is_some()
    }

    pub(crate) fn value(&self, field: &Field) -> Truth {
        store::value(&self.subject, field, self.over)
    }

    /// What the field with this classic name holds; `Null` if there is none.
    pub(crate) fn named(&self, name: &str) -> Truth {
        self.view.schema().named(name).map_or(Truth::Null, |(_, field)| self.value(field))
    }
}
