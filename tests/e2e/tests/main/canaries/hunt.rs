//! Secrets that are looked for, in every form in which they may show.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A secret by its name, and how it may be written.
struct Canary {
    name: &'static str,
    forms: Vec<String>,
}

/// What was seen, and what must not be in it.
#[derive(Default)]
pub(super) struct Hunt {
    canaries: Vec<Canary>,
    seen: Vec<(String, String)>,
}

impl Hunt {
    /// A secret that must be nowhere. It must be long enough that nothing else reads like it.
    pub(super) fn secret(&mut self, name: &'static str, value: &str) {
        assert!(value.len() >= 12, "{name} is too short to be looked for");
        let bytes = value.as_bytes();
        let mut forms =
            vec![value.to_owned(), value.to_lowercase(), percent_encoded(value, false), percent_encoded(value, true)];
        forms.push(percent_encoded(value, false).to_lowercase());
        forms.push(value.chars().rev().collect());
        forms.extend([hexadecimal(bytes), hexadecimal(bytes).to_uppercase()]);
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        forms.push(numbers.join(", "));
        forms.push(numbers.join(","));
        for before in 0..3 {
            forms.extend(in_base64(bytes, before));
        }
        forms.sort();
        forms.dedup();
        self.canaries.push(Canary { name, forms });
    }

    /// Something that others can see.
    pub(super) fn saw(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.seen.push((place.into(), text.into()));
    }

    /// How many places and bytes were looked through.
    pub(super) fn extent(&self) -> (usize, usize) {
        (self.seen.len(), self.seen.iter().map(|(_, text)| text.len()).sum())
    }

    /// How many secrets there are, and forms of them.
    pub(super) fn game(&self) -> (usize, usize) {
        (self.canaries.len(), self.canaries.iter().map(|canary| canary.forms.len()).sum())
    }

    /// Where which secret shows; empty when all is well.
    pub(super) fn catch(&self) -> Vec<String> {
        let mut caught = Vec::new();
        for (place, text) in &self.seen {
            for canary in &self.canaries {
                for form in canary.forms.iter().filter(|form| text.contains(form.as_str())) {
                    let line = text.lines().find(|line| line.contains(form.as_str())).unwrap_or_default();
                    let line: String = line.chars().take(400).collect();
                    caught.push(format!("{} in {place}, as {form}: {line}", canary.name));
                }
            }
        }
        caught
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// With every byte encoded, or only those that need it in a query.
fn percent_encoded(text: &str, all: bool) -> String {
    let is_plain = |byte: u8| !all && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'));
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What does not depend on its neighbours, where so many bytes stand before it.
fn in_base64(secret: &[u8], before: usize) -> Vec<String> {
    let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
    let whole = bytes.len() / 3 * 3;
    let start = before.div_ceil(3) * 4;
    [STANDARD.encode(&bytes[..whole]), URL_SAFE.encode(&bytes[..whole])].map(|mut text| text.split_off(start)).to_vec()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "c4n4ry+ of/the test!";
    for text in [
        secret.to_owned(),
        "c4n4ry%2B%20of%2Fthe%20test%21".to_owned(),
        "c4n4ry%2b%20of%2fthe%20test%21".to_owned(),
        format!("Basic {}", STANDARD.encode(format!("me:{secret}"))),
        STANDARD.encode(format!("a{secret}")),
        URL_SAFE.encode(format!("{secret} and more")),
        format!("{:?}", secret.as_bytes()),
        hexadecimal(secret.as_bytes()),
    ] {
        let mut hunt = Hunt::default();
        hunt.secret("the secret", secret);
        hunt.saw("elsewhere", "nothing");
        assert!(hunt.catch().is_empty());
        hunt.saw("here", text.as_str());
        assert!(!hunt.catch().is_empty(), "{text}");
    }
}
