//! The hostile day: one kind of fault a test, while records change and events come. After each the service is back within
//! ten seconds, nothing that was answered with 200 is lost, and in the end portal and tables are equal (I1, I3, P4).
//!
//! Short in CI; `CHAOS=long` (`just chaos`) lets more of each happen, and for longer. Each test prints a line for the
//! table at its end.
//!
//! - `ground`: the portal, the server, the service, and proxies before all three; how soon the service is back, and what
//!   must hold in the end.
//! - `life`: what users of the portal do meanwhile.
//! - `small_disk`: a file system that can be filled.
//! - `process`, `database`, `portal`, `keys`: the faults, by what they befall.

mod database;
mod ground;
mod keys;
mod life;
mod portal;
mod process;
mod small_disk;

use std::time::Duration;

/// Whether the long form was asked for.
fn long() -> bool {
    std::env::var_os("CHAOS").is_some_and(|form| form == "long")
}

/// How many times something happens, in the short and in the long form.
fn times(short: usize, long_form: usize) -> usize {
    if long() { long_form } else { short }
}

/// How many seconds something lasts, in the short and in the long form.
fn lasting(short: u64, long_form: u64) -> Duration {
    Duration::from_secs(if long() { long_form } else { short })
}
