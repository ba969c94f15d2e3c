//! User fields: the ones a generated portal starts with, and those added later.

use serde::{Deserialize, Serialize};

use super::{Field, UserType};
use crate::data::recipe::Recipe;
use crate::data::{mix, salt_of};
use crate::entity::Entity;

/// What only user fields have.
#[derive(Clone, Debug)]
pub(crate) struct UserField {
    pub(crate) id: i64,
    pub(crate) user_type: UserType,
    pub(crate) label: String,
    pub(crate) sort: i64,
    pub(crate) mandatory: bool,
    /// The options of an `enumeration`; empty for other types.
    pub(crate) choices: Vec<Choice>,
}

/// One option of an `enumeration`.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) id: i64,
    pub(crate) value: String,
}

/// A user field to be added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserFieldSpec {
    /// Its type.
    pub user_type: UserType,
    /// Whether a value is a list.
    #[serde(default)]
    pub multiple: bool,
    /// Its label.
    pub label: String,
    /// Its name, `UF_CRM_…`; made up if absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether existing records get values at once; a real portal leaves them empty.
    #[serde(default)]
    pub filled: bool,
}

impl UserFieldSpec {
    /// A single field with a made-up name that is empty in all records.
    pub fn new(user_type: UserType, label: &str) -> Self {
        Self { user_type, multiple: false, label: label.to_owned(), name: None, filled: false }
    }

    /// The same with lists as values.
    #[must_use]
    pub fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// The same with this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The same with values in the records that are already there.
    #[must_use]
    pub fn filled(mut self) -> Self {
        self.filled = true;
        self
    }
}

/// The id of the first generated user field of an entity.
pub(super) fn first_id(entity: Entity) -> i64 {
    5_001 + entity.type_id() * 1_000
}

/// Labels in the order of [`UserType::ALL`].
const LABELS: &[(&str, &str)] = &[
    ("Метро", "Directions"),
    ("Количество мест", "Seats"),
    ("Площадь, м²", "Floor area"),
    ("Нужен пропуск", "VIP"),
    ("Дата договора", "Contract date"),
    ("Время звонка", "Call at"),
    ("Источник выгоды", "Benefit"),
    ("Отрасль", "Industry"),
    ("Связанные объекты", "Bindings"),
    ("Наша оценка", "Estimate"),
    ("Паспорт проекта", "Project passport"),
    ("Адрес объекта", "Site address"),
    ("Договор (файл)", "Contract (file)"),
    ("Ответственный инженер", "Engineer"),
    ("Раздел каталога", "Catalogue section"),
    ("Элемент списка", "List element"),
    ("Бронирование", "Booking"),
    ("Поле приложения", "App field"),
    ("Дочерняя компания", "Subsidiary"),
];

/// Types after the first ones, which cover every type: mostly what real portals have.
const COMMON: &[(UserType, bool)] = &[
    (UserType::String, false),
    (UserType::Enumeration, false),
    (UserType::Double, false),
    (UserType::Date, false),
    (UserType::String, false),
    (UserType::Boolean, false),
    (UserType::Money, false),
    (UserType::Integer, false),
    (UserType::Datetime, false),
    (UserType::Url, false),
    (UserType::String, true),
    (UserType::Employee, false),
    (UserType::Enumeration, true),
];

/// The first `count` user fields of an entity. The first 38 cover every type, single and multiple.
pub(super) fn generate(entity: Entity, seed: u64, count: usize) -> Vec<Field> {
    let covering = UserType::ALL.into_iter().flat_map(|user_type| [(user_type, false), (user_type, true)]);
    let types = covering.chain(COMMON.iter().copied().cycle());
    types
        .take(count)
        .enumerate()
        .map(|(at, (user_type, multiple))| {
            let number = u64::try_from(at).unwrap_or(0);
            let id = first_id(entity) + i64::try_from(at).unwrap_or(0) * 2;
            // Two fields of each type share a label, as on real portals.
            let index = UserType::ALL.iter().position(|known| *known == user_type).unwrap_or(0);
            let (russian, english) = LABELS.get(index).copied().unwrap_or(("Поле", "Field"));
            let label = if number % 4 < 3 { russian } else { english };
            let name = generated_name(mix(seed ^ salt_of(entity.name()) ^ number), number);
            build(
                entity,
                id,
                &UserFieldSpec { multiple, filled: true, ..UserFieldSpec::new(user_type, label).named(&name) },
            )
        })
        .collect()
}

/// Names as real portals have them: a number, a hexadecimal code, an old ten-digit number, or words.
fn generated_name(roll: u64, number: u64) -> String {
    match number % 16 {
        5 => format!("UF_CRM_{:X}", 0x64A2_9A1C_0000_0000_u64 + (roll & 0xffff_ffff)),
        9 => format!("UF_CRM_{}", 1_594_289_616 + roll % 100_000_000),
        13 => format!("UF_CRM_FIELD_{}", letters(roll)),
        15 => format!("UF_CRM_{}_{}", 1 + roll % 40, letters(roll)),
        _ => format!("UF_CRM_{}{:03}", 1_594_289_616 + roll % 150_000_000, number % 1_000),
    }
}

fn letters(roll: u64) -> String {
    (0..6).map(|step| char::from(b'A' + u8::try_from(roll.rotate_right(step * 8) % 26).unwrap_or(0))).collect()
}

/// Makes a field of a specification.
pub(super) fn build(entity: Entity, id: i64, spec: &UserFieldSpec) -> Field {
    let name = spec.name.clone().unwrap_or_else(|| format!("UF_CRM_{}", 1_700_000_000_000 + id));
    let mut field = Field {
        classic_key: format!("\"{name}\":").into_bytes(),
        salt: salt_of(&name) ^ entity.type_id().cast_unsigned(),
        title: name.clone(),
        name,
        item_name: None,
        kind: spec.user_type.kind(),
        multiple: spec.multiple,
        flags: 0,
        recipe: if spec.filled { Recipe::UserField } else { Recipe::Never },
        user: None,
    };
    let mut user = UserField {
        id,
        user_type: spec.user_type,
        label: spec.label.clone(),
        sort: 100 + id % 40 * 10,
        mandatory: false,
        choices: Vec::new(),
    };
    set_type(&mut field, &mut user, spec.user_type);
    field.user = Some(user);
    field
}

/// Gives a user field a type, with options if it needs them.
pub(crate) fn set_type(field: &mut Field, user: &mut UserField, user_type: UserType) {
    field.kind = user_type.kind();
    user.user_type = user_type;
    user.choices = if user_type == UserType::Enumeration {
        let first = user.id * 20;
        let values = ["Да", "Нет", "Позже", "N/A", "Да"];
        values.iter().zip(first..).map(|(value, id)| Choice { id, value: (*value).to_owned() }).collect()
    } else {
        Vec::new()
    };
}
