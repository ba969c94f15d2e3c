use b24sync_domain::record::Layout;

use super::*;
use crate::budget::Resets;
use crate::config::Dialect;
use crate::dialect::EntityDialect;
use crate::failure::Class;
use crate::samples::{metadata, sample};

const LIST: &str = "crm.deal.list";

/// What counts of a sample in which `commands` commands were asked for.
fn used(text: String, asked: usize) -> (Result<Usable, Failure>, Vec<b24sync_domain::ports::BudgetReport>) {
    let dialect = EntityDialect::of(Dialect::Classic, "deal".parse().unwrap());
    let metadata = metadata(&dialect, "crm.deal.fields.json", None);
    let layout = Layout::new(Vec::new());
    let slots = Slots::new(&dialect, &metadata, &layout);
    let answer = Answer { status: 200, text, token: None, sent_at: None };
    let resets = Resets::default();
    let mut budget = Budget::new(&resets);
    let usable = open(&answer, LIST, &slots, &mut budget)
        .and_then(|opened| usable(&opened, LIST, asked, Cursor::START, &budget));
    (usable, budget.into_reports(asked))
}

/// An answer with these pages of ids, and these errors.
fn answer(pages: &[(&str, std::ops::Range<i64>)], errors: &str) -> String {
    let page = |(name, ids): &(&str, std::ops::Range<i64>)| {
        let rows: Vec<String> = ids.clone().map(|id| format!(r#"{{"ID":"{id}"}}"#)).collect();
        format!(r#""{name}":[{}]"#, rows.join(","))
    };
    let pages: Vec<String> = pages.iter().map(page).collect();
    let time = r#""time":{"date_start":"2024-09-10T23:26:40+03:00"}"#;
    format!(r#"{{"result":{{"result":{{{}}},"result_error":{errors}}},{time}}}"#, pages.join(","))
}

#[test]
fn the_three_outcomes_of_a_short_page_give_the_same_records() {
    for outcome in ["restart", "empty", "halted"] {
        let (usable, _) = used(sample(&format!("batch.keyset-chain.short-page.{outcome}.json")), 4);
        let expected = Usable { rows: 62, pages: 2, exhausted: false, short_end: Some(Cursor::after(62)) };
        assert_eq!(usable.unwrap(), expected, "{outcome}");
    }
}

#[test]
fn only_an_empty_page_after_a_full_one_proves_the_end() {
    let (usable, _) = used(answer(&[("p00", 1..51), ("p01", 0..0), ("p02", 1..51)], "[]"), 3);
    assert_eq!(usable.unwrap(), Usable { rows: 50, pages: 1, exhausted: true, short_end: None });
    let (usable, _) = used(answer(&[("p00", 0..0)], "[]"), 1);
    assert!(usable.unwrap().exhausted);
    let (usable, _) = used(answer(&[("p00", 1..50), ("p01", 0..0)], "[]"), 2);
    assert!(!usable.unwrap().exhausted);
    let (usable, _) = used(answer(&[("p00", 1..51), ("p01", 51..101)], "[]"), 2);
    assert_eq!(usable.unwrap(), Usable { rows: 100, pages: 2, exhausted: false, short_end: None });
}

#[test]
fn what_stops_a_listing_later_keeps_the_pages_before_it() {
    let fine = ("p00", 1..51);
    for (second, errors) in [
        (vec![("p01", 1..51)], "[]"),
        (vec![("p01", 51..120)], "[]"),
        (vec![], "[]"),
        (vec![], r#"{"p01":{"error":"INVALID_ARG_VALUE","error_description":"x"}}"#),
    ] {
        let pages: Vec<_> = std::iter::once(fine.clone()).chain(second).collect();
        let (usable, _) = used(answer(&pages, errors), 2);
        assert_eq!(usable.unwrap(), Usable { rows: 50, pages: 1, exhausted: false, short_end: None }, "{errors}");
    }
}

#[test]
fn what_stops_it_at_once_is_the_failure() {
    let failure = |pages: &[(&str, std::ops::Range<i64>)], errors: &str| used(answer(pages, errors), 2).0.unwrap_err();
    let refused = failure(&[], r#"{"p00":{"error":"insufficient_scope","error_description":""}}"#);
    assert!(matches!(refused.error, SourceError::MissingScope { .. }) && refused.class == Class::Final);
    let missing = failure(&[], "[]");
    assert!(matches!(missing.error, SourceError::Malformed { .. }) && missing.class == Class::Fault);
    let long = failure(&[("p00", 1..60)], "[]");
    assert!(matches!(long.error, SourceError::Page { .. }) && long.class == Class::Fault);
    let other = failure(&[("p01", 1..51)], "[]");
    assert!(matches!(other.error, SourceError::Malformed { .. }));
}

#[test]
fn a_limit_inside_a_batch_is_reported_even_after_a_short_page() {
    let text = sample("batch.partial.limit-error.json").replace("\"c0\"", "\"p00\"").replace("\"c1\"", "\"p01\"");
    let (usable, reports) = used(text, 2);
    assert_eq!(usable.unwrap().rows, 2);
    let report = reports.iter().find(|report| report.method == LIST).unwrap();
    assert!(report.method_refused && report.resets_in.is_some());
}

#[test]
fn a_time_is_found_wherever_it_is() {
    for time in
        [r#""time":{"start":1726000000.5}"#, r#""time":{"date_start":"2024-09-10T23:26:40+03:00"}"#, r#""time":[]"#]
    {
        let inner = if time.ends_with("[]") { r#","result_time":{"p00":{"start":1726000000}}"# } else { "" };
        let text = format!(r#"{{"result":{{"result":{{"p00":[]}}{inner}}},{time}}}"#);
        assert!(used(text, 1).0.is_ok(), "{time}");
    }
    let (lost, _) = used(r#"{"result":{"result":{"p00":[]}}}"#.to_owned(), 1);
    assert!(matches!(lost.unwrap_err().error, SourceError::Malformed { .. }));
}
