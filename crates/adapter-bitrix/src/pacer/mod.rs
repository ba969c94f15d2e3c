//! Keeps requests inside the portal's limits (ADR 9): [`BudgetPacer`].
//!
//! A request waits in a lane (`lanes`) until its methods have execution time left (`ledger`) and there is a slot of the
//! rate for it (`slots`). Slots come from a [`BudgetStore`](b24sync_domain::ports::BudgetStore) that all processes share,
//! or from one of this process's own (`alone`).

mod admission;
mod alone;
mod lanes;
mod ledger;
mod slots;

pub use admission::BudgetPacer;
pub use alone::OwnBudget;

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod rate_tests;
