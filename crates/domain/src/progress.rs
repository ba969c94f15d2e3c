//! Where a listing stands: a cursor by id, and the rules that a page must obey to move it.

use chrono::{DateTime, Utc};

use crate::entity::RecordId;
use crate::portal::BoundStyle;

/// Records a page holds at most (Bitrix24 REST, list methods: fixed, not configurable).
pub const PAGE_SIZE: usize = 50;

/// Position inside a listing by ascending id: everything up to this id has been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(i64);

impl Cursor {
    /// Before the first record.
    pub const START: Cursor = Cursor(0);

    /// After this id; negative numbers count as the start.
    pub fn after(id: i64) -> Cursor {
        Cursor(id.max(0))
    }

    /// The id up to which everything has been committed, 0 at the start.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// Portal time up to which the replica of an entity is complete. Never moves back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watermark(pub DateTime<Utc>);

/// Which records a listing covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// All of them.
    Everything,
    /// Those changed at or after this instant.
    ModifiedSince(TimeBound),
}

/// An instant of the portal's clock as the lower bound of a listing, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBound {
    /// The instant, whole seconds.
    pub at: DateTime<Utc>,
    /// How this portal wants it written.
    pub style: BoundStyle,
}

/// A page that cannot be part of an honest listing by ascending id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageFault {
    /// More records than a page can hold.
    #[error("a page of {0} records, but a page holds at most {PAGE_SIZE}")]
    TooLong(usize),
    /// An id that does not rise above the one before it, or above the bound that was asked for.
    #[error("id {id} after id {previous}: the portal did not apply the order or the bound")]
    NotRising {
        /// The id before it, or the bound.
        previous: i64,
        /// The id that breaks the order.
        id: i64,
    },
}

/// What one valid page of a listing says about the pages after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// It is full: more may follow.
    Full(Cursor),
    /// It is short: the listing probably ends here, but only a valid empty page proves it.
    Short(Cursor),
    /// It is empty: the listing is complete.
    Empty,
}

/// Checks one page against the cursor it was asked for.
///
/// # Errors
/// [`PageFault`] when the page is too long or its ids do not rise strictly above the cursor (Bitrix24 REST 5.2:
/// a method that ignores the bound would return its first page for ever).
pub fn check_page(cursor: Cursor, ids: &[RecordId]) -> Result<PageEnd, PageFault> {
    if ids.len() > PAGE_SIZE {
        return Err(PageFault::TooLong(ids.len()));
    }
    let mut previous = cursor.get();
    for id in ids {
        if id.get() <= previous {
            return Err(PageFault::NotRising { previous, id: id.get() });
        }
        previous = id.get();
    }
    let end = Cursor::after(previous);
    Ok(match ids.len() {
        0 => PageEnd::Empty,
        PAGE_SIZE => PageEnd::Full(end),
        _ => PageEnd::Short(end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: impl IntoIterator<Item = i64>) -> Vec<RecordId> {
        numbers.into_iter().map(|n| RecordId::new(n).unwrap()).collect()
    }

    #[test]
    fn a_full_page_moves_the_cursor_and_promises_more() {
        assert_eq!(check_page(Cursor::after(10), &ids(11..61)), Ok(PageEnd::Full(Cursor::after(60))));
    }

    #[test]
    fn a_short_page_is_not_the_end_and_an_empty_one_is() {
        assert_eq!(check_page(Cursor::START, &ids([3, 9])), Ok(PageEnd::Short(Cursor::after(9))));
        assert_eq!(check_page(Cursor::after(9), &[]), Ok(PageEnd::Empty));
    }

    #[test]
    fn a_page_that_starts_over_is_refused() {
        let fault = check_page(Cursor::after(100), &ids(1..51));
        assert_eq!(fault, Err(PageFault::NotRising { previous: 100, id: 1 }));
    }

    #[test]
    fn equal_and_falling_ids_and_long_pages_are_refused() {
        assert!(check_page(Cursor::START, &ids([5, 5])).is_err());
        assert!(check_page(Cursor::START, &ids([5, 4])).is_err());
        assert_eq!(check_page(Cursor::START, &ids(1..52)), Err(PageFault::TooLong(51)));
    }
}
