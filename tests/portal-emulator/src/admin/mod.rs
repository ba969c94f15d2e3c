//! `/__admin/`: the handle for scripts and other processes. See the crate root for the list of commands.

mod realtime;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::RateLimit;
use crate::entity::Entity;
use crate::faults::FaultPlan;
use crate::param::Param;
use crate::portal::Portal;
use crate::schema::{UserFieldSpec, UserType};
use crate::times::TimesChange;
use crate::truth::Truth;

/// Answers a command with a status and JSON text.
pub(crate) fn execute(portal: &Portal, command: &str, query: &str, body: &[u8]) -> (u16, String) {
    match run(portal, command.trim_matches('/'), query, body) {
        Ok(value) => (200, value.to_string()),
        Err(problem) => (400, json!({ "error": problem }).to_string()),
    }
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn show(value: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct RecordBody {
    entity: Entity,
    #[serde(default)]
    id: i64,
    #[serde(default)]
    ids: Vec<i64>,
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default)]
    count: usize,
    #[serde(default)]
    seed: u64,
    created: Option<i64>,
    modified: Option<i64>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    removed: bool,
}

impl RecordBody {
    fn changes(&self) -> Vec<(&str, Truth)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), truth_of(value))).collect()
    }
}

/// A plain JSON value as the truth that an edit reads; objects are [`Truth`] as it is serialised.
fn truth_of(value: &Value) -> Truth {
    match value {
        Value::Null => Truth::Null,
        Value::Bool(value) => Truth::Boolean(*value),
        Value::Number(number) => Truth::Text(number.to_string()),
        Value::String(text) => Truth::Text(text.clone()),
        Value::Array(items) => Truth::List(items.iter().map(truth_of).collect()),
        object @ Value::Object(_) => serde_json::from_value(object.clone()).unwrap_or(Truth::Null),
    }
}

#[derive(Deserialize)]
struct UserFieldBody {
    entity: Entity,
    action: UserFieldAction,
    #[serde(default)]
    name: String,
    label: Option<String>,
    user_type: Option<UserType>,
    #[serde(default)]
    multiple: bool,
    #[serde(default)]
    filled: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UserFieldAction {
    Add,
    RenameLabel,
    Retype,
    MakeMultiple,
    Remove,
}

#[derive(Deserialize)]
struct AccessBody {
    scopes: Option<Vec<String>>,
    active: Option<bool>,
    admin: Option<bool>,
    crm_rights: Option<bool>,
}

#[derive(Deserialize)]
struct ClockBody {
    advance_milliseconds: Option<u64>,
    freeze_at: Option<i64>,
    follow_with_skew: Option<i64>,
}

#[derive(Deserialize)]
struct RateBody {
    per_second: f64,
    burst: f64,
}

fn run(portal: &Portal, command: &str, query: &str, body: &[u8]) -> Result<Value, String> {
    match command {
        "stats" => Ok(json!({
            "rest": show(portal.stats())?,
            "deliveries": show(portal.deliveries())?,
            "oauth": show(portal.oauth_stats())?,
        })),
        "reset" => {
            portal.reset_stats();
            Ok(json!({ "ok": true }))
        }
        "ids" | "truth" | "fields" => look(portal, command, query),
        "faults" => {
            portal.set_faults(read::<FaultPlan>(if body.is_empty() { b"{\"rules\":[]}" } else { body })?);
            Ok(json!({ "ok": true }))
        }
        "userfield" => user_field(portal, &read(body)?),
        "access" => {
            access(portal, &read(body)?);
            Ok(json!({ "ok": true }))
        }
        "clock" => {
            move_clock(portal, &read(body)?);
            Ok(json!({ "now": portal.clock().now_seconds() }))
        }
        "times" => {
            portal.set_times(read::<TimesChange>(body)?.apply(portal.times()));
            Ok(json!({ "ok": true }))
        }
        "rate" => {
            let limit: Option<RateBody> = read(body)?;
            portal.set_rate(limit.map(|limit| RateLimit { per_second: limit.per_second, burst: limit.burst }));
            Ok(json!({ "ok": true }))
        }
        _ => match realtime::run(portal, command, body) {
            Some(answer) => answer,
            None => record(portal, command, &read(body)?),
        },
    }
}

fn look(portal: &Portal, command: &str, query: &str) -> Result<Value, String> {
    let params = Param::from_query(query);
    let name = params.get("entity").and_then(Param::text).unwrap_or_default();
    let entity = Entity::by_name(&name).ok_or_else(|| format!("unknown entity `{name}`"))?;
    match command {
        "ids" => show(portal.ids(entity)),
        "fields" => show(portal.fields_truth(entity)),
        _ => show(params.get("id").and_then(Param::integer).and_then(|id| portal.truth(entity, id))),
    }
}

fn record(portal: &Portal, command: &str, body: &RecordBody) -> Result<Value, String> {
    let entity = body.entity;
    Ok(match command {
        "edit" => json!({ "ok": portal.edit(entity, body.id, body.changes()) }),
        "edit_random" => json!({ "ids": portal.edit_random(entity, body.count.max(1), body.seed) }),
        "add" => {
            let now = portal.clock().now_seconds();
            let created = body.created.unwrap_or(now);
            let modified = body.modified.unwrap_or(created);
            json!({ "id": portal.import_with_old_dates(entity, body.changes(), created, modified) })
        }
        "delete" => json!({ "ok": portal.delete(entity, body.id) }),
        "restore" => json!({ "ok": portal.restore(entity, body.id) }),
        "bulk_edit" => json!({ "modified": portal.bulk_edit_in_one_second(entity, &body.ids) }),
        "hide" if body.all => {
            portal.hide_all(entity);
            json!({ "ok": true })
        }
        "hide" => {
            portal.hide(entity, &body.ids);
            json!({ "ok": true })
        }
        "unhide" => {
            portal.unhide(entity);
            json!({ "ok": true })
        }
        "entity_type" => {
            portal.remove_entity_type(entity, body.removed);
            json!({ "ok": true })
        }
        unknown => return Err(format!("unknown command `{unknown}`")),
    })
}

fn user_field(portal: &Portal, body: &UserFieldBody) -> Result<Value, String> {
    let (entity, name) = (body.entity, body.name.as_str());
    let user_type = body.user_type.ok_or_else(|| "`user_type` is missing".to_owned());
    let label = body.label.clone();
    Ok(match body.action {
        UserFieldAction::Add => {
            let named = (!name.is_empty()).then(|| name.to_owned());
            let label = label.unwrap_or_else(|| "New field".to_owned());
            let (multiple, filled) = (body.multiple, body.filled);
            let spec = UserFieldSpec { user_type: user_type?, multiple, label, name: named, filled };
            json!({ "name": portal.add_user_field(entity, &spec) })
        }
        UserFieldAction::RenameLabel => {
            json!({ "ok": portal.rename_label(entity, name, &label.unwrap_or_default()) })
        }
        UserFieldAction::Retype => json!({ "ok": portal.retype_user_field(entity, name, user_type?) }),
        UserFieldAction::MakeMultiple => json!({ "ok": portal.make_multiple(entity, name, body.multiple) }),
        UserFieldAction::Remove => json!({ "ok": portal.remove_user_field(entity, name) }),
    })
}

fn access(portal: &Portal, body: &AccessBody) {
    if let Some(scopes) = &body.scopes {
        portal.set_scopes(scopes.iter().map(String::as_str));
    }
    match body.active {
        Some(true) => portal.reinstate_webhook(),
        Some(false) => portal.revoke_webhook(),
        None => {}
    }
    if let Some(admin) = body.admin {
        portal.set_admin(admin);
    }
    if let Some(granted) = body.crm_rights {
        portal.set_crm_rights(granted);
    }
}

fn move_clock(portal: &Portal, body: &ClockBody) {
    if let Some(skew) = body.follow_with_skew {
        portal.clock().follow_real_time(skew);
    }
    if let Some(second) = body.freeze_at {
        portal.clock().freeze_at(second);
    }
    if let Some(milliseconds) = body.advance_milliseconds {
        portal.clock().advance(Duration::from_millis(milliseconds));
    }
}
