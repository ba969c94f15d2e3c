//! I10, I11: changes of fields reach the records that were stored before.

use b24sync_domain::ports::DriftStore;
use b24sync_domain::run::RunKind;
use b24sync_testkit::build::{deal, field};

use crate::stage::Stage;

/// A portal whose clock is far beyond its records' last changes, so that the overlap shows none of them.
fn quiet(deals: i64) -> Stage {
    let stage = Stage::new(deals);
    stage.portal.set_clock(100_000);
    stage
}

#[tokio::test]
async fn values_of_a_new_field_reach_stored_records_with_the_next_incremental_sync() {
    let stage = quiet(500);
    stage.sync().await.unwrap();
    stage.portal.add_field(field("UF_NEW", "string"));
    // Without a change of their modified times, as when somebody fills a field in an import.
    for id in [3, 300, 1_500] {
        stage.portal.set_quietly(id, "UF_NEW", "\"x\"");
    }
    let summary = stage.incremental().await;
    assert_eq!((summary.kind, summary.written), (RunKind::Incremental, 3));
    for id in [3, 300, 1_500] {
        assert_eq!(stage.cell(id, "uf_new").as_deref(), Some("x"));
    }
    assert!(stage.store.pending(deal()).await.unwrap().is_empty());
    let requests = stage.portal.requests();
    assert_eq!(stage.incremental().await.written, 0);
    assert_eq!(stage.portal.requests(), requests + 1, "nothing is read for the field's sake any more");
}

#[tokio::test]
async fn a_fill_that_was_interrupted_goes_on_where_it_stopped() {
    let stage = quiet(500);
    stage.sync().await.unwrap();
    stage.portal.add_field(field("UF_NEW", "string"));
    stage.portal.set_quietly(1_500, "UF_NEW", "\"x\"");
    // The listing of news, two narrow pages, then a failure.
    let broken = || b24sync_domain::error::SourceError::Unavailable { method: "list".to_owned(), source: "cut".into() };
    stage.portal.fail_next([None, None, None, Some(broken())]);
    stage.try_incremental().await.unwrap_err();
    let pending = stage.store.pending(deal()).await.unwrap();
    assert_eq!(pending.iter().map(|pending| pending.cursor.get()).collect::<Vec<_>>(), [600]);
    stage.incremental().await;
    assert_eq!(stage.cell(1_500, "uf_new").as_deref(), Some("x"));
}

#[tokio::test]
async fn a_field_that_means_something_else_makes_every_record_be_read_and_written_again() {
    let stage = quiet(120);
    stage.portal.add_field(field("UF_A", "string"));
    stage.portal.set_quietly(3, "UF_A", "\"old\"");
    stage.sync().await.unwrap();
    stage.portal.remove_field("UF_A");
    let summary = stage.incremental().await;
    assert_eq!((summary.kind, summary.written), (RunKind::Full, 1), "only the record that had a value differs");
    assert_eq!(stage.incremental().await.kind, RunKind::Incremental);
    // It comes back as another one, and nobody has filled it.
    stage.portal.forget_values("UF_A");
    stage.portal.add_field(field("UF_A", "integer"));
    let summary = stage.incremental().await;
    assert_eq!((summary.kind, summary.written), (RunKind::Full, 120));
    assert_eq!(stage.cell(3, "uf_a"), None, "the old value is nobody's");
    let mut multiple = field("UF_A", "integer");
    multiple.multiple = true;
    stage.portal.remove_field("UF_A");
    stage.portal.add_field(multiple);
    stage.portal.set_quietly(6, "UF_A", "[1, 2]");
    assert_eq!(stage.incremental().await.kind, RunKind::Full);
    assert_eq!(stage.cell(6, "uf_a").as_deref(), Some("[1, 2]"));
}

#[tokio::test]
async fn a_new_label_makes_nothing_be_read() {
    let stage = quiet(60);
    stage.sync().await.unwrap();
    let mut renamed = field("TITLE", "string");
    renamed.label = Some("another".to_owned());
    stage.portal.remove_field("TITLE");
    stage.portal.add_field(renamed);
    let requests = stage.portal.requests();
    assert_eq!(stage.incremental().await.written, 0);
    assert_eq!(stage.portal.requests(), requests + 1);
}

#[tokio::test]
async fn a_resumed_full_run_reads_again_what_it_read_without_a_field() {
    let stage = quiet(400);
    let broken = || b24sync_domain::error::SourceError::Unavailable { method: "list".to_owned(), source: "cut".into() };
    stage.portal.fail_next([None, None, Some(broken())]);
    stage.sync().await.unwrap_err();
    stage.portal.add_field(field("UF_NEW", "string"));
    stage.portal.set_quietly(3, "UF_NEW", "\"x\"");
    // A process that makes the column and dies before it does anything else.
    b24sync_application::schema::ensure(&stage.ports(), deal(), b24sync_domain::mapping::TimestampStyle::Timestamp)
        .await
        .unwrap();
    stage.sync().await.unwrap();
    assert_eq!(stage.cell(3, "uf_new").as_deref(), Some("x"));
    assert!(stage.store.pending(deal()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_resumed_run_that_began_with_the_field_does_not_begin_again() {
    let stage = quiet(400);
    stage.sync().await.unwrap();
    stage.portal.add_field(field("UF_NEW", "string"));
    let broken = || b24sync_domain::error::SourceError::Unavailable { method: "list".to_owned(), source: "cut".into() };
    stage.portal.fail_next([None, None, Some(broken())]);
    stage.sync().await.unwrap_err();
    let requests = stage.portal.requests();
    assert!(stage.sync().await.unwrap().resumed);
    assert_eq!(stage.portal.requests() - requests, 3, "two listings that were left, and the empty one");
}

#[tokio::test]
async fn a_field_that_is_retyped_in_the_middle_of_a_pass_loses_nothing() {
    let stage = quiet(300);
    stage.portal.add_field(field("UF_A", "integer"));
    for id in [3, 600, 900] {
        stage.portal.set_quietly(id, "UF_A", "\"5\"");
    }
    let portal = stage.portal.clone();
    stage.portal.on_list(move |request| {
        if request == 2 {
            portal.remove_field("UF_A");
            portal.add_field(field("UF_A", "string"));
            portal.set_quietly(900, "UF_A", "\"five\"");
        }
    });
    stage.sync().await.unwrap();
    assert_eq!(stage.incremental().await.kind, RunKind::Full);
    assert_eq!(stage.cell(900, "uf_a").as_deref(), Some("five"));
    assert_eq!(stage.cell(3, "uf_a").as_deref(), Some("5"));
}
