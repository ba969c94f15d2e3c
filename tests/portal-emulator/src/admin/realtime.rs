//! Commands about events.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{read, show};
use crate::events::OutgoingWebhook;
use crate::portal::Portal;

#[derive(Deserialize)]
struct PauseBody {
    paused: bool,
}

/// Runs a command; `None` if it is none of these.
pub(super) fn run(portal: &Portal, command: &str, body: &[u8]) -> Option<Result<Value, String>> {
    let done = |()| json!({ "ok": true });
    Some(match command {
        "outgoing_webhook" => read(body).map(|webhook| outgoing_webhook(portal, webhook)),
        "delivery" => read(body).map(|plan| portal.set_delivery_plan(plan)).map(done),
        "pause_delivery" => read(body).map(|PauseBody { paused }| portal.pause_delivery(paused)).map(done),
        "deliveries" => show(portal.delivery_records()),
        "answered_ok" => show(portal.answered_ok()),
        _ => return None,
    })
}

fn outgoing_webhook(portal: &Portal, webhook: Option<OutgoingWebhook>) -> Value {
    if let Some(webhook) = webhook {
        return json!({ "event_handler_id": portal.add_outgoing_webhook(webhook) });
    }
    portal.remove_outgoing_webhooks();
    json!({ "ok": true })
}
