//! Replays what the fuzz target has found, without the fuzzer.

use std::fs;
use std::path::Path;

use crate::notification;

#[path = "../../../../fuzz/laws.rs"]
pub(crate) mod laws;

fn files(directory: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!files.is_empty());
    files
}

#[test]
fn the_laws_hold_for_the_corpus() {
    for body in files("../../fuzz/corpus/notification") {
        laws::hold(&body);
    }
}

#[test]
fn the_laws_hold_for_real_bodies() {
    for body in files("tests/fixtures/events") {
        laws::hold(&body);
    }
}

/// The longest and the shortest `auth`.
const TWO: [&[u8]; 2] = [
    include_bytes!("../../tests/fixtures/events/app.ONAPPINSTALL.txt"),
    include_bytes!("../../tests/fixtures/events/webhook.ONCRMDEALADD.txt"),
];

#[test]
fn the_laws_hold_for_a_body_cut_anywhere() {
    for body in TWO {
        for end in 0..body.len() {
            laws::hold(&body[..end]);
        }
    }
}

#[test]
fn the_laws_hold_for_a_body_with_any_byte_changed() {
    for body in TWO {
        for at in 0..body.len() {
            for byte in *b"%&=[]+\0\xFF0" {
                let mut body = body.to_vec();
                body[at] = byte;
                laws::hold(&body);
            }
        }
    }
}
