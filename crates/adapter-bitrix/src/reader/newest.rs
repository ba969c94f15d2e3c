//! The newest record: one that is known to exist, so that the portal can be asked about it.

use b24sync_domain::ports::Lane;
use chrono::{DateTime, FixedOffset};

use super::BATCH;
use super::lists::{self, Lists, Seen};
use crate::budget::Budget;
use crate::command;
use crate::dialect::EntityDialect;
use crate::failure::Failure;
use crate::transport::{Answer, Exchange};

const NEWEST: &str = "newest";

/// Asks for the record with the highest id.
pub(crate) struct ReadNewest<'a> {
    pub(crate) dialect: &'a EntityDialect,
}

/// The newest record.
pub(crate) struct Newest {
    /// `None` when there is no record at all.
    pub(crate) record: Option<Seen>,
    /// The portal's time when it said so.
    pub(crate) source_time: DateTime<FixedOffset>,
}

impl Exchange for ReadNewest<'_> {
    type Output = Newest;

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        Lane::Incremental
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.dialect.list_method.clone()]
    }

    fn request(&self) -> Vec<u8> {
        command::batch(false, &[(NEWEST.to_owned(), lists::command(self.dialect, "DESC", &[]))])
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Newest, Failure> {
        let lists = Lists::open(&answer, self.dialect, budget)?;
        let record = lists.rows(NEWEST)?.first().copied();
        Ok(Newest { record, source_time: lists.source_time })
    }
}
