//! What users of the portal do meanwhile: to records, and to fields.

use std::collections::{BTreeMap, BTreeSet};

use b24sync_portal_emulator::{Entity, Portal, TrueField, Truth, UserFieldSpec, UserType};

use super::random::{Random, pick};

pub(super) const ENTITIES: [Entity; 4] = [Entity::Deal, Entity::Lead, Entity::Contact, Entity::Company];

/// Deletions of an entity that no operator has to confirm, with a margin.
const DELETIONS: usize = 40;

/// Deletions that somebody has to confirm.
const MASS: usize = 60;

/// Types that a field may get after it had another one: a column that was widened for one of them shows values of the
/// others as the portal does.
const TYPES: [UserType; 6] =
    [UserType::String, UserType::Integer, UserType::Double, UserType::Date, UserType::Enumeration, UserType::Employee];

/// The same by the portal's names.
const KINDS: [&str; 6] = ["string", "integer", "double", "date", "enumeration", "employee"];

/// One change. Numbers stand for records and fields that are there when it happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Edit { entity: Entity, count: usize, roll: u64 },
    EditInOneSecond { entity: Entity, count: usize, roll: u64 },
    EditUserField { entity: Entity, count: usize, roll: u64 },
    Add { entity: Entity, count: usize },
    Import { entity: Entity, count: usize, years_ago: i64 },
    Delete { entity: Entity, count: usize, roll: u64 },
    DeleteMany,
    Restore { entity: Entity, count: usize, roll: u64 },
    AddField { entity: Entity, number: u64, user_type: UserType, multiple: bool, filled: bool },
    RenameLabel { entity: Entity, roll: u64 },
    Retype { entity: Entity, roll: u64, user_type: UserType },
    MakeMultiple { entity: Entity, roll: u64 },
    RemoveField { entity: Entity, roll: u64 },
    BringFieldBack { entity: Entity },
}

impl Change {
    pub(super) fn of(random: &mut Random) -> Change {
        // Most of the records are deals.
        let entity = if random.once_in(2) { Entity::Deal } else { random.pick(&ENTITIES) };
        let roll = random.next();
        let count = usize::try_from(random.between(1, 12)).unwrap();
        match random.between(0, 17) {
            0..=3 => Change::Edit { entity, count: count * 3, roll },
            4 => Change::EditInOneSecond { entity, count: count * 10, roll },
            5 => Change::EditUserField { entity, count, roll },
            6 => Change::Add { entity, count },
            7 => Change::Import { entity, count, years_ago: i64::try_from(random.between(0, 9)).unwrap() },
            8 | 9 => Change::Delete { entity, count, roll },
            10 | 11 => Change::Restore { entity, count, roll },
            12 => Change::AddField {
                entity,
                number: random.between(1, 6),
                user_type: random.pick(&TYPES),
                multiple: random.once_in(3),
                filled: random.once_in(2),
            },
            13 => Change::RenameLabel { entity, roll },
            14 => Change::Retype { entity, roll, user_type: random.pick(&TYPES) },
            15 => Change::MakeMultiple { entity, roll },
            16 => Change::RemoveField { entity, roll },
            _ => Change::BringFieldBack { entity },
        }
    }
}

/// What the changes of a seed leave to be remembered.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Every record that was deleted at some time.
    pub(super) deleted: BTreeSet<(&'static str, i64)>,
    /// Every record that could not be read at some time.
    pub(super) hidden: BTreeSet<(&'static str, i64)>,
    /// Records that are deleted now, by entity.
    gone: BTreeMap<&'static str, Vec<i64>>,
    /// Fields that were removed and can come back.
    removed: BTreeMap<&'static str, Vec<UserFieldSpec>>,
}

impl History {
    /// Takes the right to read some records away until all is well again.
    pub(super) fn hide(&mut self, portal: &Portal, entity: Entity, ids: &[i64]) {
        portal.hide(entity, ids);
        self.hidden.extend(ids.iter().map(|id| (entity.name(), *id)));
    }

    /// Carries a change out.
    pub(super) fn apply(&mut self, portal: &Portal, change: Change) {
        match change {
            Change::Edit { entity, count, roll } => {
                portal.edit_random(entity, count, roll);
            }
            Change::EditInOneSecond { entity, count, roll } => {
                portal.bulk_edit_in_one_second(entity, &some(portal, entity, count, roll));
            }
            Change::EditUserField { entity, count, roll } => edit_user_field(portal, entity, count, roll),
            Change::Add { entity, count } => {
                for _ in 0..count {
                    portal.add(entity, [("COMMENTS", Truth::from("added by the nemesis"))]);
                }
            }
            Change::Import { entity, count, years_ago } => {
                let then = portal.clock().now_seconds() - years_ago * 31_536_000 - 400;
                for _ in 0..count {
                    portal.import_with_old_dates(entity, [("COMMENTS", Truth::from("imported"))], then, then);
                }
            }
            Change::Delete { entity, count, roll } => self.delete(portal, entity, count, DELETIONS, roll),
            Change::DeleteMany => self.delete(portal, Entity::Deal, MASS, usize::MAX, 7),
            Change::Restore { entity, count, roll } => {
                let gone = self.gone.entry(entity.name()).or_default();
                for step in 0..count.min(gone.len()) {
                    let at = pick(&(0..gone.len()).collect::<Vec<_>>(), roll >> step).to_owned();
                    portal.restore(entity, gone.swap_remove(at));
                }
            }
            _ => self.change_fields(portal, change),
        }
    }

    fn delete(&mut self, portal: &Portal, entity: Entity, count: usize, most: usize, roll: u64) {
        let gone = self.gone.entry(entity.name()).or_default();
        for id in some(portal, entity, count, roll) {
            // Some must be left, to prove that others are gone.
            let ever = self.deleted.iter().filter(|(name, _)| *name == entity.name()).count();
            if ever < most && portal.ids(entity).len() > 10 && portal.delete(entity, id) {
                gone.push(id);
                self.deleted.insert((entity.name(), id));
            }
        }
    }

    fn change_fields(&mut self, portal: &Portal, change: Change) {
        match change {
            Change::AddField { entity, number, user_type, multiple, filled } => {
                let name = format!("UF_CRM_NEMESIS_{number}");
                let was_there = self
                    .removed
                    .get(entity.name())
                    .is_some_and(|fields| fields.iter().any(|field| field.name.as_ref() == Some(&name)));
                if !was_there {
                    let label = format!("Nemesis {number}");
                    let spec = UserFieldSpec { user_type, multiple, label, name: Some(name), filled };
                    portal.add_user_field(entity, &spec);
                }
            }
            Change::RenameLabel { entity, roll } => {
                if let Some(field) = user_field(portal, entity, roll, |_| true) {
                    portal.rename_label(entity, &field.name, &format!("Label {}", roll % 1_000));
                }
            }
            Change::Retype { entity, roll, user_type } => {
                if let Some(field) = user_field(portal, entity, roll, is_plain) {
                    portal.retype_user_field(entity, &field.name, user_type);
                }
            }
            Change::MakeMultiple { entity, roll } => {
                if let Some(field) = user_field(portal, entity, roll, is_plain) {
                    portal.make_multiple(entity, &field.name, true);
                }
            }
            Change::RemoveField { entity, roll } => self.remove_field(portal, entity, roll),
            Change::BringFieldBack { entity } => {
                let back = self.removed.get_mut(entity.name()).and_then(Vec::pop);
                if let Some(spec) = back {
                    portal.add_user_field(entity, &spec);
                }
            }
            _ => {}
        }
    }

    fn remove_field(&mut self, portal: &Portal, entity: Entity, roll: u64) {
        let Some(field) = user_field(portal, entity, roll, |field| KINDS.contains(&field.kind.as_str())) else {
            return;
        };
        let user_type = TYPES[KINDS.iter().position(|kind| *kind == field.kind).unwrap()];
        let spec = UserFieldSpec {
            user_type,
            multiple: field.multiple,
            label: format!("{} again", field.label),
            name: Some(field.name.clone()),
            filled: roll.is_multiple_of(2),
        };
        portal.remove_user_field(entity, &field.name);
        self.removed.entry(entity.name()).or_default().push(spec);
    }

    /// An id that may be named: of a record that is there, or is gone.
    pub(super) fn any_id(&self, portal: &Portal, entity: Entity, roll: u64) -> i64 {
        match self.gone.get(entity.name()) {
            Some(gone) if !gone.is_empty() && roll.is_multiple_of(3) => *pick(gone, roll / 3),
            _ => *pick(&portal.ids(entity), roll),
        }
    }
}

/// Records that stand together.
fn some(portal: &Portal, entity: Entity, count: usize, roll: u64) -> Vec<i64> {
    let ids = portal.ids(entity);
    let first = usize::try_from(roll % u64::try_from(ids.len()).unwrap()).unwrap();
    ids.into_iter().cycle().skip(first).take(count).collect()
}

fn is_plain(field: &TrueField) -> bool {
    !field.multiple && KINDS.contains(&field.kind.as_str())
}

fn user_field(portal: &Portal, entity: Entity, roll: u64, may: impl Fn(&TrueField) -> bool) -> Option<TrueField> {
    let fields: Vec<TrueField> =
        portal.fields_truth(entity).into_iter().filter(|field| field.user && may(field)).collect();
    (!fields.is_empty()).then(|| pick(&fields, roll).clone())
}

fn edit_user_field(portal: &Portal, entity: Entity, count: usize, roll: u64) {
    let Some(field) = user_field(portal, entity, roll, is_plain) else { return };
    let text = match field.kind.as_str() {
        "date" => format!("2024-02-{:02}", roll % 28 + 1),
        "string" => format!("значение {}", roll % 10_000),
        _ => (roll % 10_000).to_string(),
    };
    for id in some(portal, entity, count, roll) {
        portal.edit(entity, id, [(field.name.as_str(), Truth::from(text.clone()))]);
    }
}
