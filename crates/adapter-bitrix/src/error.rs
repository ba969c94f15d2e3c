//! The portal's error codes → [`SourceError`] (Bitrix24 REST 3.2). To add a code, add a line to [`TABLE`].

use b24sync_domain::error::SourceError;
use chrono::{DateTime, Utc};

use crate::failure::{Class, Failure};

/// Characters of the portal's own text that an error keeps.
const DESCRIPTION_CHARACTERS: usize = 200;

/// What the portal said when it refused something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its code; may be empty, a number or a sentence.
    pub(crate) code: String,
    /// Its text, often in the portal's language.
    pub(crate) text: String,
}

/// What a code means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    RateLimited,
    MethodExhausted,
    Fault,
    Unauthorized,
    MissingScope,
    Forbidden,
    Blocked,
    Unsupported,
    Rejected,
}

/// Codes in lower case, because the portal's own case varies.
const TABLE: &[(&str, Meaning)] = &[
    ("query_limit_exceeded", Meaning::RateLimited),
    ("operation_time_limit", Meaning::MethodExhausted),
    ("overload_limit", Meaning::Blocked),
    ("internal_server_error", Meaning::Fault),
    ("error_unexpected_answer", Meaning::Fault),
    ("expired_token", Meaning::Unauthorized),
    ("invalid_token", Meaning::Unauthorized),
    ("no_auth_found", Meaning::Unauthorized),
    ("authorization_error", Meaning::Unauthorized),
    ("application_not_found", Meaning::Unauthorized),
    ("error_oauth", Meaning::Unauthorized),
    ("payment_required", Meaning::Blocked),
    ("method_confirm_waiting", Meaning::Forbidden),
    ("method_confirm_denied", Meaning::Forbidden),
    ("insufficient_scope", Meaning::MissingScope),
    ("invalid_credentials", Meaning::Forbidden),
    ("user_access_error", Meaning::Forbidden),
    ("access_denied", Meaning::Forbidden),
    ("access_error", Meaning::Forbidden),
    ("allowed_only_intranet_user", Meaning::Forbidden),
    ("wrong_auth_type", Meaning::Forbidden),
    ("portal_deleted", Meaning::Blocked),
    ("error_method_not_found", Meaning::Unsupported),
    ("error_manifest_is_not_available", Meaning::Rejected),
    ("not_found", Meaning::Rejected),
    ("error_not_found", Meaning::Rejected),
    ("error_entity_not_found", Meaning::Rejected),
    ("invalid_arg_value", Meaning::Rejected),
    ("entity_type_not_supported", Meaning::Rejected),
    ("100", Meaning::Rejected),
    ("error_batch_length_exceeded", Meaning::Rejected),
    ("error_batch_method_not_allowed", Meaning::Rejected),
    ("invalid_request", Meaning::Rejected),
];

/// What a refusal means. The code decides; the text only where the code is empty or stands for two things; the status
/// only where the code says nothing.
pub(crate) fn meaning(status: Option<u16>, refusal: &Refusal) -> Meaning {
    let code = refusal.code.trim().to_lowercase();
    let text = refusal.text.to_lowercase();
    if code == "access_denied" && (text.contains("commercial") || text.contains("коммерческ")) {
        return Meaning::Blocked;
    }
    if let Some((_, meaning)) = TABLE.iter().find(|(known, _)| *known == code) {
        return *meaning;
    }
    if code.is_empty() && (text.starts_with("access denied") || text.starts_with("доступ запрещ")) {
        return Meaning::Forbidden;
    }
    match status {
        Some(401) => Meaning::Unauthorized,
        Some(403) => Meaning::Forbidden,
        Some(408 | 429 | 500..=599) => Meaning::Fault,
        _ => Meaning::Rejected,
    }
}

/// Codes of refused tokens that another token may help against (Bitrix24 REST 3.2).
const RENEWABLE: [&str; 3] = ["expired_token", "invalid_token", "no_auth_found"];

/// Whether a call that failed so is worth another token.
pub(crate) fn is_renewable(error: &SourceError) -> bool {
    matches!(error, SourceError::Unauthorized { code } if RENEWABLE.contains(&code.to_lowercase().as_str()))
}

/// The failure that a refusal of `method` is. `resets_at`: when the portal will let an exhausted method work again, as
/// far as known.
pub(crate) fn classify(
    method: &str,
    status: Option<u16>,
    refusal: &Refusal,
    resets_at: Option<DateTime<Utc>>,
) -> Failure {
    let method = method.to_owned();
    let code = shorten(refusal.code.trim());
    match meaning(status, refusal) {
        Meaning::RateLimited => Failure { error: SourceError::RateLimited { method }, class: Class::Limit },
        Meaning::MethodExhausted => {
            Failure { error: SourceError::MethodExhausted { method, resets_at }, class: Class::Limit }
        }
        Meaning::Fault => Failure::unavailable(&method, format!("{} (`{code}`)", sentence(status, &refusal.text))),
        Meaning::Unauthorized => Failure::last(SourceError::Unauthorized { code }),
        Meaning::MissingScope => Failure::last(SourceError::MissingScope { method }),
        Meaning::Forbidden => {
            let code = if code.is_empty() { shorten(&refusal.text) } else { code };
            Failure::last(SourceError::Forbidden { method, code })
        }
        Meaning::Blocked => Failure::last(SourceError::PortalBlocked { code }),
        Meaning::Unsupported => Failure::last(SourceError::Unsupported { method }),
        Meaning::Rejected => Failure::last(SourceError::Rejected { method, code, description: shorten(&refusal.text) }),
    }
}

/// The portal's own words, shortened.
pub(crate) fn say(refusal: &Refusal) -> String {
    match (refusal.code.trim(), refusal.text.trim()) {
        ("", text) => shorten(text),
        (code, "") => shorten(code),
        (code, text) => format!("{} ({})", shorten(text), shorten(code)),
    }
}

fn sentence(status: Option<u16>, text: &str) -> String {
    match (status, text.trim()) {
        (Some(status), "") => format!("HTTP {status}"),
        (Some(status), text) => format!("HTTP {status}, {}", shorten(text)),
        (None, text) => shorten(text),
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(DESCRIPTION_CHARACTERS).collect()
}

/// The failure that an answer without JSON is: a gateway's page, or what stands at a wrong address.
pub(crate) fn not_json(method: &str, status: u16, text: &str) -> Failure {
    let what = if text.trim_start().starts_with('<') { "a web page" } else { "something else" };
    by_status(method, status, format!("answered with {what} instead of JSON (HTTP {status})"))
}

/// The failure that JSON without a code is, where the status promises one.
pub(crate) fn without_code(method: &str, status: u16) -> Failure {
    by_status(method, status, format!("answered with HTTP {status} and no error code"))
}

fn by_status(method: &str, status: u16, message: String) -> Failure {
    match status {
        200..=299 => Failure::malformed(method, message),
        408 | 429 | 500..=599 => Failure::unavailable(method, message),
        _ => Failure { class: Class::Final, ..Failure::unavailable(method, message) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, text: &str) -> Refusal {
        Refusal { code: code.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_code_decides_whatever_its_case_and_the_status() {
        for (status, code, text, expected) in [
            (Some(200), "query_LIMIT_exceeded", "", Meaning::RateLimited),
            (Some(401), "insufficient_scope", "", Meaning::MissingScope),
            (Some(410), "PORTAL_DELETED", "", Meaning::Blocked),
            (Some(403), "ACCESS_DENIED", "REST API is available only on commercial plans", Meaning::Blocked),
            (Some(400), "ACCESS_DENIED", "Access denied", Meaning::Forbidden),
            (Some(400), "", "Access denied.", Meaning::Forbidden),
            (Some(400), "", "Доступ запрещён.", Meaning::Forbidden),
            (Some(400), "", "Not found", Meaning::Rejected),
            (Some(401), "", "", Meaning::Unauthorized),
            (Some(500), "", "", Meaning::Fault),
            (Some(502), "SOMETHING_NEW", "", Meaning::Fault),
            (Some(400), "SOMETHING_NEW", "", Meaning::Rejected),
            (None, "0", "Invalid sorting key", Meaning::Rejected),
        ] {
            assert_eq!(meaning(status, &said(code, text)), expected, "{status:?} {code} {text}");
        }
    }

    #[test]
    fn limits_and_faults_are_repeated_and_nothing_else() {
        for (code, class) in [
            ("QUERY_LIMIT_EXCEEDED", Class::Limit),
            ("OPERATION_TIME_LIMIT", Class::Limit),
            ("INTERNAL_SERVER_ERROR", Class::Fault),
            ("NO_AUTH_FOUND", Class::Final),
            ("OVERLOAD_LIMIT", Class::Final),
            ("INVALID_ARG_VALUE", Class::Final),
        ] {
            assert_eq!(classify("batch", Some(503), &said(code, ""), None).class, class, "{code}");
        }
    }

    #[test]
    fn a_page_at_a_wrong_address_is_named_and_final() {
        let failure = not_json("batch", 404, "<html>");
        assert_eq!(failure.class, Class::Final);
        let chain = b24sync_domain::error::Chain(&failure.error).to_string();
        assert!(chain.ends_with("answered with a web page instead of JSON (HTTP 404)"), "{chain}");
        assert_eq!(not_json("batch", 503, "<html>").class, Class::Fault);
        assert!(matches!(not_json("batch", 200, "<html>").error, SourceError::Malformed { .. }));
    }
}
