//! How badly events are delivered.

use serde::{Deserialize, Serialize};

/// What happens to events on their way. The default is kind: at once, in order, nothing lost.
///
/// All durations are real time, even while the portal's clock stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryPlan {
    /// The least and the longest time that an event waits before it is sent.
    pub delay_milliseconds: (u64, u64),
    /// Of a hundred deliveries, how many never take place.
    pub lost_percent: u8,
    /// Of a hundred deliveries, how many take place twice.
    pub doubled_percent: u8,
    /// How many earlier events of the same handler one may overtake. With 0 they are sent in the order of the changes,
    /// and a delay holds up those behind it; strictly so only if `parallel` is 1.
    pub reorder_window: usize,
    /// How many requests run at the same time, all handlers together; at least 1.
    pub parallel: usize,
    /// A handler that answers later than this is slow; none is if absent.
    pub slow_after_milliseconds: Option<u64>,
    /// How long a slow handler is left alone after its answer.
    pub throttle_milliseconds: u64,
    /// When a request without an answer counts as failed; REST.md is silent about the real portal.
    pub timeout_milliseconds: u64,
    /// Of a hundred events, how many a robot causes: applications get no tokens with them (REST.md 10.2).
    pub robot_percent: u8,
    /// Chance follows from it and from the number of the delivery.
    pub seed: u64,
}

impl Default for DeliveryPlan {
    fn default() -> Self {
        Self {
            delay_milliseconds: (0, 0),
            lost_percent: 0,
            doubled_percent: 0,
            reorder_window: 0,
            parallel: 4,
            slow_after_milliseconds: None,
            throttle_milliseconds: 0,
            timeout_milliseconds: 10_000,
            robot_percent: 0,
            seed: 24,
        }
    }
}
