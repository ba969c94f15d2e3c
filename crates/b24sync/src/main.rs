//! The `b24sync` binary.
fn main() {}
