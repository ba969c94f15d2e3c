//! Who waits, in the order in which they go.

use std::collections::BTreeMap;

use b24sync_domain::ports::{Lane, PortalRequest};

/// A place in the queue; the lower goes first: by lane, then by arrival.
pub(super) type Ticket = (Lane, u64);

/// Requests that wait, the more important before the others.
#[derive(Default)]
pub(super) struct LaneQueue {
    waiting: BTreeMap<Ticket, PortalRequest>,
    tickets: u64,
}

impl LaneQueue {
    pub(super) fn join(&mut self, request: PortalRequest) -> Ticket {
        self.tickets += 1;
        let ticket = (request.lane, self.tickets);
        self.waiting.insert(ticket, request);
        ticket
    }

    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&PortalRequest> {
        self.waiting.get(&ticket)
    }

    /// The first that could go if it had a slot.
    pub(super) fn first(&self, could_go: impl Fn(&PortalRequest) -> bool) -> Option<Ticket> {
        self.waiting.iter().find(|(_, request)| could_go(request)).map(|(ticket, _)| *ticket)
    }

    /// How many wait in a lane.
    pub(super) fn count(&self, lane: Lane) -> usize {
        self.waiting.range((lane, 0)..=(lane, u64::MAX)).count()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
