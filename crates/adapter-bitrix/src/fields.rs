//! Descriptions of fields: what the portal says → [`FieldDescription`]s with classic names.

use std::collections::HashSet;

use b24sync_domain::field::{FieldDescription, FieldKind, FieldName, FieldOption};
use b24sync_domain::record::Layout;
use serde_json::value::RawValue;

use crate::dialect::{EntityDialect, MULTIFIELDS, SelectUserFields};
use crate::envelope::Named;
use crate::lenient;

/// The type of multi-fields.
const MULTIFIELD: &str = "crm_multifield";

/// The fields of an entity, as described to the domain and as named by the portal.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) fields: Vec<DescribedField>,
}

/// A field, and what the portal calls it in records.
#[derive(Debug)]
pub(crate) struct DescribedField {
    pub(crate) name: String,
    pub(crate) description: FieldDescription,
}

impl Metadata {
    pub(crate) fn descriptions(&self) -> Vec<FieldDescription> {
        self.fields.iter().map(|field| field.description.clone()).collect()
    }

    /// Whether a list with this layout can ask for its fields by name, because it wants only some. Multi-fields that come
    /// under one key come only with everything else.
    pub(crate) fn is_narrow(&self, dialect: &EntityDialect, layout: &Layout) -> bool {
        let wanted: HashSet<&FieldName> = layout.fields().iter().collect();
        let is_wanted = |field: &&DescribedField| wanted.contains(&field.description.name);
        let all = self.fields.iter().all(|field| field.name == dialect.id_name || is_wanted(&field));
        let bundled = dialect.multifield_key.is_some()
            && self.fields.iter().filter(is_wanted).any(|field| field.description.kind == FieldKind::Multifield);
        !all && !bundled
    }

    /// What a list must select to bring these fields.
    pub(crate) fn select<'a>(&'a self, dialect: &'a EntityDialect, layout: &Layout) -> Vec<&'a str> {
        if self.is_narrow(dialect, layout) {
            let wanted: HashSet<&FieldName> = layout.fields().iter().collect();
            let named = self.fields.iter().filter(|field| wanted.contains(&field.description.name));
            let named = named.map(|field| field.name.as_str());
            let always = [dialect.id_name, dialect.modified_name.as_str()];
            return always.into_iter().chain(named.filter(|name| !always.contains(name))).collect();
        }
        let by_name = |field: &&DescribedField| match field.description.kind {
            FieldKind::Multifield => dialect.multifield_key.is_none(),
            _ if !field.description.name.is_user_field() => false,
            _ => dialect.select_user_fields == SelectUserFields::All || field.description.multiple,
        };
        let named = self.fields.iter().filter(by_name).map(|field| field.name.as_str());
        dialect.select.iter().copied().chain(named).collect()
    }
}

/// Reads the answer of the fields method, and the one of the user fields method where there is one.
pub(crate) fn decode(dialect: &EntityDialect, fields: &RawValue, user_fields: Option<&RawValue>) -> Option<Metadata> {
    let outer = Named::of(fields);
    let members = match dialect.fields_wrapper {
        Some(wrapper) => Named::of(outer.get(wrapper)?),
        None => outer,
    };
    let mut described: Vec<DescribedField> = Vec::new();
    let mut taken = HashSet::new();
    for (name, descriptor) in members.iter() {
        let descriptor = Named::of(descriptor);
        let upper_name = descriptor.get("upperName").and_then(lenient::text);
        let Some(classic) = dialect.classic_name(name, upper_name.as_deref()) else { continue };
        if taken.insert(classic.clone()) {
            described.push(DescribedField { name: name.to_owned(), description: describe(classic, &descriptor) });
        }
    }
    if described.is_empty() {
        return None;
    }
    if dialect.has_multifields {
        described.extend(
            MULTIFIELDS.iter().filter(|name| taken.insert(FieldName::new(**name))).map(|name| multifield(name)),
        );
    }
    if let Some(user_fields) = user_fields {
        merge_user_fields(&mut described, user_fields);
    }
    Some(Metadata { fields: described })
}

fn describe(name: FieldName, descriptor: &Named<'_>) -> FieldDescription {
    let type_name = descriptor.get("type").and_then(lenient::text).unwrap_or_default();
    let multiple = descriptor.get("isMultiple").and_then(lenient::boolean).unwrap_or(false);
    let label = ["listLabel", "formLabel", "filterLabel", "title"]
        .into_iter()
        .filter_map(|key| descriptor.get(key).and_then(lenient::text))
        .find(|label| !label.trim().is_empty() && label != name.as_str());
    FieldDescription {
        kind: FieldKind::of(&type_name),
        multiple: multiple || type_name == MULTIFIELD,
        label,
        options: descriptor.get("items").map(options).unwrap_or_default(),
        name,
        type_name,
    }
}

/// Described here, because the item dialect only knows `fm`.
fn multifield(name: &str) -> DescribedField {
    DescribedField {
        name: name.to_owned(),
        description: FieldDescription {
            name: FieldName::new(name),
            type_name: MULTIFIELD.to_owned(),
            kind: FieldKind::Multifield,
            multiple: true,
            label: None,
            options: Vec::new(),
        },
    }
}

fn options(items: &RawValue) -> Vec<FieldOption> {
    let option = |(_, item)| {
        let item = Named::of(item);
        let id = item.get("ID").and_then(lenient::text)?;
        Some(FieldOption { id, value: item.get("VALUE").and_then(lenient::text).unwrap_or_default() })
    };
    Named::of(items).iter().filter_map(option).collect()
}

/// Labels and options of user fields that the description of all fields left open.
fn merge_user_fields(described: &mut [DescribedField], user_fields: &RawValue) {
    for (_, row) in Named::of(user_fields).iter() {
        let row = Named::of(row);
        let Some(name) = row.get("FIELD_NAME").and_then(lenient::text) else { continue };
        let Some(field) = described.iter_mut().find(|field| field.description.name.as_str() == name) else { continue };
        let description = &mut field.description;
        if description.label.is_none() {
            description.label = ["LIST_COLUMN_LABEL", "EDIT_FORM_LABEL", "LIST_FILTER_LABEL"]
                .into_iter()
                .filter_map(|key| row.get(key).and_then(lenient::text))
                .find(|label| !label.trim().is_empty());
        }
        if description.options.is_empty() {
            description.options = row.get("LIST").map(options).unwrap_or_default();
        }
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
