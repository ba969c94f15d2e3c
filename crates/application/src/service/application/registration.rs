//! Binding handlers, and binding again those that vanished.

use std::collections::BTreeSet;

use async_trait::async_trait;
use b24sync_domain::application::{ApplicationError, BoundHandler, Registration};
use b24sync_domain::error::{Chain, SourceError};
use b24sync_domain::ports::WebhookRegistration;

use super::{ApplicationService, HandlerUrl, wanted};

/// What stands for all events of the offline queue where it cannot be used.
const QUEUE: &str = "offline queue";

/// Handlers that are wanted, and why there is no offline queue among them.
struct Wanted {
    handlers: Vec<BoundHandler>,
    no_queue: Option<String>,
}

/// Handlers that are wanted, and those that the portal has.
struct Standing {
    wanted: Vec<BoundHandler>,
    bound: Vec<BoundHandler>,
}

impl Standing {
    /// Events that lack a handler.
    fn missing(&self) -> BTreeSet<String> {
        let missing = self.wanted.iter().filter(|wanted| !self.bound.contains(wanted));
        missing.map(|wanted| wanted.event.clone()).collect()
    }
}

#[async_trait]
impl WebhookRegistration for ApplicationService {
    async fn register(&self, handler_base_url: Option<String>) -> Result<Registration, ApplicationError> {
        let handler = self.handler(handler_base_url)?;
        let before = self.ports.registrations.handler().await?;
        // First, so that a process that dies on the way leaves something to go on with.
        self.ports.registrations.keep_handler(Some(handler.as_str().to_owned())).await?;
        let wanted = self.wanted(&handler).await?;
        let bound = self.ports.subscriptions.list().await?;
        if let Some(before) = before.filter(|before| before != handler.as_str()) {
            self.unbind_all_of(&before, &bound).await;
        }
        let failed = self.bind_missing(&wanted.handlers, &bound).await?;
        Ok(registration(&handler, wanted, &failed))
    }

    async fn unregister(&self, handler_base_url: Option<String>) -> Result<Vec<String>, ApplicationError> {
        let handler = self.handler(handler_base_url)?;
        let kept = self.ports.registrations.handler().await?;
        let is_kept = kept.as_deref().is_none_or(|kept| kept == handler.as_str());
        if is_kept {
            // First: what is unbound must not be bound again.
            self.ports.registrations.keep_handler(None).await?;
        }
        let bound = self.ports.subscriptions.list().await?;
        let ours = |bound: &BoundHandler| match &bound.handler {
            Some(url) => url == handler.as_str(),
            // The queue goes with the handler that is woken for it.
            None => is_kept,
        };
        let unbound: Vec<BoundHandler> = bound.into_iter().filter(ours).collect();
        if !unbound.is_empty() {
            self.ports.subscriptions.unbind(&unbound).await?;
        }
        let names: BTreeSet<String> = unbound.into_iter().map(|bound| bound.event).collect();
        Ok(names.into_iter().collect())
    }

    async fn registered(&self) -> Result<Vec<BoundHandler>, ApplicationError> {
        Ok(self.ports.subscriptions.list().await?)
    }
}

impl ApplicationService {
    /// Below this base, or the one that the settings name.
    fn handler(&self, base: Option<String>) -> Result<HandlerUrl, ApplicationError> {
        match base {
            Some(base) => HandlerUrl::below(&base, self.options.allow_loopback),
            None => self.options.handler.clone().ok_or(ApplicationError::Handler { problem: "is not known" }),
        }
    }

    /// Binds again what is wanted and not bound, and returns the names. Events may have been missed meanwhile, so that
    /// syncs are wished for.
    pub(super) async fn repair(&self) -> Result<Vec<String>, ApplicationError> {
        let Some(standing) = self.standing().await? else { return Ok(Vec::new()) };
        let missing = standing.missing();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let failed = self.bind_missing(&standing.wanted, &standing.bound).await?;
        tracing::warn!(
            events = missing.len(),
            failed = failed.len(),
            "handlers of events were gone and were bound again"
        );
        for (handler, reason) in &failed {
            tracing::warn!(event.kind = handler.event, reason, "a handler could not be bound again");
        }
        self.signals.open_gap();
        Ok(missing.into_iter().collect())
    }

    /// Events that have no handler in the portal and should have one; `None` when nobody registered any. Changes nothing.
    ///
    /// # Errors
    /// When the portal or the store cannot be asked.
    pub async fn missing(&self) -> Result<Option<BTreeSet<String>>, ApplicationError> {
        Ok(self.standing().await?.map(|standing| standing.missing()))
    }

    async fn standing(&self) -> Result<Option<Standing>, ApplicationError> {
        let Some(kept) = self.ports.registrations.handler().await? else { return Ok(None) };
        let handler = HandlerUrl::below(&kept, self.options.allow_loopback)?;
        let wanted = self.wanted(&handler).await?.handlers;
        let bound = self.ports.subscriptions.list().await?;
        Ok(Some(Standing { wanted, bound }))
    }

    async fn wanted(&self, handler: &HandlerUrl) -> Result<Wanted, ApplicationError> {
        let no_queue = match self.ports.queue.is_available().await {
            Ok(true) => None,
            Ok(false) => Some("the portal's plan does not let us reserve events (`rest_offline_extended`)".to_owned()),
            // A portal that does not know the question does not have the queue either.
            Err(
                error
                @ (SourceError::Unsupported { .. } | SourceError::Rejected { .. } | SourceError::Forbidden { .. }),
            ) => Some(Chain(&error).to_string()),
            Err(error) => return Err(error.into()),
        };
        Ok(Wanted { handlers: wanted::handlers(handler, no_queue.is_none()), no_queue })
    }

    /// Binds what is not bound; returns what could not be, and why.
    async fn bind_missing(
        &self,
        wanted: &[BoundHandler],
        bound: &[BoundHandler],
    ) -> Result<Vec<(BoundHandler, String)>, ApplicationError> {
        let missing: Vec<BoundHandler> = wanted.iter().filter(|wanted| !bound.contains(wanted)).cloned().collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.ports.subscriptions.bind(&missing).await?;
        Ok(missing.into_iter().zip(outcomes).filter_map(|(handler, reason)| Some((handler, reason?))).collect())
    }

    /// Events must not come twice after the address has changed; that they do is no harm either.
    async fn unbind_all_of(&self, handler: &str, bound: &[BoundHandler]) {
        let old: Vec<BoundHandler> =
            bound.iter().filter(|bound| bound.handler.as_deref() == Some(handler)).cloned().collect();
        if !old.is_empty()
            && let Err(error) = self.ports.subscriptions.unbind(&old).await
        {
            tracing::warn!(error = %Chain(&error), "handlers at the address before could not be unbound");
        }
    }
}

/// Online events by name. What is wrong with the queue is said once if it is the same for all events.
fn registration(handler: &HandlerUrl, wanted: Wanted, failed: &[(BoundHandler, String)]) -> Registration {
    let is_online = |bound: &BoundHandler| bound.handler.is_some();
    let fails = |bound: &BoundHandler| failed.iter().any(|(handler, _)| handler == bound);
    let registered = wanted.handlers.iter().filter(|bound| is_online(bound) && !fails(bound));
    let online = failed.iter().filter(|(bound, _)| is_online(bound));
    let mut reasons: Vec<(String, String)> =
        online.map(|(bound, reason)| (bound.event.clone(), reason.clone())).collect();
    let queued: BTreeSet<&str> =
        failed.iter().filter(|(bound, _)| !is_online(bound)).map(|(_, reason)| reason.as_str()).collect();
    let queued = queued.into_iter().map(str::to_owned).chain(wanted.no_queue);
    reasons.extend(queued.map(|reason| (QUEUE.to_owned(), reason)));
    Registration {
        handler_url: handler.as_str().to_owned(),
        registered: registered.map(|bound| bound.event.clone()).collect(),
        failed: reasons,
    }
}
