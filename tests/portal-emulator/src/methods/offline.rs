//! `event.offline.*` (REST.md 11; parameters: RU `api-reference/events/event-offline-get.md` and its neighbours).

use std::cmp::Ordering;

use super::events::check_connector;
use super::{Call, Extras};
use crate::application::{Installed, OfflineRow, Pick};
use crate::civil::{parse_stamp, write_stamp};
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;

/// Rows of one page of `event.offline.list`.
const PAGE: usize = 50;

pub(super) fn execute(call: Call<'_>, verb: &str, out: &mut Json) -> Result<Extras, ApiError> {
    if !call.inner.access().admin {
        return Err(ApiError::event_denied("Access denied!"));
    }
    match verb {
        "get" => get(call, out),
        "list" => list(call, out),
        _ => {
            let process_id = text(call, "process_id").filter(|id| !id.is_empty());
            let process_id =
                process_id.ok_or_else(|| ApiError::bad_argument("Argument 'PROCESS_ID' is null or empty"))?;
            settle(call, verb, &process_id)?;
            out.boolean(true);
            Ok(Extras::default())
        }
    }
}

fn text(call: Call<'_>, name: &str) -> Option<String> {
    call.params.get(name).and_then(Param::text).map(std::borrow::Cow::into_owned)
}

fn with_application<T>(call: Call<'_>, action: impl FnOnce(&mut Installed) -> T) -> Result<T, ApiError> {
    call.inner.hub.with_application(action).ok_or_else(|| ApiError::known("APPLICATION_NOT_FOUND"))
}

/// Takes rows: deletes them at once, or reserves them with `clear=0`.
fn get(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    let keep = call.params.get("clear").is_some_and(|clear| !clear.truthy());
    if keep && !call.inner.config.application_rules.features.contains("rest_offline_extended") {
        // The documentation gives no code; this is the one of the other feature that depends on the plan.
        return Err(ApiError::wrong_license("offline_extended"));
    }
    let (connector, process_id) = (check_connector(call)?, text(call, "process_id").filter(|id| !id.is_empty()));
    let limit = call.params.get("limit").and_then(Param::integer).and_then(|limit| usize::try_from(limit).ok());
    let pick = Pick {
        connector: &connector,
        process_id: process_id.as_deref(),
        error: call.params.get("error").is_some_and(Param::truthy),
        limit: limit.filter(|limit| *limit > 0).unwrap_or(50),
        keep,
    };
    let (filter, order) = (Filter::read(call), Sorting::read(call, "TIMESTAMP_X"));
    let now = call.inner.clock.now_seconds();
    let picked = with_application(call, |installed| {
        installed.offline.pick(&pick, now, |row| filter.passes(row), |rows| order.sort(rows))
    });
    let (process_id, rows) = picked?;
    out.open_object();
    out.key("process_id");
    match process_id {
        Some(process_id) => out.string(&process_id),
        None => out.null(),
    }
    out.key("events");
    write_rows(call, out, &rows, false);
    out.close_object();
    Ok(Extras::default())
}

/// Shows rows, reserved and failed ones too, and changes nothing.
fn list(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    let connector = check_connector(call)?;
    let (filter, order) = (Filter::read(call), Sorting::read(call, "ID"));
    let passes = |row: &&OfflineRow| row.connector == connector && filter.passes(row);
    let mut rows: Vec<OfflineRow> =
        with_application(call, |installed| installed.offline.rows().filter(passes).cloned().collect())?;
    order.sort(&mut rows);
    let start = call.params.get("start").and_then(Param::integer).and_then(|start| usize::try_from(start).ok());
    let start = start.unwrap_or(0).min(rows.len());
    let end = (start + PAGE).min(rows.len());
    write_rows(call, out, rows.get(start..end).unwrap_or_default(), true);
    let number = |count: usize| i64::try_from(count).ok();
    let next = (end < rows.len()).then(|| number(end)).flatten();
    Ok(Extras { total: number(rows.len()), next, list_counts: Some(true), ..Extras::default() })
}

/// Clears rows of a process, or marks them as failed: those that `id` or `message_id` name, else all.
fn settle(call: Call<'_>, verb: &str, process_id: &str) -> Result<(), ApiError> {
    let named = ["id", "message_id"].iter().find_map(|name| call.params.get(name)).map(Param::texts);
    // Number and message id of a row are the same text here.
    let matches = |row: &OfflineRow| named.as_ref().is_none_or(|ids| ids.contains(&row.message_id()));
    with_application(call, |installed| match verb {
        "clear" => installed.offline.clear(process_id, matches),
        _ => installed.offline.fail(process_id, matches),
    })
}

fn write_rows(call: Call<'_>, out: &mut Json, rows: &[OfflineRow], listed: bool) {
    out.open_array();
    for row in rows {
        out.comma();
        out.open_object();
        out.member_quoted("ID", row.id);
        out.key("TIMESTAMP_X");
        out.raw("\"");
        write_stamp(out.buffer(), row.at, call.inner.config.offset_minutes);
        out.raw("\"");
        out.member_string("EVENT_NAME", &row.event.name);
        out.key("EVENT_DATA");
        match row.event.data.members() {
            [_, ..] if call.inner.config.application_rules.offline_event_data => write_tree(out, &row.event.data),
            _ => out.boolean(false),
        }
        out.member_boolean("EVENT_ADDITIONAL", false);
        out.member_string("MESSAGE_ID", &row.message_id());
        if listed {
            out.member_string("PROCESS_ID", &row.process_id);
            out.member_quoted("ERROR", row.error.into());
        }
        out.close_object();
    }
    out.close_array();
}

fn write_tree(out: &mut Json, value: &Param) {
    match value {
        Param::Map(members) => {
            out.open_object();
            for (name, value) in members {
                out.key(name);
                write_tree(out, value);
            }
            out.close_php_map();
        }
        scalar => out.string(&scalar.text().unwrap_or_default()),
    }
}

/// What a field of a row is compared as.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

fn value(row: &OfflineRow, field: &str) -> Option<Value> {
    Some(match field.to_ascii_uppercase().as_str() {
        "ID" => Value::Number(row.id),
        "TIMESTAMP_X" => Value::Number(row.at),
        "EVENT_NAME" => Value::Text(row.event.name.clone()),
        "MESSAGE_ID" => Value::Text(row.message_id()),
        "PROCESS_ID" => Value::Text(row.process_id.clone()),
        "ERROR" => Value::Number(row.error.into()),
        _ => return None,
    })
}

/// `filter` of both methods; fields that do not exist restrict nothing.
struct Filter {
    /// Operator, field, operand.
    conditions: Vec<(String, String, String)>,
    offset_minutes: i32,
}

impl Filter {
    fn read(call: Call<'_>) -> Self {
        let members = call.params.get("filter").map_or(&[][..], Param::members);
        let condition = |(name, operand): &(String, Param)| {
            let field = name.trim_start_matches(['=', '<', '>', '!']);
            let operator = name.strip_suffix(field).unwrap_or_default();
            Some((operator.to_owned(), field.to_owned(), operand.text()?.into_owned()))
        };
        let conditions = members.iter().filter_map(condition).collect();
        Self { conditions, offset_minutes: call.inner.config.offset_minutes }
    }

    fn passes(&self, row: &OfflineRow) -> bool {
        self.conditions.iter().all(|(operator, field, operand)| {
            let Some(value) = value(row, field) else { return true };
            let order = match &value {
                Value::Number(number) => {
                    let moment = || parse_stamp(operand, self.offset_minutes).map(|(second, _)| second);
                    let Some(operand) = operand.trim().parse().ok().or_else(moment) else { return false };
                    number.cmp(&operand)
                }
                Value::Text(text) => text.as_str().cmp(operand),
            };
            match operator.as_str() {
                ">" => order == Ordering::Greater,
                "<" => order == Ordering::Less,
                ">=" => order != Ordering::Less,
                "<=" => order != Ordering::Greater,
                "!" | "!=" => order != Ordering::Equal,
                _ => order == Ordering::Equal,
            }
        })
    }
}

/// `order` of both methods.
struct Sorting {
    /// Field, and whether it falls.
    keys: Vec<(String, bool)>,
}

impl Sorting {
    fn read(call: Call<'_>, default: &str) -> Self {
        let members = call.params.get("order").map_or(&[][..], Param::members);
        let falls = |direction: &Param| direction.text().is_some_and(|text| text.eq_ignore_ascii_case("DESC"));
        let mut keys: Vec<_> = members.iter().map(|(name, direction)| (name.clone(), falls(direction))).collect();
        if keys.is_empty() {
            keys.push((default.to_owned(), false));
        }
        Self { keys }
    }

    /// Rows that are equal stay in the order of their numbers.
    fn sort(&self, rows: &mut [OfflineRow]) {
        rows.sort_by(|left, right| {
            let compare = |(field, falls): &(String, bool)| {
                let order = value(left, field).cmp(&value(right, field));
                if *falls { order.reverse() } else { order }
            };
            self.keys.iter().map(compare).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
        });
    }
}
