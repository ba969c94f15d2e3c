//! What the list methods of both dialects share: filter, order, page.

use std::sync::Arc;

use crate::entity::Dialect;
use crate::error::ApiError;
use crate::filter::Reader;
use crate::json::Json;
use crate::list::{self, ListQuery, Page};
use crate::param::Param;
use crate::render::kept::{Shape, Shelf};
use crate::view::{Row, View};

use super::{Call, Extras};

/// Runs the list that the parameters of a call describe, with the mischief of a fault if there is any.
pub(super) fn page(call: Call<'_>, view: &View<'_>, dialect: Dialect) -> Result<(Page, Extras), ApiError> {
    let reader = Reader {
        schema: view.schema(),
        offset_minutes: view.config.offset_minutes,
        times: view.times,
        dialect,
        original_names: wants_original_names(call.params),
        ignore_id: call.mischief.ignored_filter,
    };
    let query = ListQuery {
        filter: reader.read(call.params.get("filter"))?,
        order: order(call.params.get("order"), view, dialect)?,
        start: call.params.get("start").and_then(Param::integer).unwrap_or(0),
    };
    let mut page = list::run(view, &query);
    if call.mischief.short_page {
        // Never to nothing: an empty page would say that the listing ends, and nobody could tell.
        let kept = (page.ids.len() * 3).div_ceil(5);
        page.ids.truncate(kept);
    }
    if call.mischief.wrong_order {
        page.ids.reverse();
    }
    let rows = u64::try_from(page.ids.len()).unwrap_or(0);
    crate::stats::count(&call.inner.stats.rows_served, rows);
    let extras = Extras { total: page.total, next: page.next, list_counts: Some(query.start >= 0), rows: Vec::new() };
    Ok((page, extras))
}

/// The rows of a list that are kept, for a portal that does so; `describe` adds what the dialect knows of their shape.
pub(super) fn shelf(
    call: Call<'_>,
    view: &View<'_>,
    dialect: Dialect,
    describe: impl FnOnce(Shape) -> Shape,
) -> Option<Arc<Shelf>> {
    let schema = view.schema();
    let shape = || Shape {
        entity: schema.entity,
        dialect,
        revision: schema.revision,
        columns: Vec::new(),
        original_names: false,
        spoilt: false,
        zone_shift_seconds: view.times.user_zone_shift_seconds,
    };
    view.config.keep_rows.then(|| call.inner.kept.shelf(describe(shape()), view.world))
}

/// Writes a record of a list: with `render`, or what is kept of that.
pub(super) fn write(
    out: &mut Json,
    view: &View<'_>,
    id: i64,
    shelf: Option<&Shelf>,
    render: impl Fn(&mut Json, &Row<'_>),
) {
    match shelf {
        Some(shelf) => shelf.record(out, view, id, render),
        None => render(out, &view.row(id)),
    }
}

/// `useOriginalUfNames=Y`.
pub(super) fn wants_original_names(params: &Param) -> bool {
    params.get("useOriginalUfNames").is_some_and(Param::truthy)
}

fn order(order: Option<&Param>, view: &View<'_>, dialect: Dialect) -> Result<Vec<(usize, bool)>, ApiError> {
    let members = match order {
        None | Some(Param::Null) => return Ok(Vec::new()),
        Some(Param::Map(members)) => members,
        Some(_) => return Err(ApiError::not_an_array("order")),
    };
    let mut fields = Vec::new();
    for (name, direction) in members {
        let schema = view.schema();
        let found = match dialect {
            Dialect::Item if name != "ID" => schema.item_named(name),
            _ => schema.named(name),
        };
        match (found, dialect) {
            (Some((at, _)), _) => {
                let falling = direction.text().is_some_and(|text| text.eq_ignore_ascii_case("DESC"));
                fields.push((at, falling));
            }
            (None, Dialect::Classic) => {}
            (None, Dialect::Item) => return Err(ApiError::bad_field("order", name)),
        }
    }
    Ok(fields)
}

/// The names in `select`, or `None` if there are none.
pub(super) fn selected(params: &Param) -> Result<Option<Vec<String>>, ApiError> {
    match params.get("select") {
        Some(list @ Param::Map(members)) if !members.is_empty() => Ok(Some(list.texts())),
        None | Some(Param::Null | Param::Map(_)) => Ok(None),
        Some(_) => Err(ApiError::not_an_array("select")),
    }
}
