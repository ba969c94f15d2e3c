//! Methods about the portal, the user and the webhook itself.

use super::{Call, Extras, names};
use crate::civil::write_stamp;
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;

pub(super) fn execute(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    match call.method {
        "profile" => profile(call, out),
        "user.admin" => out.boolean(call.inner.access().admin),
        "scope" => strings(out, call.inner.scopes(call.caller).iter().map(String::as_str)),
        "methods" => strings(out, names().iter().map(String::as_str)),
        "method.get" => return method(call, out),
        "server.time" => {
            out.raw("\"");
            write_stamp(out.buffer(), call.inner.clock.now_seconds(), call.inner.config.offset_minutes);
            out.raw("\"");
        }
        _ => return Err(ApiError::method_not_found()),
    }
    Ok(Extras::default())
}

pub(super) fn strings<'s>(out: &mut Json, texts: impl Iterator<Item = &'s str>) {
    out.open_array();
    for text in texts {
        out.comma();
        out.string(text);
    }
    out.close_array();
}

/// The user's time zone: empty means the portal's; else a zone of whole hours that is so far from it.
fn zone(offset_minutes: i32, shift_seconds: i64) -> String {
    if shift_seconds == 0 {
        return String::new();
    }
    let hours = (i64::from(offset_minutes) * 60 + shift_seconds) / 3_600;
    // In these names, east of Greenwich is negative.
    if hours == 0 { "Etc/GMT".to_owned() } else { format!("Etc/GMT{:+}", -hours) }
}

fn profile(call: Call<'_>, out: &mut Json) {
    out.open_object();
    out.member_quoted("ID", call.inner.config.user_id);
    out.member_boolean("ADMIN", call.inner.access().admin);
    out.member_string("NAME", "Alex");
    out.member_string("LAST_NAME", "Admin");
    out.member_string("PERSONAL_GENDER", "");
    let zone = zone(call.inner.config.offset_minutes, call.inner.times().user_zone_shift_seconds);
    out.member_string("TIME_ZONE", &zone);
    out.close_object();
}

fn method(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    let name = call.params.get("name").and_then(Param::text);
    let name = name.ok_or_else(|| ApiError::new(400, "100", "Could not find value for parameter {name}"))?;
    let name = name.to_ascii_lowercase();
    let existing = names().contains(&name);
    let available = existing && call.inner.permit(call.caller, &name).is_ok();
    out.open_object();
    out.member_boolean("isExisting", existing);
    out.member_boolean("isAvailable", available);
    out.close_object();
    Ok(Extras::default())
}
