//! The portal's client alone: who we are there, the fields of deals, and the first records, as fast as the portal's
//! limits allow. No database and no engine.
//!
//! ```sh
//! cargo run --example portal_client
//! BITRIX_WEBHOOK_URL=https://portal.bitrix24.com/rest/1/abcdefgh12345678/ cargo run --example portal_client
//! ```
//!
//! Without a webhook an emulated portal is asked. docs/embedding.md says more.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "this program's purpose")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use b24sync_adapter_bitrix::{BitrixConfig, BitrixSource, BudgetPacer, WebhookUrl};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::ports::{CrmSource, ListQuery, ReadOrder};
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::record::{Layout, ReadToken};
use b24sync_portal_emulator::{Counts, Portal, PortalConfig, RunningPortal};

type Failure = Box<dyn Error + Send + Sync>;

/// Numbers reads. Several processes that write into one store would have to share it.
#[derive(Default)]
struct Counter(AtomicI64);

#[async_trait]
impl ReadOrder for Counter {
    async fn next(&self) -> Result<ReadToken, StoreError> {
        Ok(ReadToken(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

/// Reads every deal; returns how many there are.
async fn read(webhook: &str, is_local: bool) -> Result<usize, Failure> {
    let mut config = BitrixConfig::new(WebhookUrl::parse(webhook)?);
    config.allow_loopback = is_local;
    let pacer = Arc::new(BudgetPacer::alone(config.rate_limits(), config.operating_limit));
    let source = BitrixSource::new(&config, pacer)?;

    let profile = source.profile().await?;
    println!("the webhook is user {}'s; its scopes: {}", profile.user_id, profile.scopes.join(", "));
    let deal: EntityType = "deal".parse()?;
    for field in source.fields(deal).await?.iter().take(5) {
        println!("  {} is a {}: {}", field.name, field.type_name, field.label.as_deref().unwrap_or("without a label"));
    }

    let order: Arc<dyn ReadOrder> = Arc::new(Counter::default());
    let layout = Layout::new(["TITLE", "STAGE_ID", "OPPORTUNITY"].map(FieldName::new).to_vec());
    let (mut cursor, mut count) = (Cursor::START, 0);
    loop {
        let query = ListQuery { entity: deal, layout: Arc::clone(&layout), window: Window::Everything, cursor };
        // Up to 2,500 records; a value is a span of the answer's JSON text.
        let batch = source.list(&query, &order).await?;
        if count == 0 {
            for (row, id) in batch.ids().iter().enumerate().take(3) {
                let title = batch.value(row, 0).map(serde_json::from_str::<Option<String>>).transpose()?;
                println!("deal {id}: {}", title.flatten().unwrap_or_default());
            }
        }
        count += batch.len();
        cursor = batch.ids().last().map_or(cursor, |id| Cursor::after(id.get()));
        // Only a valid empty page says that this is all.
        if batch.exhausted {
            println!("{count} deals");
            return Ok(count);
        }
    }
}

fn emulated() -> std::io::Result<RunningPortal> {
    Portal::new(PortalConfig { counts: Counts::deals(120), ..PortalConfig::demo() }).start()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Not an argument: arguments are seen by every user of the machine.
    match std::env::var("BITRIX_WEBHOOK_URL") {
        Ok(webhook) => read(&webhook, false).await.map(drop),
        Err(_not_set) => read(&emulated()?.webhook_url(), true).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_deal_is_read() {
        let portal = emulated().unwrap();
        assert_eq!(read(&portal.webhook_url(), true).await.unwrap(), 120);
    }
}
