//! Removes the webhook's code and the access token from whatever the portal made us repeat.

use b24sync_domain::error::{Chain, SourceError};

/// Characters of the code that may show at the end of a text that was cut.
const HARMLESS: usize = 3;

/// The same error without the secret.
pub(crate) fn scrub(error: SourceError, secret: &str) -> SourceError {
    if secret.is_empty() {
        return error;
    }
    let clean = |text: String| clean(&text, secret);
    match error {
        SourceError::Unauthorized { code } => SourceError::Unauthorized { code: clean(code) },
        SourceError::Forbidden { method, code } => SourceError::Forbidden { method, code: clean(code) },
        SourceError::PortalBlocked { code } => SourceError::PortalBlocked { code: clean(code) },
        SourceError::Rejected { method, code, description } => {
            SourceError::Rejected { method, code: clean(code), description: clean(description) }
        }
        SourceError::Moved { host } => SourceError::Moved { host: clean(host) },
        SourceError::Unavailable { method, source } => {
            let said = Chain(source.as_ref()).to_string();
            let cleaned = clean(said.clone());
            let source = if cleaned == said { source } else { cleaned.into() };
            SourceError::Unavailable { method, source }
        }
        // Nothing in these comes from the portal.
        other => other,
    }
}

/// The text without any of the secrets.
pub(crate) fn clean_all(text: &str, secrets: &[&str]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    secrets.fold(text.to_owned(), |text, secret| clean(&text, secret))
}

/// The text without the secret, also where cutting the text has left only the secret's beginning.
fn clean(text: &str, secret: &str) -> String {
    let mut text = text.replace(secret, "***");
    let beginnings = (HARMLESS + 1..secret.len()).rev().filter_map(|length| secret.get(..length));
    if let Some(rest) = beginnings.into_iter().find_map(|beginning| text.strip_suffix(beginning)).map(str::len) {
        text.truncate(rest);
        text.push_str("***");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_replaced_whole_and_in_part() {
        for (said, shown) in [
            ("at /rest/1/s3cr3tc0de/batch", "at /rest/1/***/batch"),
            ("s3cr3tc0de s3cr3tc0de", "*** ***"),
            ("cut at /rest/1/s3cr3tc", "cut at /rest/1/***"),
            ("cut at /rest/1/s3c", "cut at /rest/1/s3c"),
            ("plain", "plain"),
        ] {
            let method = "batch".to_owned();
            let error = SourceError::Rejected { method, code: String::new(), description: said.to_owned() };
            let SourceError::Rejected { description, .. } = scrub(error, "s3cr3tc0de") else {
                panic!("the kind stays")
            };
            assert_eq!(description, shown);
            let error = SourceError::Unavailable { method: "batch".to_owned(), source: said.into() };
            assert!(Chain(&scrub(error, "s3cr3tc0de")).to_string().ends_with(shown));
        }
    }
}
