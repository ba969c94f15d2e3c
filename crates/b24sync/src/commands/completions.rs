//! `b24sync completions`: a completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::failure::Failure;

/// Prints the script.
///
/// # Errors
/// None; the signature is that of every command.
pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    clap_complete::generate(args.shell, &mut Cli::command(), "b24sync", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
