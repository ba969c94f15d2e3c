//! What must hold after each round, and in the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::Client;

use super::arena::{Arena, Ended};
use super::change::History;
use super::plan::Plan;
use crate::compare::differences;

/// Each entity's table, and the number by which the control tables know it.
pub(super) const TABLES: [(&str, &str, i16); 4] = [
    ("deal", "crm_deals", 2),
    ("lead", "crm_leads", 1),
    ("contact", "crm_contacts", 3),
    ("company", "crm_companies", 4),
];

/// How the processes fared, and what was lost on the way.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) well: usize,
    pub(super) failed: usize,
    pub(super) killed: usize,
    pub(super) answers_lost: usize,
    /// Runs that ended without a word of their process.
    pub(super) interrupted: usize,
    /// Runs that another process had begun.
    pub(super) resumed: usize,
    /// Processes that lost their lease to another one.
    pub(super) overtaken: usize,
}

impl Tally {
    pub(super) fn add(&mut self, other: Tally) {
        self.well += other.well;
        self.failed += other.failed;
        self.killed += other.killed;
        self.answers_lost += other.answers_lost;
        self.interrupted += other.interrupted;
        self.resumed += other.resumed;
        self.overtaken += other.overtaken;
    }

    /// A nemesis that hurts nobody proves nothing.
    pub(super) fn has_hurt(self) -> bool {
        // The other counts depend on how fast the machine is.
        [self.well, self.failed, self.killed, self.answers_lost].iter().all(|count| *count > 0)
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) history: History,
    pub(super) tally: Tally,
    /// Rows that were there after the last round.
    rows: BTreeMap<&'static str, BTreeSet<i64>>,
    /// Watermarks after the last round, in microseconds.
    watermarks: BTreeMap<i16, i64>,
    /// When the stored versions were modified, in microseconds.
    modified: BTreeMap<(i16, i64), i64>,
}

impl Known {
    /// Looks at what the processes of a round said, and at what they did.
    pub(super) async fn look(&mut self, arena: &Arena<'_>, ended: Vec<Ended>) {
        let client = arena.client().await;
        for process in &ended {
            match process.code {
                Some(0) => self.tally.well += 1,
                Some(_) => self.tally.failed += 1,
                None => self.tally.killed += 1,
            }
            if let Some(scope) = &process.overtaken {
                self.tally.overtaken += 1;
                let what = &process.what;
                assert_ne!(process.code, Some(0), "I8: `{what}` lost `{scope}` to another process and ended well");
            }
            self.tally.resumed += usize::from(process.stdout.contains("\"resumed\": true"));
        }
        if !exists(&client, "sync_logs").await {
            return;
        }
        for process in ended.iter().filter(|process| process.code == Some(0)) {
            believe(&client, process).await;
        }
        self.look_at_rows(&client).await;
        self.look_at_watermarks(&client).await;
        self.look_at_versions(&client).await;
    }

    /// I2: no row goes back to an older version. A modified time is never set back in these portals.
    async fn look_at_versions(&mut self, client: &Client) {
        let sql = "select entity, item_id, (extract(epoch from modified) * 1000000)::bigint from b24sync.item_state \
                   where modified is not null and deleted_at is null";
        for row in client.query(sql, &[]).await.unwrap() {
            let (entity, id, modified): (i16, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let before = self.modified.insert((entity, id), modified).unwrap_or(i64::MIN);
            assert!(before <= modified, "I2: record {id} of {entity} went back from {before} to {modified}");
        }
    }

    /// What an incremental sync alone must have made equal: everything but records that are gone, and those that came
    /// back without a newer modified time or a new id.
    fn owed_by_incremental(&self, difference: &str) -> bool {
        let mut words = difference.split([' ', ':']);
        let table = words.next();
        let (entity, ..) = TABLES.iter().find(|(_, name, _)| table == Some(name)).unwrap();
        let Some(Ok(id)) = words.next().map(str::parse) else { return true };
        let record = (*entity, id);
        !self.history.deleted.contains(&record) && !self.history.hidden.contains(&record)
    }

    /// What an incremental sync and a sweep must have made equal.
    fn owed_by_sweep(&self, difference: &str) -> bool {
        let mut words = difference.split([' ', ':']);
        let table = words.next();
        let (entity, ..) = TABLES.iter().find(|(_, name, _)| table == Some(name)).unwrap();
        let Some(Ok(id)) = words.next().map(str::parse) else { return true };
        // A restored record comes back with an old time, and its row may have been there all along.
        !self.history.hidden.contains(&(*entity, id)) && !self.history.deleted.contains(&(*entity, id))
    }

    /// I4: only rows of records that were deleted at some time are gone.
    async fn look_at_rows(&mut self, client: &Client) {
        for (entity, table, _) in TABLES {
            if !exists(client, table).await {
                continue;
            }
            let rows = client.query(&format!("select bitrix_id::bigint from {table}"), &[]).await.unwrap();
            let rows: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
            let before = self.rows.entry(entity).or_default();
            let lost: Vec<_> =
                before.difference(&rows).filter(|id| !self.history.deleted.contains(&(entity, **id))).collect();
            assert!(lost.is_empty(), "I4: rows of {table} are gone whose records never were: {lost:?}");
            *before = rows;
        }
    }

    /// I6: watermarks only move forward.
    async fn look_at_watermarks(&mut self, client: &Client) {
        let sql = "select entity, (extract(epoch from watermark) * 1000000)::bigint from b24sync.entity_progress \
                   where watermark is not null";
        for row in client.query(sql, &[]).await.unwrap() {
            let (entity, watermark): (i16, i64) = (row.get(0), row.get(1));
            let before = self.watermarks.insert(entity, watermark).unwrap_or(i64::MIN);
            assert!(before <= watermark, "I6: the watermark of {entity} went back from {before} to {watermark}");
        }
    }
}

async fn exists(client: &Client, table: &str) -> bool {
    client.query_one("select to_regclass($1::text) is not null", &[&table]).await.unwrap().get(0)
}

/// I9: a run that a process calls completed is completed in the log too.
async fn believe(client: &Client, process: &Ended) {
    if !process.what.starts_with("sync") {
        return;
    }
    let summaries: Value = serde_json::from_str(&process.stdout).unwrap();
    for summary in summaries.as_array().unwrap() {
        let query = "select status from sync_logs where id = $1::bigint::int";
        let row = client.query_one(query, &[&summary["run_id"].as_i64().unwrap()]).await.unwrap();
        let what = &process.what;
        assert_eq!(row.get::<_, Option<String>>(0).as_deref(), summary["status"].as_str(), "I9: `{what}`: {summary}");
    }
}

/// Whether one of the runs that a sync tells of had begun earlier.
fn went_on(sync: &Ended) -> bool {
    let summaries: Value = serde_json::from_str(&sync.stdout).unwrap();
    summaries.as_array().unwrap().iter().any(|summary| summary["resumed"] == true)
}

/// Syncs everything, in passes that begin now: one that goes on began before the portal stopped changing.
async fn anew(plan: &Plan, arena: &mut Arena<'_>, how: &str) -> Ended {
    let mut sync = arena.run(&["sync", "--all", how]).await;
    if sync.code != Some(0) && plan.deletes_many() && sync.stderr.contains("--confirm-deletes") {
        let run = sync.stderr.split("run ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        arena.run(&["sync", "deal", "--confirm-deletes", &run]).await.expect_success();
        sync = arena.run(&["sync", "--all", how]).await;
    }
    let sync = sync.expect_success();
    if went_on(&sync) { arena.run(&["sync", "--all", how]).await.expect_success() } else { sync }
}

/// The other half of the promise: after one incremental sync and one sweep nothing differs, but for what was edited
/// while it was hidden.
async fn swept(plan: &Plan, arena: &mut Arena<'_>, known: &Known) -> Ended {
    let sweep = anew(plan, arena, "--sweep").await;
    let found = differences(arena.portal(), &arena.client().await, plan.dialect).await;
    let owed: Vec<_> = found.iter().filter(|difference| known.owed_by_sweep(difference)).collect();
    let shown = &owed[..owed.len().min(10)];
    assert!(owed.is_empty(), "I1: incremental sync and sweep missed {}: {shown:#?}", owed.len());
    sweep
}

/// I1: when all is well again, one incremental sync and one full one make portal and tables equal.
pub(super) async fn nothing_differs(plan: &Plan, arena: &mut Arena<'_>, mut known: Known) -> Tally {
    arena.heal().await;
    let incremental = anew(plan, arena, "--incremental").await;
    let found = differences(arena.portal(), &arena.client().await, plan.dialect).await;
    let owed: Vec<_> = found.iter().filter(|difference| known.owed_by_incremental(difference)).collect();
    assert!(owed.is_empty(), "I1, I6: the incremental sync missed {}: {:#?}", owed.len(), &owed[..owed.len().min(10)]);
    let mut syncs = vec![incremental];
    // Many deletions wait for a word, and only a full run can be given it.
    if !plan.deletes_many() {
        syncs.push(swept(plan, arena, &known).await);
    }
    syncs.push(anew(plan, arena, "--full").await);
    known.look(arena, syncs).await;
    let verify = arena.start(&["verify".to_owned(), "--all".to_owned()]);
    let client = arena.client().await;
    let found = differences(arena.portal(), &client, plan.dialect).await;
    let verified = verify.ended().await;
    let shown = &found[..found.len().min(10)];
    assert!(found.is_empty(), "I1: {} differences: {shown:#?}\nverify: {}", found.len(), verified.stdout);
    verified.expect_success();
    let open = "select string_agg(to_jsonb(l)::text, E'\\n') from sync_logs l \
                where completed_at is null or status in ('running', 'queued')";
    let open: Option<String> = client.query_one(open, &[]).await.unwrap().get(0);
    assert_eq!(open, None, "I9: the log has runs without an end");
    for (_, table, entity) in TABLES {
        let sql = format!(
            "select count(*) from (select item_id from b24sync.item_state where entity = $1 and deleted_at is null) s \
             full join {table} t on t.bitrix_id = s.item_id::text where t.bitrix_id is null or s.item_id is null"
        );
        let odd: i64 = client.query_one(&sql, &[&entity]).await.unwrap().get(0);
        assert_eq!(odd, 0, "{table} and what is remembered of its rows differ");
    }
    let interrupted = "select count(*) from sync_logs where status = 'interrupted'";
    let interrupted: i64 = client.query_one(interrupted, &[]).await.unwrap().get(0);
    known.tally.interrupted = usize::try_from(interrupted).unwrap();
    known.tally.answers_lost = arena.way_to_database.lost() + arena.way_to_portal.lost();
    known.tally
}
