//! The way every use case reaches the outside.

use std::sync::Arc;

use b24sync_domain::ports::{
    CrmSource, DeletionStore, DriftStore, Instances, LeaseStore, PortalStore, ReadOrder, RecordStore, RunBoard, RunLog,
    RunObserver, StatusStore,
};

/// One handle on every outbound port; cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// The portal.
    pub source: Arc<dyn CrmSource>,
    /// Numbers reads of the portal.
    pub order: Arc<dyn ReadOrder>,
    /// The replica tables.
    pub records: Arc<dyn RecordStore>,
    /// Deleted records.
    pub deletions: Arc<dyn DeletionStore>,
    /// Changes of fields that have not reached all records yet.
    pub drift: Arc<dyn DriftStore>,
    /// The portal that the replica belongs to.
    pub portals: Arc<dyn PortalStore>,
    /// The run log.
    pub runs: Arc<dyn RunLog>,
    /// What is told of runs, and asked of them.
    pub board: Arc<dyn RunBoard>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Who this process is, and who is gone.
    pub instances: Arc<dyn Instances>,
    /// Whoever watches runs.
    pub observer: Arc<dyn RunObserver>,
}

/// The ports that questions about the replica need: no portal among them.
#[derive(Clone)]
pub struct StatusPorts {
    /// How the replica stands.
    pub status: Arc<dyn StatusStore>,
    /// The portal that the replica belongs to.
    pub portals: Arc<dyn PortalStore>,
    /// The run log.
    pub runs: Arc<dyn RunLog>,
    /// Which runs are on.
    pub board: Arc<dyn RunBoard>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Who this process is, and who is gone.
    pub instances: Arc<dyn Instances>,
}
