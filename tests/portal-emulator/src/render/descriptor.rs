//! Field descriptions: `crm.{entity}.fields` and `crm.item.fields` (REST.md 7.2).

use crate::config::ItemUpperNames;
use crate::entity::Entity;
use crate::json::Json;
use crate::schema::{
    CLASSIC_GET_ONLY, DEPRECATED, Field, IMMUTABLE, ITEM_ONLY, Kind, READ_ONLY, REQUIRED, Schema, UserField,
};

/// Writes the map of the classic `*.fields`.
pub(crate) fn classic(out: &mut Json, schema: &Schema) {
    out.open_object();
    for field in schema.fields().iter().filter(|field| !field.has(ITEM_ONLY | CLASSIC_GET_ONLY)) {
        out.key(&field.name);
        out.open_object();
        describe(out, field, field.kind.classic_name());
        out.close_object();
    }
    out.close_object();
}

/// Writes the map of `crm.item.fields`.
pub(crate) fn item(out: &mut Json, schema: &Schema, names: ItemUpperNames, original_names: bool) {
    out.open_object();
    for field in schema.fields() {
        let Some(item_name) = &field.item_name else { continue };
        let user = field.user.is_some();
        out.key(if user && original_names { &field.name } else { item_name });
        out.open_object();
        describe(out, field, field.kind.item_name());
        out.member_string("upperName", upper_name(field, names));
        out.close_object();
    }
    if schema.entity != Entity::Deal {
        out.key("fm");
        let flags = r#""isRequired":false,"isReadOnly":false,"isImmutable":false,"isMultiple":true,"isDynamic":false"#;
        out.raw(&format!(r#"{{"type":"crm_multifield",{flags},"title":"FM","upperName":"FM"}}"#));
    }
    out.close_object();
}

fn upper_name(field: &Field, names: ItemUpperNames) -> &str {
    match (names, field.name.as_str()) {
        (ItemUpperNames::SmartProcess, "DATE_CREATE") => "CREATED_TIME",
        (ItemUpperNames::SmartProcess, "DATE_MODIFY") => "UPDATED_TIME",
        (ItemUpperNames::SmartProcess, "CREATED_BY_ID") => "CREATED_BY",
        (ItemUpperNames::SmartProcess, "MODIFY_BY_ID") => "UPDATED_BY",
        (ItemUpperNames::SmartProcess, "MOVED_BY_ID") => "MOVED_BY",
        (ItemUpperNames::SmartProcess, "STATUS_ID") => "STAGE_ID",
        (ItemUpperNames::SmartProcess, "STATUS_SEMANTIC_ID") => "STAGE_SEMANTIC_ID",
        (_, name) => name,
    }
}

fn describe(out: &mut Json, field: &Field, type_name: &str) {
    out.member_string("type", type_name);
    out.member_boolean("isRequired", field.has(REQUIRED) || field.user.as_ref().is_some_and(|user| user.mandatory));
    out.member_boolean("isReadOnly", field.has(READ_ONLY));
    out.member_boolean("isImmutable", field.has(IMMUTABLE));
    out.member_boolean("isMultiple", field.multiple);
    out.member_boolean("isDynamic", field.user.is_some());
    if field.has(DEPRECATED) {
        out.member_boolean("isDeprecated", true);
    }
    match (&field.user, field.kind) {
        (Some(user), _) => describe_user(out, field, user),
        (None, Kind::Status(dictionary)) => {
            out.member_string("statusType", dictionary);
            out.member_string("title", &field.title);
        }
        (None, kind) => {
            out.member_string("title", &field.title);
            if let Some(parent) = parent_of(kind, field.multiple) {
                out.key("settings");
                out.open_object();
                out.member_integer("parentEntityTypeId", parent);
                out.close_object();
            }
        }
    }
}

/// The entity type in the settings of link fields; contacts have none.
fn parent_of(kind: Kind, multiple: bool) -> Option<i64> {
    match kind {
        Kind::Link(Entity::Contact) => None,
        Kind::Link(target) if !multiple => Some(target.type_id()),
        Kind::Quote => Some(7),
        Kind::Parent(type_id) => Some(type_id),
        _ => None,
    }
}

fn describe_user(out: &mut Json, field: &Field, user: &UserField) {
    if !user.choices.is_empty() {
        out.key("items");
        out.open_array();
        for choice in &user.choices {
            out.comma();
            out.open_object();
            out.member_quoted("ID", choice.id);
            out.member_string("VALUE", &choice.value);
            out.close_object();
        }
        out.close_array();
    }
    if let Kind::Status(dictionary) = field.kind {
        out.member_string("statusType", dictionary);
    }
    out.member_string("title", &field.title);
    for label in ["listLabel", "formLabel", "filterLabel"] {
        out.member_string(label, &user.label);
    }
    out.member_raw("settings", user.user_type.settings());
}
