//! Descriptions of fields, and the columns that fields get by their names. No input panics or breaks a law.

#![no_main]

use b24sync_adapter_bitrix::laws;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| laws::of_fields(bytes));
