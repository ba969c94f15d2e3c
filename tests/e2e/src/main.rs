//! The program under test.

use std::process::ExitCode;

fn main() -> ExitCode {
    b24sync::main()
}
