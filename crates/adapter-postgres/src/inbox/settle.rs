//! Settling hints that were looked at.

use b24sync_domain::entity::EntityType;
use b24sync_domain::inbox::{AfterFailure, Claimed, DEBOUNCE, Outcome, SECOND_LOOK};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text};

use super::item;
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;

/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// What becomes of hints whose generation has not moved, as columns.
#[derive(Default)]
struct Kept {
    items: Vec<i64>,
    generations: Vec<i64>,
    attempts: Vec<i32>,
    wait_ms: Vec<Option<i64>>,
    second_look: Vec<bool>,
    reasons: Vec<Option<String>>,
}

/// A hint that has another generation was named by an event while it was looked at: it stays, as if it were new.
pub(super) async fn settle(
    connection: &mut Connection,
    entity: EntityType,
    outcomes: &[(Claimed, Outcome)],
) -> Result<(), Trouble> {
    let moved = sql("update b24sync.hints as h set first_at = h.last_at, due_at = h.last_at + ")
        .bind::<BigInt, _>(milliseconds(DEBOUNCE))
        .text(" * interval '1 millisecond', attempts = 0, error = null from unnest(")
        .bind::<Array<BigInt>, _>(outcomes.iter().map(|(claimed, _)| item(claimed.target)).collect::<Vec<_>>())
        .text("::bigint[], ")
        .bind::<Array<BigInt>, _>(outcomes.iter().map(|(claimed, _)| claimed.generation).collect::<Vec<_>>())
        .text("::bigint[]) as t(item_id, generation) where h.item_id = t.item_id and h.generation <> t.generation and h.entity = ")
        .bind::<SmallInt, _>(entity.type_id());
    connection.perform(moved).await?;
    let applied = || outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Applied);
    let done = sql("delete from b24sync.hints as h using unnest(")
        .bind::<Array<BigInt>, _>(applied().map(|(claimed, _)| item(claimed.target)).collect::<Vec<_>>())
        .text("::bigint[], ")
        .bind::<Array<BigInt>, _>(applied().map(|(claimed, _)| claimed.generation).collect::<Vec<_>>())
        .text("::bigint[]) as t(item_id, generation) where h.item_id = t.item_id and h.generation = t.generation and h.entity = ")
        .bind::<SmallInt, _>(entity.type_id());
    connection.perform(done).await?;
    keep(connection, entity, kept(outcomes)).await
}

fn milliseconds(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 1_000_000)
}

fn kept(outcomes: &[(Claimed, Outcome)]) -> Kept {
    let mut kept = Kept::default();
    for (claimed, outcome) in outcomes {
        let (attempts, wait, second_look, reason) = match outcome {
            Outcome::Applied => continue,
            Outcome::LookAgain => (claimed.attempts, Some(SECOND_LOOK), true, None),
            Outcome::Failed { reason, next } => {
                let wait = match next {
                    AfterFailure::Again(wait) => Some(*wait),
                    AfterFailure::Dead => None,
                };
                (claimed.attempts.saturating_add(1), wait, claimed.second_look, Some(reason))
            }
        };
        kept.items.push(item(claimed.target));
        kept.generations.push(claimed.generation);
        kept.attempts.push(i32::try_from(attempts).unwrap_or(i32::MAX));
        kept.wait_ms.push(wait.map(milliseconds));
        kept.second_look.push(second_look);
        let clean = |reason: &String| reason.chars().filter(|c| *c != '\0').take(LONGEST_REASON).collect();
        kept.reasons.push(reason.map(clean));
    }
    kept
}

async fn keep(connection: &mut Connection, entity: EntityType, kept: Kept) -> Result<(), Trouble> {
    if kept.items.is_empty() {
        return Ok(());
    }
    let statement = sql("update b24sync.hints as h set attempts = t.attempts, error = t.reason, second_look = t.second_look, due_at = clock_timestamp() + coalesce(t.wait_ms, 0) * interval '1 millisecond', dead_at = case when t.wait_ms is null then clock_timestamp() end from unnest(")
        .bind::<Array<BigInt>, _>(kept.items)
        .text("::bigint[], ")
        .bind::<Array<BigInt>, _>(kept.generations)
        .text("::bigint[], ")
        .bind::<Array<Integer>, _>(kept.attempts)
        .text("::integer[], ")
        .bind::<Array<Nullable<BigInt>>, _>(kept.wait_ms)
        .text("::bigint[], ")
        .bind::<Array<Bool>, _>(kept.second_look)
        .text("::boolean[], ")
        .bind::<Array<Nullable<Text>>, _>(kept.reasons)
        .text("::text[]) as t(item_id, generation, attempts, wait_ms, second_look, reason) where h.item_id = t.item_id and h.generation = t.generation and h.entity = ")
        .bind::<SmallInt, _>(entity.type_id());
    connection.perform(statement).await?;
    Ok(())
}
