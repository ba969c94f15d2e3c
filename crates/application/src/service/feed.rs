//! Tells what happens, on whichever instance: looks at the store once a second while somebody listens, however many do.

use std::sync::Arc;
use std::time::Duration;

use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::ports::{Happening, Happenings, Listener, RunBoard, RunningSync};
use futures_util::StreamExt as _;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Happenings that a listener may be behind.
const BEHIND: usize = 256;

/// Implements [`Happenings`] over the store.
#[derive(Clone)]
pub struct Feed {
    running: watch::Sender<Option<Arc<[RunningSync]>>>,
    ended: broadcast::Sender<Happening>,
    stop: CancellationToken,
}

impl Feed {
    /// A feed that tells nothing until [`Feed::watch`] runs.
    pub fn new(stop: CancellationToken) -> Feed {
        Feed { running: watch::Sender::new(None), ended: broadcast::Sender::new(BEHIND), stop }
    }

    /// Looks at the store until the service stops.
    pub async fn watch(&self, board: Arc<dyn RunBoard>) {
        let mut place = None;
        while !self.stop.is_cancelled() {
            if self.running.receiver_count() == 0 {
                place = None;
            } else if let Err(error) = self.look(board.as_ref(), &mut place).await {
                tracing::warn!(error = %Chain(&error), "could not look what is going on");
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&self, board: &dyn RunBoard, place: &mut Option<i64>) -> Result<(), StoreError> {
        let running: Arc<[RunningSync]> = board.running().await?.into();
        self.running.send_if_modified(|known| {
            let new = known.as_ref() != Some(&running);
            *known = Some(running);
            new
        });
        let ended = board.ended_since(*place).await?;
        let first = place.is_none();
        for (at, run) in ended {
            *place = Some((*place).unwrap_or(i64::MIN).max(at));
            // What ended before anybody listened is history.
            if !first {
                let _ = self.ended.send(Happening::Ended(run));
            }
        }
        if first && place.is_none() {
            *place = Some(0);
        }
        Ok(())
    }
}

impl Happenings for Feed {
    fn listen(&self) -> Listener {
        let mut running = self.running.subscribe();
        running.mark_changed();
        let running = futures_util::stream::unfold(running, |mut running| async move {
            loop {
                running.changed().await.ok()?;
                let now = running.borrow_and_update().clone();
                if let Some(now) = now {
                    return Some((Happening::Running(now), running));
                }
            }
        });
        let ended = futures_util::stream::unfold(self.ended.subscribe(), |mut ended| async move {
            loop {
                match ended.recv().await {
                    Ok(happening) => return Some((happening, ended)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let stop = self.stop.clone();
        let stopped = async move { stop.cancelled().await };
        Box::pin(futures_util::stream::select(running, ended).take_until(Box::pin(stopped)))
    }
}
