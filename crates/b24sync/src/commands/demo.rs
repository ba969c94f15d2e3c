//! `b24sync demo`: everything on a made-up portal.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use b24sync_adapter_http::ApiSettings;
use b24sync_application::Ports;
use b24sync_application::backfill::backfill;
use b24sync_application::incremental::incremental;
use b24sync_application::portal::moved;
use b24sync_application::service::intake::intake;
use b24sync_application::service::mapping::MappingService;
use b24sync_domain::entity::EntityType;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::{RunStatus, RunSummary};
use b24sync_portal_emulator::{Counts, Entity, Portal, PortalConfig, RunningPortal, Truth};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::background::Subscriptions;
use crate::cli::DemoArgs;
use crate::commands::{serve, sync};
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::Output;
use crate::progress::ProgressDisplay;
use crate::settings::{CrmApi, DatabaseSettings, PortalSettings, Problems};
use crate::wiring::{self, Database};

/// How often a deal changes while the demo stays up.
const CHANGE_EVERY: Duration = Duration::from_secs(10);

/// What the table of sample deals shows.
const SAMPLE_COLUMNS: &[&str] =
    &["bitrix_id", "title", "stage_id", "opportunity", "currency_id", "assigned_by_id", "date_modify"];

/// Runs the demo.
///
/// # Errors
/// When PostgreSQL cannot be had, or something of the service itself fails.
pub async fn run(args: DemoArgs, output: Output) -> Result<ExitCode, Failure> {
    let stop = lifecycle::stop_on_signals();
    let portal = start_portal(&args)?;
    output.good(&format!("an emulated Bitrix24 portal runs on 127.0.0.1:{}", portal.port()));
    let database = Database::open_migrated(&database_settings(&args)?, output).await?;
    let result = show(&args, &portal, &database, &stop, output).await;
    database.close(output).await;
    result
}

fn start_portal(args: &DemoArgs) -> Result<RunningPortal, Failure> {
    let deals = u64::from(args.deals);
    let counts = Counts { deals, leads: deals / 2, contacts: deals * 3 / 4, companies: deals / 5 };
    Portal::new(PortalConfig { counts, ..PortalConfig::demo() })
        .start()
        .map_err(|error| Failure::of("the emulated portal could not be started", &error))
}

/// The demo has a database of its own: what it writes must never meet somebody's real data.
fn database_settings(args: &DemoArgs) -> Result<DatabaseSettings, Failure> {
    let mut problems = Problems::default();
    let mut settings = DatabaseSettings::new(&crate::cli::DatabaseArgs::default(), &mut problems);
    problems.check()?;
    settings.url = None;
    settings.wants_private = true;
    settings.private_database = "b24sync_demo";
    settings.data_dir.clone_from(&args.data_dir);
    settings.postgres_bin.clone_from(&args.postgres_bin);
    Ok(settings)
}

fn portal_settings(portal: &RunningPortal) -> PortalSettings {
    PortalSettings {
        webhook: SecretString::from(portal.webhook_url()),
        application: None,
        api: CrmApi::Item,
        rate_per_second: 2.0,
        rate_burst: 50,
        operating_limit: 480.0,
        allow_loopback: true,
    }
}

async fn show(
    args: &DemoArgs,
    portal: &RunningPortal,
    database: &Database,
    stop: &CancellationToken,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let checked = wiring::source(&portal_settings(portal), &mut problems);
    problems.check()?;
    let ports = database.ports(wiring::built(checked)?.connect(database)?, Arc::new(ProgressDisplay::new(output)));
    // Each demo's portal listens somewhere else.
    moved(ports.portals.as_ref(), ports.source.as_ref()).await?;
    output.say("\nA full sync, within the limits of an ordinary cloud plan (2 requests a second):");
    let mut summaries = Vec::new();
    for entity in EntityType::all() {
        let summary = backfill(&ports, entity, TimestampStyle::Timestamp, None, stop).await?;
        if summary.status == RunStatus::Cancelled {
            return Ok(ExitCode::FAILURE);
        }
        summaries.push(summary);
    }
    show_tables(&summaries, output);
    show_deals(database, output).await?;
    travel(&ports, portal, database, stop, output).await?;
    if args.once {
        output.good("done; without --once the demo stays up and keeps changing deals");
        return Ok(ExitCode::SUCCESS);
    }
    stay(args, &ports, portal, database, stop, output).await
}

fn show_tables(summaries: &[RunSummary], output: Output) {
    let rows = summaries
        .iter()
        .map(|summary| {
            let mut row = sync::row(&sync::Summary::from(summary));
            row.insert(1, summary.entity.table().to_owned());
            row
        })
        .collect();
    let mut header = sync::HEADER.to_vec();
    header.insert(1, "table");
    let value: Vec<_> = summaries.iter().map(sync::Summary::from).collect();
    output.result(&value, &header, rows);
}

async fn show_deals(database: &Database, output: Output) -> Result<(), Failure> {
    let rows = database.store().preview(deal()?, SAMPLE_COLUMNS, None, 3).await?;
    output.say("\nThree deals as your SQL sees them:");
    output.table(SAMPLE_COLUMNS, rows.into_iter().map(cells).collect());
    Ok(())
}

fn cells(row: Vec<Option<String>>) -> Vec<String> {
    row.into_iter().map(|cell| cell.unwrap_or_else(|| "NULL".to_owned())).collect()
}

fn deal() -> Result<EntityType, Failure> {
    Ok("deal".parse()?)
}

/// Renames a deal in the portal, syncs incrementally, and shows the row before and after.
async fn travel(
    ports: &Ports,
    portal: &RunningPortal,
    database: &Database,
    stop: &CancellationToken,
    output: Output,
) -> Result<(), Failure> {
    let Some(id) = portal.portal().ids(Entity::Deal).first().copied() else { return Ok(()) };
    let title = async || -> Result<String, Failure> {
        let rows = database.store().preview(deal()?, &["title"], Some(id), 1).await?;
        Ok(rows.into_iter().flatten().next().flatten().unwrap_or_default())
    };
    let before = title().await?;
    let renamed = format!("{} ✎", before.trim_end_matches(" ✎").trim_end_matches(" (renamed)"));
    let renamed = if renamed == before { format!("{before} (renamed)") } else { renamed };
    portal.portal().edit(Entity::Deal, id, [("TITLE", Truth::from(renamed.as_str()))]);
    let summary = incremental(ports, deal()?, TimestampStyle::Timestamp, stop).await?;
    let after = title().await?;
    output.say(&format!(
        "\nA live change: deal {id} was renamed in the portal; an incremental sync read {} and wrote {} rows:",
        summary.processed, summary.written
    ));
    output.say(&format!("  title: {before} → {after}"));
    Ok(())
}

async fn stay(
    args: &DemoArgs,
    ports: &Ports,
    portal: &RunningPortal,
    database: &Database,
    stop: &CancellationToken,
    output: Output,
) -> Result<ExitCode, Failure> {
    let listener = serve::listen("127.0.0.1", args.port)?;
    if let Some(psql) = database.psql_command() {
        output.say(&format!("\nLook at the data:\n  {psql}"));
    }
    output.say("Ctrl-C ends the demo.");
    tokio::select! {
        result = serve::serve(database, interface(database, ports), listener, stop, output) => result?,
        result = keep_changing(ports, portal, database, stop, output) => result?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The demo has no users: its API answers health checks only.
fn interface(database: &Database, ports: &Ports) -> serve::Interface {
    // Nothing commits: the portal is not let in without a token.
    let (intake, _committer) = intake(database.inbox(), Arc::default());
    serve::Interface {
        intake: Arc::new(intake),
        subscriptions: Subscriptions::by_hand(true, None),
        mapping: Arc::new(MappingService::new(ports.clone(), TimestampStyle::Timestamp)),
        authenticator: wiring::authenticator(None, &mut Problems::default()),
        metrics: database.figures(None),
        reconcile: Duration::from_secs(86_400),
        settings: ApiSettings::default(),
    }
}

async fn keep_changing(
    ports: &Ports,
    portal: &RunningPortal,
    database: &Database,
    stop: &CancellationToken,
    output: Output,
) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(CHANGE_EVERY).await;
        travel(ports, portal, database, stop, output).await?;
    }
}
