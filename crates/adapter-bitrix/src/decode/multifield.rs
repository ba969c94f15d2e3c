//! `fm`, the list of all multi-fields of a record in the item dialect → one list per multi-field in the classic shape.

use serde_json::value::RawValue;

use crate::dialect::MULTIFIELDS;
use crate::envelope::Named;
use crate::lenient;

/// The lists in the order of [`MULTIFIELDS`], as JSON, empty strings where there is nothing; `None` where the value has
/// an unknown shape.
pub(crate) fn split(fm: &RawValue) -> Option<[String; MULTIFIELDS.len()]> {
    let mut lists = [const { String::new() }; MULTIFIELDS.len()];
    for (_, entry) in Named::of(fm).iter() {
        let entry = Named::of(entry);
        let type_id = lenient::text(entry.get("typeId")?)?;
        let (name, list) = MULTIFIELDS.iter().zip(&mut lists).find(|(name, _)| **name == type_id)?;
        list.push(if list.is_empty() { '[' } else { ',' });
        list.push_str("{\"ID\":");
        push_text(list, entry.get("id")?);
        for (key, value) in [("VALUE_TYPE", entry.get("valueType")), ("VALUE", entry.get("value"))] {
            list.push_str(",\"");
            list.push_str(key);
            list.push_str("\":");
            list.push_str(value.map_or("null", RawValue::get));
        }
        list.push_str(",\"TYPE_ID\":\"");
        list.push_str(name);
        list.push_str("\"}");
    }
    for list in lists.iter_mut().filter(|list| !list.is_empty()) {
        list.push(']');
    }
    Some(lists)
}

/// A number as a string, which the classic dialect sends; anything else as it stands.
fn push_text(list: &mut String, value: &RawValue) {
    if value.get().starts_with(|first: char| first.is_ascii_digit()) {
        list.push('"');
        list.push_str(value.get());
        list.push('"');
    } else {
        list.push_str(value.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_json(json: &str) -> Option<[String; MULTIFIELDS.len()]> {
        split(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn entries_are_grouped_by_type_in_their_order() {
        let [phone, email, web, ..] = split_json(
            r#"[{"id":101,"valueType":"WORK","value":"+1\u0035","typeId":"PHONE"},
                {"id":"102","valueType":"HOME","value":"a@b","typeId":"EMAIL"},
                {"id":103,"valueType":"HOME","value":"+2","typeId":"PHONE"}]"#,
        )
        .unwrap();
        assert_eq!(
            phone,
            r#"[{"ID":"101","VALUE_TYPE":"WORK","VALUE":"+1\u0035","TYPE_ID":"PHONE"},{"ID":"103","VALUE_TYPE":"HOME","VALUE":"+2","TYPE_ID":"PHONE"}]"#
        );
        assert_eq!(email, r#"[{"ID":"102","VALUE_TYPE":"HOME","VALUE":"a@b","TYPE_ID":"EMAIL"}]"#);
        assert_eq!(web, "");
    }

    #[test]
    fn nothing_is_nothing_and_the_unknown_is_not_guessed() {
        for nothing in ["[]", "{}", "null"] {
            assert!(split_json(nothing).unwrap().iter().all(String::is_empty), "{nothing}");
        }
        assert_eq!(split_json(r#"[{"id":1,"valueType":"X","value":"v","typeId":"PIGEON"}]"#), None);
        assert_eq!(split_json("[7]"), None);
    }
}
