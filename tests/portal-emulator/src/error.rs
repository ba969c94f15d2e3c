//! Errors of the REST API, with the envelope of REST.md 3.1.

use crate::json::Json;

/// An error code; most are words, some are numbers, some are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Word(String),
    Number(i64),
}

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: Code,
    pub(crate) description: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, description: &str) -> Self {
        Self { status, code: Code::Word(code.to_owned()), description: description.to_owned() }
    }

    /// Looks a code up in [`KNOWN_ERRORS`]; an unknown one gets the status and text given. Numbers stay numbers.
    pub(crate) fn injected(status: Option<u16>, code: &str, description: Option<&str>) -> Self {
        let known = KNOWN_ERRORS.iter().find(|known| known.code.eq_ignore_ascii_case(code));
        let status = status.or(known.map(|known| known.status)).unwrap_or(400);
        let description = description.or(known.map(|known| known.description)).unwrap_or("Error");
        let mut error = Self::new(status, code, description);
        if let (Ok(number), None) = (code.parse(), known) {
            error.code = Code::Number(number);
        }
        error
    }

    /// An error of [`KNOWN_ERRORS`] by its code.
    pub(crate) fn known(code: &str) -> Self {
        Self::injected(None, code, None)
    }

    pub(crate) fn method_not_found() -> Self {
        Self::known("ERROR_METHOD_NOT_FOUND")
    }

    pub(crate) fn no_auth() -> Self {
        Self::known("NO_AUTH_FOUND")
    }

    pub(crate) fn wrong_auth_type() -> Self {
        Self::known("WRONG_AUTH_TYPE")
    }

    pub(crate) fn insufficient_scope() -> Self {
        Self::known("insufficient_scope")
    }

    pub(crate) fn too_many_requests() -> Self {
        Self::known("QUERY_LIMIT_EXCEEDED")
    }

    pub(crate) fn operation_time_limit() -> Self {
        Self::known("OPERATION_TIME_LIMIT")
    }

    /// The classic answer for a record that does not exist.
    pub(crate) fn classic_not_found() -> Self {
        Self::new(400, "", "Not found")
    }

    /// The classic answer for a missing right.
    pub(crate) fn classic_denied() -> Self {
        Self::new(400, "", "Access denied.")
    }

    pub(crate) fn classic_bad_id() -> Self {
        Self::new(400, "", "ID is not defined or invalid.")
    }

    pub(crate) fn item_not_found() -> Self {
        Self::new(400, "NOT_FOUND", "Element not found")
    }

    pub(crate) fn item_denied() -> Self {
        Self::new(400, "ACCESS_DENIED", "Access denied")
    }

    pub(crate) fn bad_field(clause: &str, field: &str) -> Self {
        Self::new(400, "INVALID_ARG_VALUE", &format!("Invalid {clause}: field '{field}' is not allowed in {clause}"))
    }

    pub(crate) fn not_an_array(parameter: &str) -> Self {
        Self::new(400, "", &format!("Parameter '{parameter}' must be array."))
    }

    /// A missing or wrong parameter of an `event.*` method (RU `api-reference/events/event-bind.md`).
    pub(crate) fn bad_argument(text: &str) -> Self {
        Self::new(400, "ERROR_ARGUMENT", text)
    }

    /// Something that only an administrator may do with events.
    pub(crate) fn event_denied(text: &str) -> Self {
        Self::new(403, "ACCESS_DENIED", text)
    }

    /// Something that the plan does not include (RU `api-reference/events/event-bind.md`).
    pub(crate) fn wrong_license(feature: &str) -> Self {
        let text = format!("This feature is not enabled for the current license: {feature}");
        Self::new(403, "WRONG_LICENSE", &text)
    }

    /// Writes `{"error": …, "error_description": …}`.
    pub(crate) fn write(&self, out: &mut Json) {
        out.open_object();
        out.key("error");
        match &self.code {
            Code::Word(word) => out.string(word),
            Code::Number(number) => out.integer(*number),
        }
        out.member_string("error_description", &self.description);
        out.close_object();
    }
}

/// An error of REST.md 3.2 that faults can inject by its code alone.
#[derive(Clone, Copy, Debug)]
pub struct KnownError {
    /// The HTTP status that the documentation gives.
    pub status: u16,
    /// The code, in the case in which the portal prints it.
    pub code: &'static str,
    /// The text.
    pub description: &'static str,
}

const fn known(status: u16, code: &'static str, description: &'static str) -> KnownError {
    KnownError { status, code, description }
}

/// Every code of REST.md 3.2.
pub const KNOWN_ERRORS: &[KnownError] = &[
    known(503, "QUERY_LIMIT_EXCEEDED", "Too many requests"),
    known(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."),
    known(503, "OVERLOAD_LIMIT", "REST API is blocked due to overload."),
    known(500, "INTERNAL_SERVER_ERROR", "Internal server error"),
    known(500, "ERROR_UNEXPECTED_ANSWER", "Server returned an unexpected response"),
    known(401, "expired_token", "The access token provided has expired."),
    known(401, "invalid_token", "Unable to get application by token"),
    known(401, "NO_AUTH_FOUND", "Wrong authorization data"),
    known(401, "authorization_error", "Unable to authorize user"),
    known(401, "APPLICATION_NOT_FOUND", "Application not found"),
    known(401, "ERROR_OAUTH", "Application not installed"),
    known(401, "PAYMENT_REQUIRED", "Payment required"),
    known(401, "METHOD_CONFIRM_WAITING", "Waiting for confirmation"),
    known(403, "METHOD_CONFIRM_DENIED", "Method call denied"),
    known(403, "insufficient_scope", "The request requires higher privileges than provided by the webhook token"),
    known(403, "INVALID_CREDENTIALS", "Invalid request credentials"),
    known(403, "user_access_error", "The user does not have access to the application"),
    known(403, "ACCESS_DENIED", "REST API is available only on commercial plans"),
    known(403, "ACCESS_ERROR", "Access denied"),
    known(403, "allowed_only_intranet_user", "Only intranet users are allowed"),
    known(403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method"),
    known(500, "PORTAL_DELETED", "Portal was deleted"),
    known(404, "ERROR_METHOD_NOT_FOUND", "Method not found!"),
    known(404, "ERROR_MANIFEST_IS_NOT_AVAILABLE", "Manifest is not available"),
    known(400, "NOT_FOUND", "Element not found"),
    known(400, "ERROR_NOT_FOUND", "Not found"),
    known(400, "ERROR_ENTITY_NOT_FOUND", "Entity not found"),
    known(400, "INVALID_ARG_VALUE", "Invalid filter: field 'FIELD' is not allowed in filter"),
    known(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported"),
    known(400, "100", "Could not find value for parameter"),
    known(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded"),
    known(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"),
    known(400, "INVALID_REQUEST", "Https required"),
    known(400, "", "Not found"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_brings_its_status_and_an_unknown_number_stays_a_number() {
        let limit = ApiError::injected(None, "overload_limit", None);
        assert_eq!((limit.status, limit.description.as_str()), (503, "REST API is blocked due to overload."));
        let mut out = Json::new(false);
        ApiError::injected(Some(400), "200040300010", Some("Access denied")).write(&mut out);
        assert_eq!(out.bytes(), br#"{"error":200040300010,"error_description":"Access denied"}"#);
    }
}
