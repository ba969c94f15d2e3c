//! Portal against replica: what may be concluded from records that a complete listing did not show (CORRECTNESS 4.5),
//! and how the two differ.

use std::collections::BTreeMap;

use crate::entity::RecordId;
use crate::mapping::rows::{ContentHash, MappedBatch};

/// Deletions that a run may carry out without being confirmed: 50, or one in a hundred of the live records if that is
/// more. A change of rights looks exactly like a mass deletion.
pub fn unconfirmed_deletions(live: u64) -> u64 {
    (live / 100).max(50)
}

/// What the replica has of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Which record.
    pub id: RecordId,
    /// Hash of the content that was stored last; `None` when it is not known.
    pub hash: Option<ContentHash>,
    /// Whether the table has its row.
    pub has_row: bool,
    /// Whether its newest version is in quarantine.
    pub quarantined: bool,
}

/// How a record of the portal and the replica differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceKind {
    /// The portal has it, the table has no row of it.
    Missing,
    /// The table has a row of it, the portal's listing does not show it.
    Extra,
    /// Both have it, with different content.
    Different,
    /// The table has it with other content than was stored: somebody changed the row.
    Altered,
    /// It cannot be stored; the quarantine says why.
    Quarantined,
}

impl DifferenceKind {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Extra => "extra",
            DifferenceKind::Different => "different",
            DifferenceKind::Altered => "altered",
            DifferenceKind::Quarantined => "quarantined",
        }
    }

    /// What most likely made the difference.
    pub fn likely_cause(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "created or restored since the last sync, or its row was deleted by hand",
            DifferenceKind::Extra => "deleted in the portal since the last full sync, or not readable any more",
            DifferenceKind::Different => "changed since the last sync",
            DifferenceKind::Altered => "its row was changed by hand, or by a trigger",
            DifferenceKind::Quarantined => "cannot be stored; `b24sync quarantine list` says why",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Which record.
    pub id: RecordId,
    /// How it differs.
    pub kind: DifferenceKind,
}

/// Compares what the portal shows with what the replica has of the same range of ids, ascending by id.
pub fn compare(shown: &MappedBatch, stored: &[Fingerprint]) -> Vec<Difference> {
    let mut stored: BTreeMap<RecordId, Fingerprint> = stored.iter().map(|print| (print.id, *print)).collect();
    let mut found = Vec::new();
    for (id, hash) in shown.rows.ids.iter().zip(&shown.rows.hashes) {
        let kind = match stored.remove(id) {
            Some(print) if !print.has_row => DifferenceKind::Missing,
            Some(print) if print.hash == Some(*hash) => continue,
            // An older version has its row; only the database refuses the newer one.
            Some(print) if print.quarantined => DifferenceKind::Quarantined,
            Some(_) => DifferenceKind::Different,
            None => DifferenceKind::Missing,
        };
        found.push(Difference { id: *id, kind });
    }
    for rejection in &shown.rejected {
        stored.remove(&rejection.id);
        found.push(Difference { id: rejection.id, kind: DifferenceKind::Quarantined });
    }
    // A record that only the database refuses is mapped without complaint, so that it shows up above as missing.
    let extra = stored.into_values().filter(|print| print.has_row);
    found.extend(extra.map(|print| Difference { id: print.id, kind: DifferenceKind::Extra }));
    found.sort_by_key(|difference| difference.id);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::answer::AnswerHash;
    use crate::mapping::rows::{Rejection, RowBatch};
    use crate::record::ReadToken;

    fn id(number: i64) -> RecordId {
        RecordId::new(number).unwrap()
    }

    fn hash(byte: u8) -> ContentHash {
        ContentHash([byte; 16])
    }

    fn print(number: i64, content: Option<u8>, has_row: bool) -> Fingerprint {
        Fingerprint { id: id(number), hash: content.map(hash), has_row, quarantined: false }
    }

    #[test]
    fn every_kind_of_difference_is_told_apart() {
        let shown = MappedBatch {
            rows: RowBatch {
                entity: "deal".parse().unwrap(),
                read: ReadToken(1),
                ids: [1, 2, 3, 4, 7].map(id).to_vec(),
                modified: vec![None; 5],
                hashes: [1, 2, 3, 4, 7].map(hash).to_vec(),
                answers: vec![AnswerHash([0; 16]); 5],
                columns: Vec::new(),
            },
            same: Vec::new(),
            rejected: vec![Rejection { id: id(9), field: None, reason: String::new(), excerpt: None }],
        };
        let stored = [
            print(1, Some(1), true),
            print(2, Some(7), true),
            print(3, Some(3), false),
            print(5, Some(5), true),
            print(6, None, false),
            Fingerprint { quarantined: true, ..print(7, Some(1), true) },
        ];
        let found: Vec<_> =
            compare(&shown, &stored).into_iter().map(|found| (found.id.get(), found.kind.as_str())).collect();
        assert_eq!(
            found,
            [(2, "different"), (3, "missing"), (4, "missing"), (5, "extra"), (7, "quarantined"), (9, "quarantined")]
        );
    }

    #[test]
    fn small_entities_may_lose_fifty_and_large_ones_a_hundredth() {
        assert_eq!(unconfirmed_deletions(0), 50);
        assert_eq!(unconfirmed_deletions(5_099), 50);
        assert_eq!(unconfirmed_deletions(5_100), 51);
        assert_eq!(unconfirmed_deletions(1_000_000), 10_000);
    }
}
