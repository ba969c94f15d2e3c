//! The `portal-emulator` binary.
fn main() {}
