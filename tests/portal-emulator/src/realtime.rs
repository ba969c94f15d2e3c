//! What tests ask of a portal about events: who listens, and what became of the deliveries.

use std::time::Duration;

use crate::delivery::{Deliveries, DeliveryPlan, DeliveryRecord};
use crate::events::OutgoingWebhook;
use crate::portal::Portal;

impl Portal {
    /// What the portal is known by whatever its address.
    pub fn member_id(&self) -> &str {
        &self.config().member_id
    }

    /// Makes an outgoing webhook; returns its `event_handler_id`. Changes from now on are announced to it.
    pub fn add_outgoing_webhook(&self, webhook: OutgoingWebhook) -> i64 {
        self.inner().hub.add_webhook(webhook)
    }

    /// Removes all outgoing webhooks; what is queued for them is still sent.
    pub fn remove_outgoing_webhooks(&self) {
        self.inner().hub.remove_webhooks();
    }

    /// Decides how badly events are delivered from now on. Only what is queued later gets the delays, losses and
    /// doublings of the plan; the rest holds at once.
    pub fn set_delivery_plan(&self, plan: DeliveryPlan) {
        self.inner().hub.office.set_plan(plan);
    }

    /// Holds all deliveries back, or lets them go. What is in flight is not called back.
    pub fn pause_delivery(&self, paused: bool) {
        self.inner().hub.office.pause(paused);
    }

    /// The numbers of deliveries. Events are only sent while the portal runs; until then they queue.
    pub fn deliveries(&self) -> Deliveries {
        self.inner().hub.office.numbers()
    }

    /// The latest deliveries that are over, 200 000 at most, oldest first.
    pub fn delivery_records(&self) -> Vec<DeliveryRecord> {
        self.inner().hub.office.records()
    }

    /// Event and id of every delivery that was answered with 200 and whose event has an id, oldest first.
    pub fn answered_ok(&self) -> Vec<(String, i64)> {
        self.inner().hub.office.answered_ok()
    }

    /// Waits until no delivery is waiting or in flight; returns whether it came to that in time.
    pub fn wait_for_deliveries(&self, timeout: Duration) -> bool {
        self.inner().hub.office.wait_until_empty(timeout)
    }
}
