//! `b24sync migrate`: the service's own tables.

use std::process::ExitCode;

use crate::cli::MigrateArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring;

/// Creates or updates the tables, or says what that would do.
///
/// # Errors
/// When the database cannot be reached, the user lacks rights, or an existing table cannot be taken over.
pub async fn run(args: MigrateArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    problems.check()?;
    wiring::migrate(&settings, args.plan, output).await?;
    Ok(ExitCode::SUCCESS)
}
