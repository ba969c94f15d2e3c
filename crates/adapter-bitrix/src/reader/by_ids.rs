//! Records by their ids: list commands with 50 ids each, independent of each other.

use std::ops::RangeInclusive;
use std::sync::Arc;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SourceError;
use b24sync_domain::ports::Lane;
use b24sync_domain::progress::{Cursor, PAGE_SIZE, check_page};
use b24sync_domain::record::{Layout, ReadToken, RecordBatch};

use super::{BATCH, Gauge, pages};
use crate::budget::Budget;
use crate::command::{self, Command, page_name};
use crate::decode::{BatchHead, Slots};
use crate::dialect::EntityDialect;
use crate::failure::Failure;
use crate::fields::Metadata;
use crate::transport::{Answer, Exchange};

/// Reads these records, as far as they exist and are readable.
pub(crate) struct ByIds<'a> {
    pub(crate) entity: EntityType,
    pub(crate) layout: &'a Arc<Layout>,
    /// Rising, without repetition.
    pub(crate) ids: &'a [RecordId],
    pub(crate) dialect: &'a EntityDialect,
    pub(crate) metadata: &'a Metadata,
    pub(crate) slots: Slots<'a>,
    pub(crate) gauge: &'a Gauge,
}

impl ByIds<'_> {
    fn command(&self, ids: &[RecordId]) -> Command {
        let id_name = self.dialect.id_name;
        let mut command = Command::new(&self.dialect.list_method);
        if let Some(type_id) = self.dialect.type_id {
            command = command.with("entityTypeId", type_id);
        }
        command = command.with(&format!("order[{id_name}]"), "ASC");
        for id in ids {
            command = command.with(&format!("filter[@{id_name}][]"), id);
        }
        for name in self.metadata.select(self.dialect, self.layout) {
            command = command.with("select[]", name);
        }
        command.with("start", -1)
    }

    /// Checks the page of the ids `asked` for.
    fn check(
        &self,
        opened: &pages::Opened<'_>,
        name: &str,
        asked: &[RecordId],
        rows_before: usize,
        budget: &Budget<'_>,
    ) -> Result<usize, Failure> {
        let inner = self.dialect.list_method.as_str();
        let Some(page) = opened.records.page(name) else { return Err(opened.command_failure(name, inner, budget)) };
        if let Some(fault) = page.fault {
            return Err(Failure::malformed(inner, fault));
        }
        if page.rows.start != rows_before {
            return Err(Failure::malformed(BATCH, "the commands were answered out of order"));
        }
        let ids = opened.records.page_ids(page);
        check_page(Cursor::START, ids)
            .map_err(|source| Failure::fault(SourceError::Page { method: inner.to_owned(), source }))?;
        if ids.iter().any(|id| asked.binary_search(id).is_err()) {
            return Err(Failure::malformed(inner, "a record came that was not asked for"));
        }
        Ok(page.rows.end)
    }
}

impl Exchange for ByIds<'_> {
    type Output = RecordBatch;

    fn method(&self) -> &str {
        BATCH
    }

    fn bounds_nesting(&self) -> bool {
        true
    }

    fn lane(&self) -> Lane {
        Lane::Hint
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.dialect.list_method.clone()]
    }

    fn commands(&self) -> RangeInclusive<usize> {
        let commands = self.ids.len().div_ceil(PAGE_SIZE);
        commands..=commands
    }

    fn request(&self) -> Vec<u8> {
        let commands: Vec<_> = self
            .ids
            .chunks(PAGE_SIZE)
            .enumerate()
            .map(|(position, ids)| (page_name(position), self.command(ids)))
            .collect();
        command::batch(false, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<RecordBatch, Failure> {
        let inner = self.dialect.list_method.as_str();
        let opened = pages::open(&answer, inner, &self.slots, budget)?;
        if let Some(failure) = opened.any_failure(inner, budget) {
            return Err(failure);
        }
        // The ids rise from command to command, so the pages in order are sorted as a whole.
        let mut rows = 0;
        for (position, asked) in self.ids.chunks(PAGE_SIZE).enumerate() {
            rows = self.check(&opened, &page_name(position), asked, rows, budget)?;
        }
        let commands = self.ids.len().div_ceil(PAGE_SIZE);
        self.gauge.learn(commands, commands, answer.text.len(), false, None);
        let (records, source_time) = (opened.records, opened.source_time);
        let head = BatchHead {
            entity: self.entity,
            layout: Arc::clone(self.layout),
            token: answer.token.unwrap_or(ReadToken(0)),
            source_time,
            text: answer.text,
        };
        Ok(records.into_batch(0..rows, false, head))
    }

    fn lighten(&self) {
        self.gauge.lighten();
    }
}
