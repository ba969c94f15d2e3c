//! Names of user fields in the item dialect (REST.md 7.3).

use std::collections::HashSet;

use super::Field;

/// Gives every user field its item name; a name that is taken falls back to the original.
pub(super) fn assign(fields: &mut [Field]) {
    let mut taken: HashSet<String> =
        fields.iter().filter(|field| field.user.is_none()).filter_map(|field| field.item_name.clone()).collect();
    for field in fields.iter_mut().filter(|field| field.user.is_some()) {
        let converted = convert(&field.name);
        let name = if taken.contains(&converted) { field.name.clone() } else { converted };
        taken.insert(name.clone());
        field.item_name = Some(name);
    }
}

/// Converts `UF_CRM_3_DIGIT` to `ufCrm3Digit`; names that mix letters and digits change only in the prefix.
pub(crate) fn convert(name: &str) -> String {
    let Some(rest) = name.strip_prefix("UF_CRM_") else { return name.to_owned() };
    let (number, tail) = match rest.split_once('_') {
        Some((number, tail)) if all_digits(number) => (number, tail),
        _ => ("", rest),
    };
    let segments: Vec<&str> = tail.split('_').collect();
    let regular = segments.iter().all(|segment| all_letters(segment)) || (!number.is_empty() && all_digits(tail));
    if !regular {
        return format!("ufCrm_{rest}");
    }
    let mut converted = format!("ufCrm{number}");
    for segment in segments {
        if all_digits(segment) {
            converted.push('_');
            converted.push_str(segment);
        } else {
            converted.push_str(&capitalised(segment));
        }
    }
    converted
}

fn all_digits(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn all_letters(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn capitalised(segment: &str) -> String {
    let lower = segment.to_ascii_lowercase();
    let mut letters = lower.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::convert;

    #[test]
    fn names_follow_the_rule_of_the_documentation() {
        for (original, converted) in [
            ("UF_CRM_3_1747309727", "ufCrm3_1747309727"),
            ("UF_CRM_3_DIGIT", "ufCrm3Digit"),
            ("UF_CRM_3_DIGIT10", "ufCrm_3_DIGIT10"),
            ("UF_CRM_3_DIGIT_10", "ufCrm_3_DIGIT_10"),
            ("UF_CRM_1747309879", "ufCrm_1747309879"),
            ("UF_CRM_64A29A1CD5CC2", "ufCrm_64A29A1CD5CC2"),
            ("UF_CRM_HELLO_WORLD", "ufCrmHelloWorld"),
        ] {
            assert_eq!(convert(original), converted);
        }
    }
}
