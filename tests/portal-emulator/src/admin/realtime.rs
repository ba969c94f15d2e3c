//! Commands about events and applications.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{read, show};
use crate::application::Application;
use crate::events::OutgoingWebhook;
use crate::portal::Portal;

#[derive(Deserialize)]
struct PauseBody {
    paused: bool,
}

#[derive(Deserialize)]
struct UninstallBody {
    #[serde(default)]
    clean: bool,
}

fn done(ok: bool) -> Value {
    json!({ "ok": ok })
}

/// Runs a command; `None` if it is none of these.
pub(super) fn run(portal: &Portal, command: &str, body: &[u8]) -> Option<Result<Value, String>> {
    let settled = |()| done(true);
    Some(match command {
        "outgoing_webhook" => read(body).map(|webhook| outgoing_webhook(portal, webhook)),
        "delivery" => read(body).map(|plan| portal.set_delivery_plan(plan)).map(settled),
        "pause_delivery" => read(body).map(|PauseBody { paused }| portal.pause_delivery(paused)).map(settled),
        "deliveries" => show(portal.delivery_records()),
        "answered_ok" => show(portal.answered_ok()),
        "install_application" => read::<Application>(body).and_then(|it| show(portal.install_application(it))),
        "update_application" => Ok(done(portal.update_application())),
        "uninstall_application" => read(body).map(|UninstallBody { clean }| done(portal.uninstall_application(clean))),
        "application_tokens" => show(portal.application_tokens()),
        "expire_access_tokens" => {
            portal.expire_access_tokens();
            Ok(done(true))
        }
        "handlers" => show(portal.handlers()),
        "offline_events" => show(portal.offline_events()),
        _ => return None,
    })
}

fn outgoing_webhook(portal: &Portal, webhook: Option<OutgoingWebhook>) -> Value {
    if let Some(webhook) = webhook {
        return json!({ "event_handler_id": portal.add_outgoing_webhook(webhook) });
    }
    portal.remove_outgoing_webhooks();
    done(true)
}
