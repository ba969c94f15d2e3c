//! The sync engine with a store of one's own: records become JSON documents in memory, and no PostgreSQL is involved.
//!
//! ```sh
//! cargo run --example own_store
//! BITRIX_WEBHOOK_URL=https://portal.bitrix24.com/rest/1/abcdefgh12345678/ cargo run --release --example own_store
//! ```
//!
//! Without a webhook an emulated portal is used. `documents` keeps the records, `control` what else the engine has to
//! remember. docs/embedding.md says what a store must do.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "this program's purpose")]

mod control;
mod documents;

use std::error::Error;
use std::sync::Arc;

use b24sync_adapter_bitrix::{BitrixConfig, BitrixSource, BudgetPacer, WebhookUrl};
use b24sync_application::Ports;
use b24sync_application::backfill::backfill;
use b24sync_application::incremental::incremental;
use b24sync_application::sweep::sweep;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::RunSummary;
use b24sync_portal_emulator::{Counts, Entity, Portal, PortalConfig, RunningPortal, Truth};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::control::{Nobody, ThisProcess};
use crate::documents::Documents;

type Failure = Box<dyn Error + Send + Sync>;

/// The engine's ports: the portal's client, and our store for everything else.
fn ports(webhook: &str, is_local: bool, documents: &Arc<Documents>) -> Result<Ports, Failure> {
    let mut config = BitrixConfig::new(WebhookUrl::parse(webhook)?);
    config.allow_loopback = is_local;
    let pacer = Arc::new(BudgetPacer::alone(config.rate_limits(), config.operating_limit));
    Ok(Ports {
        source: Arc::new(BitrixSource::new(&config, pacer)?),
        order: Arc::<Documents>::clone(documents),
        records: Arc::<Documents>::clone(documents),
        deletions: Arc::<Documents>::clone(documents),
        drift: Arc::<Documents>::clone(documents),
        portals: Arc::<Documents>::clone(documents),
        runs: Arc::<Documents>::clone(documents),
        board: Arc::<Documents>::clone(documents),
        leases: Arc::<Documents>::clone(documents),
        instances: Arc::new(ThisProcess),
        observer: Arc::new(Nobody),
    })
}

fn show(summary: &RunSummary) {
    let RunSummary { entity, kind, status, processed, written, deleted, .. } = summary;
    println!("{entity} {}: {}, {processed} read, {written} written, {deleted} deleted", kind.as_str(), status.as_str());
}

/// A portal of our own, to change records in.
fn emulated() -> std::io::Result<RunningPortal> {
    let counts = Counts { deals: 300, leads: 50, contacts: 120, companies: 40 };
    Portal::new(PortalConfig { counts, ..PortalConfig::demo() }).start()
}

/// Reads a real portal once.
async fn copy(webhook: &str) -> Result<(), Failure> {
    let documents = Arc::new(Documents::default());
    let ports = ports(webhook, false, &documents)?;
    for entity in EntityType::all() {
        show(&backfill(&ports, entity, TimestampStyle::Timestamp, None, &CancellationToken::new()).await?);
    }
    Ok(())
}

/// Reads an emulated portal, and follows its changes: an edit, a new record, a deletion.
async fn follow(portal: &RunningPortal) -> Result<Arc<Documents>, Failure> {
    let documents = Arc::new(Documents::default());
    let ports = ports(&portal.webhook_url(), true, &documents)?;
    let (timestamps, stop) = (TimestampStyle::Timestamp, CancellationToken::new());
    for entity in EntityType::all() {
        show(&backfill(&ports, entity, timestamps, None, &stop).await?);
    }
    let deal: EntityType = "deal".parse()?;
    let ids = portal.portal().ids(Entity::Deal);
    let [edited, removed, ..] = ids.as_slice() else { return Err("the portal has too few deals".into()) };
    portal.portal().edit(Entity::Deal, *edited, [("TITLE", Truth::from("Renamed"))]);
    let added = portal.portal().add(Entity::Deal, [("TITLE", Truth::from("New"))]);
    show(&incremental(&ports, deal, timestamps, &stop).await?);
    for id in [*edited, added] {
        let document = RecordId::new(id).and_then(|id| documents.document(deal, id)).unwrap_or_default();
        println!("  deal {id} is now {}", document.get("title").and_then(Value::as_str).unwrap_or_default());
    }
    portal.portal().delete(Entity::Deal, *removed);
    show(&sweep(&ports, deal, timestamps, &stop).await?);
    println!("{} deals are there", documents.count(deal));
    Ok(documents)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Not an argument: arguments are seen by every user of the machine.
    match std::env::var("BITRIX_WEBHOOK_URL") {
        Ok(webhook) => copy(&webhook).await,
        Err(_not_set) => follow(&emulated()?).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn documents_follow_the_portal() {
        let portal = emulated().unwrap();
        let documents = follow(&portal).await.unwrap();
        for (entity, key) in [(Entity::Deal, "deal"), (Entity::Contact, "contact"), (Entity::Company, "company")] {
            let entity_type: EntityType = key.parse().unwrap();
            let ids = portal.portal().ids(entity);
            assert_eq!(documents.count(entity_type), ids.len(), "{key}");
            for id in ids {
                let document = documents.document(entity_type, RecordId::new(id).unwrap()).unwrap();
                let named = if key == "contact" { "NAME" } else { "TITLE" };
                let truth = portal.portal().truth(entity, id).unwrap();
                let expected = match truth.fields.get(named) {
                    Some(Truth::Text(text)) => Some(text.as_str()),
                    _ => None,
                };
                let found = document.get(&named.to_lowercase()).and_then(|value| value.as_str());
                assert_eq!(
                    found.filter(|text| !text.is_empty()),
                    expected.filter(|text| !text.is_empty()),
                    "{key} {id}"
                );
            }
        }
    }
}
