//! Takes events in: hints that come together share a statement and a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::event::Hint;
use b24sync_domain::ports::{Acceptance, EventInbox, EventIntake};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How long whoever sent an event waits for the commit. The portal does not send it again, so that longer would be of no
/// use, and its next events would come later.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Hints of one commit at most.
const AT_ONCE: usize = 1_000;

/// Hints that wait for a commit at most.
const QUEUE: usize = 8_192;

/// What the task that commits answers with: an error is told to several who wait, in words.
type Answer = Result<Acceptance, String>;

struct Waiting {
    hint: Hint,
    answer: oneshot::Sender<Answer>,
}

/// What the intake tells the rest of the service.
#[derive(Debug, Default)]
pub struct Signals {
    /// An event could not be kept.
    gap: AtomicBool,
}

impl Signals {
    /// Whether an event was lost since this was asked last.
    pub fn take_gap(&self) -> bool {
        self.gap.swap(false, Ordering::Relaxed)
    }

    /// An event was lost, or what was to make up for it failed.
    pub fn open_gap(&self) {
        self.gap.store(true, Ordering::Relaxed);
    }
}

/// Implements [`EventIntake`]: puts hints where [`Committer`] finds them.
#[derive(Clone)]
pub struct IntakeService {
    queue: mpsc::Sender<Waiting>,
    signals: Arc<Signals>,
}

/// Commits hints, until nobody can bring any more.
pub struct Committer {
    queue: mpsc::Receiver<Waiting>,
    inbox: Arc<dyn EventInbox>,
}

/// An intake and what commits for it.
pub fn intake(inbox: Arc<dyn EventInbox>, signals: Arc<Signals>) -> (IntakeService, Committer) {
    let (sender, queue) = mpsc::channel(QUEUE);
    (IntakeService { queue: sender, signals }, Committer { queue, inbox })
}

#[async_trait]
impl EventIntake for IntakeService {
    async fn take(&self, hint: Hint) -> Result<Acceptance, StoreError> {
        let (answer, answered) = oneshot::channel();
        let lost = |why: &str| {
            self.signals.open_gap();
            Err(StoreError::Unavailable { doing: "keeping an event", source: why.into() })
        };
        if self.queue.try_send(Waiting { hint, answer }).is_err() {
            return lost("too many events wait, or the service stops");
        }
        match tokio::time::timeout(LONGEST_WAIT, answered).await {
            Ok(Ok(Ok(acceptance))) => Ok(acceptance),
            Ok(Ok(Err(why))) => lost(&why),
            Ok(Err(_)) => lost("the service stops"),
            Err(_) => lost("the database did not answer in time"),
        }
    }
}

impl Committer {
    /// Commits what comes; after `served` is cancelled, what is there still.
    pub async fn commit(mut self, served: &CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                first = self.queue.recv() => first,
                () = served.cancelled() => self.queue.try_recv().ok(),
            };
            let Some(first) = first else { return };
            let mut waiting = vec![first];
            while waiting.len() < AT_ONCE
                && let Ok(next) = self.queue.try_recv()
            {
                waiting.push(next);
            }
            self.keep(waiting).await;
        }
    }

    async fn keep(&self, waiting: Vec<Waiting>) {
        let hints: Vec<Hint> = waiting.iter().map(|waiting| waiting.hint).collect();
        let answers: Vec<Answer> = match self.inbox.accept(&hints).await {
            Ok(acceptances) => acceptances.into_iter().map(Ok).collect(),
            Err(error) => {
                let why = Chain(&error).to_string();
                tracing::error!(
                    rows = hints.len(),
                    error = why,
                    "events could not be kept; a sync will make up for them"
                );
                hints.iter().map(|_| Err(why.clone())).collect()
            }
        };
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            // Whoever is gone does not hear it; the hint is kept all the same.
            let _ = waiting.answer.send(answer);
        }
    }
}
