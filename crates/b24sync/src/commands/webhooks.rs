//! `b24sync webhooks`: how the portal's events get here.

use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::service::application::{
    ApplicationOptions, ApplicationService, HandlerUrl, events, instructions,
};
use b24sync_domain::application::{HANDLER_PATH, Mode};
use b24sync_domain::ports::{ApplicationControl, WebhookRegistration};
use b24sync_domain::secret::Secret;
use serde::Serialize;

use crate::cli::{ApplicationArgs, HandlerArgs, PortalArgs, WebhooksArgs, WebhooksCommand};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{self, DatabaseSettings, PortalSettings, Problems};
use crate::wiring::{self, Database};

/// Runs a subcommand.
///
/// # Errors
/// With an incoming webhook, where only an application can do it: what to do by hand. When the portal or the database
/// fails.
pub async fn run(args: WebhooksArgs, output: Output) -> Result<ExitCode, Failure> {
    match args.command {
        WebhooksCommand::Instructions { public_url, portal } => instruct(public_url.as_deref(), &portal, output),
        WebhooksCommand::Register(args) => register(&args, output).await,
        WebhooksCommand::Unregister(args) => unregister(&args, output).await,
        WebhooksCommand::List(args) => list(&args, output).await,
        WebhooksCommand::Authorize(args) => authorize(&args, output).await,
        WebhooksCommand::Forget(args) => {
            with_application(&args, None, output, async |application, _| Ok(application.uninstalled(false).await?))
                .await?;
            output.good("the application's tokens are forgotten; install the application again in the portal");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn mode(portal: &PortalArgs) -> Mode {
    if settings::given(portal.bitrix_client_id.as_deref()).is_none() { Mode::Webhook } else { Mode::Application }
}

/// What to enter where, for programs.
#[derive(Debug, Serialize)]
struct Instructed {
    handler_url: String,
    events: Vec<String>,
    instructions: String,
}

fn instruct(public_url: Option<&str>, portal: &PortalArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let handler = settings::handler(public_url, PortalSettings::loopback_allowed(portal), &mut problems);
    problems.check()?;
    let handler_url = address(handler.as_ref());
    let events = events(mode(portal));
    let text = instructions(mode(portal), &handler_url, &events);
    if output.is_json() {
        output.result(&Instructed { handler_url, events, instructions: text }, &[], Vec::new());
    } else {
        output.document(&text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the portal sends events to, as far as it is known.
fn address(handler: Option<&HandlerUrl>) -> String {
    handler.map_or_else(|| format!("https://ADDRESS-OF-THIS-SERVICE{HANDLER_PATH}"), HandlerUrl::to_string)
}

/// Does something as the application, with the database open. `base` is the address that the service has from outside.
async fn with_application<T>(
    args: &ApplicationArgs,
    base: Option<&str>,
    output: Output,
    act: impl AsyncFnOnce(&ApplicationService, Output) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut problems = Problems::default();
    let database = DatabaseSettings::new(&args.database, &mut problems);
    let portal = PortalSettings::new(&args.portal, &mut problems);
    let allow_loopback = portal.allow_loopback;
    let handler = base.and_then(|base| {
        HandlerUrl::below(base, allow_loopback)
            .map_err(|error| problems.add(format!("{error}; example: https://sync.example.com")))
            .ok()
    });
    let portal = wiring::source(&portal, &mut problems);
    problems.check()?;
    let portal = wiring::built(portal)?;
    if !portal.is_application() {
        let text = instructions(Mode::Webhook, &address(handler.as_ref()), &events(Mode::Webhook));
        let message = "with an incoming webhook the portal's events are subscribed to by hand";
        return Err(Failure::failed(message.to_owned(), &text));
    }
    let database = Database::open(&database, output).await?;
    let done = async {
        let source = portal.connect(&database)?;
        let options = ApplicationOptions { allow_loopback, handler: None };
        act(&database.application(&source, options, Arc::default()), output).await
    };
    let done = done.await;
    database.close(output).await;
    done
}

/// What became of a registration, for programs.
#[derive(Debug, Serialize)]
struct Bound {
    handler_url: String,
    registered: Vec<String>,
    failed: Vec<(String, String)>,
}

async fn register(args: &HandlerArgs, output: Output) -> Result<ExitCode, Failure> {
    let done = with_application(&args.application, Some(&args.base_url), output, async |application, _| {
        Ok(application.register(Some(args.base_url.clone())).await?)
    });
    let done = done.await?;
    let failed = done.failed.len();
    let rows = done.registered.iter().map(|event| vec![event.clone(), "bound".to_owned()]);
    let rows = rows.chain(done.failed.iter().map(|(event, reason)| vec![event.clone(), reason.clone()])).collect();
    let handler_url = done.handler_url.clone();
    let value = Bound { handler_url: done.handler_url, registered: done.registered, failed: done.failed };
    output.result(&value, &["event", "state"], rows);
    output.say(&format!("events go to {handler_url}"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn unregister(args: &HandlerArgs, output: Output) -> Result<ExitCode, Failure> {
    let done = with_application(&args.application, Some(&args.base_url), output, async |application, _| {
        Ok(application.unregister(Some(args.base_url.clone())).await?)
    });
    let unbound = done.await?;
    output.result(&unbound, &["event no more"], unbound.iter().map(|event| vec![event.clone()]).collect());
    Ok(ExitCode::SUCCESS)
}

/// A handler, for programs.
#[derive(Debug, Serialize)]
struct Handler {
    event: String,
    handler: Option<String>,
}

async fn list(args: &ApplicationArgs, output: Output) -> Result<ExitCode, Failure> {
    let bound =
        with_application(args, None, output, async |application, _| Ok(application.registered().await?)).await?;
    let handlers: Vec<Handler> =
        bound.into_iter().map(|bound| Handler { event: bound.event, handler: bound.handler }).collect();
    let row =
        |line: &Handler| vec![line.event.clone(), line.handler.clone().unwrap_or_else(|| "offline queue".to_owned())];
    output.result(&handlers, &["event", "handler"], handlers.iter().map(row).collect());
    Ok(ExitCode::SUCCESS)
}

/// A person goes to the portal and comes back with a code, good for 30 s (Bitrix24 REST 12.2).
async fn authorize(args: &ApplicationArgs, output: Output) -> Result<ExitCode, Failure> {
    with_application(args, None, output, async |application, output| {
        let state = uuid::Uuid::now_v7().simple().to_string();
        let address = application.authorize_url(&state);
        let address =
            address.ok_or_else(|| Failure::failed("there is no application".to_owned(), "set BITRIX_CLIENT_ID"))?;
        output.say("Open this in a browser, signed in to the portal as an administrator:");
        output.document(&address);
        output.say("Then paste the address that the browser ends up at, within half a minute:");
        let pasted = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let pasted = pasted.await.map_err(|error| Failure::of("nothing could be read", &error))?;
        let pasted = pasted.map_err(|error| Failure::of("nothing could be read", &error))?;
        let (code, server) = code_of(&pasted, &state)?;
        application.exchange_code(code, server).await?;
        Ok(())
    })
    .await?;
    output.good("the application is authorised; syncs go on by themselves");
    Ok(ExitCode::SUCCESS)
}

/// The code in the address that a browser was sent back to, and the authorisation server that it names.
fn code_of(pasted: &str, state: &str) -> Result<(Secret, Option<String>), Failure> {
    let wrong =
        |what: &str| Failure::usage(what.to_owned(), "paste the whole address, with `code=` and `state=` in it");
    let address = url::Url::parse(pasted.trim()).map_err(|_parse| wrong("this is not a web address"))?;
    let of = |name: &str| address.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if of("state").as_deref() != Some(state) {
        return Err(wrong("this is not the answer to the address above"));
    }
    let code = of("code").filter(|code| !code.is_empty()).ok_or_else(|| wrong("there is no code in it"))?;
    Ok((Secret::new(code), of("server_domain")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_our_question_brings_a_code() {
        let good =
            "https://app.example/?code=abc&state=s1&domain=portal.bitrix24.com&server_domain=oauth.bitrix.info\n";
        let (code, server) = code_of(good, "s1").unwrap();
        assert_eq!((code.expose(), server.as_deref()), ("abc", Some("oauth.bitrix.info")));
        for (pasted, state) in [(good, "s2"), ("abc", "s1"), ("https://app.example/?state=s1", "s1"), ("", "s1")] {
            assert!(code_of(pasted, state).is_err(), "{pasted}");
        }
    }
}
