//! The fields of an entity: standard ones from tables, user fields on top; both can be looked up by either name.

mod company;
mod contact;
mod deal;
mod item_names;
mod kind;
mod layout;
mod lead;
mod user_field;

use std::collections::HashMap;

pub(crate) use kind::Kind;
pub use kind::UserType;
pub(crate) use layout::{ItemColumn, ItemContent};
pub use user_field::UserFieldSpec;
pub(crate) use user_field::{UserField, set_type};

use crate::data::recipe::Recipe;
use crate::data::salt_of;
use crate::entity::Entity;
use crate::truth::TrueField;

pub(crate) const READ_ONLY: u16 = 1;
pub(crate) const REQUIRED: u16 = 2;
pub(crate) const IMMUTABLE: u16 = 4;
pub(crate) const MULTIPLE: u16 = 8;
pub(crate) const DEPRECATED: u16 = 16;
/// Described by the classic `*.fields`, but never in its rows.
pub(crate) const NO_CLASSIC_ROW: u16 = 32;
/// Unknown to the classic dialect.
pub(crate) const ITEM_ONLY: u16 = 64;
/// In rows of the classic `get` only, and in no metadata.
pub(crate) const CLASSIC_GET_ONLY: u16 = 128;

/// One line of a table of standard fields: classic name, item name (empty: none), type, title, recipe, flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standard(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) Kind,
    pub(crate) &'static str,
    pub(crate) Recipe,
    pub(crate) u16,
);

/// A field as it stands now.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) item_name: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) multiple: bool,
    pub(crate) flags: u16,
    pub(crate) title: String,
    pub(crate) recipe: Recipe,
    /// Makes the rolls of this field its own.
    pub(crate) salt: u64,
    pub(crate) user: Option<UserField>,
    /// `"NAME":`, ready to be written into classic rows.
    pub(crate) classic_key: Vec<u8>,
}

impl Field {
    fn standard(line: Standard) -> Self {
        let Standard(name, item_name, kind, title, recipe, flags) = line;
        Self {
            name: name.to_owned(),
            item_name: (!item_name.is_empty()).then(|| item_name.to_owned()),
            kind,
            multiple: flags & MULTIPLE != 0,
            flags,
            title: title.to_owned(),
            recipe,
            salt: salt_of(name),
            user: None,
            classic_key: format!("\"{name}\":").into_bytes(),
        }
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether rows of the classic list can carry the field.
    pub(crate) fn in_classic_list(&self) -> bool {
        !self.has(NO_CLASSIC_ROW | ITEM_ONLY | CLASSIC_GET_ONLY)
    }

    pub(crate) fn truth(&self) -> TrueField {
        TrueField {
            name: self.name.clone(),
            item_name: match self.kind {
                Kind::Multifield => Some("fm".to_owned()),
                _ => self.item_name.clone(),
            },
            kind: self.kind.classic_name().to_owned(),
            multiple: self.multiple,
            user: self.user.is_some(),
            label: self.user.as_ref().map_or_else(|| self.title.clone(), |user| user.label.clone()),
            in_classic: self.in_classic_list(),
        }
    }
}

/// The fields of one entity.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) entity: Entity,
    fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    by_item_name: HashMap<String, usize>,
    item_columns: Vec<ItemColumn>,
    next_user_field_id: i64,
    /// Another number after each change.
    pub(crate) revision: u64,
}

impl Schema {
    /// The standard fields and the first `user_fields` of the generated ones.
    pub(crate) fn generate(entity: Entity, seed: u64, user_fields: usize) -> Self {
        let lines = match entity {
            Entity::Lead => lead::FIELDS,
            Entity::Deal => deal::FIELDS,
            Entity::Contact => contact::FIELDS,
            Entity::Company => company::FIELDS,
        };
        let mut fields: Vec<Field> = lines.iter().copied().map(Field::standard).collect();
        fields.extend(user_field::generate(entity, seed, user_fields));
        let next_user_field_id = user_field::first_id(entity) + i64::try_from(user_fields).unwrap_or(0) * 2;
        let mut schema = Self {
            entity,
            fields,
            by_name: HashMap::new(),
            by_item_name: HashMap::new(),
            item_columns: Vec::new(),
            next_user_field_id,
            revision: 0,
        };
        schema.index();
        schema
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn field(&self, at: usize) -> Option<&Field> {
        self.fields.get(at)
    }

    /// Finds a field by its classic name.
    pub(crate) fn named(&self, name: &str) -> Option<(usize, &Field)> {
        let at = *self.by_name.get(name)?;
        Some((at, self.fields.get(at)?))
    }

    /// Finds a field by its name in the item dialect.
    pub(crate) fn item_named(&self, name: &str) -> Option<(usize, &Field)> {
        let at = *self.by_item_name.get(name)?;
        Some((at, self.fields.get(at)?))
    }

    /// The columns of an item row, in order.
    pub(crate) fn item_columns(&self) -> &[ItemColumn] {
        &self.item_columns
    }

    /// The user fields, in order.
    pub(crate) fn user_fields(&self) -> impl Iterator<Item = (&Field, &UserField)> {
        self.fields.iter().filter_map(|field| Some((field, field.user.as_ref()?)))
    }

    /// The id of a user field.
    pub(crate) fn user_field_id(&self, name: &str) -> Option<i64> {
        let (_, field) = self.named(name)?;
        field.user.as_ref().map(|user| user.id)
    }

    /// Adds a user field and returns its name; `None` if the name is taken.
    pub(crate) fn add_user_field(&mut self, spec: &UserFieldSpec) -> Option<String> {
        let id = self.next_user_field_id;
        let field = user_field::build(self.entity, id, spec);
        if self.by_name.contains_key(&field.name) {
            return None;
        }
        self.next_user_field_id += 2;
        let name = field.name.clone();
        self.fields.push(field);
        self.index();
        Some(name)
    }

    /// Changes a user field in place; returns whether it exists.
    pub(crate) fn change_user_field(&mut self, name: &str, change: impl FnOnce(&mut Field, &mut UserField)) -> bool {
        let Some(field) = self.fields.iter_mut().find(|field| field.name == name) else { return false };
        let Some(mut user) = field.user.take() else { return false };
        change(field, &mut user);
        field.user = Some(user);
        self.index();
        true
    }

    /// Removes a user field; returns whether it existed.
    pub(crate) fn remove_user_field(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|field| field.name != name || field.user.is_none());
        self.index();
        self.fields.len() < before
    }

    fn index(&mut self) {
        self.revision += 1;
        item_names::assign(&mut self.fields);
        let names = self.fields.iter().enumerate();
        self.by_name = names.clone().map(|(at, field)| (field.name.clone(), at)).collect();
        self.by_item_name = names.filter_map(|(at, field)| Some((field.item_name.clone()?, at))).collect();
        self.item_columns = layout::columns(self);
    }
}
