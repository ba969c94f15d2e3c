//! What may be concluded from records that a complete listing did not show (CORRECTNESS 4.5).

/// Deletions that a run may carry out without being confirmed: 50, or one in a hundred of the live records if that is
/// more. A change of rights looks exactly like a mass deletion.
pub fn unconfirmed_deletions(live: u64) -> u64 {
    (live / 100).max(50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entities_may_lose_fifty_and_large_ones_a_hundredth() {
        assert_eq!(unconfirmed_deletions(0), 50);
        assert_eq!(unconfirmed_deletions(5_099), 50);
        assert_eq!(unconfirmed_deletions(5_100), 51);
        assert_eq!(unconfirmed_deletions(1_000_000), 10_000);
    }
}
