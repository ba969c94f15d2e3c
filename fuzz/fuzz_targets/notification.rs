//! Bodies of the webhook: no input panics or breaks a law.

#![no_main]

use b24sync_adapter_http::notification;
use libfuzzer_sys::fuzz_target;

#[path = "../laws.rs"]
mod laws;

fuzz_target!(|body: &[u8]| laws::hold(body));
