//! The `b24sync` binary: three lines over the library, and the allocator.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Chosen by measurement: see `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    b24sync::main()
}
