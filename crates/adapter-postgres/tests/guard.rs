//! CORRECTNESS 4.1 on a real database.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::*;

const TITLE: &[(&str, &str)] = &[("TITLE", "string")];

#[tokio::test]
async fn a_later_read_wins_and_a_stale_one_is_refused() {
    let running = Running::with(TITLE).await;
    let stale = running.world.token().await;
    running.read_and_commit(&[(1, None, &["\"new\""])]).await;
    let commit = running.commit(stale, &[(1, None, &["\"old\""])]).await;
    assert_eq!((commit.written, commit.unchanged, commit.contested), (0, 0, vec![]));
    assert_eq!(running.world.ask("select title from crm_deals").await.unwrap(), "new");
    running.read_and_commit(&[(1, None, &["\"newer\""])]).await;
    assert_eq!(running.world.ask("select title from crm_deals").await.unwrap(), "newer");
}

#[tokio::test]
async fn overlapping_reads_do_not_step_back_and_are_contested() {
    let running = Running::with(TITLE).await;
    let first = running.world.token().await;
    let second = running.world.token().await;
    running.commit(first, &[(1, Some("2026-01-02T00:00:00Z"), &["\"later\""])]).await;
    // The second read began before the first one was stored, and saw an older modification.
    let commit = running.commit(second, &[(1, Some("2026-01-01T00:00:00Z"), &["\"earlier\""])]).await;
    assert_eq!((commit.written, commit.contested), (0, vec![id(1)]));
    assert_eq!(running.world.ask("select title from crm_deals").await.unwrap(), "later");
    // What is read after that decides, whatever its time says.
    let commit = running.read_and_commit(&[(1, Some("2026-01-01T00:00:00Z"), &["\"restored\""])]).await;
    assert_eq!((commit.written, commit.contested.len()), (1, 0));
}

#[tokio::test]
async fn equal_content_writes_no_row_version() {
    let running = Running::with(TITLE).await;
    let records: &[Record<'_>] = &[(1, None, &["\"a\""]), (2, None, &["\"b\""]), (3, None, &["\"c\""])];
    running.read_and_commit(records).await;
    let versions = "select bitrix_id, ctid, xmin, updated_at from crm_deals order by 1";
    let before = running.world.rows(versions).await;
    let commit = running.read_and_commit(records).await;
    assert_eq!((commit.written, commit.unchanged), (0, 3));
    assert_eq!(running.world.rows(versions).await, before);
    let changed: &[Record<'_>] = &[(1, None, &["\"a\""]), (2, None, &["\"B\""]), (3, None, &["\"c\""])];
    let commit = running.read_and_commit(changed).await;
    assert_eq!((commit.written, commit.unchanged), (1, 2));
    let after = running.world.rows(versions).await;
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_ne!(after[1], before[1]);
    // The guard row has moved all the same.
    assert_eq!(running.world.ask("select count(distinct read_seq) from b24sync.item_state").await.unwrap(), "1");
}

#[tokio::test]
async fn a_batch_that_is_committed_twice_counts_once() {
    let running = Running::with(TITLE).await;
    let read = running.world.token().await;
    let records: &[Record<'_>] = &[(1, None, &["\"a\""]), (2, None, &["\"b\""])];
    let first = running.commit(read, records).await;
    let second = running.commit(read, records).await;
    assert_eq!((first.written, second.written, second.contested.len()), (2, 0, 0));
    let progress =
        "select r.cursor, r.processed, l.records_processed from b24sync.runs r join sync_logs l on l.id = r.run_id";
    assert_eq!(running.world.rows(progress).await, ["2|2|2"]);
}

#[tokio::test]
async fn rows_that_somebody_removed_come_back() {
    let running = Running::with(TITLE).await;
    let records: &[Record<'_>] = &[(1, None, &["\"a\""]), (2, None, &["\"b\""])];
    running.read_and_commit(records).await;
    running.world.run_sql("delete from crm_deals where bitrix_id = '2'").await;
    let commit = running.read_and_commit(records).await;
    assert_eq!((commit.written, commit.unchanged), (1, 1));
    running.world.run_sql("truncate crm_deals").await;
    assert_eq!(running.read_and_commit(records).await.written, 2);
    assert_eq!(running.world.rows("select bitrix_id, title from crm_deals order by 1").await, ["1|a", "2|b"]);
}

/// One read of record 1: when it begins and when it is stored are two events in a shuffled order.
#[derive(Debug, Clone)]
struct Read {
    begun: usize,
    stored: usize,
}

/// Any order in which `count` reads may begin and be stored, each beginning before it is stored.
fn interleavings(count: usize) -> impl Strategy<Value = Vec<Read>> {
    let events: Vec<usize> = (0..count * 2).map(|event| event / 2).collect();
    Just(events).prop_shuffle().prop_map(move |events| {
        (0..count)
            .map(|read| {
                let mut places = events.iter().enumerate().filter(|(_, of)| **of == read).map(|(place, _)| place);
                Read { begun: places.next().unwrap(), stored: places.next().unwrap() }
            })
            .collect()
    })
}

/// Plays one order against the database: the portal changes before every event, a read sees what is there when it
/// begins, and what is contested is read again at the end. Returns what is stored and what should be.
async fn play(running: &Running, record: i64, reads: &[Read]) -> (String, String) {
    let mut begun = HashMap::new();
    let mut contested = false;
    let last = reads.len() * 2;
    for event in 0..last {
        if let Some((number, _)) = reads.iter().enumerate().find(|(_, read)| read.begun == event) {
            begun.insert(number, (running.world.token().await, event));
        }
        if let Some((number, _)) = reads.iter().enumerate().find(|(_, read)| read.stored == event) {
            let (token, seen) = begun[&number];
            contested |= store(running, record, token, seen).await;
        }
    }
    // The portal has not changed since the last read began; a contested record is read again, as the use case does.
    let newest = reads.iter().map(|read| read.begun).max().unwrap();
    if contested {
        let token = running.world.token().await;
        store(running, record, token, newest).await;
    }
    let query = format!("select title from crm_deals where bitrix_id = '{record}'");
    (running.world.ask(&query).await.unwrap(), format!("v{newest}"))
}

async fn store(running: &Running, record: i64, token: b24sync_domain::record::ReadToken, version: usize) -> bool {
    // Several versions share a second, as in the portal.
    let modified = format!("2026-01-01T00:00:{:02}Z", version / 3);
    let title = format!("\"v{version}\"");
    !running.commit(token, &[(record, Some(&modified), &[&title])]).await.contested.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_interleaving_of_reads_ends_with_the_latest() {
    let running = Running::with(TITLE).await;
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() });
    let record = std::sync::atomic::AtomicI64::new(1);
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&(2_usize..6).prop_flat_map(interleavings), |reads| {
            let record = record.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (stored, expected) = handle.block_on(play(&running, record, &reads));
            prop_assert_eq!(stored, expected);
            Ok(())
        })
    });
    outcome.unwrap();
}
