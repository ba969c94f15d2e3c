//! Values of generated user fields, one for each type.

use super::recipe::date;
use super::{Subject, below, dictionary, mix, names, pick, text};
use crate::civil::Day;
use crate::schema::{Field, Kind};
use crate::truth::Truth;

/// Days at which careless code goes wrong.
const EDGE_DAYS: &[(i64, i64, i64)] = &[
    (1900, 1, 1),
    (1969, 12, 31),
    (1970, 1, 1),
    (1999, 12, 31),
    (2000, 2, 29),
    (2024, 2, 29),
    (2024, 12, 31),
    (2025, 1, 1),
    (2024, 3, 31),
    (2024, 10, 27),
    (2038, 1, 19),
    (2999, 12, 31),
];

/// Some day at which careless code goes wrong.
pub(crate) fn edge_day(roll: u64) -> Truth {
    let index = usize::try_from(below(roll, u64::try_from(EDGE_DAYS.len()).unwrap_or(1))).unwrap_or(0);
    let (year, month, date_of_month) = EDGE_DAYS.get(index).copied().unwrap_or((1970, 1, 1));
    date(Day { year, month, date: date_of_month })
}

/// What a user field holds in a generated record.
pub(crate) fn value(subject: &Subject<'_>, field: &Field) -> Truth {
    let filled = 25 + mix(field.salt) % 70;
    let has_value = subject.chance(field.salt ^ 0xface, filled);
    if field.multiple {
        let count = if has_value { 1 + subject.roll(field.salt ^ 0xc0) % 3 } else { 0 };
        let mut items: Vec<Truth> = (0..count).map(|step| single(subject, field, field.salt ^ (step << 40))).collect();
        items.dedup();
        return Truth::List(items);
    }
    if has_value { single(subject, field, field.salt) } else { Truth::Null }
}

fn single(subject: &Subject<'_>, field: &Field, salt: u64) -> Truth {
    let roll = subject.roll(salt);
    match field.kind {
        Kind::Integer => integer(subject, roll),
        Kind::Double => double(roll),
        Kind::Boolean | Kind::Char => Truth::Boolean(roll.is_multiple_of(2)),
        Kind::Date if subject.world.odd_values && roll.is_multiple_of(23) => edge_day(roll >> 8),
        Kind::Date => date(Day::from_epoch_days(16_000 + below(roll, 5_000))),
        Kind::DateTime => Truth::Instant { epoch_seconds: instant(subject, roll) },
        Kind::Enumeration => option(field, roll),
        Kind::Status(name) => {
            let entries = dictionary::entries(name);
            let index = usize::try_from(below(roll, u64::try_from(entries.len()).unwrap_or(1))).unwrap_or(0);
            entries.get(index).map_or(Truth::Null, |entry| entry.code.into())
        }
        Kind::Crm => {
            let prefix = pick(roll, &["C", "CO", "C", "L", "D", "T80"]);
            Truth::Text(format!("{prefix}_{}", 1 + (roll >> 8) % 5_000))
        }
        Kind::CrmCompany => Truth::Text((1 + roll % 5_000).to_string()),
        Kind::Money => money(subject, roll),
        Kind::Url => Truth::Text(format!("https://example.com/{}?id={}&q=тест", roll % 100, roll % 10_000)),
        Kind::Address => Truth::Text(address(subject, salt, roll)),
        Kind::File => Truth::File(30_000 + below(roll, 900_000)),
        Kind::Employee | Kind::User => Truth::Reference(1 + below(roll, 14)),
        Kind::Section | Kind::Element | Kind::Booking => Truth::Reference(1 + below(roll, 400)),
        Kind::App => Truth::Text(format!("app:{}:{:x}", roll % 10, roll >> 32)),
        _ => Truth::Text(text::short(subject, salt)),
    }
}

fn integer(subject: &Subject<'_>, roll: u64) -> Truth {
    if subject.world.odd_values {
        if subject.world.huge_integers && roll % 499 == 7 {
            return Truth::Integer("123456789012345678901234".to_owned());
        }
        match roll % 31 {
            0 => return Truth::from(below(roll >> 1, 9_000_000_000_000_000_000)),
            1 => return Truth::from(-below(roll >> 8, 5_000_000_000)),
            2 => return Truth::from(0),
            _ => {}
        }
    }
    Truth::from(below(roll, 100_000))
}

fn double(roll: u64) -> Truth {
    let whole = below(roll >> 16, 100_000);
    Truth::Decimal(match roll % 5 {
        0 => whole.to_string(),
        1 => format!("-{whole}.5"),
        2 => format!("0.{:02}", 1 + roll % 9),
        _ => format!("{whole}.{:02}", 11 + roll % 8),
    })
}

fn instant(subject: &Subject<'_>, roll: u64) -> i64 {
    if subject.world.odd_values && roll.is_multiple_of(41) {
        // The last second of a day in UTC, and the first one.
        return 1_735_689_599 + below(roll >> 8, 2);
    }
    1_500_000_000 + below(roll, 250_000_000)
}

fn option(field: &Field, roll: u64) -> Truth {
    let choices = field.user.as_ref().map_or(&[][..], |user| &user.choices);
    let index = usize::try_from(below(roll, u64::try_from(choices.len()).unwrap_or(1))).unwrap_or(0);
    choices.get(index).map_or(Truth::Null, |choice| Truth::Reference(choice.id))
}

fn money(subject: &Subject<'_>, roll: u64) -> Truth {
    let amount = match roll % 6 {
        0 => "0".to_owned(),
        1 => format!("{}.5", roll >> 40),
        2 => format!("{}.99", roll >> 44),
        _ => (roll >> 42).to_string(),
    };
    let bare = subject.world.odd_values && roll % 29 == 3;
    let currency = (!bare).then(|| pick(roll >> 8, names::CURRENCIES).to_owned());
    Truth::Money { amount, currency }
}

fn address(subject: &Subject<'_>, salt: u64, roll: u64) -> String {
    let street = text::street(subject, salt);
    let location = 500 + roll % 1_000;
    match roll % 6 {
        0 => format!("{street}|;|{location}"),
        1 if subject.world.odd_values => format!("{street} | корп. 2|55.000001;37.000001|{location}"),
        2 if subject.world.odd_values => street,
        _ => format!("{street}|{}.{:06};37.000001|{location}", 40 + roll % 20, roll % 1_000_000),
    }
}
