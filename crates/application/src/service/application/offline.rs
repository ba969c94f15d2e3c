//! The offline queue, emptied into the inbox: stored first, cleared then, so that a crash in between loses nothing.

use b24sync_domain::application::{ApplicationError, OfflineBatch};
use b24sync_domain::run::RunKind;

use super::ApplicationService;

/// Rows of one reservation (Bitrix24 REST 11).
const ROWS: u16 = 50;

/// Reservations of one round at most, so that other things get their turn.
const RESERVATIONS: u32 = 20;

impl ApplicationService {
    /// Fetches what is free; several instances get different rows. Returns whether there may be more.
    pub(super) async fn fetch(&self) -> Result<bool, ApplicationError> {
        for _ in 0..RESERVATIONS {
            match self.ports.queue.take(ROWS).await? {
                Some(batch) => self.keep_and_clear(&batch).await?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Fetches what was reserved and never cleared: by a process that died, or with an answer that was lost. What another
    /// instance is at in this moment is fetched twice, which does no harm.
    pub(super) async fn fetch_interrupted(&self) -> Result<(), ApplicationError> {
        for process_id in self.ports.queue.interrupted().await? {
            if let Some(batch) = self.ports.queue.again(&process_id).await? {
                tracing::warn!("events of an interrupted fetch are fetched again");
                self.keep_and_clear(&batch).await?;
            }
        }
        Ok(())
    }

    async fn keep_and_clear(&self, batch: &OfflineBatch) -> Result<(), ApplicationError> {
        if !batch.hints.is_empty() {
            self.ports.inbox.accept(&batch.hints).await?;
        }
        for (entity, deleted) in &batch.blind {
            // The portal says that something changed and not what.
            self.ports.runs.request(*entity, if *deleted { RunKind::Sweep } else { RunKind::Incremental }).await?;
        }
        tracing::info!(
            hints = batch.hints.len(),
            nameless = batch.blind.len(),
            unknown = batch.unknown,
            "events were fetched from the portal's queue"
        );
        if let Some(process_id) = &batch.process_id {
            self.ports.queue.clear(process_id).await?;
        }
        Ok(())
    }
}
