//! Log lines: text on a terminal, JSON otherwise, always on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};

/// Installs the subscriber. `RUST_LOG` wins; else `-v` counts, and a service says more than a command.
pub fn install(cli: &Cli) {
    let level = match (cli.verbose, &cli.command) {
        (0, Command::Serve(_)) | (1, _) => "info",
        (0, _) => "warn",
        (2, _) => "debug",
        _ => "trace",
    };
    // What other crates log is theirs to explain; it is asked for by RUST_LOG.
    let ours = [
        "b24sync",
        "b24sync_domain",
        "b24sync_application",
        "b24sync_adapter_bitrix",
        "b24sync_adapter_postgres",
        "b24sync_adapter_http",
        "b24sync_embedded_postgres",
    ];
    let directives = ours.iter().map(|name| format!("{name}={level}")).collect::<Vec<_>>().join(",");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("warn,{directives}")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second installation, as tests that run commands in one process make it, changes nothing.
    let _ = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().try_init() };
}
