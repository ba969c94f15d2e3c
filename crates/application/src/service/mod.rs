//! The running service: decides which syncs are due, does those that are queued, and answers about them.
//!
//! - [`scheduler`]: one instance leads and queues what is due.
//! - [`worker`]: every instance does what is queued.
//! - [`control`]: starting, stopping, watching; settings and history.
//! - [`feed`]: tells what happens, on whichever instance.
//! - [`intake`]: takes events in, many to a commit.
//! - [`drain`]: applies what they hinted at.
//! - [`application`]: the service as an application of the portal: handlers, tokens, the offline queue.
//! - [`gaps`]: makes up for events that nobody took in.
//! - [`mapping`]: a dry run of the mapping on a sample.

pub mod application;
pub mod control;
pub mod drain;
pub mod feed;
pub mod gaps;
pub mod intake;
pub mod mapping;
pub mod scheduler;
pub mod worker;

use std::sync::Arc;

use b24sync_domain::ports::{Instances, LeaseStore, RunBoard, RunLog, SettingsStore};

/// The ports that the service needs besides those of syncs.
#[derive(Clone)]
pub struct ServicePorts {
    /// The run log.
    pub runs: Arc<dyn RunLog>,
    /// What owners tell of their runs, and what others ask of them.
    pub board: Arc<dyn RunBoard>,
    /// What an operator may set.
    pub settings: Arc<dyn SettingsStore>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Who this process is, and who is gone.
    pub instances: Arc<dyn Instances>,
}
