//! One bad record never stops the others (I11).

use b24sync_domain::ports::{RunLog, StatusStore};
use b24sync_domain::progress::Watermark;
use b24sync_domain::run::RunStatus;

use crate::support::*;

const LIST: &str = "select item_id, field, reason, excerpt from b24sync.quarantine order by 1";

#[tokio::test]
async fn a_record_that_cannot_be_mapped_is_kept_with_the_reason_and_healed() {
    let running = Running::with(&[("AMOUNT", "double")]).await;
    let store = &running.world.store;
    let commit = running.read_and_commit(&[(1, None, &["\"abc\""]), (2, None, &["\"2.5\""])]).await;
    assert_eq!((commit.written, commit.refused.len()), (1, 0));
    assert_eq!(running.world.rows(LIST).await, ["1|AMOUNT|not a number|\"abc\""]);
    let listed = store.quarantine(Some(deal()), 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].rejection.id, listed[0].entity), (1, id(1), deal()));
    assert_eq!(running.world.ask("select quarantined from b24sync.runs").await.unwrap(), "1");
    assert_eq!(running.world.ask("select count(*) from b24sync.item_state where item_id = 1").await.unwrap(), "0");
    running.read_and_commit(&[(1, None, &["\"1\""])]).await;
    assert!(store.quarantine(None, 10).await.unwrap().is_empty());
    let status = store.complete(running.run.id, Watermark(at("2026-01-01T00:00:00Z")), &running.lease).await.unwrap();
    assert_eq!(status, RunStatus::Completed);
}

#[tokio::test]
async fn a_run_with_quarantine_says_so() {
    let running = Running::with(&[("AMOUNT", "double")]).await;
    running.read_and_commit(&[(1, None, &["\"abc\""])]).await;
    let store = &running.world.store;
    let status = store.complete(running.run.id, Watermark(at("2026-01-01T00:00:00Z")), &running.lease).await.unwrap();
    assert_eq!(status, RunStatus::CompletedWithQuarantine);
    assert_eq!(running.world.ask("select status from sync_logs").await.unwrap(), "completed_with_quarantine");
    // The next run did not put it there.
    let next = running.world.run(&running.lease).await;
    let status = store.complete(next.id, Watermark(at("2026-01-01T00:00:00Z")), &running.lease).await.unwrap();
    assert_eq!(status, RunStatus::Completed);
    assert_eq!(store.quarantine(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stale_read_neither_quarantines_nor_heals() {
    let running = Running::with(&[("AMOUNT", "double")]).await;
    let stale = running.world.token().await;
    running.read_and_commit(&[(1, None, &["\"1\""])]).await;
    running.commit(stale, &[(1, None, &["\"abc\""])]).await;
    assert!(running.world.rows(LIST).await.is_empty());
    // The other way round: the record was refused later than this read began.
    let stale = running.world.token().await;
    running.read_and_commit(&[(2, None, &["\"abc\""])]).await;
    running.commit(stale, &[(2, None, &["\"1\""])]).await;
    assert_eq!(running.world.rows(LIST).await, ["2|AMOUNT|not a number|\"abc\""]);
}

#[tokio::test]
async fn a_row_that_a_constraint_refuses_stands_alone_and_its_page_goes_on() {
    let running = Running::with(&[("AMOUNT", "double"), ("TITLE", "string")]).await;
    running.world.run_sql("alter table crm_deals add constraint small check (amount < 100)").await;
    running.world.run_sql("create unique index on crm_deals (title)").await;
    let rows: Vec<(i64, [String; 2])> = (1..=100)
        .map(|n| {
            let amount = if n == 40 || n == 77 { 500 } else { n % 100 };
            let title = if n == 90 { 1 } else { n };
            (n, [format!("\"{amount}\""), format!("\"t{title}\"")])
        })
        .collect();
    let values: Vec<(i64, [&str; 2])> = rows.iter().map(|(id, [a, b])| (*id, [a.as_str(), b.as_str()])).collect();
    let records: Vec<Record<'_>> = values.iter().map(|(id, cells)| (*id, None, cells.as_slice())).collect();
    let commit = running.read_and_commit(&records).await;
    let refused: Vec<i64> = commit.refused.iter().map(|refused| refused.id.get()).collect();
    assert_eq!((commit.written, refused), (97, vec![40, 77, 90]));
    assert!(commit.refused[0].reason.contains("small") && commit.refused[0].reason.contains("23514"), "{commit:?}");
    assert_eq!(running.world.ask("select count(*) from crm_deals").await.unwrap(), "97");
    assert_eq!(running.world.rows("select item_id from b24sync.quarantine order by 1").await, ["40", "77", "90"]);
    // What is remembered of a refused record has not moved: it is written as soon as it can be.
    assert_eq!(running.world.ask("select count(*) from b24sync.item_state").await.unwrap(), "97");
    running.world.run_sql("alter table crm_deals drop constraint small").await;
    let commit = running.read_and_commit(&records).await;
    assert_eq!((commit.written, commit.unchanged, commit.refused.len()), (2, 97, 1));
    assert_eq!(running.world.rows("select item_id from b24sync.quarantine").await, ["90"]);
    assert_eq!(running.world.rows("select processed, quarantined from b24sync.runs").await, ["100|1"]);
}

#[tokio::test]
async fn a_deferred_constraint_and_a_trigger_are_found_out_too() {
    let running = Running::with(&[("TITLE", "string")]).await;
    running
        .world
        .run_sql(
            "alter table crm_deals add constraint titles unique (title) deferrable initially deferred;
             create function stop() returns trigger language plpgsql as $$ begin
               if new.title = 'raise' then raise exception 'no such title'; end if;
               if new.title = 'swallow' then return null; end if;
               return new; end $$;
             create trigger stop before insert on crm_deals for each row execute function stop();",
        )
        .await;
    let records: &[Record<'_>] = &[
        (1, None, &["\"a\""]),
        (2, None, &["\"a\""]),
        (3, None, &["\"raise\""]),
        (4, None, &["\"swallow\""]),
        (5, None, &["\"b\""]),
    ];
    let commit = running.read_and_commit(records).await;
    let refused: Vec<i64> = commit.refused.iter().map(|refused| refused.id.get()).collect();
    assert_eq!((commit.written, refused), (2, vec![2, 3, 4]));
    assert!(commit.refused[1].reason.contains("no such title"));
}

#[tokio::test]
async fn a_row_that_is_too_big_stands_alone() {
    let names: Vec<String> = (0..500).map(|number| format!("UF_CRM_{number:04}")).collect();
    let list: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "string")).collect();
    let running = Running::with(&list).await;
    // What is left of a value in its row takes 18 bytes, wherever the rest is.
    let text = format!("\"{}\"", "x".repeat(30));
    let big: Vec<&str> = vec![text.as_str(); 500];
    let small: Vec<&str> = vec!["\"a\""; 500];
    let commit = running.read_and_commit(&[(1, None, &big), (2, None, &small)]).await;
    assert_eq!((commit.written, commit.refused.len()), (1, 1), "{:?}", commit.refused);
    assert!(commit.refused[0].reason.contains("54000"), "{:?}", commit.refused);
}
