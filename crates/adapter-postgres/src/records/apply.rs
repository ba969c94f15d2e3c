//! Rows → table: guard first, then only what has changed.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::rows::{Column, ContentHash, Rejection, RowBatch};
use chrono::{DateTime, Utc};

use super::copy;
use crate::connection::Connection;
use crate::error::{Failure, Trouble};
use crate::sql::guard::Touched;
use crate::sql::upsert::RowTimes;
use crate::sql::{Table, guard, upsert};
use crate::transaction::Transaction;

/// Bytes of cells that one statement carries at most, as far as whole rows allow it.
const STATEMENT_BYTES: usize = 1024 * 1024;

/// Rows that one statement carries at least, however wide they are: fewer would cost more round trips than memory.
const MIN_ROWS_AT_ONCE: usize = 100;

/// How much trust there is in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The database accepts them all.
    Full,
    /// It has refused one of them.
    None,
}

/// What became of rows.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Rows inserted or changed.
    pub(super) written: u64,
    /// Rows that were equal already.
    pub(super) unchanged: u64,
    /// Records whose stored version is this read's now.
    pub(super) stored: Vec<RecordId>,
    /// Records to be read again.
    pub(super) contested: Vec<RecordId>,
    /// Records that only the database could refuse.
    pub(super) refused: Vec<Rejection>,
}

impl Applied {
    fn add(&mut self, other: Applied) {
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.stored.extend(other.stored);
        self.contested.extend(other.contested);
        self.refused.extend(other.refused);
    }
}

/// Content of each record as it was when the record was locked; `None`: not known, write it.
type Known = HashMap<RecordId, Option<ContentHash>>;

/// Where rows go.
#[derive(Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) table: Table<'a>,
    pub(super) times: RowTimes,
}

/// Applies all rows at once. A row that the database refuses fails them all.
pub(super) async fn all(
    transaction: &mut Transaction,
    destination: Destination<'_>,
    rows: &RowBatch,
) -> Result<Applied, Trouble> {
    part(transaction, destination, rows, 0..rows.len(), Trust::Full).await
}

/// Applies rows in halves until those that the database refuses stand alone; the others are stored.
pub(super) async fn in_halves(
    transaction: &mut Transaction,
    destination: Destination<'_>,
    rows: &RowBatch,
) -> Result<Applied, Trouble> {
    let mut applied = Applied::default();
    let mut ahead: Vec<Range<usize>> = Vec::new();
    ahead.push(0..rows.len());
    while let Some(range) = ahead.pop() {
        transaction.savepoint().await?;
        match Box::pin(part(transaction, destination, rows, range.clone(), Trust::None)).await {
            Ok(done) => {
                transaction.release().await?;
                applied.add(done);
            }
            Err(Trouble::Failed(failure)) if failure.is_about_data() => {
                transaction.undo().await?;
                if range.len() > 1 {
                    let middle = range.start + range.len() / 2;
                    ahead.push(middle..range.end);
                    ahead.push(range.start..middle);
                } else if let Some(id) = rows.ids.get(range.start) {
                    applied.refused.push(refusal(*id, &failure));
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(applied)
}

fn refusal(id: RecordId, failure: &Failure) -> Rejection {
    Rejection { id, field: None, reason: failure.to_string(), excerpt: None }
}

/// Locks what is known of these records, in the order of their ids, and returns it.
pub(super) async fn lock(
    transaction: &mut Transaction,
    entity: EntityType,
    ids: &[RecordId],
) -> Result<Known, Trouble> {
    if ids.is_empty() {
        return Ok(Known::new());
    }
    let locked: Vec<(i64, Option<Vec<u8>>)> = transaction.load_rows(guard::lock(entity.type_id(), ids)).await?;
    let known = locked.into_iter().filter_map(|(id, hash)| {
        let hash = hash.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(ContentHash);
        Some((RecordId::new(id)?, hash))
    });
    Ok(known.collect())
}

async fn part(
    transaction: &mut Transaction,
    destination: Destination<'_>,
    rows: &RowBatch,
    range: Range<usize>,
    trust: Trust,
) -> Result<Applied, Trouble> {
    let Some(all) = Guarded::all(rows, range.clone()) else {
        return Err(Failure::ours("the columns of a batch differ in length").into());
    };
    let ids = &all.ids;
    if ids.is_empty() {
        return Ok(Applied::default());
    }
    let (entity, read) = (rows.entity.type_id(), rows.read.0);
    let equal = equal(transaction, rows.entity, read, &all).await?;
    // A user may have emptied the table: what is remembered of a row that it does not have counts for nothing.
    let there = still_there(transaction, destination.table, &equal).await?;
    let equal: HashSet<RecordId> = equal.into_iter().collect();
    let verdicts = if equal.len() == ids.len() {
        Verdicts::default()
    } else {
        let other: Vec<bool> = ids.iter().map(|id| !equal.contains(id)).collect();
        judge(transaction, destination.table, rows, &all.select(&other)).await?
    };
    let lost = |id: &RecordId| equal.contains(id) && !there.contains(id);
    let keep: Vec<bool> = (0..rows.len())
        .map(|position| match rows.ids.get(position) {
            Some(id) if range.contains(&position) => verdicts.write.contains(id) || lost(id),
            _ => false,
        })
        .collect();
    let is_new = verdicts.all_new && equal.len() == there.len();
    let copied = match trust {
        Trust::Full if is_new => copy::rows(transaction, destination.table, rows, &keep).await?,
        Trust::Full | Trust::None => None,
    };
    let written = match copied {
        Some(written) => written,
        None => write(transaction, destination, rows, &keep).await?,
    };
    let contested = contested(transaction, entity, read, &verdicts.refused).await?;
    let stored: Vec<RecordId> = ids.iter().copied().filter(|id| !verdicts.refused.contains(id)).collect();
    Ok(Applied {
        written,
        unchanged: count(stored.len()).saturating_sub(written),
        stored,
        contested,
        refused: Vec::new(),
    })
}

/// What the guard looks at of some rows.
struct Guarded {
    ids: Vec<RecordId>,
    modified: Vec<Option<DateTime<Utc>>>,
    hashes: Vec<ContentHash>,
    answers: Vec<AnswerHash>,
}

impl Guarded {
    /// `None` where the batch does not have so many.
    fn all(rows: &RowBatch, range: Range<usize>) -> Option<Guarded> {
        Some(Guarded {
            ids: rows.ids.get(range.clone())?.to_vec(),
            modified: rows.modified.get(range.clone())?.to_vec(),
            hashes: rows.hashes.get(range.clone())?.to_vec(),
            answers: rows.answers.get(range)?.to_vec(),
        })
    }

    fn select(&self, chosen: &[bool]) -> Guarded {
        fn pick<T: Copy>(from: &[T], chosen: &[bool]) -> Vec<T> {
            from.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(value, _)| *value).collect()
        }
        Guarded {
            ids: pick(&self.ids, chosen),
            modified: pick(&self.modified, chosen),
            hashes: pick(&self.hashes, chosen),
            answers: pick(&self.answers, chosen),
        }
    }
}

/// What is to become of rows whose content is not the one that is remembered.
#[derive(Default)]
struct Verdicts {
    /// To be written.
    write: HashSet<RecordId>,
    /// Older than what is stored, or perhaps older.
    refused: Vec<RecordId>,
    /// Whether nothing was known of any of these rows, so that none was refused either.
    all_new: bool,
}

async fn judge(
    transaction: &mut Transaction,
    table: Table<'_>,
    rows: &RowBatch,
    guarded: &Guarded,
) -> Result<Verdicts, Trouble> {
    let Guarded { ids, modified, hashes, answers } = guarded;
    let known = lock(transaction, rows.entity, ids).await?;
    let statement = guard::accept(rows.entity.type_id(), rows.read.0, ids, modified, hashes, answers);
    let accepted: Vec<(i64,)> = transaction.load_rows(statement).await?;
    let accepted: HashSet<i64> = accepted.into_iter().map(|(id,)| id).collect();
    let (accepted, refused): (Vec<RecordId>, Vec<RecordId>) =
        ids.iter().copied().partition(|id| accepted.contains(&id.get()));
    // Somebody else may have stored the same content meanwhile.
    let hash_of: HashMap<&RecordId, &ContentHash> = ids.iter().zip(hashes).collect();
    let is_equal = |id: &RecordId| known.get(id).is_some_and(|known| known.as_ref() == hash_of.get(id).copied());
    let equal: Vec<RecordId> = accepted.iter().copied().filter(is_equal).collect();
    let equal = still_there(transaction, table, &equal).await?;
    Ok(Verdicts {
        write: accepted.into_iter().filter(|id| !equal.contains(id)).collect(),
        refused,
        all_new: known.is_empty(),
    })
}

/// The records whose content and answer are as they are remembered, which is most of them in most passes; this read is
/// their last one from now on. The same content in another answer is left to [`judge`], which remembers the answer.
async fn equal(
    transaction: &mut Transaction,
    entity: EntityType,
    read: i64,
    rows: &Guarded,
) -> Result<Vec<RecordId>, Trouble> {
    let entity = entity.type_id();
    let remembered: Vec<(i64, Vec<u8>, Option<Vec<u8>>)> =
        transaction.load_rows(guard::remembered(entity, &rows.ids)).await?;
    if remembered.is_empty() {
        return Ok(Vec::new());
    }
    let remembered: HashMap<i64, (Vec<u8>, Option<Vec<u8>>)> =
        remembered.into_iter().map(|(id, hash, answer)| (id, (hash, answer))).collect();
    let is_equal = |id: &RecordId, hash: &ContentHash, answer: &AnswerHash| {
        let known = remembered.get(&id.get());
        known.is_some_and(|(content, told)| *content == hash.0 && told.as_deref() == Some(answer.0.as_slice()))
    };
    let rows = rows.ids.iter().zip(&rows.hashes).zip(&rows.answers);
    let equal: Vec<RecordId> =
        rows.filter(|((id, hash), answer)| is_equal(id, hash, answer)).map(|((id, _), _)| *id).collect();
    let touched: Vec<Touched> = transaction.load_rows(guard::touch(entity, read, &equal)).await?;
    let is_other = |(id, hash, answer): &Touched| {
        remembered.get(id).is_none_or(|(content, told)| hash.as_ref() != Some(content) || answer != told)
    };
    if touched.iter().any(is_other) {
        // Somebody stored something else between the two statements.
        return Err(Failure::overtaken().into());
    }
    Ok(touched.into_iter().filter_map(|(id, _, _)| RecordId::new(id)).collect())
}

/// Of records whose content is known, those that the table still has.
pub(super) async fn still_there(
    connection: &mut Connection,
    table: Table<'_>,
    ids: &[RecordId],
) -> Result<HashSet<RecordId>, Trouble> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let present: Vec<(String,)> = connection.load_rows(guard::present(table, ids)).await?;
    Ok(present.into_iter().filter_map(|(id,)| RecordId::new(id.parse().ok()?)).collect())
}

/// Writes the rows to keep, in statements of a bearable size: a statement's binds are in memory three times, as
/// columns, serialised, and as the message that is sent.
async fn write(
    transaction: &mut Transaction,
    destination: Destination<'_>,
    rows: &RowBatch,
    keep: &[bool],
) -> Result<u64, Trouble> {
    let kept: Vec<usize> = keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(position, _)| position).collect();
    let rows_at_once = (STATEMENT_BYTES / (rows.bytes() / rows.len().max(1)).max(1)).max(MIN_ROWS_AT_ONCE);
    if kept.len() == rows.len() && kept.len() <= rows_at_once {
        write_part(transaction, destination, &rows.ids, &rows.columns).await?;
        return Ok(count(kept.len()));
    }
    for part in kept.chunks(rows_at_once) {
        let part: HashSet<usize> = part.iter().copied().collect();
        let chosen: Vec<bool> = (0..rows.len()).map(|position| part.contains(&position)).collect();
        let part = rows.select(&chosen);
        write_part(transaction, destination, &part.ids, &part.columns).await?;
    }
    Ok(count(kept.len()))
}

async fn write_part(
    transaction: &mut Transaction,
    destination: Destination<'_>,
    ids: &[RecordId],
    columns: &[Column],
) -> Result<(), Trouble> {
    let Destination { table, times } = destination;
    let touched = transaction.perform(upsert::upsert(table, times, ids, columns)).await?;
    complete(touched, ids.len())
}

/// Fails when a trigger or a rule of the user's swallowed rows: what is remembered of them would be a lie.
pub(super) fn complete(written: usize, sent: usize) -> Result<(), Trouble> {
    if written == sent {
        return Ok(());
    }
    Err(Failure::swallowed("a trigger or a rule on the table left the row out").into())
}

pub(super) async fn contested(
    transaction: &mut Transaction,
    entity: i16,
    read: i64,
    refused: &[RecordId],
) -> Result<Vec<RecordId>, Trouble> {
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64,)> = transaction.load_rows(guard::contested(entity, read, refused)).await?;
    Ok(rows.into_iter().filter_map(|(id,)| RecordId::new(id)).collect())
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
