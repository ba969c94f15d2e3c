//! Lists: which records a page holds, and what `total` and `next` say.

use std::cmp::Ordering;

use crate::config::{DefaultOrder, MinusOneTotal};
use crate::data::mix;
use crate::filter::Node;
use crate::truth::Truth;
use crate::view::View;

/// Rows of a page, fixed by the portal.
pub(crate) const PAGE: usize = 50;

/// What a list is asked for.
#[derive(Clone, Debug)]
pub(crate) struct ListQuery {
    pub(crate) filter: Node,
    /// Fields by position, with whether they fall.
    pub(crate) order: Vec<(usize, bool)>,
    /// Offset of the first row; -1 switches counting off.
    pub(crate) start: i64,
}

/// A page of ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) ids: Vec<i64>,
    pub(crate) total: Option<i64>,
    pub(crate) next: Option<i64>,
}

/// Runs a list.
pub(crate) fn run(view: &View<'_>, query: &ListQuery) -> Page {
    let candidates = candidates(view, &query.filter);
    let counting = query.start >= 0;
    let skip = usize::try_from(query.start).unwrap_or(0);
    let (ids, total) = match id_order(view, query) {
        Some(falling) => by_id(view, query, &candidates, falling, skip, counting),
        None => by_values(view, query, &candidates, skip),
    };
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    let reached = i64::try_from(skip + ids.len()).unwrap_or(i64::MAX);
    Page {
        ids,
        total: match (counting, view.config.minus_one_total) {
            (true, _) => Some(total),
            (false, MinusOneTotal::Zero) => Some(0),
            (false, MinusOneTotal::Absent) => None,
        },
        next: (counting && reached < total).then_some(reached),
    }
}

/// Ids that can pass the filter, rising. Bounds on the id and late bounds on the modified time make them few.
fn candidates<'v>(view: &View<'v>, filter: &Node) -> std::borrow::Cow<'v, [i64]> {
    let ids = view.store.ids();
    let (low, high) = filter.id_bounds();
    let from = ids.partition_point(|id| *id < low);
    let to = ids.partition_point(|id| *id <= high).max(from);
    let modified = view.schema().named("DATE_MODIFY").map(|(at, _)| at);
    if modified.and_then(|at| filter.earliest(at)).is_some_and(|earliest| earliest > view.world.until) {
        // Nothing generated is that young.
        let young = view.store.overridden().into_iter().filter(|id| (low..=high).contains(id));
        return young.collect();
    }
    std::borrow::Cow::Borrowed(ids.get(from..to).unwrap_or(&[]))
}

/// Whether the list goes by id, and whether it falls; `None` if it goes by something else.
fn id_order(view: &View<'_>, query: &ListQuery) -> Option<bool> {
    match query.order.first() {
        Some((at, falling)) => view.schema().field(*at).is_some_and(|field| field.name == "ID").then_some(*falling),
        None => match view.config.default_order {
            DefaultOrder::Ascending => Some(false),
            DefaultOrder::Descending => Some(true),
            DefaultOrder::Shuffled => None,
        },
    }
}

fn by_id(
    view: &View<'_>,
    query: &ListQuery,
    candidates: &[i64],
    falling: bool,
    skip: usize,
    counting: bool,
) -> (Vec<i64>, usize) {
    let unfiltered = query.filter.only_bounds_ids() && view.store.nothing_hidden();
    let mut rising = candidates.iter();
    let mut backwards = candidates.iter().rev();
    let in_order: &mut dyn Iterator<Item = &i64> = if falling { &mut backwards } else { &mut rising };
    if unfiltered {
        return (in_order.skip(skip).take(PAGE).copied().collect(), candidates.len());
    }
    let mut page = Vec::with_capacity(PAGE);
    let mut seen = 0_usize;
    for id in in_order {
        if view.store.is_hidden(*id) || !view.passes(&query.filter, *id) {
            continue;
        }
        if seen >= skip && page.len() < PAGE {
            page.push(*id);
        }
        seen += 1;
        if !counting && page.len() == PAGE {
            break;
        }
    }
    (page, seen)
}

fn by_values(view: &View<'_>, query: &ListQuery, candidates: &[i64], skip: usize) -> (Vec<i64>, usize) {
    let visible = candidates.iter().copied().filter(|id| !view.store.is_hidden(*id));
    let mut ids: Vec<i64> = visible.filter(|id| view.passes(&query.filter, *id)).collect();
    if query.order.is_empty() {
        let shuffle = view.token();
        ids.sort_by_cached_key(|id| mix(id.cast_unsigned() ^ shuffle));
    } else {
        sort(view, query, &mut ids);
    }
    let total = ids.len();
    (ids.into_iter().skip(skip).take(PAGE).collect(), total)
}

fn sort(view: &View<'_>, query: &ListQuery, ids: &mut Vec<i64>) {
    let key = |id: i64| -> Vec<Truth> {
        let row = view.row(id);
        let fields = query.order.iter().filter_map(|(at, _)| view.schema().field(*at));
        fields.map(|field| row.value(field)).collect()
    };
    let mut keyed: Vec<(Vec<Truth>, i64)> = ids.iter().map(|id| (key(*id), *id)).collect();
    keyed.sort_by(|(left, left_id), (right, right_id)| {
        let pairs = left.iter().zip(right).zip(&query.order);
        pairs
            .map(|((left, right), (_, falling))| {
                let order = compare(left, right);
                if *falling { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left_id.cmp(right_id))
    });
    *ids = keyed.into_iter().map(|(_, id)| id).collect();
}

/// Orders values of one field; empty ones come first.
fn compare(left: &Truth, right: &Truth) -> Ordering {
    match (left, right) {
        (Truth::Text(left), Truth::Text(right)) => left.to_lowercase().cmp(&right.to_lowercase()),
        (Truth::Integer(left) | Truth::Decimal(left), Truth::Integer(right) | Truth::Decimal(right)) => {
            let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
            number(left).total_cmp(&number(right))
        }
        (Truth::Boolean(left), Truth::Boolean(right)) => left.cmp(right),
        (Truth::Instant { epoch_seconds: left }, Truth::Instant { epoch_seconds: right })
        | (Truth::Reference(left) | Truth::File(left), Truth::Reference(right) | Truth::File(right)) => left.cmp(right),
        (Truth::Date { y, m, d }, Truth::Date { y: year, m: month, d: day }) => (y, m, d).cmp(&(year, month, day)),
        (left, right) => right.is_empty().cmp(&left.is_empty()),
    }
}
