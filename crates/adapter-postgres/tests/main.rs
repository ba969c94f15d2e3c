//! The adapter against a real PostgreSQL, a database per test.
//!
//! `cfg(test)` says what is plain here, for clippy: helpers of tests may unwrap as well.

#[cfg(test)]
mod access;
#[cfg(test)]
mod adoption;
#[cfg(test)]
mod basics;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod encoding;
#[cfg(test)]
mod encryption;
#[cfg(test)]
mod examine;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
