//! `crm.item.*`.

use super::{Call, Extras, rows, write};
use crate::entity::{Dialect, Entity};
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;
use crate::render::descriptor;
use crate::render::item::{ItemShape, record};
use crate::render::kept::Shape;
use crate::schema::{ItemColumn, ItemContent};
use crate::view::View;

pub(super) fn execute(call: Call<'_>, verb: &str, out: &mut Json) -> Result<Extras, ApiError> {
    if !matches!(verb, "list" | "get" | "fields" | "add" | "update" | "delete") {
        return Err(ApiError::method_not_found());
    }
    let entity = entity(call)?;
    if !call.inner.access().crm_rights {
        return Err(ApiError::item_denied());
    }
    if verb == "list" {
        return list(call, entity, out);
    }
    match verb {
        "fields" => fields(call, entity, out),
        "get" => single(call, entity, existing(call, entity)?, out),
        "add" => single(call, entity, write::add(call, entity, Dialect::Item)?, out),
        "update" => {
            let id = existing(call, entity)?;
            write::update(call, entity, id, Dialect::Item)?;
            single(call, entity, id, out);
        }
        _ => {
            let id = existing(call, entity)?;
            write::delete(call, entity, id);
            out.raw("[]");
        }
    }
    Ok(Extras::default())
}

fn missing(parameter: &str) -> ApiError {
    ApiError::new(400, "100", &format!("Could not find value for parameter {{{parameter}}}"))
}

/// The entity of `entityTypeId`; old invoices are unsupported, everything else that is not here is not found.
fn entity(call: Call<'_>) -> Result<Entity, ApiError> {
    let type_id = call.params.get("entityTypeId").and_then(Param::integer).ok_or_else(|| missing("entityTypeId"))?;
    let not_found = || ApiError::new(400, "NOT_FOUND", "Entity type not found");
    match Entity::by_type_id(type_id) {
        Some(entity) if call.inner.stores().of(entity).removed => Err(not_found()),
        Some(entity) => Ok(entity),
        None if type_id < 128 => {
            Err(ApiError::new(400, "ENTITY_TYPE_NOT_SUPPORTED", &format!("Entity type {type_id} is not supported")))
        }
        None => Err(not_found()),
    }
}

fn existing(call: Call<'_>, entity: Entity) -> Result<i64, ApiError> {
    let id = call.params.get("id").and_then(Param::integer).ok_or_else(|| missing("id"))?;
    let stores = call.inner.stores();
    let store = stores.of(entity);
    if !store.exists(id) {
        Err(ApiError::item_not_found())
    } else if store.is_hidden(id) {
        Err(ApiError::item_denied())
    } else {
        Ok(id)
    }
}

fn list(call: Call<'_>, entity: Entity, out: &mut Json) -> Result<Extras, ApiError> {
    let stores = call.inner.stores();
    let view = call.inner.view(&stores, entity);
    let select = rows::selected(call.params)?;
    let shape = shape(&view, select.as_deref(), rows::wants_original_names(call.params));
    let shelf = rows::shelf(call, &view, Dialect::Item, |kept| Shape {
        columns: shape.columns.iter().map(|(position, _)| *position).collect(),
        original_names: shape.original_names,
        spoilt: shape.spoilt,
        ..kept
    });
    let (page, mut extras) = rows::page(call, &view, Dialect::Item)?;
    out.raw("{\"items\":[");
    for id in page.ids {
        out.comma();
        extras.rows.push(out.len());
        rows::write(out, &view, id, shelf.as_deref(), |out, row| record(out, row, &shape));
    }
    out.raw("]}");
    Ok(extras)
}

fn single(call: Call<'_>, entity: Entity, id: i64, out: &mut Json) {
    let stores = call.inner.stores();
    let view = call.inner.view(&stores, entity);
    let original_names = rows::wants_original_names(call.params);
    let columns = view.schema().item_columns().iter().enumerate().collect();
    out.raw("{\"item\":");
    record(out, &view.row(id), &ItemShape { columns, original_names, spoilt: false });
    out.raw("}");
}

/// The columns of a list: everything for `*` or without a `select`, otherwise by name; `fm` has no name.
fn shape<'s>(view: &View<'s>, select: Option<&[String]>, original_names: bool) -> ItemShape<'s> {
    let star = select.is_none_or(|names| names.iter().any(|name| name == "*"));
    let named = |name: &str| select.is_some_and(|names| names.iter().any(|selected| selected == name));
    let schema = view.schema();
    let wanted = |column: &ItemColumn| match column.content {
        ItemContent::UserField(at) => {
            let original = schema.field(at).is_some_and(|field| original_names && named(&field.name));
            named(&column.name) || original || (star && view.config.item_star_includes_user_fields)
        }
        ItemContent::Multifields => star,
        _ => star || named(&column.name),
    };
    let columns = schema.item_columns().iter().enumerate().filter(|(_, column)| wanted(column)).collect();
    ItemShape { columns, original_names, spoilt: view.config.original_names_bug && original_names && select.is_some() }
}

fn fields(call: Call<'_>, entity: Entity, out: &mut Json) {
    let names = call.inner.config.item_upper_names;
    out.raw("{\"fields\":");
    let original_names = rows::wants_original_names(call.params);
    descriptor::item(out, &call.inner.stores().of(entity).schema, names, original_names);
    out.raw("}");
}
