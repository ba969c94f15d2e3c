//! The store as one owner's process sees it: leases that run out by the virtual clock, calls that take time, fail, or do
//! their work and lose their answer. What is done passes the audit at the moment it is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::event::Hint;
use b24sync_domain::field::FieldName;
use b24sync_domain::inbox::{Backlog, Claimed, Outcome};
use b24sync_domain::lease::{Grant, HeldBy, Lease, Scope};
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::rows::MappedBatch;
use b24sync_domain::mapping::schema::{KnownTable, PendingChange, SchemaPlan};
use b24sync_domain::portal::{EntityProbe, KeptProbe, KnownPortal, PortalProfile};
use b24sync_domain::ports::{
    Acceptance, Actor, Beat, Cancelled, Claim, Commit, DeletionStore, DriftStore, EventInbox, HintFilter, History,
    HistoryFilter, InboxDepth, InboxEntry, LeaseStore, LoggedRun, PortalStore, ReadOrder, RecordStore, Requested,
    RunBoard, RunLog, RunningSync, Standing, Step,
};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus};
use b24sync_domain::schedule::LastRun;
use b24sync_testkit::build::deal;
use b24sync_testkit::store::FakeStore;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::owner::Process;
use crate::portal::{Millis, Portal};
use crate::world::{World, lock};

/// One process's connection to the store.
pub struct ModelStore {
    /// Everything shared.
    pub world: Arc<World>,
    /// Whose connection it is.
    pub process: Arc<Process>,
}

impl World {
    /// The version that the replica has of a record.
    pub fn row_version(&self, id: i64) -> Option<i64> {
        self.store.cell(deal(), id, "opportunity").and_then(|text| text.parse().ok())
    }

    /// Lets the store see the time.
    fn tick(&self) {
        // Any start will do: the store uses differences only.
        self.store.set_clock(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(self.now()));
        let now = Instant::now();
        for (scope, _) in lock(&self.lease_until).extract_if(|_, until| now >= *until) {
            self.store.expire_lease(scope);
        }
    }
}

impl ModelStore {
    fn inner(&self) -> &FakeStore {
        &self.world.store
    }

    /// A statement that the database takes up at once and that takes effect between two waits; `told` sees the effect in
    /// the moment it happens.
    async fn call<T>(
        &self,
        doing: &'static str,
        effect: impl Future<Output = Result<T, StoreError>>,
        told: impl FnOnce(&T, &str),
    ) -> Result<T, StoreError> {
        self.process.gate().await;
        self.world.travel().await;
        self.process.gate().await;
        self.fault(self.world.weather().fails, doing, "no connection")?;
        self.world.tick();
        let name = self.process.name();
        let result = effect.await;
        self.check_watermark(doing);
        match &result {
            Ok(done) => told(done, &name),
            Err(error) => self.world.audit(|audit| audit.note(&name, || format!("{doing}: {error}"))),
        }
        self.world.travel().await;
        self.process.gate().await;
        self.fault(self.world.weather().loses, doing, "the answer was lost")?;
        result
    }

    /// I6: completions tell the audit of the watermark themselves.
    fn check_watermark(&self, doing: &'static str) {
        if doing != "complete" {
            let watermark = self.inner().watermark(deal());
            self.world.audit(|audit| audit.watermark_is(watermark));
        }
    }

    fn fault(&self, odds: u32, doing: &'static str, what: &'static str) -> Result<(), StoreError> {
        if !self.world.chance.one_in(odds) {
            return Ok(());
        }
        self.world.audit(|audit| audit.note(&self.process.name(), || format!("{doing}: {what}")));
        Err(StoreError::Unavailable { doing, source: what.into() })
    }

    fn granted(&self, name: &str, lease: &Lease, ttl: Duration) {
        lock(&self.world.lease_until).insert(lease.scope, Instant::now() + ttl);
        let until = self.world.now() + Millis::try_from(ttl.as_millis()).unwrap_or(Millis::MAX);
        self.world.audit(|audit| {
            audit.note(name, || format!("holds the lease, token {}", lease.token));
            audit.granted(name, lease, until);
        });
    }

    fn fenced(&self, name: &str, lease: &Lease, what: &str) {
        self.world.audit(|audit| audit.fenced(name, lease, what));
    }
}

#[async_trait]
impl ReadOrder for ModelStore {
    async fn next(&self) -> Result<ReadToken, StoreError> {
        // Not a call of its own here: drawing and sending are apart far enough by what follows.
        self.process.gate().await;
        let token = self.inner().next().await?;
        self.world.audit(|audit| audit.token(token.0));
        Ok(token)
    }
}

#[async_trait]
impl RecordStore for ModelStore {
    async fn known_table(&self, entity: EntityType) -> Result<KnownTable, StoreError> {
        self.call("known_table", self.inner().known_table(entity), |_, _| {}).await
    }

    async fn ensure_table(&self, plan: &SchemaPlan) -> Result<(), StoreError> {
        self.call("ensure_table", self.inner().ensure_table(plan), |(), _| {}).await
    }

    async fn pin_column(&self, entity: EntityType, column: &ColumnName) -> Result<(), StoreError> {
        self.inner().pin_column(entity, column).await
    }

    async fn forget(&self, entity: EntityType, ids: &[RecordId]) -> Result<(), StoreError> {
        self.inner().forget(entity, ids).await
    }

    async fn answers(&self, entity: EntityType, ids: &[RecordId]) -> Result<HashMap<RecordId, AnswerHash>, StoreError> {
        self.call("answers", self.inner().answers(entity, ids), |_, _| {}).await
    }

    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError> {
        let told = |commit: &Commit, name: &str| {
            self.fenced(name, lease, "commit");
            self.world.judge(|audit, portal| {
                let cursor = step.cursor.map(Cursor::get);
                audit.note(name, || {
                    format!("commits read {} of run {}, cursor {cursor:?}: {commit:?}", batch.rows.read.0, step.run)
                });
                audit.advanced(step.run.0, cursor, step.source_start);
                let same = batch.same.iter().map(|(id, _)| id);
                for id in batch.rows.ids.iter().chain(same) {
                    let version = self.world.row_version(id.get());
                    audit.applied(portal, id.get(), batch.rows.read.0, version);
                }
            });
        };
        self.call("commit", self.inner().commit(batch, step, lease), told).await
    }
}

#[async_trait]
impl DriftStore for ModelStore {
    async fn pending(&self, entity: EntityType) -> Result<Vec<PendingChange>, StoreError> {
        self.call("pending", self.inner().pending(entity), |_, _| {}).await
    }

    async fn cover(&self, entity: EntityType, run: RunId, lease: &Lease) -> Result<(), StoreError> {
        self.call("cover", self.inner().cover(entity, run, lease), |(), name| self.fenced(name, lease, "cover")).await
    }

    async fn advance(
        &self,
        entity: EntityType,
        fields: &[FieldName],
        cursor: Option<Cursor>,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let told = |(): &(), name: &str| self.fenced(name, lease, "advance");
        self.call("advance", self.inner().advance(entity, fields, cursor, lease), told).await
    }
}

#[async_trait]
impl PortalStore for ModelStore {
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError> {
        self.call("claim", self.inner().claim(address, moved), |_, _| {}).await
    }

    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError> {
        self.call("portal", self.inner().portal(), |_, _| {}).await
    }

    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError> {
        self.call("probe", PortalStore::probe(self.inner(), entity), |_, _| {}).await
    }

    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError> {
        self.call("keep_profile", self.inner().keep_profile(profile), |(), _| {}).await
    }

    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError> {
        self.call("keep_probe", self.inner().keep_probe(probe), |(), _| {}).await
    }
}

#[async_trait]
impl DeletionStore for ModelStore {
    async fn unseen(
        &self,
        entity: EntityType,
        since: ReadToken,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError> {
        self.call("unseen", self.inner().unseen(entity, since, after, limit), |_, _| {}).await
    }

    async fn live_ids(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, StoreError> {
        self.call("live_ids", self.inner().live_ids(entity, after, up_to), |_, _| {}).await
    }

    async fn controls(&self, entity: EntityType, since: ReadToken, limit: u32) -> Result<Vec<RecordId>, StoreError> {
        self.call("controls", self.inner().controls(entity, since, limit), |_, _| {}).await
    }

    async fn live(&self, entity: EntityType) -> Result<u64, StoreError> {
        self.call("live", self.inner().live(entity), |_, _| {}).await
    }

    async fn bury(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        read: ReadToken,
        lease: &Lease,
    ) -> Result<Vec<RecordId>, StoreError> {
        let told = |buried: &Vec<RecordId>, name: &str| {
            self.fenced(name, lease, "bury");
            self.world.judge(|audit, portal| {
                audit.note(name, || format!("buries {buried:?} of {ids:?} on read {}", read.0));
                for id in buried {
                    audit.buried(portal, id.get(), read.0);
                }
            });
        };
        self.call("bury", self.inner().bury(entity, ids, read, lease), told).await
    }
}

#[async_trait]
impl RunLog for ModelStore {
    async fn request(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        self.call("request", self.inner().request(entity, kind), |_, _| {}).await
    }

    async fn request_anew(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        self.call("request anew", self.inner().request_anew(entity, kind), |_, _| {}).await
    }

    async fn withdraw(&self, run: RunId) -> Result<(), StoreError> {
        self.inner().withdraw(run).await
    }

    async fn remark(&self, run: RunId, remark: &str) -> Result<(), StoreError> {
        self.inner().remark(run, remark).await
    }

    async fn find(&self, run: RunId) -> Result<Option<LoggedRun>, StoreError> {
        self.call("find", self.inner().find(run), |_, _| {}).await
    }

    async fn open(&self, entity: EntityType, kind: RunKind, lease: &Lease) -> Result<Run, StoreError> {
        let told = |run: &Run, name: &str| {
            self.fenced(name, lease, "open");
            self.world.audit(|audit| {
                audit.note(name, || format!("opens {run:?}"));
                audit.opened(name, run);
            });
        };
        self.call("open", self.inner().open(entity, kind, lease), told).await
    }

    async fn rewind(&self, run: RunId, lease: &Lease) -> Result<ReadToken, StoreError> {
        let told = |_: &ReadToken, name: &str| {
            self.fenced(name, lease, "rewind");
            self.world.audit(|audit| {
                audit.note(name, || format!("rewinds run {run}"));
                audit.rewound(name, run.0);
            });
        };
        self.call("rewind", self.inner().rewind(run, lease), told).await
    }

    async fn standing(&self, entity: EntityType) -> Result<Option<Standing>, StoreError> {
        let told = |standing: &Option<Standing>, name: &str| {
            self.world.audit(|audit| audit.note(name, || format!("stands at {standing:?}")));
        };
        self.call("standing", self.inner().standing(entity), told).await
    }

    async fn complete(&self, run: RunId, watermark: Watermark, lease: &Lease) -> Result<RunStatus, StoreError> {
        let told = |status: &RunStatus, name: &str| {
            self.fenced(name, lease, "complete");
            let stands = self.inner().watermark(deal());
            if let (None, Some(first)) = (self.world.audit(|audit| audit.watermark()), stands) {
                let known = |id| self.world.row_version(id).is_some();
                self.world.portal(|portal| portal.begin_floor(Portal::second_of(first), known));
            }
            self.world.judge(|audit, portal| {
                audit.note(name, || format!("completes run {run} as {status}, watermark {stands:?}"));
                audit.completed(portal, name, run.0, *status, stands);
            });
        };
        self.call("complete", self.inner().complete(run, watermark, lease), told).await
    }

    async fn end(&self, run: RunId, ending: &Ending, lease: &Lease) -> Result<(), StoreError> {
        let told = |(): &(), name: &str| {
            self.fenced(name, lease, "end");
            self.world.audit(|audit| {
                audit.note(name, || format!("ends run {run}: {ending:?}"));
                audit.ended(name, run.0, ending.status);
            });
        };
        self.call("end", self.inner().end(run, ending, lease), told).await
    }

    async fn close_abandoned(&self) -> Result<u64, StoreError> {
        self.inner().close_abandoned().await
    }

    async fn recent(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError> {
        self.inner().recent(limit).await
    }
}

#[async_trait]
impl LeaseStore for ModelStore {
    async fn acquire(&self, scope: Scope, holder: &str, ttl: Duration) -> Result<Grant, StoreError> {
        let told = |grant: &Grant, name: &str| {
            if let Grant::Granted(lease) = grant {
                self.granted(name, lease, ttl);
            }
        };
        self.call("acquire", self.inner().acquire(scope, holder, ttl), told).await
    }

    async fn take_over(
        &self,
        scope: Scope,
        holder: &str,
        gone: &HeldBy,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let told = |lease: &Option<Lease>, name: &str| {
            if let Some(lease) = lease {
                self.granted(name, lease, ttl);
            }
        };
        self.call("take_over", self.inner().take_over(scope, holder, gone, ttl), told).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), StoreError> {
        let told = |(): &(), name: &str| self.granted(name, lease, ttl);
        self.call("renew", self.inner().renew(lease, ttl), told).await
    }

    async fn holder(&self, scope: Scope) -> Result<Option<HeldBy>, StoreError> {
        self.call("holder", self.inner().holder(scope), |_, _| {}).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let told = |(): &(), _: &str| self.world.audit(|audit| audit.released(lease));
        self.call("release", self.inner().release(lease), told).await
    }
}

#[async_trait]
impl RunBoard for ModelStore {
    async fn note(&self, run: RunId, step: &'static str, expected: Option<u64>) -> Result<(), StoreError> {
        // Nothing depends on it: it takes no time and meets no fault here.
        self.inner().note(run, step, expected).await
    }

    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError> {
        self.inner().cancel(entity).await
    }

    async fn is_cancelled(&self, run: RunId) -> Result<bool, StoreError> {
        self.inner().is_cancelled(run).await
    }

    async fn running(&self) -> Result<Vec<RunningSync>, StoreError> {
        self.inner().running().await
    }

    async fn waiting(&self) -> Result<Vec<(EntityType, RunKind)>, StoreError> {
        self.inner().waiting().await
    }

    async fn last_runs(&self) -> Result<(DateTime<Utc>, Vec<LastRun>), StoreError> {
        self.inner().last_runs().await
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<History, StoreError> {
        self.inner().history(filter).await
    }

    async fn ended_since(&self, place: Option<i64>) -> Result<Vec<(i64, LoggedRun)>, StoreError> {
        self.inner().ended_since(place).await
    }
}

#[async_trait]
impl EventInbox for ModelStore {
    async fn accept(&self, hints: &[Hint]) -> Result<Vec<Acceptance>, StoreError> {
        self.inner().accept(hints).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.inner().backlog().await
    }

    async fn due(&self, entity: EntityType) -> Result<Vec<Claimed>, StoreError> {
        self.call("due", self.inner().due(entity), |_, _| {}).await
    }

    async fn settle(&self, entity: EntityType, outcomes: &[(Claimed, Outcome)]) -> Result<(), StoreError> {
        let told = |(): &(), name: &str| {
            self.world.audit(|audit| audit.note(name, || format!("settles {outcomes:?}")));
        };
        self.call("settle", self.inner().settle(entity, outcomes), told).await
    }

    async fn depth(&self) -> Result<Vec<InboxDepth>, StoreError> {
        self.inner().depth().await
    }

    async fn list(&self, filter: &HintFilter, offset: u64, limit: u32) -> Result<(Vec<InboxEntry>, u64), StoreError> {
        self.inner().list(filter, offset, limit).await
    }

    async fn retry(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        self.inner().retry(filter, actor).await
    }

    async fn discard(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError> {
        self.inner().discard(filter, actor).await
    }

    async fn beat(&self, holder: &str) -> Result<Beat, StoreError> {
        self.inner().beat(holder).await
    }
}
