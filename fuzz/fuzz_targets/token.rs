//! Session tokens before they are verified: their parts, headers and claims. No input panics or breaks a law.

#![no_main]

use b24sync_adapter_supabase::laws;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| laws::of_a_token(bytes));
