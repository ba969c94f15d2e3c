//! How the standard fields of a generated record get their values.

use super::dictionary::{self, Entry, FUNNELS, Funnel};
use super::{Subject, below, names, pick, text, user_value};
use crate::civil::{DAY, Day};
use crate::entity::Entity;
use crate::schema::{Field, Kind};
use crate::truth::{MultifieldValue, Truth};

/// A text made from a record and a salt.
pub(crate) type Writer = fn(&Subject<'_>, u64) -> String;

/// How a field of a generated record gets its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// Empty until it is edited.
    Never,
    Id,
    Created,
    Modified,
    Moved,
    LastActivity,
    /// Closing time of leads that are not in progress.
    Closed,
    /// A user, always there.
    User,
    /// A text in this percentage of the records.
    Text(Writer, u64),
    /// One of a list in this percentage of the records.
    OneOf(&'static [&'static str], u64),
    /// An entry of the field's dictionary in this percentage of the records.
    Entry(u64),
    Funnel,
    Stage,
    StageSemantic,
    LeadStatus,
    LeadStatusSemantic,
    /// The deal is won or lost.
    StageClosed,
    /// Yes in this percentage of the records, no in the others.
    Flag(u64),
    /// An amount with two decimals.
    Amount,
    /// The tax: almost always zero.
    Tax,
    /// A whole number below the limit in this percentage of the records.
    Number(i64, u64),
    /// The first of the records linked through `Links`.
    FirstLink(Entity),
    /// Up to three records of another entity.
    Links(Entity),
    /// One record of the field's own target, in this percentage.
    Link(u64),
    Begin,
    Close,
    Birth,
    /// Phones and their kin, by the type code.
    Contacts(&'static str),
    /// Whether there is a value of that type code.
    HasContacts(&'static str),
    Observers,
    Photo,
    /// A display string like `06.04.2024 12:30:00`, in this percentage.
    DisplayTime(u64),
    /// What a user field of its kind holds.
    UserField,
}

const FUNNEL_SALT: u64 = 0x6675_6e6e;
const STAGE_SALT: u64 = 0x7374_6167;

fn funnel(subject: &Subject<'_>) -> Funnel {
    let index = match subject.roll(FUNNEL_SALT) % 10 {
        0..6 => 0,
        6..9 => 1,
        _ => 2,
    };
    FUNNELS.get(index).copied().unwrap_or(Funnel { id: 0, name: "", sort: 0, stages: dictionary::STAGES_0 })
}

fn stage(subject: &Subject<'_>) -> Entry {
    entry_of(funnel(subject).stages, subject.roll(STAGE_SALT))
}

fn lead_status(subject: &Subject<'_>) -> Entry {
    entry_of(dictionary::LEAD_STATUSES, subject.roll(STAGE_SALT))
}

fn entry_of(entries: &[Entry], roll: u64) -> Entry {
    let index = below(roll, u64::try_from(entries.len()).unwrap_or(1));
    let none = Entry { code: "", name: "", semantic: None };
    entries.get(usize::try_from(index).unwrap_or(0)).copied().unwrap_or(none)
}

fn text_of(value: Option<&str>) -> Truth {
    value.map_or(Truth::Null, Truth::from)
}

/// The truth of a day.
pub(crate) fn date(day: Day) -> Truth {
    let part = |number: i64| u8::try_from(number).unwrap_or(1);
    Truth::Date { y: i32::try_from(day.year).unwrap_or(1970), m: part(day.month), d: part(day.date) }
}

fn instant(epoch_seconds: i64) -> Truth {
    Truth::Instant { epoch_seconds }
}

fn links(subject: &Subject<'_>, target: Entity) -> Vec<i64> {
    let salt = 0x6c69_6e6b ^ target.type_id().cast_unsigned();
    let count = subject.roll(salt) % 4;
    let mut ids: Vec<i64> =
        (0..count).filter_map(|step| subject.world.some_id(target, subject.roll(salt ^ ((step + 1) << 8)))).collect();
    ids.dedup();
    ids
}

fn reference(id: Option<i64>) -> Truth {
    id.map_or(Truth::Null, Truth::Reference)
}

fn day_near(subject: &Subject<'_>, salt: u64, days_later: i64) -> Truth {
    let roll = subject.roll(salt);
    if subject.world.odd_values && roll.is_multiple_of(97) {
        return user_value::edge_day(roll >> 8);
    }
    date(Day::from_epoch_days(subject.created.div_euclid(DAY) + days_later))
}

/// The values of one type code, by the record alone.
fn contacts(subject: &Subject<'_>, code: &str) -> Vec<MultifieldValue> {
    let (number, percent): (u64, u64) = match code {
        "PHONE" => (0, 70),
        "EMAIL" => (1, 60),
        "WEB" => (2, 15),
        "IM" => (3, 12),
        _ => (4, 5),
    };
    let salt = 0x6d66_0000 ^ number;
    let roll = subject.roll(salt);
    if roll % 100 >= percent {
        return Vec::new();
    }
    let owner = subject.id * 4 + subject.entity.type_id() - 1;
    let count = 1 + below(roll >> 8, 3);
    (0..count)
        .map(|step| {
            let roll = subject.roll(salt ^ ((step.cast_unsigned() + 1) << 16));
            let (value_type, value) = contact_value(code, roll);
            MultifieldValue { id: owner * 64 + below(number, 8) * 8 + step, value_type: value_type.to_owned(), value }
        })
        .collect()
}

fn contact_value(code: &str, roll: u64) -> (&'static str, String) {
    let work = pick(roll, &["WORK", "WORK", "HOME", "MOBILE", "MAILING", "OTHER"]);
    match code {
        "PHONE" if roll.is_multiple_of(3) => {
            (work, format!("8 ({}) {}-{}", 900 + roll % 99, roll % 900 + 100, roll % 9_000))
        }
        "PHONE" => (work, format!("+1555{}", 1_000_000 + roll % 8_999_999)),
        "EMAIL" => (work, format!("user{}@example.com", roll % 100_000)),
        "WEB" => ("WORK", format!("https://company{}.example/?q=a&b", roll % 10_000)),
        "IM" if roll.is_multiple_of(2) => ("OPENLINE", format!("imol|livechat|1|{}|{}", roll % 100, roll % 1_000)),
        "IM" => ("TELEGRAM", format!("@client_{}", roll % 100_000)),
        _ => ("USER", format!("contact:{}", roll % 1_000)),
    }
}

/// What the portal generated for one field of one record, before any edit.
pub(crate) fn value(subject: &Subject<'_>, field: &Field) -> Truth {
    let salt = field.salt;
    match field.recipe {
        Recipe::Never => {
            if field.multiple {
                Truth::List(Vec::new())
            } else {
                Truth::Null
            }
        }
        Recipe::Id => Truth::from(subject.id),
        Recipe::Created => instant(subject.created),
        Recipe::Modified => instant(subject.modified),
        Recipe::Moved => instant(subject.created + (subject.modified - subject.created) / 2),
        Recipe::LastActivity => instant(subject.created + (subject.modified - subject.created) / 3 * 2),
        Recipe::Closed if lead_status(subject).semantic == Some("P") => Truth::Null,
        Recipe::Closed => instant(subject.modified - below(subject.roll(salt), 60)),
        Recipe::User => Truth::Reference(1 + below(subject.roll(salt), 14)),
        Recipe::Text(writer, percent) if subject.chance(salt ^ 0xface, percent) => Truth::Text(writer(subject, salt)),
        Recipe::OneOf(list, percent) if subject.chance(salt ^ 0xface, percent) => pick(subject.roll(salt), list).into(),
        Recipe::Entry(percent) if subject.chance(salt ^ 0xface, percent) => match field.kind {
            Kind::Status(dictionary) => entry_of(dictionary::entries(dictionary), subject.roll(salt)).code.into(),
            _ => Truth::Null,
        },
        Recipe::Number(limit, percent) if subject.chance(salt ^ 0xface, percent) => {
            number(field.kind, below(subject.roll(salt), limit.cast_unsigned()))
        }
        Recipe::Funnel => Truth::Reference(funnel(subject).id),
        Recipe::Stage => stage(subject).code.into(),
        Recipe::StageSemantic => text_of(stage(subject).semantic),
        Recipe::StageClosed => Truth::Boolean(stage(subject).semantic != Some("P")),
        Recipe::LeadStatus => lead_status(subject).code.into(),
        Recipe::LeadStatusSemantic => text_of(lead_status(subject).semantic),
        Recipe::Flag(percent) => Truth::Boolean(subject.chance(salt, percent)),
        Recipe::Amount => amount(subject, salt),
        Recipe::Tax => Truth::Decimal(if subject.chance(salt, 8) { "1200.50" } else { "0.00" }.to_owned()),
        Recipe::FirstLink(target) => reference(links(subject, target).first().copied()),
        Recipe::Links(target) => Truth::List(links(subject, target).into_iter().map(Truth::Reference).collect()),
        Recipe::Link(percent) => link(subject, field, percent),
        Recipe::Begin => day_near(subject, salt, 0),
        Recipe::Close => day_near(subject, salt, 7 + below(subject.roll(salt ^ 1), 60)),
        Recipe::Birth if !subject.chance(salt ^ 0xface, 30) => Truth::Null,
        Recipe::Birth => day_near(subject, salt, -(18 * 365 + below(subject.roll(salt ^ 1), 60 * 365))),
        Recipe::Contacts(code) => Truth::Multifield(contacts(subject, code)),
        Recipe::HasContacts("IMOL") => {
            Truth::Boolean(contacts(subject, "IM").iter().any(|im| im.value_type == "OPENLINE"))
        }
        Recipe::HasContacts(code) => Truth::Boolean(!contacts(subject, code).is_empty()),
        Recipe::Observers => {
            let count = below(subject.roll(salt), 3);
            Truth::List((0..count).map(|step| Truth::Reference(2 + step)).collect())
        }
        Recipe::Photo if subject.chance(salt ^ 0xface, 20) => Truth::File(30_000 + subject.id),
        Recipe::DisplayTime(percent) if subject.chance(salt, percent) => display_time(subject.modified).into(),
        Recipe::Text(..)
        | Recipe::OneOf(..)
        | Recipe::Entry(_)
        | Recipe::Number(..)
        | Recipe::Photo
        | Recipe::DisplayTime(_) => Truth::Null,
        Recipe::UserField => user_value::value(subject, field),
    }
}

fn number(kind: Kind, number: i64) -> Truth {
    match kind {
        Kind::Category => Truth::Reference(number),
        Kind::Double => Truth::Decimal(number.to_string()),
        _ => Truth::from(number),
    }
}

fn amount(subject: &Subject<'_>, salt: u64) -> Truth {
    let roll = subject.roll(salt);
    let text = match roll % 20 {
        0..4 => "0.00".to_owned(),
        4 if subject.world.odd_values && roll % 400 == 4 => "9876543210123.45".to_owned(),
        _ => format!("{}.{:02}", roll >> 20 & 0xf_ffff, if roll.is_multiple_of(3) { roll >> 8 & 0x3f } else { 0 }),
    };
    Truth::Decimal(text)
}

fn link(subject: &Subject<'_>, field: &Field, percent: u64) -> Truth {
    if !subject.chance(field.salt ^ 0xface, percent) {
        return Truth::Null;
    }
    match field.kind {
        Kind::Link(target) => reference(subject.world.some_id(target, subject.roll(field.salt))),
        _ => Truth::Reference(1 + below(subject.roll(field.salt), 500)),
    }
}

fn display_time(epoch_seconds: i64) -> String {
    let day = Day::from_epoch_days(epoch_seconds.div_euclid(DAY));
    let clock = epoch_seconds.rem_euclid(DAY);
    let (hours, minutes, seconds) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{:02}.{:02}.{} {hours:02}:{minutes:02}:{seconds:02}", day.date, day.month, day.year)
}

/// A region, country or the like.
pub(crate) fn region(subject: &Subject<'_>, salt: u64) -> String {
    pick(subject.roll(salt), names::REGIONS).to_owned()
}

/// A country and its code, chosen alike.
pub(crate) fn country(subject: &Subject<'_>, _salt: u64) -> String {
    pick(subject.roll(0xc0de), names::COUNTRIES).to_owned()
}

/// The code that belongs to [`country`].
pub(crate) fn country_code(subject: &Subject<'_>, _salt: u64) -> String {
    pick(subject.roll(0xc0de), names::COUNTRY_CODES).to_owned()
}

/// A city.
pub(crate) fn city(subject: &Subject<'_>, salt: u64) -> String {
    text::word(subject, salt, names::RU_CITY, names::EN_CITY).to_owned()
}

/// A position in a company.
pub(crate) fn post(subject: &Subject<'_>, salt: u64) -> String {
    text::word(subject, salt, names::RU_POST, names::EN_POST).to_owned()
}

/// Digits with leading zeros: postal codes, bank accounts, foreign ids.
pub(crate) fn digits(subject: &Subject<'_>, salt: u64) -> String {
    format!("{:06}", subject.roll(salt) % 1_000_000)
}
