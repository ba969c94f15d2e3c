//! One list command of a listing by ascending id.

use b24sync_domain::progress::{Cursor, PAGE_SIZE, Window};
use b24sync_domain::record::Layout;
use chrono::FixedOffset;

use super::time_bound;
use crate::command::Command;
use crate::dialect::EntityDialect;
use crate::fields::Metadata;

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound<'a> {
    /// Above this id.
    Above(Cursor),
    /// Above the last record of another command's full page.
    AfterPage(&'a str),
}

/// What all list commands of an entity share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyset<'a> {
    pub(crate) dialect: &'a EntityDialect,
    pub(crate) metadata: &'a Metadata,
    /// What the lists bring.
    pub(crate) layout: &'a Layout,
    /// The portal's offset, in which times are written.
    pub(crate) offset: FixedOffset,
}

impl Keyset<'_> {
    /// The page of `window` that begins at `bound`.
    pub(super) fn page(&self, window: Window, bound: Bound<'_>) -> Command {
        let id = self.dialect.id_name;
        let mut command = Command::new(&self.dialect.list_method);
        if let Some(type_id) = self.dialect.type_id {
            command = command.with("entityTypeId", type_id);
        }
        command = command.with(&format!("order[{id}]"), "ASC");
        let filter = format!("filter[>{id}]");
        command = match bound {
            Bound::Above(cursor) => command.with(&filter, cursor.get()),
            Bound::AfterPage(page) => command.with_reference(&filter, &self.last_id_of(page)),
        };
        if let Window::ModifiedSince(bound) = window {
            let since = time_bound::write(bound, self.offset);
            command = command.with(&format!("filter[>={}]", self.dialect.modified_name), since);
        }
        for name in self.metadata.select(self.dialect, self.layout) {
            command = command.with("select[]", name);
        }
        command.with("start", -1)
    }

    /// A reference to the id of a page's last record.
    fn last_id_of(&self, page: &str) -> String {
        let wrapper = self.dialect.list_wrapper.map(|wrapper| format!("[{wrapper}]")).unwrap_or_default();
        format!("$result[{page}]{wrapper}[{}][{}]", PAGE_SIZE - 1, self.dialect.id_name)
    }
}
