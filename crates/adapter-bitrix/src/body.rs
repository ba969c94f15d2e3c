//! Reading an answer without trusting it: its size after decompression, its encoding and its nesting are bounded
//! before anything is parsed.

use std::error::Error;

use reqwest::Response;

use crate::failure::{Class, Failure};
use b24sync_public_address::AddressRefused;

/// Reads the whole body, at most `max` bytes of it.
pub(crate) async fn read(method: &str, mut response: Response, max: usize) -> Result<String, Failure> {
    let too_long = || Failure::malformed(method, format!("the answer is longer than {max} bytes"));
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if announced > max {
        return Err(too_long());
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(method, error))? {
        if body.len() + chunk.len() > max {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|error| {
        Failure::malformed(method, format!("the answer is not UTF-8 (byte {})", error.utf8_error().valid_up_to()))
    })
}

/// The failure of a request that got no complete answer.
pub(crate) fn lost(method: &str, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.is::<AddressRefused>() {
            return Failure { class: Class::Final, ..Failure::unavailable(method, AddressRefused) };
        }
        cause = inner.source();
    }
    Failure::unavailable(method, error)
}

/// Whether arrays and objects are nested at most `max` deep. Anything that is not JSON is left to the parser.
pub(crate) fn is_shallow(text: &str, max: usize) -> bool {
    let mut depth: usize = 0;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(is_shallow(r#"{"a":["[[[[\"[[",1,{"b":[]}]}"#, 4));
        assert!(!is_shallow(r#"{"a":["[[[[\"[[",1,{"b":[]}]}"#, 3));
        assert!(is_shallow("[[],[],[]]", 2));
        assert!(is_shallow("]]]]", 0));
    }
}
