//! What an application can ask about itself and about the plan.

use super::{Call, Extras};
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;

pub(super) fn execute(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    match call.method {
        "app.info" => info(call, out)?,
        _ => feature(call, out)?,
    }
    Ok(Extras::default())
}

fn info(call: Call<'_>, out: &mut Json) -> Result<(), ApiError> {
    let look = |installed: &mut crate::application::Installed| {
        (installed.application.client_id.clone(), installed.version, installed.application.status.clone())
    };
    let (code, version, status) =
        call.inner.hub.with_application(look).ok_or_else(|| ApiError::known("APPLICATION_NOT_FOUND"))?;
    out.open_object();
    out.member_integer("ID", 5);
    out.member_string("CODE", &code);
    out.member_integer("VERSION", version.into());
    out.member_string("STATUS", &status);
    out.member_boolean("INSTALLED", true);
    out.member_string("PAYMENT_EXPIRED", "N");
    out.member_raw("DAYS", "null");
    out.member_string("LANGUAGE_ID", "en");
    out.member_string("LICENSE", "en_ent10000");
    out.member_string("LICENSE_TYPE", "ent10000");
    out.member_string("LICENSE_FAMILY", "ent");
    out.close_object();
    Ok(())
}

fn feature(call: Call<'_>, out: &mut Json) -> Result<(), ApiError> {
    let code = call.params.get("code").and_then(Param::text).filter(|code| !code.is_empty());
    let code = code.ok_or_else(|| ApiError::bad_argument("Argument 'CODE' is null or empty"))?;
    let included = call.inner.config.application_rules.features.contains(&*code);
    out.open_object();
    out.member_string("value", if included { "Y" } else { "N" });
    out.close_object();
    Ok(())
}
