//! Adding and changing records through the API.

use super::Call;
use crate::changes::{Addition, Origin};
use crate::coerce;
use crate::entity::{Dialect, Entity};
use crate::error::ApiError;
use crate::param::Param;
use crate::schema::{Field, READ_ONLY, Schema};
use crate::truth::Truth;

/// Adds a record with `fields`; everything else is as a portal fills it in.
pub(super) fn add(call: Call<'_>, entity: Entity, dialect: Dialect) -> Result<i64, ApiError> {
    let (now, connector) = (call.inner.clock.now_seconds(), call.connector());
    let mut stores = call.inner.stores_mut();
    let fields = changes(call, &stores.of(entity).schema, dialect)?;
    Ok(call.inner.add_record(
        &mut stores,
        Origin { connector: connector.as_deref() },
        entity,
        Addition { fields, created: now, modified: now, blank: true },
    ))
}

/// Changes the fields named in `fields`.
pub(super) fn update(call: Call<'_>, entity: Entity, id: i64, dialect: Dialect) -> Result<(), ApiError> {
    let (now, connector) = (call.inner.clock.now_seconds(), call.connector());
    let mut stores = call.inner.stores_mut();
    let mut changes = changes(call, &stores.of(entity).schema, dialect)?;
    changes.push(("MODIFY_BY_ID".to_owned(), Truth::Reference(call.inner.config.user_id)));
    call.inner.edit_record(&mut stores, Origin { connector: connector.as_deref() }, entity, id, changes, now);
    Ok(())
}

/// Deletes a record.
pub(super) fn delete(call: Call<'_>, entity: Entity, id: i64) {
    let connector = call.connector();
    call.inner.delete_record(&mut call.inner.stores_mut(), Origin { connector: connector.as_deref() }, entity, id);
}

fn changes(call: Call<'_>, schema: &Schema, dialect: Dialect) -> Result<Vec<(String, Truth)>, ApiError> {
    let Some(Param::Map(members)) = call.params.get("fields") else {
        return Err(ApiError::not_an_array("fields"));
    };
    let changes = members.iter().filter_map(|(name, value)| {
        let field = writable(schema, name, dialect)?;
        Some((field.name.clone(), coerce::from_param(field, value)))
    });
    Ok(changes.collect())
}

/// The field behind a name, unless it is unknown or read-only; the portal ignores both.
fn writable<'s>(schema: &'s Schema, name: &str, dialect: Dialect) -> Option<&'s Field> {
    let found = match dialect {
        Dialect::Classic => schema.named(name),
        Dialect::Item => {
            schema.item_named(name).or_else(|| schema.named(name).filter(|(_, field)| field.user.is_some()))
        }
    };
    found.map(|(_, field)| field).filter(|field| !field.has(READ_ONLY))
}
