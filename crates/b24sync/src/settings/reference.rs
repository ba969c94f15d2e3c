//! `docs/configuration.md`, made from the command line's definitions and from what settings are refused with.
//!
//! After a change of settings: `UPDATE_DOCS=1 cargo test -p b24sync configuration`, and commit the file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory, Parser};

use super::{DatabaseSettings, PortalSettings, Problems, ServiceSettings};
use crate::cli::{self, Cli, ServeArgs};

/// How the page is made anew.
const UPDATE: &str = "UPDATE_DOCS=1 cargo test -p b24sync configuration";

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the code by `UPDATE_DOCS=1 cargo test -p b24sync configuration`; do not edit. -->

A setting comes, in this order, from its flag, from the environment, or from the file `.env` of the folder that the program is started in or of one above it.
An empty value counts as not set.
Everything that is wrong is reported at once, with the variable's name and an example, and exit code 2.
Settings are read at the start: restart the instances to change them.
What each entity does (interval, on or off) is not here but in the table `sync_config`: `b24sync config` and the API change it.

The least that a portal of yours needs is `BITRIX_WEBHOOK_URL`; `DATABASE_URL` puts the tables into your own PostgreSQL.
";

const SECRETS_INTRODUCTION: &str = "\
## Secrets

Secrets have no flags, because every user of a machine sees the arguments of its programs.
In place of `NAME=value` each of them may be in a file that `NAME_FILE` names (`DATABASE_URL_FILE=/run/secrets/database_url`); space around the value does not count, and the variable goes before the file.
No secret is written to a log, an error, an answer or a table.
";

const OTHERS: &str = "\
## Read by others

| variable | example | what it says |
|---|---|---|
| `RUST_LOG` | `b24sync=debug` | What the log has, in place of `-v`: a level, or levels by module |
| `XDG_DATA_HOME` | `/home/me/.local/share` | On Linux, where the private PostgreSQL keeps its data, in `b24sync/postgres` below it; root's is `/var/lib/b24sync/postgres`, and `B24SYNC_DATA_DIR` goes before both |
| `XDG_CACHE_HOME` | `/home/me/.cache` | On Linux, where PostgreSQL's programs are kept once they were fetched, in `b24sync/postgres` below it; root's is `/var/cache/b24sync/postgres` |

## Names of the Python service

`DATABASE_URL` (also as `postgresql+asyncpg://`), `DATABASE_POOL_SIZE`, `DATABASE_MAX_OVERFLOW`, `SUPABASE_URL`, `SUPABASE_JWT_SECRET`, `BITRIX_WEBHOOK_URL`, `SYNC_DEFAULT_INTERVAL_MINUTES`, `HOST` and `PORT` mean here what they mean there.
`SYNC_BATCH_SIZE`, `SUPABASE_KEY`, `APP_NAME`, `DEBUG` and `ENVIRONMENT` have no meaning here and may stay.
[migration.md](migration.md) tells the rest.
";

/// Name, example, meaning. A test looks that every secret of the code is here.
const SECRETS: &[(&str, &str, &str)] = &[
    (
        "BITRIX_WEBHOOK_URL",
        "https://portal.bitrix24.com/rest/1/abcdefgh12345678/",
        "The portal's incoming webhook. Not together with `BITRIX_CLIENT_ID`",
    ),
    (
        "DATABASE_URL",
        "postgresql://me:password@db.example.com/crm",
        "The database; without it a private PostgreSQL is used. `?sslmode=` is `disable`, `require`, `verify-ca` or `verify-full`, `&sslrootcert=` the file of its authority",
    ),
    (
        "BITRIX_APPLICATION_TOKENS",
        "0c1tgvslw9n0mjbnc7f9xnuoh4inwckx",
        "Tokens of the portal's outgoing webhooks, comma-separated; without one no event is taken",
    ),
    ("BITRIX_CLIENT_SECRET", "the key on the application's card", "Key of the local application"),
    (
        "BITRIX_TOKEN_KEY",
        "the output of openssl rand -base64 32",
        "Seals the application's tokens in the database; without it they are lost",
    ),
    (
        "SUPABASE_JWT_SECRET",
        "the project's legacy JWT secret",
        "Only where the project's tokens are still signed by HS256",
    ),
    ("METRICS_TOKEN", "a long random text", "Lets whoever shows it as bearer read `/metrics` beside the API"),
];

/// Examples of settings that are not refused for what they are, so that no refusal names one.
const EXAMPLES: &[(&str, &str)] = &[
    ("DATABASE_SCHEMA", "public"),
    ("B24SYNC_DATA_DIR", "/var/lib/b24sync/postgres"),
    ("B24SYNC_POSTGRES_BIN", "/usr/lib/postgresql/17/bin"),
    ("BITRIX_PORTAL_URL", "https://portal.bitrix24.com"),
    ("BITRIX_CLIENT_ID", "local.65f1b0c2a3d4e5.12345678"),
    ("BITRIX_OAUTH_SERVERS", "oauth.bitrix.info"),
    ("BITRIX_MEMBER_ID", "a223c6b3710f85df22e9377d6c4f7553"),
    ("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co"),
    ("AUTH_ROLE_CLAIM", "app_metadata.b24sync_role"),
    ("AUTH_VIEWERS", "7c9e6679-7425-40de-944b-e07fc1f90ae7"),
    ("AUTH_OPERATORS", "16fd2706-8baf-433b-82eb-8c7fada847da"),
    ("AUTH_ADMINS", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ("API_ALLOWED_ORIGINS", "https://crm.example.com"),
    ("HOST", "127.0.0.1"),
    ("PORT", "8080"),
];

/// A value that nothing with a choice or a range takes.
const IMPOSSIBLE: &str = "?";

/// What one variable may be.
struct Values {
    /// `a number from 1 to 100`; empty where every text will do.
    expected: String,
    example: String,
}

fn variable(arg: &Arg) -> Option<&str> {
    arg.get_env().and_then(|name| name.to_str())
}

fn serve() -> Command {
    Cli::command().find_subcommand("serve").expect("there is a command `serve`").clone()
}

/// What the settings say of this value of one flag of `serve`.
fn refusals(flag: &str, value: &str) -> Vec<String> {
    let mut line = vec!["b24sync".to_owned(), "serve".to_owned(), format!("--{flag}={value}")];
    if flag != "supabase-url" {
        // Without a project nobody looks at roles.
        line.push("--supabase-url=https://abcdefghijklmnopqrst.supabase.co".to_owned());
    }
    let cli = Cli::try_parse_from(line);
    let Ok(Cli { command: cli::Command::Serve(ServeArgs { service, database, portal, .. }), .. }) = cli else {
        return Vec::new();
    };
    let mut problems = Problems::default();
    DatabaseSettings::new(&database, &mut problems);
    PortalSettings::new(&portal, &mut problems);
    ServiceSettings::new(&service, false, &mut problems);
    problems.into_list()
}

fn values(name: &str, flag: &str) -> Values {
    let start = format!("{name}: ");
    let refusal = refusals(flag, IMPOSSIBLE).into_iter().find(|problem| problem.starts_with(&start));
    let told = refusal.as_deref().and_then(|problem| problem.split_once(&format!("; example: {name}=")));
    let example = EXAMPLES.iter().find(|(of, _)| *of == name).map(|(_, example)| (*example).to_owned());
    let example = example.or_else(|| told.map(|(_, example)| example.to_owned()));
    let expected =
        told.and_then(|(problem, _)| problem.split_once(" is not ")).map(|(_, expected)| expected.to_owned());
    Values {
        expected: expected.unwrap_or_default(),
        example: example.unwrap_or_else(|| panic!("{name} has no example: add one to EXAMPLES")),
    }
}

/// What the help says, and the default that it names.
fn help_and_default(arg: &Arg) -> (String, String) {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if let Some((text, default)) = help.split_once(" [default: ") {
        return (text.to_owned(), default.trim_end_matches(['.', ']']).to_owned());
    }
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    (help, default.join(","))
}

/// Commands that take this variable, by their whole names.
fn takers(command: &Command, name: &str, path: &str, takers: &mut Vec<String>) {
    for inner in command.get_subcommands() {
        let path = format!("{path} {}", inner.get_name()).trim().to_owned();
        if inner.get_arguments().any(|arg| variable(arg) == Some(name)) {
            takers.push(format!("`{path}`"));
        }
        self::takers(inner, name, &path, takers);
    }
}

fn taken_by(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    takers(&Cli::command(), name, "", &mut found);
    found
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", text.trim_matches('`')) }
}

fn section(page: &mut String, title: &str, args: &[&Arg]) {
    let first = args.first().and_then(|arg| variable(arg)).unwrap_or_default();
    let commands: Vec<_> = taken_by(first).into_iter().filter(|command| command != "`demo`").collect();
    writeln!(page, "## {title}\n\nTaken by {}.\n", commands.join(", ")).unwrap();
    writeln!(page, "| variable | flag | default | may be | example | what it says |\n|---|---|---|---|---|---|")
        .unwrap();
    for arg in args {
        let (name, flag) = (variable(arg).unwrap_or_default(), arg.get_long().unwrap_or_default());
        let Values { expected, example } = values(name, flag);
        let (help, default) = help_and_default(arg);
        writeln!(page, "| `{name}` | `--{flag}` | {} | {expected} | `{example}` | {help} |", code(&default)).unwrap();
    }
    writeln!(page).unwrap();
}

fn page() -> String {
    let serve = serve();
    let settings: Vec<&Arg> = serve.get_arguments().filter(|arg| variable(arg).is_some()).collect();
    let mut page =
        format!("{INTRODUCTION}\n{SECRETS_INTRODUCTION}\n| variable | example | what it says |\n|---|---|---|\n");
    for (name, example, meaning) in SECRETS {
        writeln!(page, "| `{name}` | `{example}` | {meaning} |").unwrap();
    }
    writeln!(page).unwrap();
    let titled = |heading: Option<&str>| -> Vec<&Arg> {
        settings.iter().copied().filter(|arg| arg.get_help_heading() == heading).collect()
    };
    section(&mut page, "Database", &titled(Some("Database")));
    section(&mut page, "Portal", &titled(Some("Portal")));
    section(&mut page, "Service", &titled(Some("Service")));
    section(&mut page, "Listening", &titled(None));
    page.push_str(OTHERS);
    page
}

#[test]
fn configuration_md_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == page, "docs/configuration.md is not what the code says; make it anew with: {UPDATE}");
}

#[test]
fn configuration_leaves_no_variable_out() {
    let mut all = BTreeSet::new();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        all.extend(command.get_arguments().filter_map(variable).map(str::to_owned));
        commands.extend(command.get_subcommands().cloned());
    }
    let of_serve: BTreeSet<_> = serve().get_arguments().filter_map(variable).map(str::to_owned).collect();
    assert_eq!(all, of_serve, "variables that `serve` does not take need a section of their own");
}

#[test]
fn configuration_names_every_secret() {
    let source = include_str!("../settings.rs");
    let named = |call: &str| -> BTreeSet<String> {
        let calls = source.split(call).skip(1);
        calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect()
    };
    let mut in_code = named("secret(\"");
    in_code.extend(named("needed(\""));
    let documented: BTreeSet<String> = SECRETS.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    assert_eq!(in_code, documented);
}

#[test]
fn configuration_has_examples_that_are_taken() {
    for arg in serve().get_arguments() {
        let (Some(name), Some(flag)) = (variable(arg), arg.get_long()) else { continue };
        let Values { example, .. } = values(name, flag);
        let start = format!("{name}: ");
        let refused: Vec<_> =
            refusals(flag, &example).into_iter().filter(|problem| problem.starts_with(&start)).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}
