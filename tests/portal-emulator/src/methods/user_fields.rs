//! `crm.{entity}.userfield.list` and `.get` (REST.md 7.2).

use super::{Call, Extras};
use crate::entity::Entity;
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;
use crate::schema::{Field, UserField};

/// How labels are printed: not at all, in one language, or in all.
#[derive(Clone, Copy)]
enum Labels {
    Absent,
    One,
    All,
}

const LANGUAGES: &[&str] = &[
    "ar", "br", "de", "en", "fr", "hi", "id", "in", "it", "ja", "kz", "la", "ms", "pl", "ru", "sc", "tc", "th", "tr",
    "ua", "vn",
];

pub(super) fn execute(call: Call<'_>, entity: Entity, verb: &str, out: &mut Json) -> Result<Extras, ApiError> {
    if !call.inner.access().crm_rights {
        return Err(ApiError::classic_denied());
    }
    match verb {
        "list" => list(call, entity, out),
        "get" => get(call, entity, out),
        _ => Err(ApiError::method_not_found()),
    }
}

fn list(call: Call<'_>, entity: Entity, out: &mut Json) -> Result<Extras, ApiError> {
    let filter = match call.params.get("filter") {
        None | Some(Param::Null) => &Param::default(),
        Some(filter @ Param::Map(_)) => filter,
        Some(_) => return Err(ApiError::not_an_array("filter")),
    };
    let labels = if filter.get("LANG").is_some() { Labels::One } else { Labels::Absent };
    let stores = call.inner.stores();
    let mut fields: Vec<_> =
        stores.of(entity).schema.user_fields().filter(|(field, user)| passes(filter, entity, field, user)).collect();
    let order = call.params.get("order").and_then(|order| order.members().first());
    match order.map(|(name, _)| name.to_ascii_uppercase()).as_deref() {
        Some("ID") => fields.sort_by_key(|(_, user)| user.id),
        Some("FIELD_NAME") => fields.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name)),
        _ => fields.sort_by_key(|(_, user)| (user.sort, user.id)),
    }
    if order.and_then(|(_, direction)| direction.text()).is_some_and(|text| text.eq_ignore_ascii_case("DESC")) {
        fields.reverse();
    }
    out.open_array();
    for (field, user) in &fields {
        out.comma();
        row(out, entity, field, user, labels);
    }
    out.close_array();
    Ok(Extras { total: i64::try_from(fields.len()).ok(), ..Extras::default() })
}

fn passes(filter: &Param, entity: Entity, field: &Field, user: &UserField) -> bool {
    filter.members().iter().all(|(name, wanted)| {
        let actual = match name.trim_start_matches('=').to_ascii_uppercase().as_str() {
            "ID" => user.id.to_string(),
            "FIELD_NAME" => field.name.clone(),
            "USER_TYPE_ID" => user.user_type.name().to_owned(),
            "MULTIPLE" => yes_no(field.multiple).to_owned(),
            "MANDATORY" => yes_no(user.mandatory).to_owned(),
            "ENTITY_ID" => entity.user_field_owner().to_owned(),
            "SORT" => user.sort.to_string(),
            _ => return true,
        };
        wanted.texts().contains(&actual)
    })
}

fn get(call: Call<'_>, entity: Entity, out: &mut Json) -> Result<Extras, ApiError> {
    let id = call.params.get("id").and_then(Param::integer).ok_or_else(ApiError::classic_bad_id)?;
    let stores = call.inner.stores();
    let found = stores.of(entity).schema.user_fields().find(|(_, user)| user.id == id);
    let (field, user) = found.ok_or_else(|| ApiError::new(400, "ERROR_NOT_FOUND", "The entity is not found"))?;
    row(out, entity, field, user, Labels::All);
    Ok(Extras::default())
}

fn yes_no(value: bool) -> &'static str {
    if value { "Y" } else { "N" }
}

fn row(out: &mut Json, entity: Entity, field: &Field, user: &UserField, labels: Labels) {
    out.open_object();
    out.member_quoted("ID", user.id);
    out.member_string("ENTITY_ID", entity.user_field_owner());
    out.member_string("FIELD_NAME", &field.name);
    out.member_string("USER_TYPE_ID", user.user_type.name());
    out.member_raw("XML_ID", "null");
    out.member_quoted("SORT", user.sort);
    out.member_string("MULTIPLE", yes_no(field.multiple));
    out.member_string("MANDATORY", yes_no(user.mandatory));
    out.member_string("SHOW_FILTER", "E");
    out.member_string("SHOW_IN_LIST", "Y");
    out.member_string("EDIT_IN_LIST", "Y");
    out.member_string("IS_SEARCHABLE", "N");
    out.member_raw("SETTINGS", user.user_type.settings());
    for name in ["EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL"] {
        label(out, name, Some(&user.label), labels);
    }
    for name in ["ERROR_MESSAGE", "HELP_MESSAGE"] {
        label(out, name, None, labels);
    }
    if !user.choices.is_empty() {
        choices(out, user);
    }
    out.close_object();
}

fn label(out: &mut Json, name: &str, text: Option<&str>, labels: Labels) {
    match (labels, text) {
        (Labels::Absent, _) => {}
        (Labels::One, Some(text)) => out.member_string(name, text),
        (Labels::One, None) => out.member_raw(name, "null"),
        (Labels::All, text) => {
            out.key(name);
            out.open_object();
            for language in LANGUAGES {
                let shown = matches!(*language, "en" | "ru");
                out.member_string(language, text.filter(|_| shown).unwrap_or_default());
            }
            out.close_object();
        }
    }
}

fn choices(out: &mut Json, user: &UserField) {
    out.key("LIST");
    out.open_array();
    for (choice, number) in user.choices.iter().zip(1_i64..) {
        out.comma();
        out.open_object();
        out.member_quoted("ID", choice.id);
        out.member_quoted("SORT", number * 10);
        out.member_string("VALUE", &choice.value);
        out.member_string("DEF", "N");
        out.member_string("XML_ID", &format!("FAKE{:028x}", choice.id));
        out.close_object();
    }
    out.close_array();
}
