//! A listing by ascending id: list commands chained in one batch, each asking for what follows the last record of the
//! one before (Bitrix24 REST 6.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use b24sync_domain::ports::{Lane, ListQuery};
use b24sync_domain::progress::{PAGE_SIZE, Window};
use b24sync_domain::record::{ReadToken, RecordBatch};
use chrono::{FixedOffset, SecondsFormat};

use super::gauge::Gauge;
use super::{BATCH, pages};
use crate::budget::Budget;
use crate::command::{self, Command, page_name};
use crate::decode::{BatchHead, Slots};
use crate::dialect::EntityDialect;
use crate::failure::Failure;
use crate::fields::Metadata;
use crate::transport::{Answer, Exchange};

/// Reads what follows a query's cursor.
pub(crate) struct Listing<'a> {
    pub(crate) query: &'a ListQuery,
    pub(crate) dialect: &'a EntityDialect,
    pub(crate) metadata: &'a Metadata,
    pub(crate) slots: Slots<'a>,
    pub(crate) gauge: &'a Gauge,
    /// The portal's offset, in which times are written.
    pub(crate) offset: FixedOffset,
    /// Commands of the attempt at hand.
    pub(crate) asked: AtomicUsize,
}

impl Listing<'_> {
    fn command(&self, position: usize) -> Command {
        let id = self.dialect.id_name;
        let mut command = Command::new(&self.dialect.list_method);
        if let Some(type_id) = self.dialect.type_id {
            command = command.with("entityTypeId", type_id);
        }
        command = command.with(&format!("order[{id}]"), "ASC");
        let bound = format!("filter[>{id}]");
        command = match position.checked_sub(1) {
            None => command.with(&bound, self.query.cursor.get()),
            Some(before) => command.with_reference(&bound, &self.last_id_of(&page_name(before))),
        };
        if let Window::ModifiedSince(since) = self.query.window {
            let since = since.with_timezone(&self.offset).to_rfc3339_opts(SecondsFormat::Secs, false);
            command = command.with(&format!("filter[>={}]", self.dialect.modified_name), since);
        }
        for name in self.metadata.select(self.dialect) {
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

impl Exchange for Listing<'_> {
    type Output = RecordBatch;

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        match self.query.window {
            Window::Everything => Lane::Full,
            Window::ModifiedSince(_) => Lane::Incremental,
        }
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.dialect.list_method.clone()]
    }

    fn request(&self) -> Vec<u8> {
        let asked = self.gauge.commands(self.query.window, self.query.cursor);
        self.asked.store(asked, Ordering::Relaxed);
        let commands: Vec<_> = (0..asked).map(|position| (page_name(position), self.command(position))).collect();
        command::batch(true, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<RecordBatch, Failure> {
        let asked = self.asked.load(Ordering::Relaxed);
        let inner = self.dialect.list_method.as_str();
        let bytes = answer.text.len();
        let opened = pages::open(&answer, inner, &self.slots, budget)?;
        let usable = pages::usable(&opened, inner, asked, self.query.cursor, budget)?;
        let ended = usable.exhausted || usable.short_end.is_some();
        self.gauge.learn(asked, usable.pages, bytes, ended, usable.short_end);
        let (records, source_time) = (opened.records, opened.source_time);
        let head = BatchHead {
            entity: self.query.entity,
            layout: Arc::clone(&self.query.layout),
            token: answer.token.unwrap_or(ReadToken(0)),
            source_time,
            text: answer.text,
        };
        tracing::debug!(entity = %self.query.entity, rows = usable.rows, "read {} rows of {}", usable.rows, self.query.entity);
        Ok(records.into_batch(usable.rows, usable.exhausted, head))
    }

    fn lighten(&self) {
        self.gauge.lighten();
    }
}
