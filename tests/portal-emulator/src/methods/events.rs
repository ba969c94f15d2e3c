//! `events` and `event.*` without the offline queue (REST.md 10.1; errors: RU `api-reference/events/event-bind.md`).

use std::time::Duration;

use super::{Call, Extras, system};
use crate::application::{BindRequest, BoundHandler, event_names, event_names_in, is_known_event};
use crate::changes::Origin;
use crate::error::ApiError;
use crate::events::Event;
use crate::json::Json;
use crate::param::Param;

pub(super) fn execute(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    match call.method {
        "event.bind" => {
            bind(call)?;
            out.boolean(true);
        }
        "event.unbind" => unbind(call, out)?,
        "event.get" => get(call, out),
        "event.test" => {
            test(call);
            out.boolean(true);
        }
        _ => list(call, out),
    }
    Ok(Extras::default())
}

/// A parameter as text; `None` if it is absent or empty.
fn given(call: Call<'_>, name: &str) -> Option<String> {
    let text = call.params.get(name).and_then(Param::text);
    text.map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty())
}

fn needed(call: Call<'_>, name: &str) -> Result<String, ApiError> {
    let missing = || ApiError::bad_argument(&format!("Argument '{}' is null or empty", name.to_ascii_uppercase()));
    given(call, name).ok_or_else(missing)
}

/// Whether `event_type` says `offline`.
fn is_offline(call: Call<'_>) -> Result<bool, ApiError> {
    match given(call, "event_type").as_deref() {
        None | Some("online") => Ok(false),
        Some("offline") => Ok(true),
        Some(_) => Err(ApiError::bad_argument("Value must be one of {online|offline}")),
    }
}

/// What a user who is no administrator may not bind or unbind.
fn check_rights(call: Call<'_>, offline: bool, auth_type: i64, doing: &str) -> Result<(), ApiError> {
    let own = auth_type == 0 || auth_type == call.inner.config.user_id;
    let what = match (call.inner.access().admin, offline, own) {
        (true, _, _) | (false, false, true) => return Ok(()),
        (false, true, _) => format!("Offline events {doing}"),
        (false, false, false) => format!("Event {doing} with AUTH_TYPE"),
    };
    Err(ApiError::event_denied(&format!("Access denied! {what} requires administrator access rights")))
}

/// Checks that the plan includes keys of offline queues, if one is used.
pub(super) fn check_connector(call: Call<'_>) -> Result<String, ApiError> {
    let connector = call.connector().unwrap_or_default();
    let included = call.inner.config.application_rules.features.contains("rest_auth_connector");
    if connector.is_empty() || included { Ok(connector) } else { Err(ApiError::wrong_license("auth_connector")) }
}

fn bind(call: Call<'_>) -> Result<(), ApiError> {
    let event = needed(call, "event")?.to_ascii_uppercase();
    let offline = is_offline(call)?;
    let connector = if offline { check_connector(call)? } else { String::new() };
    let handler = if offline { String::new() } else { needed(call, "handler")? };
    let auth_type = if offline { 0 } else { call.params.get("auth_type").and_then(Param::integer).unwrap_or(0) };
    check_rights(call, offline, auth_type, "binding")?;
    let scopes = call.inner.scopes(call.caller);
    if !is_known_event(&event, |scope| scope.is_empty() || scopes.contains(scope)) {
        return Err(ApiError::new(400, "ERROR_EVENT_NOT_FOUND", "Event not found"));
    }
    if offline && event == "ONOFFLINEEVENT" {
        return Err(ApiError::bad_argument("Offline event cannot be registered for this event."));
    }
    let options = call.params.get("options").and_then(|options| options.get("minTimeout"));
    let seconds = options.and_then(Param::integer).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1);
    let handler = BoundHandler { event, handler, auth_type, offline, connector };
    let request = BindRequest { handler, min_timeout: Duration::from_secs(seconds) };
    let id = call.inner.hub.next_handler_id();
    let bound = call.inner.hub.with_application(|installed| installed.bindings.bind(id, request));
    bound.unwrap_or_else(|| Err(ApiError::known("APPLICATION_NOT_FOUND")))
}

/// Removes handlers; a parameter that is absent restricts nothing.
fn unbind(call: Call<'_>, out: &mut Json) -> Result<(), ApiError> {
    let event = needed(call, "event")?;
    let offline = is_offline(call)?;
    let (handler, connector) = (given(call, "handler"), check_connector(call)?);
    let auth_type = call.params.get("auth_type").map(|value| value.integer().unwrap_or(0));
    check_rights(call, offline, auth_type.unwrap_or(0), "unbinding")?;
    let matches = |bound: &BoundHandler| {
        let same_handler = bound.offline || handler.as_ref().is_none_or(|url| *url == bound.handler);
        let same_user = bound.offline || auth_type.is_none_or(|user| user == bound.auth_type);
        let same_queue = !bound.offline || bound.connector == connector;
        bound.offline == offline && bound.event.eq_ignore_ascii_case(&event) && same_handler && same_user && same_queue
    };
    let count = call.inner.hub.with_application(|installed| installed.bindings.unbind(matches)).unwrap_or(0);
    out.open_object();
    out.member_integer("count", i64::try_from(count).unwrap_or(0));
    out.close_object();
    Ok(())
}

fn get(call: Call<'_>, out: &mut Json) {
    let handlers = call.inner.hub.with_application(|installed| installed.bindings.handlers().cloned().collect());
    let handlers: Vec<BoundHandler> = handlers.unwrap_or_default();
    out.open_array();
    for handler in handlers {
        out.comma();
        out.open_object();
        out.member_string("event", &handler.event);
        out.member_string("handler", &handler.handler);
        out.member_quoted("auth_type", handler.auth_type);
        out.member_integer("offline", handler.offline.into());
        out.close_object();
    }
    out.close_array();
}

/// Fires `ONAPPTEST` with everything that was sent, except the token.
fn test(call: Call<'_>) {
    let sent = call.params.members().iter().filter(|(name, _)| !name.eq_ignore_ascii_case("auth")).cloned();
    let query = Param::Map(sent.collect());
    call.inner.announce(Origin::default(), || Event::test(query));
}

/// The names of all events with `FULL`, of one scope with `SCOPE`, else of what the application may bind.
fn list(call: Call<'_>, out: &mut Json) {
    let full = call.params.get("full").is_some_and(Param::truthy);
    let names = match given(call, "scope") {
        _ if full => event_names(),
        Some(wanted) => event_names_in(|scope| scope == wanted),
        None => {
            let scopes = call.inner.scopes(call.caller);
            event_names_in(|scope| scope.is_empty() || scopes.contains(scope))
        }
    };
    system::strings(out, names.iter().map(String::as_str));
}
