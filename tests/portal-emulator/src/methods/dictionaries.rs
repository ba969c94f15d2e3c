//! Funnels, stages, dictionaries and smart process types.

use super::{Call, Extras};
use crate::data::dictionary::{DICTIONARIES, Entry, FUNNELS};
use crate::error::ApiError;
use crate::json::Json;
use crate::param::Param;

/// `crm.category.list`: every funnel in one answer, whatever their number.
pub(super) fn categories(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    let type_id = call.params.get("entityTypeId").and_then(Param::integer);
    let type_id =
        type_id.ok_or_else(|| ApiError::new(400, "100", "Could not find value for parameter {entityTypeId}"))?;
    let funnels = match type_id {
        2 => FUNNELS,
        3 | 4 => FUNNELS.get(..1).unwrap_or(&[]),
        _ => {
            let text = format!("Entity type {type_id} is not supported");
            return Err(ApiError::new(400, "ENTITY_TYPE_NOT_SUPPORTED", &text));
        }
    };
    out.raw("{\"categories\":[");
    for funnel in funnels {
        out.comma();
        out.open_object();
        out.member_integer("id", funnel.id);
        out.member_string("name", funnel.name);
        out.member_integer("sort", funnel.sort);
        out.member_integer("entityTypeId", type_id);
        out.member_string("isDefault", if funnel.id == 0 { "Y" } else { "N" });
        if funnel.id != 0 {
            out.member_string("originId", "");
            out.member_string("originatorId", "");
        }
        out.close_object();
    }
    out.raw("]}");
    Ok(Extras { total: i64::try_from(funnels.len()).ok(), ..Extras::default() })
}

/// `crm.status.list`, with filters on `ENTITY_ID` and `STATUS_ID`.
pub(super) fn statuses(call: Call<'_>, out: &mut Json) -> Extras {
    let filter = call.params.get("filter");
    let wanted = |name: &str, value: &str| {
        filter.and_then(|filter| filter.get(name)).is_none_or(|wanted| wanted.texts().iter().any(|text| text == value))
    };
    let mut total = 0;
    out.open_array();
    for (number, (dictionary, entries)) in (0_i64..).zip(DICTIONARIES) {
        for (sort, entry) in (1_i64..).zip(entries.iter()) {
            if wanted("ENTITY_ID", dictionary) && wanted("STATUS_ID", entry.code) {
                out.comma();
                status(out, 101 + number * 100 + sort * 2, dictionary, sort * 10, entry);
                total += 1;
            }
        }
    }
    out.close_array();
    Extras { total: Some(total), ..Extras::default() }
}

fn status(out: &mut Json, id: i64, dictionary: &str, sort: i64, entry: &Entry) {
    out.open_object();
    out.member_quoted("ID", id);
    out.member_string("ENTITY_ID", dictionary);
    out.member_string("STATUS_ID", entry.code);
    out.member_string("NAME", entry.name);
    out.member_string("NAME_INIT", if sort == 10 { entry.name } else { "" });
    out.member_quoted("SORT", sort);
    out.member_string("SYSTEM", if sort == 10 { "Y" } else { "N" });
    let category = dictionary.strip_prefix("DEAL_STAGE_");
    out.key("CATEGORY_ID");
    match category {
        Some(category) => out.string(category),
        None => out.null(),
    }
    let Some(semantic) = entry.semantic else {
        out.member_raw("COLOR", "null");
        out.member_raw("SEMANTICS", "null");
        out.member_raw("EXTRA", "[]");
        return out.close_object();
    };
    let (color, word) = match semantic {
        "S" => ("#7BD500", "success"),
        "F" => ("#FF5752", "failure"),
        _ => ("#39A8EF", "process"),
    };
    out.member_string("COLOR", color);
    out.key("SEMANTICS");
    match semantic {
        "P" => out.null(),
        other => out.string(other),
    }
    out.key("EXTRA");
    out.open_object();
    out.member_string("SEMANTICS", word);
    out.member_string("COLOR", color);
    out.close_object();
    out.close_object();
}

/// Switches of a smart process type, with whether the sample type has them.
const SWITCHES: &[(&str, &str)] = &[
    ("isCategoriesEnabled", "Y"),
    ("isStagesEnabled", "Y"),
    ("isBeginCloseDatesEnabled", "Y"),
    ("isClientEnabled", "Y"),
    ("isUseInUserfieldEnabled", "Y"),
    ("isLinkWithProductsEnabled", "N"),
    ("isMycompanyEnabled", "Y"),
    ("isDocumentsEnabled", "Y"),
    ("isSourceEnabled", "Y"),
    ("isObserversEnabled", "Y"),
    ("isRecyclebinEnabled", "Y"),
    ("isAutomationEnabled", "Y"),
    ("isBizProcEnabled", "N"),
    ("isSetOpenPermissions", "N"),
    ("isPaymentsEnabled", "N"),
    ("isCountersEnabled", "N"),
];

/// `crm.type.list`: one type, for administrators only. The portal has no items of it.
pub(super) fn types(call: Call<'_>, out: &mut Json) -> Result<Extras, ApiError> {
    if !call.inner.access().admin {
        return Err(ApiError::item_denied());
    }
    out.raw("{\"types\":[{");
    out.member_integer("id", 37);
    out.member_string("title", "Smart Process #1");
    out.member_string("code", "");
    out.member_integer("createdBy", 1);
    out.member_integer("entityTypeId", 1220);
    out.member_raw("customSectionId", "null");
    for (name, value) in SWITCHES {
        out.member_string(name, value);
    }
    for name in ["createdTime", "updatedTime"] {
        out.key(name);
        out.raw("\"");
        crate::civil::write_stamp(out.buffer(), call.inner.world.from, call.inner.config.offset_minutes);
        out.raw("\"");
    }
    out.member_integer("updatedBy", 1);
    out.raw("}]}");
    Ok(Extras { total: Some(1), ..Extras::default() })
}
