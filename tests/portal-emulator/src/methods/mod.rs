//! The methods of the REST API. One more method: a branch in [`execute`], its name in [`names`], a function.

mod application;
mod classic;
mod dictionaries;
mod events;
mod item;
mod offline;
mod rows;
mod system;
mod user_fields;
mod write;

use std::borrow::Cow;

use crate::access::Caller;
use crate::entity::Entity;
use crate::error::ApiError;
use crate::inner::Inner;
use crate::json::Json;
use crate::param::Param;

/// What a fault does to the content of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mischief {
    pub(crate) short_page: bool,
    pub(crate) wrong_order: bool,
    pub(crate) ignored_filter: bool,
}

/// One call, on its own or as a command of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'c> {
    pub(crate) inner: &'c Inner,
    pub(crate) caller: Caller,
    /// The method in lower case, without a suffix.
    pub(crate) method: &'c str,
    pub(crate) params: &'c Param,
    pub(crate) mischief: Mischief,
}

impl Call<'_> {
    /// The `auth_connector` of an application's request.
    fn connector(self) -> Option<String> {
        let key = self.params.get("auth_connector").and_then(Param::text).filter(|key| !key.is_empty());
        key.filter(|_| self.caller == Caller::Application).map(Cow::into_owned)
    }
}

/// What an answer has besides `result`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    pub(crate) total: Option<i64>,
    pub(crate) next: Option<i64>,
    /// For lists: whether the rows were counted.
    pub(crate) list_counts: Option<bool>,
    /// Where the rows of a list begin in the output.
    pub(crate) rows: Vec<usize>,
}

/// Writes the `result` of a call. On an error the output is as it was before.
pub(crate) fn execute(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    let before = out.len();
    let permitted = call.inner.permit(call.caller, call.method);
    let done = permitted.and_then(|()| dispatch(call, out));
    if done.is_err() {
        out.truncate(before);
    }
    done
}

fn dispatch(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    let mut words = call.method.split('.');
    let words = (words.next(), words.next(), words.next(), words.next(), words.next());
    match words {
        (Some("crm"), Some("item"), Some(verb), None, None) => item::execute(call, verb, out),
        (Some("crm"), Some("category"), Some("list"), None, None) => dictionaries::categories(call, out),
        (Some("crm"), Some("status"), Some("list"), None, None) => Ok(dictionaries::statuses(call, out)),
        (Some("crm"), Some("type"), Some("list"), None, None) => dictionaries::types(call, out),
        (Some("crm"), Some(entity), Some("userfield"), Some(verb), None) => {
            let entity = Entity::by_name(entity).ok_or_else(ApiError::method_not_found)?;
            user_fields::execute(call, entity, verb, out)
        }
        (Some("crm"), Some(entity), Some(verb), None, None) => {
            let entity = Entity::by_name(entity).ok_or_else(ApiError::method_not_found)?;
            classic::execute(call, entity, verb, out)
        }
        (Some("event"), Some("offline"), Some(verb), None, None) if OFFLINE.contains(&call.method) => {
            only_for_applications(call)?;
            offline::execute(call, verb, out)
        }
        _ if APPLICATION.contains(&call.method) => {
            only_for_applications(call)?;
            application::execute(call, out)
        }
        _ if EVENTS.contains(&call.method) => {
            only_for_applications(call)?;
            events::execute(call, out)
        }
        _ => system::execute(call, out),
    }
}

const APPLICATION: [&str; 2] = ["app.info", "feature.get"];
const EVENTS: [&str; 5] = ["event.bind", "event.unbind", "event.get", "event.test", "events"];
const OFFLINE: [&str; 4] = ["event.offline.get", "event.offline.list", "event.offline.clear", "event.offline.error"];

/// An incoming webhook cannot call what concerns the application that calls (REST.md 3.2, `WRONG_AUTH_TYPE`).
fn only_for_applications(call: Call<'_>) -> Result<(), ApiError> {
    match call.caller {
        Caller::Application => Ok(()),
        Caller::Webhook => Err(ApiError::wrong_auth_type()),
    }
}

/// Every method that this portal knows.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "batch",
        "scope",
        "methods",
        "method.get",
        "server.time",
        "profile",
        "user.admin",
        "crm.item.list",
        "crm.item.get",
        "crm.item.fields",
        "crm.item.add",
        "crm.item.update",
        "crm.item.delete",
        "crm.category.list",
        "crm.status.list",
        "crm.type.list",
    ]
    .map(str::to_owned)
    .into();
    names.extend(APPLICATION.iter().chain(&EVENTS).chain(&OFFLINE).map(|name| (*name).to_owned()));
    for entity in Entity::ALL {
        for verb in ["list", "get", "fields", "add", "update", "delete", "userfield.list", "userfield.get"] {
            names.push(format!("crm.{}.{verb}", entity.name()));
        }
    }
    names
}
