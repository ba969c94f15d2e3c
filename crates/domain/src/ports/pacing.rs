//! What keeps requests to the portal inside its limits.

use std::any::Any;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::pacing::RateLimits;

/// Importance of a request to the portal: the lower goes first when the budget is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A record that an event named, or that an operator asked for.
    Hint,
    /// An incremental pass.
    Incremental,
    /// A full pass.
    Full,
}

/// A request that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalRequest {
    /// How important it is.
    pub lane: Lane,
    /// Every method that the portal may charge its execution time to: the one of the request, and those of its commands.
    pub methods: Vec<String>,
    /// How many commands it holds: as few as it can do with, and as many as it would like.
    pub commands: RangeInclusive<usize>,
}

/// Leave to send one request. The request counts as being on its way until the permit is dropped.
pub struct Permit {
    commands: usize,
    _guard: Box<dyn Any + Send>,
}

impl Permit {
    /// Leave for a request of so many commands; `guard` is dropped when the request is over.
    pub fn new(commands: usize, guard: impl Any + Send) -> Permit {
        Permit { commands, _guard: Box::new(guard) }
    }

    /// How many commands the request may hold.
    pub fn commands(&self) -> usize {
        self.commands
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("commands", &self.commands).finish_non_exhaustive()
    }
}

/// What an answer of the portal said about its budget.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetReport {
    /// REST method.
    pub method: String,
    /// Commands that the request held.
    pub commands: usize,
    /// Seconds of execution time that the method has used in the portal's window.
    pub operating_seconds: Option<f64>,
    /// How long after the answer part of it is given back, by the portal's own clock.
    pub resets_in: Option<Duration>,
    /// Whether the portal refused the request for its rate.
    pub rate_refused: bool,
    /// Whether the portal refused the method for its execution time.
    pub method_refused: bool,
}

/// Keeps all requests to one portal inside its limits.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PortalPacer: Send + Sync {
    /// Waits until this request may be sent. MUST be asked before every attempt, and the permit be kept until what the
    /// answer said has been reported.
    ///
    /// # Errors
    /// When the shared budget could not be reached for a minute or may not be used; nothing may be sent then.
    async fn admit(&self, request: &PortalRequest) -> Result<Permit, StoreError>;

    /// Learns from an answer: one report for each method that took part in it.
    async fn report(&self, reports: &[BudgetReport]);
}

/// What is asked of the shared budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Slots that are of use.
    pub wanted: u32,
    /// How far in the future they may lie: the more important the request, the further.
    pub ahead: Duration,
    /// Slots of the slice before that were not used.
    pub returned: Option<Returned>,
}

/// Slots that were not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// [`Slice::version`] of the slice that they are from.
    pub version: i64,
    /// How many.
    pub count: u32,
}

/// Slots for requests. Each is for one request, which may be sent at its time or a little later
/// ([`RateLimits::lateness`]), never before.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// How many; none when others have them all, or everybody pauses.
    pub count: u32,
    /// How long after the answer the first may be used; without any, after which time to ask again.
    pub first: Duration,
    /// Time between two of them.
    pub spacing: Duration,
    /// State of the budget after this slice.
    pub version: i64,
    /// Requests per second that are in force for everybody.
    pub per_second: f64,
    /// Methods that pause for everybody.
    pub methods: Vec<MethodPause>,
}

/// A method that the portal does not carry out for a time.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodPause {
    /// REST method.
    pub method: String,
    /// How long.
    pub pause: Duration,
    /// Seconds of execution time at which the portal refused it, if that is known.
    pub limit_seconds: Option<f64>,
}

/// Keeps what all processes together may ask of the portal. Only the store's own clock counts: every time that crosses
/// this port is a delay.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// Takes slots. MUST behave as [`Bucket::take`](crate::pacing::Bucket::take). If the answer is lost the slots are lost.
    async fn take(&self, limits: RateLimits, wish: &Wish) -> Result<Slice, StoreError>;

    /// The portal refused a request for its rate. MUST behave as [`Bucket::refuse`](crate::pacing::Bucket::refuse);
    /// returns how long everybody pauses.
    async fn refuse(&self, limits: RateLimits) -> Result<Duration, StoreError>;

    /// The portal refused a method for its execution time: everybody hears of it with the next slice.
    async fn pause_method(&self, pause: &MethodPause) -> Result<(), StoreError>;
}
