//! The `b24sync` binary: three lines over the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    b24sync::main()
}
