//! File descriptors: every connection takes some, and shells and service managers allow a thousand unless told otherwise.

use crate::output::Output;

/// Descriptors of an HTTP connection: the server's own, and the one by which it is closed when it must make room.
const PER_CONNECTION: u64 = 2;

/// Descriptors for all else: the database, the portal, threads, files.
const OTHERS: u64 = 300;

/// Raises the limit of this process as far as so many HTTP connections need it, if it may, and returns how many it can
/// have then.
pub fn connections(wanted: usize, output: Output) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(PER_CONNECTION).saturating_add(OTHERS);
    let limit = raised(needed);
    let possible = possible(wanted, limit);
    if possible < wanted {
        output.warn(&format!(
            "{possible} HTTP connections at once instead of {wanted}, because this process may have {limit} files open; raise its limit (ulimit -Hn, LimitNOFILE=) to {needed}"
        ));
    }
    possible
}

fn possible(wanted: usize, limit: u64) -> usize {
    let possible = (limit.saturating_sub(OTHERS) / PER_CONNECTION).max(1);
    usize::try_from(possible).map_or(wanted, |possible| possible.min(wanted))
}

/// The limit, at least `needed` if that is allowed.
#[cfg(unix)]
fn raised(needed: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < needed) else { return needed };
    let wanted = limit.maximum.map_or(needed, |most| most.min(needed));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}

#[cfg(not(unix))]
fn raised(needed: u64) -> u64 {
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_leaves_room_for_all_else() {
        assert_eq!(possible(2_000, 1_000_000), 2_000);
        assert_eq!(possible(2_000, 4_300), 2_000);
        assert_eq!(possible(2_000, 1_024), 362);
        assert_eq!(possible(2_000, 64), 1);
    }
}
