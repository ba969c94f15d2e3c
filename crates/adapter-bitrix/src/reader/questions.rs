//! Questions about a known record, from whose answers follows how the portal understands listings (Bitrix24 REST 17,
//! tests 3 and 5).

use std::ops::RangeInclusive;

use b24sync_domain::entity::RecordId;
use b24sync_domain::error::SourceError;
use b24sync_domain::portal::BoundStyle;
use b24sync_domain::ports::Lane;
use b24sync_domain::progress::{Cursor, TimeBound, check_page};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use super::lists::{self, Lists, Seen};
use super::{BATCH, time_bound};
use crate::budget::Budget;
use crate::command::{self, Command};
use crate::dialect::EntityDialect;
use crate::failure::Failure;
use crate::transport::{Answer, Exchange};

/// Name of the command that lists from the record's id on.
const KEYSET: &str = "keyset";

/// Name of the command that shows the record once more.
const AGAIN: &str = "again";

/// Asks how the portal understands conditions that only some records meet, `record` among them.
pub(crate) struct Questions<'a> {
    pub(crate) dialect: &'a EntityDialect,
    /// As it was seen just now.
    pub(crate) record: Seen,
    /// The portal's offset, in which times are written.
    pub(crate) offset: FixedOffset,
}

/// What the answers say.
pub(crate) struct Understood {
    pub(crate) bounds: Option<BoundStyle>,
    pub(crate) keyset: bool,
}

/// The two questions about a way to write a bound.
#[derive(Debug, Clone, Copy)]
enum Side {
    /// From the record's modified time on: the record must be there. Passes ask with `>=`, so `>=` is put to the test.
    From,
    /// From a second later on: it must not.
    Later,
}

impl Side {
    fn name(self, style: BoundStyle) -> String {
        match self {
            Side::From => format!("from_{}", style.as_str()),
            Side::Later => format!("later_{}", style.as_str()),
        }
    }

    fn bound(self, modified: DateTime<FixedOffset>, style: BoundStyle) -> TimeBound {
        let later = match self {
            Side::From => TimeDelta::zero(),
            Side::Later => TimeDelta::seconds(1),
        };
        TimeBound { at: modified.with_timezone(&Utc) + later, style }
    }
}

impl Questions<'_> {
    fn command(&self, side: Side, style: BoundStyle, modified: DateTime<FixedOffset>) -> Command {
        let written = time_bound::write(side.bound(modified, style), self.offset);
        self.list("ASC", &[self.same_id(), (format!(">={}", self.dialect.modified_name), written)])
    }

    fn list(&self, order: &str, filter: &[(String, String)]) -> Command {
        lists::command(self.dialect, order, filter)
    }

    fn same_id(&self) -> (String, String) {
        (self.dialect.id_name.to_owned(), self.record.id.to_string())
    }

    /// Where the listing that must begin with the record begins.
    fn before(&self) -> Cursor {
        Cursor::after(self.record.id.get() - 1)
    }

    /// Whether both questions about a style were answered right.
    fn style_is_understood(&self, lists: &Lists<'_>, style: BoundStyle) -> Result<bool, Failure> {
        if self.record.modified.is_none() {
            // It could not be asked.
            return Ok(false);
        }
        let from = Self::listed_just(lists, &Side::From.name(style), Some(self.record.id))?;
        let later = Self::listed_just(lists, &Side::Later.name(style), None)?;
        Ok(from && later)
    }

    /// Whether a command listed this record and nothing else. What the portal refuses to understand it does not
    /// understand; every other failure says nothing about that.
    fn listed_just(lists: &Lists<'_>, name: &str, expected: Option<RecordId>) -> Result<bool, Failure> {
        match lists.rows(name) {
            Ok(rows) => Ok(rows.iter().map(|row| row.id).eq(expected)),
            Err(Failure { error: SourceError::Rejected { .. }, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn keyset_is_understood(&self, lists: &Lists<'_>) -> Result<bool, Failure> {
        let ids: Vec<RecordId> = lists.rows(KEYSET)?.iter().map(|row| row.id).collect();
        Ok(ids.first() == Some(&self.record.id) && check_page(self.before(), &ids).is_ok())
    }
}

impl Exchange for Questions<'_> {
    /// `None` when the record changed or went away meanwhile, so that the answers prove nothing.
    type Output = Option<Understood>;

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        Lane::Incremental
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.dialect.list_method.clone()]
    }

    fn commands(&self) -> RangeInclusive<usize> {
        let about_times = if self.record.modified.is_some() { 2 * BoundStyle::ALL.len() } else { 0 };
        2 + about_times..=2 + about_times
    }

    fn request(&self) -> Vec<u8> {
        let above = (format!(">{}", self.dialect.id_name), self.before().get().to_string());
        let mut commands = vec![(KEYSET.to_owned(), self.list("ASC", &[above]))];
        for style in BoundStyle::ALL {
            for side in [Side::From, Side::Later] {
                commands.extend(
                    self.record.modified.map(|modified| (side.name(style), self.command(side, style, modified))),
                );
            }
        }
        // Last, because commands run in order: a record that still is as it was seen before was so all the time. Falling,
        // so that it comes first even if the condition on the id has no effect.
        commands.push((AGAIN.to_owned(), self.list("DESC", &[self.same_id()])));
        command::batch(false, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Option<Understood>, Failure> {
        let lists = Lists::open(&answer, self.dialect, budget)?;
        if lists.rows(AGAIN)?.first() != Some(&self.record) {
            return Ok(None);
        }
        let keyset = self.keyset_is_understood(&lists)?;
        let mut bounds = None;
        for style in BoundStyle::ALL {
            if self.style_is_understood(&lists, style)? {
                bounds = Some(style);
                break;
            }
        }
        Ok(Some(Understood { bounds, keyset }))
    }
}
