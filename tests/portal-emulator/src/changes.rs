//! Changes of records and user fields. Whatever changes them goes through here, so that listeners hear of it.

use crate::entity::Entity;
use crate::events::{Event, FieldVerb, Verb};
use crate::inner::{Inner, Stores};
use crate::schema::{UserFieldSpec, UserType};
use crate::store::Store;
use crate::truth::Truth;

/// Who made a change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin<'o> {
    /// The `auth_connector` of an application's request.
    pub(crate) connector: Option<&'o str>,
}

/// A record to be added.
#[derive(Debug)]
pub(crate) struct Addition {
    pub(crate) fields: Vec<(String, Truth)>,
    pub(crate) created: i64,
    pub(crate) modified: i64,
    /// Fields that are not named are empty, not generated.
    pub(crate) blank: bool,
}

impl Inner {
    /// Adds a record.
    pub(crate) fn add_record(&self, stores: &mut Stores, by: Origin<'_>, entity: Entity, addition: Addition) -> i64 {
        let Addition { fields, created, modified, blank } = addition;
        let id = stores.of_mut(entity).add(fields, created, modified, blank);
        self.announce(by, || Event::record(entity, Verb::Add, id));
        id
    }

    /// Changes fields and the modified time; returns whether the record exists. A deal that goes to another funnel
    /// makes that event only (REST.md 10.4).
    pub(crate) fn edit_record(
        &self,
        stores: &mut Stores,
        by: Origin<'_>,
        entity: Entity,
        id: i64,
        changes: Vec<(String, Truth)>,
        now: i64,
    ) -> bool {
        let funnel_before = self.funnel(stores, entity, id).map(|(funnel, _)| funnel);
        let edited = stores.of_mut(entity).edit(id, changes, now);
        if edited {
            let moved_to = self.funnel(stores, entity, id).filter(|(funnel, _)| Some(*funnel) != funnel_before);
            self.announce(by, || match moved_to {
                Some((funnel, stage)) => Event::moved(id, funnel, stage),
                None => Event::record(entity, Verb::Update, id),
            });
        }
        edited
    }

    /// Deletes a record; returns whether it was there.
    pub(crate) fn delete_record(&self, stores: &mut Stores, by: Origin<'_>, entity: Entity, id: i64) -> bool {
        let deleted = stores.of_mut(entity).delete(id);
        if deleted {
            self.announce(by, || Event::record(entity, Verb::Delete, id));
        }
        deleted
    }

    /// Takes a record out of the recycle bin; returns whether it was there. The event is that of a new record; REST.md
    /// is silent about it.
    pub(crate) fn restore_record(&self, stores: &mut Stores, entity: Entity, id: i64) -> bool {
        let restored = stores.of_mut(entity).restore(id);
        if restored {
            self.announce(Origin::default(), || Event::record(entity, Verb::Add, id));
        }
        restored
    }

    /// Adds a user field; returns its name. A name that is taken is returned unchanged.
    pub(crate) fn add_user_field(&self, entity: Entity, spec: &UserFieldSpec) -> String {
        let mut stores = self.stores_mut();
        let schema = &mut stores.of_mut(entity).schema;
        let Some(name) = schema.add_user_field(spec) else { return spec.name.clone().unwrap_or_default() };
        if let Some(id) = schema.user_field_id(&name) {
            self.announce_user_field(entity, id, &name, defined(spec.user_type));
        }
        name
    }

    /// Changes a user field with `change`; if that returns true, listeners hear of `verbs`.
    pub(crate) fn change_user_field(
        &self,
        entity: Entity,
        name: &str,
        verbs: impl IntoIterator<Item = FieldVerb>,
        change: impl FnOnce(&mut Store) -> bool,
    ) -> bool {
        let mut stores = self.stores_mut();
        let store = stores.of_mut(entity);
        let id = store.schema.user_field_id(name);
        let changed = change(store);
        if let (true, Some(id)) = (changed, id) {
            self.announce_user_field(entity, id, name, verbs);
        }
        changed
    }

    fn announce_user_field(&self, entity: Entity, id: i64, name: &str, verbs: impl IntoIterator<Item = FieldVerb>) {
        for verb in verbs {
            self.announce(Origin::default(), || Event::user_field(entity, verb, id, name));
        }
    }

    /// The funnel and the stage of a deal, looked up only if anybody listens.
    fn funnel(&self, stores: &Stores, entity: Entity, id: i64) -> Option<(i64, String)> {
        if entity != Entity::Deal || !self.hub.is_listening() {
            return None;
        }
        let value = |name| stores.of(entity).value(&self.world, id, name);
        match (value("CATEGORY_ID"), value("STAGE_ID")) {
            (Some(Truth::Reference(funnel)), Some(Truth::Text(stage))) => Some((funnel, stage)),
            (Some(Truth::Reference(funnel)), _) => Some((funnel, String::new())),
            _ => None,
        }
    }
}

/// The events of a field that is made: one more if it comes with options (REST.md 10.4).
pub(crate) fn defined(user_type: UserType) -> Vec<FieldVerb> {
    let mut verbs = vec![FieldVerb::Record(Verb::Add)];
    if user_type == UserType::Enumeration {
        verbs.push(FieldVerb::SetEnumValues);
    }
    verbs
}
