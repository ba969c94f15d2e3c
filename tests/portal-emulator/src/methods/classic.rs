//! `crm.{entity}.*`.

use super::{Call, Extras, rows, write};
use crate::entity::{Dialect, Entity};
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;
use crate::render::classic::{Place, record};
use crate::render::descriptor;
use crate::render::kept::Shape;
use crate::schema::{CLASSIC_GET_ONLY, Field, Kind};
use crate::view::View;

pub(super) fn execute(call: Call<'_>, entity: Entity, verb: &str, out: &mut Json) -> Result<Extras, ApiError> {
    if !matches!(verb, "list" | "get" | "fields" | "add" | "update" | "delete") {
        return Err(ApiError::method_not_found());
    }
    if call.inner.stores().of(entity).removed {
        return Err(ApiError::new(400, "NOT_FOUND", "Entity type not found"));
    }
    if !call.inner.access().crm_rights {
        return Err(ApiError::classic_denied());
    }
    match verb {
        "list" => list(call, entity, out),
        "get" => get(call, entity, out),
        "fields" => {
            descriptor::classic(out, &call.inner.stores().of(entity).schema);
            Ok(Extras::default())
        }
        _ => change(call, entity, verb, out),
    }
}

fn list(call: Call<'_>, entity: Entity, out: &mut Json) -> Result<Extras, ApiError> {
    let stores = call.inner.stores();
    let view = call.inner.view(&stores, entity);
    let columns = columns(&view, rows::selected(call.params)?.as_deref());
    let shelf = rows::shelf(call, &view, Dialect::Classic, |shape| Shape { columns: columns.clone(), ..shape });
    let (page, mut extras) = rows::page(call, &view, Dialect::Classic)?;
    out.open_array();
    for id in page.ids {
        out.comma();
        extras.rows.push(out.len());
        rows::write(out, &view, id, shelf.as_deref(), |out, row| record(out, row, &columns, Place::List));
    }
    out.close_array();
    Ok(extras)
}

fn get(call: Call<'_>, entity: Entity, out: &mut Json) -> Result<Extras, ApiError> {
    let stores = call.inner.stores();
    let view = call.inner.view(&stores, entity);
    let id = existing(&view, call.params)?;
    let fields = view.schema().fields().iter().enumerate();
    let columns: Vec<usize> =
        fields.filter(|(_, field)| field.in_classic_list() || field.has(CLASSIC_GET_ONLY)).map(|(at, _)| at).collect();
    record(out, &view.row(id), &columns, Place::Get);
    Ok(Extras::default())
}

/// The `id` of a record that exists and may be read.
fn existing(view: &View<'_>, params: &Param) -> Result<i64, ApiError> {
    let id = params.get("id").and_then(Param::integer).filter(|id| *id > 0).ok_or_else(ApiError::classic_bad_id)?;
    if !view.store.exists(id) {
        return Err(ApiError::classic_not_found());
    }
    if view.store.is_hidden(id) {
        return Err(ApiError::classic_denied());
    }
    Ok(id)
}

/// The fields of a row: `*` is the standard ones that are not multiple, `UF_*` the user fields, and multifields come
/// only by name (REST.md 7.5). Without a `select` it is `*` and `UF_*`.
fn columns(view: &View<'_>, select: Option<&[String]>) -> Vec<usize> {
    let named = |name: &str| select.is_some_and(|names| names.iter().any(|selected| selected == name));
    let (star, user_star) = (select.is_none() || named("*"), select.is_none() || named("UF_*"));
    let wanted = |field: &Field| {
        if named(&field.name) {
            return true;
        }
        match field.user {
            Some(_) => user_star && (!field.multiple || view.config.uf_star_includes_multiple),
            None => star && !field.multiple && field.kind != Kind::Multifield,
        }
    };
    let fields = view.schema().fields().iter().enumerate();
    fields.filter(|(_, field)| field.in_classic_list() && wanted(field)).map(|(at, _)| at).collect()
}

fn change(call: Call<'_>, entity: Entity, verb: &str, out: &mut Json) -> Result<Extras, ApiError> {
    let id = if verb == "add" {
        None
    } else {
        let stores = call.inner.stores();
        Some(existing(&call.inner.view(&stores, entity), call.params)?)
    };
    match (verb, id) {
        ("delete", Some(id)) => {
            write::delete(call, entity, id);
            out.boolean(true);
        }
        (_, Some(id)) => {
            write::update(call, entity, id, Dialect::Classic)?;
            out.boolean(true);
        }
        (_, None) => out.integer(write::add(call, entity, Dialect::Classic)?),
    }
    Ok(Extras::default())
}
