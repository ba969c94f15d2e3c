//! What holds for the notification parser whatever it is given. Panics where it does not.
//!
//! Included by the fuzz target and by the tests of `adapter-http`, which replay the corpus.

use super::notification::form::{BODY_BYTES, Form, KEY_BYTES, NESTING, PAIRS};
use super::notification::{EVENT_BYTES, LAST_SECOND, Notification, NotificationError, TEXT_BYTES, check_content_type};

/// Reads `body` as a notification, and as a header.
pub(crate) fn hold(body: &[u8]) {
    if let Err(error) = check_content_type(Some(body)) {
        assert_eq!(error, NotificationError::ContentType);
    }
    let parsed = Notification::parse(body);
    match Form::parse(body) {
        Ok(form) => {
            of_a_form(body, &form);
            match Notification::from_form(&form) {
                Ok(notification) => {
                    of_a_notification(&form, &notification);
                    assert_eq!(format!("{notification:?}"), format!("{:?}", parsed.unwrap()), "both ways are one");
                }
                Err(error) => {
                    of_an_error(&error);
                    assert_eq!(parsed.unwrap_err(), error, "both ways are one");
                }
            }
        }
        Err(error) => {
            of_an_error(&error);
            assert_eq!(error == NotificationError::BodyTooLarge, body.len() > BODY_BYTES);
            assert_eq!(parsed.unwrap_err(), error, "both ways are one");
        }
    }
}

/// Writes pairs as PHP does.
pub(crate) fn render<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                b' ' => "+".to_owned(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&").into_bytes()
}

fn of_a_form(body: &[u8], form: &Form<'_>) {
    assert!(body.len() <= BODY_BYTES);
    assert!(form.pairs().count() <= PAIRS);
    for (at, _) in body.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = body.get(at + 1..at + 3).unwrap();
        assert!(digits.iter().all(u8::is_ascii_hexdigit), "every `%` has its digits");
    }
    let mut bytes = 0;
    for (key, value) in form.pairs() {
        assert!((1..=KEY_BYTES).contains(&key.len()));
        assert!(key.matches('[').count() <= NESTING);
        assert_eq!(key.matches('[').count(), key.matches(']').count());
        assert!(!key.starts_with('[') && !key.contains('\0'));
        bytes += key.len() + value.len();
    }
    assert!(bytes <= body.len(), "decoding never makes longer");
    let rendered = render(form.pairs());
    if rendered.len() <= BODY_BYTES {
        let again = Form::parse(&rendered).unwrap();
        assert!(form.pairs().eq(again.pairs()), "what is rendered is read as it was");
    }
}

fn of_a_notification(form: &Form<'_>, notification: &Notification) {
    assert!((1..=EVENT_BYTES).contains(&notification.event.len()));
    assert!(notification.event.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.')));
    assert!(notification.sent_at.is_none_or(|second| (1..=LAST_SECOND).contains(&second)));
    for text in [&notification.entity_id, &notification.field, &notification.member_id].into_iter().flatten() {
        assert!((1..=TEXT_BYTES).contains(&text.len()));
        assert!(!text.contains(char::is_control));
    }
    let count = |key: &str| form.pairs().filter(|(name, _)| *name == key).count();
    for (key, _) in form.pairs().filter(|(key, _)| key.starts_with("auth[") || ["event", "ts"].contains(key)) {
        assert_eq!(count(key), 1, "{key} is unique");
    }
    if let Err(error) = notification.record_id() {
        of_an_error(&error);
    }

    // `Debug` cannot tell one `auth` from another.
    let with = |other: &'static str| {
        let pairs = form.pairs().map(|(key, was)| match key {
            _ if was.is_empty() || !key.starts_with("auth[") => (key, was),
            "auth[expires_in]" => (key, "1"),
            _ => (key, other),
        });
        let rendered = render(pairs);
        (rendered.len() <= BODY_BYTES).then(|| format!("{:?}", Notification::parse(&rendered).unwrap()))
    };
    for shown in [with("x"), with("another")].into_iter().flatten() {
        assert_eq!(shown, format!("{notification:?}"), "`Debug` shows something of `auth`");
    }
}

fn of_an_error(error: &NotificationError) {
    let message = error.to_string();
    assert!(message.len() <= 120, "{message}");
    assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{message:?}");
}
