//! A portal that tells the service of its changes.

use std::time::Duration;

use b24sync_portal_emulator::{Dialect, OutgoingWebhook, Portal};
use tokio_postgres::Client;

use crate::compare::{deal_differences, differences};
use crate::control_tables::until;

/// The token that comes with every event.
pub(crate) const TOKEN: &str = "51856fefc120afa4b628cc82d3935cce";

/// Nobody took events in before the service started, so that it sweeps everything.
const STARTED: &str = "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed' and sync_type = 'sweep') c where n = 4";

/// Nothing waits and nothing is on.
pub(crate) const QUIET: &str = "select case when exists (select from b24sync.hints where dead_at is null) or exists (select from sync_logs where status in ('running', 'queued')) then 0 else 1 end::bigint";

/// Names of all events that instructions ask people to choose.
fn events() -> Vec<String> {
    let mut names = Vec::new();
    for entity in ["DEAL", "CONTACT", "LEAD", "COMPANY"] {
        names.extend(["ADD", "UPDATE", "DELETE"].map(|change| format!("ONCRM{entity}{change}")));
        let fields = ["ADD", "UPDATE", "DELETE", "SETENUMVALUES"];
        names.extend(fields.map(|change| format!("ONCRM{entity}USERFIELD{change}")));
    }
    names
}

/// From now on events go to the service at this host and port.
pub(crate) fn subscribe(portal: &Portal, address: &str) {
    subscribe_with(portal, address, TOKEN);
}

/// The same with another token.
pub(crate) fn subscribe_with(portal: &Portal, address: &str, token: &str) {
    portal.add_outgoing_webhook(OutgoingWebhook {
        handler_url: format!("http://{address}/api/v1/webhooks/bitrix"),
        events: events(),
        application_token: token.to_owned(),
    });
}

/// Waits for the syncs that a new service begins with.
pub(crate) async fn at_rest(client: &Client) {
    until(client, "the first syncs", STARTED).await;
    until(client, "rest", QUIET).await;
}

/// Waits until all events have been sent and applied.
pub(crate) async fn settled(portal: &Portal, client: &Client) {
    assert!(portal.wait_for_deliveries(Duration::from_secs(120)), "{:?}", portal.deliveries());
    until(client, "an empty inbox", QUIET).await;
}

/// Fails unless the replica is what the portal holds.
pub(crate) async fn equal(portal: &Portal, client: &Client) {
    nothing(&differences(portal, client, Dialect::Item).await);
}

/// The same where only deals are synced.
pub(crate) async fn deals_are_equal(portal: &Portal, client: &Client) {
    nothing(&deal_differences(portal, client).await);
}

fn nothing(found: &[String]) {
    assert!(found.is_empty(), "{} differences: {:#?}", found.len(), &found[..found.len().min(10)]);
}
