//! Log lines: text on a terminal, JSON otherwise, always on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};

/// What these say of a connection is its client's doing, needs no token, and is said as an error: only who looks for it
/// gets it.
const OF_CLIENTS: [&str; 2] = ["actix_http::h1::dispatcher", "actix_http::h1::decoder"];

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
    let chosen = given_filter().unwrap_or_else(|| EnvFilter::new(format!("warn,{directives}")));
    let filter = if matches!(level, "debug" | "trace") { chosen } else { without_clients(chosen) };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second installation, as tests that run commands in one process make it, changes nothing.
    let _ = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().try_init() };
}

/// What `RUST_LOG` says; an empty value counts as not set, as everywhere.
#[expect(clippy::disallowed_methods, reason = "the variable is the logging crate's own, and no argument of ours")]
fn given_filter() -> Option<EnvFilter> {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok()?;
    if given.trim().is_empty() { None } else { EnvFilter::try_new(given).ok() }
}

/// The filter without what is said of connections, unless it names their crate.
fn without_clients(filter: EnvFilter) -> EnvFilter {
    if filter.to_string().contains("actix") {
        return filter;
    }
    let off = OF_CLIENTS.iter().filter_map(|target| format!("{target}=off").parse().ok());
    off.fold(filter, EnvFilter::add_directive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_connections_is_left_out_unless_somebody_asks_for_it() {
        let quiet = without_clients(EnvFilter::new("info")).to_string();
        assert!(quiet.contains("actix_http::h1::dispatcher=off") && quiet.contains("info"), "{quiet}");
        let asked = without_clients(EnvFilter::new("info,actix_http=debug")).to_string();
        assert!(!asked.contains("off"), "{asked}");
    }
}
