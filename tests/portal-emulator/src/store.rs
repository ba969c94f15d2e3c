//! What one entity of the portal holds: ids in order, and the little that differs from the generated values.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::coerce;
use crate::data::recipe::{self, Recipe};
use crate::data::{Subject, World, dictionary};
use crate::entity::Entity;
use crate::schema::{Field, Schema};
use crate::truth::{TrueRecord, Truth};

/// What differs from the generated values of a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Override {
    /// Fields that are not named are empty, not generated.
    pub(crate) blank: bool,
    pub(crate) fields: HashMap<String, Truth>,
}

/// The records of one entity.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) schema: Schema,
    /// Live ids, rising.
    ids: Vec<i64>,
    overrides: BTreeMap<i64, Override>,
    deleted: BTreeSet<i64>,
    hidden: BTreeSet<i64>,
    all_hidden: bool,
    /// The entity type is gone.
    pub(crate) removed: bool,
    last_id: i64,
    offset_minutes: i32,
}

impl Store {
    pub(crate) fn generate(
        world: &World,
        entity: Entity,
        user_fields: usize,
        poison: u64,
        offset_minutes: i32,
    ) -> Self {
        let count = world.count(entity);
        let ids: Vec<i64> = (0..count).map(|index| world.id_at(entity, index)).collect();
        let last_id = ids.last().copied().unwrap_or(0);
        let schema = Schema::generate(entity, world.seed, user_fields);
        let mut store = Self {
            schema,
            ids,
            overrides: BTreeMap::new(),
            deleted: BTreeSet::new(),
            hidden: BTreeSet::new(),
            all_hidden: false,
            removed: false,
            last_id,
            offset_minutes,
        };
        if count > 0 {
            for number in 0..poison {
                store.add_poisoned(number);
            }
        }
        store
    }

    fn add_poisoned(&mut self, number: u64) {
        let user_field = |kind: &str| {
            self.schema
                .user_fields()
                .find(|(field, _)| field.kind.classic_name() == kind && !field.multiple)
                .map(|(field, _)| field.name.clone())
        };
        let (name, json) = match number % 4 {
            0 => ("COMMENTS".to_owned(), r#""before\u0000after""#),
            1 => ("COMMENTS".to_owned(), r#""half a pair: \ud800""#),
            2 => (user_field("datetime").unwrap_or_else(|| "LAST_ACTIVITY_TIME".to_owned()), r#""not-a-date""#),
            _ => (user_field("double").unwrap_or_else(|| "OPPORTUNITY".to_owned()), r#""abc""#),
        };
        let id = self.next_id();
        self.insert(id);
        let fields = HashMap::from([(name, Truth::Unstorable { json: json.to_owned() })]);
        self.overrides.insert(id, Override { blank: false, fields });
    }

    /// Live ids, rising, hidden ones included.
    pub(crate) fn ids(&self) -> &[i64] {
        &self.ids
    }

    pub(crate) fn exists(&self, id: i64) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Whether the user may not read the record.
    pub(crate) fn is_hidden(&self, id: i64) -> bool {
        self.all_hidden || self.hidden.contains(&id)
    }

    /// Whether every record can be read, so that counting needs no look at each.
    pub(crate) fn nothing_hidden(&self) -> bool {
        !self.all_hidden && self.hidden.is_empty()
    }

    pub(crate) fn hide(&mut self, ids: &[i64]) {
        self.hidden.extend(ids);
    }

    pub(crate) fn hide_all(&mut self) {
        self.all_hidden = true;
    }

    pub(crate) fn unhide(&mut self) {
        self.all_hidden = false;
        self.hidden.clear();
    }

    /// Ids with something that is not generated, rising.
    pub(crate) fn overridden(&self) -> Vec<i64> {
        self.overrides.keys().copied().filter(|id| self.exists(*id)).collect()
    }

    pub(crate) fn override_of(&self, id: i64) -> Option<&Override> {
        self.overrides.get(&id)
    }

    fn next_id(&self) -> i64 {
        self.last_id + 2
    }

    fn insert(&mut self, id: i64) {
        if let Err(at) = self.ids.binary_search(&id) {
            self.ids.insert(at, id);
        }
        self.deleted.remove(&id);
        self.last_id = self.last_id.max(id);
    }

    /// Adds a record; fields that are not named are empty if `blank`, generated otherwise.
    pub(crate) fn add(&mut self, changes: Vec<(String, Truth)>, created: i64, modified: i64, blank: bool) -> i64 {
        let id = self.next_id();
        self.insert(id);
        let entry = self.overrides.entry(id).or_default();
        entry.blank = blank;
        for name in ["DATE_CREATE", "MOVED_TIME", "LAST_ACTIVITY_TIME"] {
            entry.fields.insert(name.to_owned(), Truth::Instant { epoch_seconds: created });
        }
        if blank {
            for (name, value) in blank_defaults(self.schema.entity) {
                entry.fields.insert(name.to_owned(), value);
            }
        }
        self.edit(id, changes, modified);
        id
    }

    /// Changes fields and the modified time; returns whether the record exists.
    pub(crate) fn edit(&mut self, id: i64, changes: Vec<(String, Truth)>, modified: i64) -> bool {
        if !self.exists(id) {
            return false;
        }
        let mut fields: Vec<(String, Truth)> = Vec::new();
        for (name, value) in changes {
            let Some((_, field)) = self.schema.named(&name) else { continue };
            let value = coerce::coerce(field, value, self.offset_minutes);
            fields.extend(consequences(&name, &value, modified));
            fields.push((name, value));
        }
        let entry = self.overrides.entry(id).or_default();
        entry.fields.insert("DATE_MODIFY".to_owned(), Truth::Instant { epoch_seconds: modified });
        entry.fields.extend(fields);
        true
    }

    /// Deletes a record; returns whether it was there.
    pub(crate) fn delete(&mut self, id: i64) -> bool {
        let Ok(at) = self.ids.binary_search(&id) else { return false };
        self.ids.remove(at);
        self.deleted.insert(id);
        true
    }

    /// Brings a deleted record back as it was; returns whether it had been deleted.
    pub(crate) fn restore(&mut self, id: i64) -> bool {
        let was_deleted = self.deleted.contains(&id);
        if was_deleted {
            self.insert(id);
        }
        was_deleted
    }

    /// Forgets edits of a field that changed its type or went away.
    pub(crate) fn forget_field(&mut self, name: &str) {
        for entry in self.overrides.values_mut() {
            entry.fields.remove(name);
        }
    }

    /// What one field of a record holds; `None` if there is no such record or field.
    pub(crate) fn value(&self, world: &World, id: i64, name: &str) -> Option<Truth> {
        let (_, field) = self.schema.named(name)?;
        let subject = Subject::new(world, self.schema.entity, id);
        self.exists(id).then(|| value(&subject, field, self.override_of(id)))
    }

    /// The record as a whole; `None` if it does not exist.
    pub(crate) fn truth(&self, world: &World, id: i64) -> Option<TrueRecord> {
        if !self.exists(id) {
            return None;
        }
        let subject = Subject::new(world, self.schema.entity, id);
        let over = self.override_of(id);
        let fields: BTreeMap<String, Truth> =
            self.schema.fields().iter().map(|field| (field.name.clone(), value(&subject, field, over))).collect();
        let poisoned = fields.values().any(|value| matches!(value, Truth::Unstorable { .. }));
        Some(TrueRecord { entity: self.schema.entity, id, poisoned, fields })
    }
}

/// What one field of one record holds.
pub(crate) fn value(subject: &Subject<'_>, field: &Field, over: Option<&Override>) -> Truth {
    match over {
        Some(over) => match over.fields.get(&field.name) {
            Some(value) => value.clone(),
            None if over.blank && !matches!(field.recipe, Recipe::Id) => coerce::empty(field),
            None => recipe::value(subject, field),
        },
        None => recipe::value(subject, field),
    }
}

/// What a portal fills in when a record is made through the API.
fn blank_defaults(entity: Entity) -> Vec<(&'static str, Truth)> {
    let mut defaults: Vec<(&'static str, Truth)> =
        ["ASSIGNED_BY_ID", "CREATED_BY_ID", "MODIFY_BY_ID", "LAST_ACTIVITY_BY"]
            .map(|name| (name, Truth::Reference(1)))
            .into();
    defaults.push(("OPENED", Truth::Boolean(true)));
    match entity {
        Entity::Deal => defaults.extend([
            ("CATEGORY_ID", Truth::Reference(0)),
            ("STAGE_ID", "NEW".into()),
            ("STAGE_SEMANTIC_ID", "P".into()),
            ("OPPORTUNITY", Truth::Decimal("0.00".to_owned())),
            ("CURRENCY_ID", "RUB".into()),
            ("CLOSED", Truth::Boolean(false)),
            ("MOVED_BY_ID", Truth::Reference(1)),
        ]),
        Entity::Lead => defaults.extend([
            ("STATUS_ID", "NEW".into()),
            ("STATUS_SEMANTIC_ID", "P".into()),
            ("OPPORTUNITY", Truth::Decimal("0.00".to_owned())),
            ("MOVED_BY_ID", Truth::Reference(1)),
        ]),
        Entity::Contact | Entity::Company => defaults.push(("CATEGORY_ID", Truth::Reference(0))),
    }
    defaults
}

/// What the portal changes by itself along with a field.
fn consequences(name: &str, value: &Truth, now: i64) -> Vec<(String, Truth)> {
    let semantic = |field: &str, code: &str| -> Vec<(String, Truth)> {
        let semantic = dictionary::semantic(code).unwrap_or("P");
        vec![
            (field.to_owned(), semantic.into()),
            ("MOVED_TIME".to_owned(), Truth::Instant { epoch_seconds: now }),
            ("CLOSED".to_owned(), Truth::Boolean(semantic != "P")),
        ]
    };
    match (name, value) {
        ("STAGE_ID", Truth::Text(code)) => semantic("STAGE_SEMANTIC_ID", code),
        ("STATUS_ID", Truth::Text(code)) => {
            let mut changes = semantic("STATUS_SEMANTIC_ID", code);
            let closed = matches!(changes.first(), Some((_, Truth::Text(semantic))) if semantic != "P");
            let closing = if closed { Truth::Instant { epoch_seconds: now } } else { Truth::Null };
            changes.push(("DATE_CLOSED".to_owned(), closing));
            changes
        }
        ("CONTACT_IDS" | "COMPANY_IDS", Truth::List(ids)) => {
            let first = ids.first().cloned().unwrap_or(Truth::Null);
            vec![(name.trim_end_matches('S').to_owned(), first)]
        }
        ("CONTACT_ID" | "COMPANY_ID", Truth::Reference(id)) => {
            vec![(format!("{name}S"), Truth::List(vec![Truth::Reference(*id)]))]
        }
        ("PHONE" | "EMAIL", Truth::Multifield(values)) => {
            vec![(format!("HAS_{name}"), Truth::Boolean(!values.is_empty()))]
        }
        _ => Vec::new(),
    }
}
