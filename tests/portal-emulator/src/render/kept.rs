//! Rows of lists that are kept once they were written.
//!
//! Rendering is most of what a list costs. What the generator made never changes, so that its text can be kept; a record
//! that was edited or added is written anew each time. No answer shows a difference: tokens in addresses of files are
//! replaced whenever a row is repeated.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::data::World;
use crate::entity::{Dialect, Entity};
use crate::json::Json;
use crate::view::{Row, View};

/// Tokens while a row is written for keeping: no answer carries them, and the counter never comes that far.
const FIRST_MARK: u64 = 0xfee1_0000_0000;
/// How a token is printed.
const TOKEN_DIGITS: usize = 12;

/// Everything that decides how a generated record of a list is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) entity: Entity,
    pub(crate) dialect: Dialect,
    /// Of the entity's schema.
    pub(crate) revision: u64,
    /// Of the fields or columns that the dialect knows.
    pub(crate) columns: Vec<usize>,
    pub(crate) original_names: bool,
    pub(crate) spoilt: bool,
    pub(crate) zone_shift_seconds: i64,
}

/// Rows by shape.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    shelves: RwLock<HashMap<Shape, Arc<Shelf>>>,
}

impl Kept {
    /// The rows of a shape.
    pub(crate) fn shelf(&self, shape: Shape, world: &World) -> Arc<Shelf> {
        let known = self.shelves.read().unwrap_or_else(PoisonError::into_inner).get(&shape).map(Arc::clone);
        known.unwrap_or_else(|| {
            let count = usize::try_from(world.count(shape.entity)).unwrap_or(0);
            let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
            // What belongs to an earlier schema is never asked for again.
            shelves.retain(|other, _| other.entity != shape.entity || other.revision == shape.revision);
            Arc::clone(shelves.entry(shape).or_insert_with(|| Arc::new(Shelf::new(count))))
        })
    }
}

/// Rows of one shape, by the number of the record.
#[derive(Debug)]
pub(crate) struct Shelf {
    lines: Vec<OnceLock<Line>>,
}

impl Shelf {
    fn new(count: usize) -> Self {
        Self { lines: (0..count).map(|_| OnceLock::new()).collect() }
    }

    /// Writes a record: from the shelf, or with `render`.
    pub(crate) fn record(&self, out: &mut Json, view: &View<'_>, id: i64, render: impl Fn(&mut Json, &Row<'_>)) {
        let row = view.row(id);
        let place = usize::try_from(World::index_of(id)).ok().and_then(|index| self.lines.get(index));
        match place {
            Some(line) if !row.is_edited() => {
                line.get_or_init(|| Line::render(view, id, &render)).write(out, || view.token());
            }
            _ => render(out, &row),
        }
    }
}

/// One row, and where its tokens stand.
#[derive(Debug)]
struct Line {
    text: Box<[u8]>,
    /// Places in the text, by token.
    tokens: Vec<Vec<usize>>,
}

impl Line {
    fn render(view: &View<'_>, id: i64, render: impl Fn(&mut Json, &Row<'_>)) -> Self {
        let marks = AtomicU64::new(FIRST_MARK);
        let mut out = Json::new(view.config.php_escapes);
        render(&mut out, &View { tokens: &marks, ..*view }.row(id));
        let text = out.into_bytes().into_boxed_slice();
        let tokens = (FIRST_MARK..marks.into_inner()).map(|mark| places(&text, &digits(mark))).collect();
        Self { text, tokens }
    }

    fn write(&self, out: &mut Json, next_token: impl Fn() -> u64) {
        let start = out.len();
        out.raw_bytes(&self.text);
        for places in &self.tokens {
            let token = digits(next_token());
            for place in places {
                let target = out.buffer().get_mut(start + place..start + place + TOKEN_DIGITS);
                if let Some(target) = target.filter(|target| target.len() == token.len()) {
                    target.copy_from_slice(token.as_bytes());
                }
            }
        }
    }
}

fn digits(token: u64) -> String {
    format!("{token:0TOKEN_DIGITS$x}")
}

fn places(text: &[u8], token: &str) -> Vec<usize> {
    let windows = text.windows(token.len()).enumerate();
    windows.filter(|(_, window)| *window == token.as_bytes()).map(|(place, _)| place).collect()
}
