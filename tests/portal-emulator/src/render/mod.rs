//! Records and field descriptions as JSON text, straight into the answer.

pub(crate) mod classic;
pub(crate) mod descriptor;
pub(crate) mod item;
pub(crate) mod kept;

use crate::civil::{DAY, Day, write_stamp};
use crate::json::Json;
use crate::schema::Field;
use crate::truth::Truth;
use crate::view::Row;

/// Rolls that choose among the empty forms of a value.
const EMPTY_FORM: u64 = 0xe3a7;

/// Picks one of several empty forms; 0 is the ordinary one.
fn empty_form(row: &Row<'_>, field: &Field, forms: u64) -> u64 {
    if row.view.config.odd_values { row.subject.roll(field.salt ^ EMPTY_FORM) % forms } else { 0 }
}

/// Writes an instant in quotes, shifted by the user's zone if the portal does that.
fn instant(out: &mut Json, row: &Row<'_>, epoch_seconds: i64) {
    let shown = epoch_seconds + row.view.times.user_zone_shift_seconds;
    out.raw("\"");
    write_stamp(out.buffer(), shown, row.view.config.offset_minutes);
    out.raw("\"");
}

/// Writes a day in quotes: midnight of UTC seen from the portal, or midnight of the portal.
fn day(out: &mut Json, row: &Row<'_>, (year, month, day): (i32, u8, u8), local: bool) {
    let offset = row.view.config.offset_minutes;
    let days = Day { year: year.into(), month: month.into(), date: day.into() }.epoch_days();
    let midnight = days * DAY - if local { i64::from(offset) * 60 } else { 0 };
    out.raw("\"");
    write_stamp(out.buffer(), midnight, offset);
    out.raw("\"");
}

fn money(out: &mut Json, amount: &str, currency: Option<&str>) {
    match currency {
        Some(currency) => out.string(&format!("{amount}|{currency}")),
        None => out.string(amount),
    }
}

/// Writes a whole number; beyond 64 bits PHP has it as text.
fn integer(out: &mut Json, text: &str) {
    if text.parse::<i64>().is_ok() {
        out.raw(text);
    } else {
        out.string(text);
    }
}

/// Writes decimal text as the shortest JSON number.
fn number(out: &mut Json, text: &str) {
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    out.raw(short);
}

/// The items of a list, or the one value itself.
fn items(truth: &Truth) -> &[Truth] {
    match truth {
        Truth::List(items) => items,
        Truth::Null => &[],
        single => std::slice::from_ref(single),
    }
}
