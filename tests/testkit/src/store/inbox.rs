//! The inbox of the fake store. Its times are those of the runtime's clock, which tests can turn.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::inbox::{
    AT_ONCE, AfterFailure, Backlog, Claimed, DEBOUNCE, LONGEST_DEBOUNCE, Outcome, SECOND_LOOK,
};
use b24sync_domain::ports::{Acceptance, Actor, Beat, EventInbox, HintFilter, InboxDepth, InboxEntry};
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{FakeStore, State};

/// A hint that waits, or a dead letter.
#[derive(Debug, Clone)]
pub(super) struct FakeHint {
    claimed: Claimed,
    first: Instant,
    last: Instant,
    due: Instant,
    error: Option<String>,
    dead: bool,
}

type Key = (EntityType, Target);

/// What the store keeps of events.
#[derive(Debug, Default)]
pub(super) struct FakeInbox {
    hints: BTreeMap<Key, FakeHint>,
    beats: BTreeMap<String, Instant>,
}

impl FakeHint {
    fn new(hint: &Hint, generation: i64) -> FakeHint {
        let now = Instant::now();
        let claimed = Claimed {
            target: hint.target,
            generation,
            attempts: 0,
            deleted: hint.deleted,
            sent_at: hint.sent_at,
            second_look: false,
        };
        FakeHint { claimed, first: now, last: now, due: now + DEBOUNCE, error: None, dead: false }
    }

    /// Another event of the same record.
    fn again(&mut self, hint: &Hint, generation: i64) {
        let now = Instant::now();
        let sent_at = self.claimed.sent_at.max(hint.sent_at);
        if self.dead {
            *self = FakeHint::new(hint, generation);
        } else if self.claimed.attempts == 0 {
            self.due = (self.first + LONGEST_DEBOUNCE).min(now + DEBOUNCE);
        }
        self.last = now;
        self.claimed = Claimed { generation, deleted: hint.deleted, sent_at, second_look: false, ..self.claimed };
    }

    fn keep(&mut self, outcome: &Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Applied => {}
            Outcome::LookAgain => {
                self.claimed.second_look = true;
                self.due = now + SECOND_LOOK;
                self.error = None;
            }
            Outcome::Failed { reason, next } => {
                self.claimed.attempts += 1;
                self.error = Some(reason.clone());
                match next {
                    AfterFailure::Again(wait) => self.due = now + *wait,
                    AfterFailure::Dead => self.dead = true,
                }
            }
        }
    }
}

impl State {
    fn matching(&self, filter: &HintFilter) -> Vec<Key> {
        let fits = |(entity, target): &Key, hint: &FakeHint| {
            filter.entity.is_none_or(|wanted| wanted == *entity)
                && filter.target.is_none_or(|wanted| wanted == *target)
                && filter.dead.is_none_or(|dead| dead == hint.dead)
        };
        let mut keys: Vec<_> = self.inbox.hints.iter().filter(|(key, hint)| fits(key, hint)).collect();
        keys.sort_by_key(|(key, hint)| (hint.first, **key));
        keys.into_iter().map(|(key, _)| *key).collect()
    }
}

/// Instants of the runtime's clock are nobody else's: entries show when they were made relative to now.
fn shown(instant: Instant) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + instant.duration_since(Instant::now())
}

#[async_trait]
impl EventInbox for FakeStore {
    async fn accept(&self, hints: &[Hint]) -> Result<Vec<Acceptance>, StoreError> {
        let mut state = self.state();
        let mut acceptances = Vec::new();
        for hint in hints {
            if !state.settings_of(hint.entity).webhook_enabled {
                acceptances.push(Acceptance::SwitchedOff);
                continue;
            }
            let generation = state.draw();
            let known = state.inbox.hints.get_mut(&(hint.entity, hint.target));
            match known {
                Some(known) => known.again(hint, generation),
                None => {
                    state.inbox.hints.insert((hint.entity, hint.target), FakeHint::new(hint, generation));
                }
            }
            acceptances.push(Acceptance::Stored);
        }
        Ok(acceptances)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let (state, now) = (self.state(), Instant::now());
        let of = |entity: EntityType| {
            let pending: Vec<_> =
                state.inbox.hints.iter().filter(|((of, _), hint)| *of == entity && !hint.dead).collect();
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let due = count(pending.iter().filter(|(_, hint)| hint.due <= now).count()).min(AT_ONCE);
            let oldest = pending.iter().map(|(_, hint)| hint.first).min()?;
            let pending = count(pending.len()).min(AT_ONCE + 1);
            Some(Backlog { entity, due, pending, oldest: now.duration_since(oldest) })
        };
        let applied = EntityType::all().filter(|entity| state.settings_of(*entity).webhook_enabled);
        Ok(applied.filter_map(of).collect())
    }

    async fn due(&self, entity: EntityType) -> Result<Vec<Claimed>, StoreError> {
        let (state, now) = (self.state(), Instant::now());
        let hints = state.inbox.hints.iter().filter(|((of, _), hint)| *of == entity && !hint.dead && hint.due <= now);
        let mut due: Vec<_> = hints.map(|(_, hint)| hint).collect();
        due.sort_by_key(|hint| hint.due);
        Ok(due.into_iter().take(usize::try_from(AT_ONCE).unwrap_or(usize::MAX)).map(|hint| hint.claimed).collect())
    }

    async fn settle(&self, entity: EntityType, outcomes: &[(Claimed, Outcome)]) -> Result<(), StoreError> {
        let mut state = self.state();
        for (claimed, outcome) in outcomes {
            let key = (entity, claimed.target);
            let Some(hint) = state.inbox.hints.get_mut(&key) else { continue };
            if hint.claimed.generation != claimed.generation {
                hint.first = hint.last;
                hint.due = hint.last + DEBOUNCE;
                hint.claimed.attempts = 0;
                hint.error = None;
            } else if *outcome == Outcome::Applied {
                state.inbox.hints.remove(&key);
            } else {
                hint.keep(outcome);
            }
        }
        Ok(())
    }

    async fn depth(&self) -> Result<Vec<InboxDepth>, StoreError> {
        let (state, now) = (self.state(), Instant::now());
        let of = |entity: EntityType| {
            let all = || state.inbox.hints.iter().filter(move |((of, _), _)| *of == entity).map(|(_, hint)| hint);
            let count = |dead: bool| u64::try_from(all().filter(|hint| hint.dead == dead).count()).unwrap_or(u64::MAX);
            let oldest = all().filter(|hint| !hint.dead).map(|hint| now.duration_since(hint.first)).max();
            InboxDepth { entity, pending: count(false), dead: count(true), oldest }
        };
        Ok(EntityType::all().map(of).collect())
    }

    async fn list(&self, filter: &HintFilter, offset: u64, limit: u32) -> Result<(Vec<InboxEntry>, u64), StoreError> {
        let state = self.state();
        let keys = state.matching(filter);
        let total = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        let entry = |(entity, target): Key| {
            state.inbox.hints.get(&(entity, target)).map(|hint| InboxEntry {
                entity,
                target,
                first_at: shown(hint.first),
                last_at: shown(hint.last),
                due_at: shown(hint.due),
                attempts: hint.claimed.attempts,
                error: hint.error.clone(),
                dead_at: hint.dead.then_some(DateTime::UNIX_EPOCH),
            })
        };
        let (offset, limit) =
            (usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((keys.into_iter().skip(offset).take(limit).filter_map(entry).collect(), total))
    }

    async fn retry(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        let mut state = self.state();
        let keys = state.matching(filter);
        for key in &keys {
            if let Some(hint) = state.inbox.hints.get_mut(key) {
                let now = Instant::now();
                let claimed = Claimed { attempts: 0, second_look: false, ..hint.claimed };
                *hint = FakeHint { claimed, first: now, last: hint.last, due: now, error: None, dead: false };
            }
        }
        state.audit.push(("inbox.retry", filter.entity, actor.subject.clone()));
        Ok(u64::try_from(keys.len()).unwrap_or(u64::MAX))
    }

    async fn discard(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        let mut state = self.state();
        let keys = state.matching(filter);
        for key in &keys {
            state.inbox.hints.remove(key);
        }
        state.audit.push(("inbox.discard", filter.entity, actor.subject.clone()));
        Ok(u64::try_from(keys.len()).unwrap_or(u64::MAX))
    }

    async fn beat(&self, holder: &str) -> Result<Beat, StoreError> {
        let (mut state, now) = (self.state(), Instant::now());
        let ago = |instant: &Instant| now.duration_since(*instant);
        let own = state.inbox.beats.get(holder).map(ago);
        let others: Option<Duration> =
            state.inbox.beats.iter().filter(|(other, _)| *other != holder).map(|(_, at)| ago(at)).min();
        state.inbox.beats.insert(holder.to_owned(), now);
        Ok(Beat { own, others })
    }
}
