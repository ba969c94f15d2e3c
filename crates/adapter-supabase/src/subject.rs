//! Ids of users.

/// The id in lower case, if it is a UUID in its usual form and not the one of nobody.
pub(crate) fn user_id(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_uuid = lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && text.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    is_uuid.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_usual_form_is_an_id() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(user_id(id).as_deref(), Some(id));
        assert_eq!(user_id("0F8FAD5B-D9CB-469F-A165-70867728950E").as_deref(), Some(id));
        for text in [
            "",
            "0f8fad5bd9cb469fa16570867728950e",
            "{0f8fad5b-d9cb-469f-a165-70867728950e}",
            "0f8fad5b-d9cb-469f-a165-70867728950",
            "0f8fad5b-d9cb-469f-a165-70867728950g",
            "0f8fad5b-d9cb-469f-a165-70867728950e ",
            "00000000-0000-0000-0000-000000000000",
            "someone@example.com",
        ] {
            assert_eq!(user_id(text), None, "{text}");
        }
    }
}
