//! How many list commands the next request of an entity carries.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use b24sync_domain::progress::{Cursor, Window};

use crate::command::MAX_COMMANDS;

const FIRST: usize = 10;

/// The same for records that are asked for by their ids.
const FIRST_NAMED: usize = 20;

/// Bytes that an answer should have at most: enough for 2,500 records with a hundred fields, since each request costs a
/// part of the portal's budget, and little enough to have two of them in memory.
const COMFORTABLE: usize = 12 * 1024 * 1024;

/// The same for records that are asked for by their ids, of which there is one at a time.
const COMFORTABLE_NAMED: usize = 16 * 1024 * 1024;

/// Adapts the number of commands to what answers weigh and to how the portal bears it.
#[derive(Debug)]
pub(crate) struct Gauge {
    commands: AtomicUsize,
    /// Where the answer before ended with a short page; 0 where it did not.
    short_end: AtomicI64,
    /// Bytes that an answer should have at most.
    comfortable: usize,
}

impl Default for Gauge {
    fn default() -> Self {
        Gauge { commands: AtomicUsize::new(FIRST), short_end: AtomicI64::new(0), comfortable: COMFORTABLE }
    }
}

impl Gauge {
    /// For records that are asked for by their ids.
    pub(crate) fn for_named() -> Gauge {
        Gauge { commands: AtomicUsize::new(FIRST_NAMED), comfortable: COMFORTABLE_NAMED, ..Gauge::default() }
    }

    /// How many commands to send that do not depend on each other.
    pub(crate) fn independent(&self) -> usize {
        self.commands.load(Ordering::Relaxed)
    }

    /// How many commands to send for what follows `cursor`.
    pub(crate) fn commands(&self, window: Window, cursor: Cursor) -> usize {
        let probably_the_end = cursor != Cursor::START && self.short_end.load(Ordering::Relaxed) == cursor.get();
        // Most windows of an incremental pass hold less than a page, and commands after a short page are wasted: some
        // portals run each of them as a whole list.
        let probably_little = cursor == Cursor::START && matches!(window, Window::ModifiedSince(_));
        if probably_the_end || probably_little { 1 } else { self.commands.load(Ordering::Relaxed) }
    }

    /// A request of `asked` commands brought `bytes`, with `pages` pages that count. `ended` says that the listing ended
    /// there, with a short page at `short_end` if not with an empty one.
    pub(crate) fn learn(&self, asked: usize, pages: usize, bytes: usize, ended: bool, short_end: Option<Cursor>) {
        self.short_end.store(short_end.map_or(0, Cursor::get), Ordering::Relaxed);
        if pages == 0 {
            return;
        }
        let known = self.commands.load(Ordering::Relaxed);
        let next = match () {
            () if ended => known,
            () if pages == asked => known.max(asked * 2),
            // Something stopped the batch in the middle.
            () => pages,
        };
        let bearable = (self.comfortable * pages / bytes.max(1)).clamp(1, MAX_COMMANDS);
        self.commands.store(next.min(bearable), Ordering::Relaxed);
    }

    /// A request was too much for the portal, or its answer for us.
    pub(crate) fn lighten(&self) {
        let known = self.commands.load(Ordering::Relaxed);
        self.commands.store((known / 2).max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use b24sync_domain::portal::BoundStyle;
    use b24sync_domain::progress::TimeBound;

    use super::*;

    const PAGE: usize = 50_000;

    fn next(gauge: &Gauge) -> usize {
        gauge.commands(Window::Everything, Cursor::START)
    }

    #[test]
    fn clean_answers_double_it_up_to_the_limit() {
        let gauge = Gauge::default();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let asked = next(&gauge);
            seen.push(asked);
            gauge.learn(asked, asked, asked * PAGE, false, None);
        }
        assert_eq!(seen, [10, 20, 40, 50, 50]);
    }

    #[test]
    fn heavy_answers_and_faults_shrink_it() {
        let gauge = Gauge::default();
        gauge.learn(10, 10, 20 * COMFORTABLE, false, None);
        assert_eq!(next(&gauge), 1);
        gauge.learn(1, 1, COMFORTABLE / 7, false, None);
        assert_eq!(next(&gauge), 2);
        gauge.lighten();
        assert_eq!(next(&gauge), 1);
        gauge.lighten();
        assert_eq!(next(&gauge), 1);
    }

    #[test]
    fn records_that_are_asked_for_by_their_ids_may_weigh_more() {
        let gauge = Gauge::for_named();
        for _ in 0..4 {
            let asked = gauge.independent();
            gauge.learn(asked, asked, asked * COMFORTABLE_NAMED / 40, false, None);
        }
        assert_eq!(gauge.independent(), 40);
        gauge.lighten();
        assert_eq!(gauge.independent(), 20);
    }

    #[test]
    fn a_batch_that_stopped_in_the_middle_is_not_asked_for_again() {
        let gauge = Gauge::default();
        gauge.learn(10, 4, PAGE, false, None);
        assert_eq!(next(&gauge), 4);
    }

    #[test]
    fn after_a_short_page_one_command_asks_whether_that_was_all() {
        let gauge = Gauge::default();
        gauge.learn(10, 3, PAGE, true, Some(Cursor::after(130)));
        assert_eq!(gauge.commands(Window::Everything, Cursor::after(130)), 1);
        assert_eq!(gauge.commands(Window::Everything, Cursor::after(7)), 10);
    }

    #[test]
    fn a_window_begins_with_one_command() {
        let gauge = Gauge::default();
        let bound = TimeBound { at: chrono::DateTime::UNIX_EPOCH, style: BoundStyle::WithOffset };
        let window = Window::ModifiedSince(bound);
        assert_eq!(gauge.commands(window, Cursor::START), 1);
        gauge.learn(1, 1, PAGE, false, None);
        assert_eq!(gauge.commands(window, Cursor::after(50)), 10);
    }
}
