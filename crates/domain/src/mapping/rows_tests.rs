use std::collections::HashSet as Set;

use super::*;
use crate::field::{FieldDescription, FieldName};
use crate::mapping::TimestampStyle;
use crate::mapping::schema::{KnownTable, SchemaPlan, plan};
use crate::record::RecordBatchBuilder;

fn description(name: &str, type_name: &str) -> FieldDescription {
    FieldDescription {
        name: FieldName::new(name),
        type_name: type_name.to_owned(),
        kind: FieldKind::of(type_name),
        multiple: false,
        label: None,
        options: Vec::new(),
    }
}

fn schema(fields: &[(&str, &str)]) -> SchemaPlan {
    let described: Vec<_> = fields.iter().map(|(name, kind)| description(name, kind)).collect();
    plan("deal".parse().unwrap(), &described, &KnownTable::default(), TimestampStyle::Timestamp).unwrap()
}

/// One batch; values in the layout's (alphabetical) order.
fn batch(mapping: &TableMapping, records: &[(i64, &[&str])], strays: &[(&str, &str)]) -> RecordBatch {
    let moscow = FixedOffset::east_opt(3 * 3600).unwrap();
    let mut builder = RecordBatchBuilder::new(
        mapping.entity,
        std::sync::Arc::clone(&mapping.layout),
        ReadToken(7),
        DateTime::UNIX_EPOCH.with_timezone(&moscow),
        String::new(),
    );
    for (id, values) in records {
        builder.begin(RecordId::new(*id).unwrap(), None);
        for (position, value) in values.iter().enumerate() {
            builder.set_derived(position, value);
        }
        for (name, value) in strays {
            let start = builder.end();
            builder.set_derived(usize::MAX, value);
            builder.stray(name, start..start + value.len());
        }
    }
    builder.finish(false)
}

#[test]
fn one_bad_value_rejects_its_record_alone() {
    let plan = schema(&[("AMOUNT", "double"), ("TITLE", "string")]);
    let batch = batch(&plan.mapping, &[(1, &["\"1.5\"", "\"a\""]), (2, &["\"abc\"", "\"b\""])], &[]);
    let mapped = map(&plan.mapping, &batch).unwrap();
    assert_eq!(mapped.rows.ids.len(), 1);
    assert_eq!(
        mapped.rejected,
        [Rejection {
            id: RecordId::new(2).unwrap(),
            field: Some("AMOUNT".to_owned()),
            reason: "not a number".to_owned(),
            excerpt: Some("\"abc\"".to_owned()),
        }]
    );
    assert!(mapped.rows.columns.iter().all(|column| column.data.len() == 1));
}

#[test]
fn a_file_that_is_refused_leaves_no_trace_of_its_link() {
    let plan = schema(&[("DOC", "file")]);
    let batch = batch(&plan.mapping, &[(1, &[r#"{"url":"https://p/?auth=SECRET"}"#])], &[]);
    let mapped = map(&plan.mapping, &batch).unwrap();
    assert_eq!(mapped.rejected[0].excerpt, None);
}

#[test]
fn a_value_that_is_too_wide_asks_for_a_wider_column() {
    let plan = schema(&[("AMOUNT", "integer")]);
    let batch = batch(&plan.mapping, &[(1, &["\"3000000000\""]), (2, &["\"1.5\""])], &[]);
    let needs = map(&plan.mapping, &batch).unwrap_err();
    let widening = Widening { column: ColumnName::existing("amount"), to: ColumnType::Numeric };
    assert_eq!(needs, [SchemaNeed::Widen(widening)]);
    let plan = plan.with_needs(&needs);
    assert_eq!(map(&plan.mapping, &batch).unwrap().rows.len(), 2);
}

#[test]
fn a_pinned_column_refuses_what_it_cannot_hold() {
    let mut plan = schema(&[("AMOUNT", "integer")]);
    plan.mapping.pin(&ColumnName::existing("amount"), ColumnType::Integer);
    let batch = batch(&plan.mapping, &[(1, &["3000000000"])], &[]);
    let mapped = map(&plan.mapping, &batch).unwrap();
    assert_eq!(mapped.rejected[0].reason, "needs bigint, but the column `amount` is integer and could not be widened");
}

#[test]
fn values_that_nobody_described_go_to_the_overflow_column() {
    let plan = schema(&[("TITLE", "string")]);
    let strays = [("NEW", "\"x\""), ("EMPTY", "[]")];
    let batch = batch(&plan.mapping, &[(1, &["\"a\""])], &strays);
    assert_eq!(map(&plan.mapping, &batch).unwrap_err(), [SchemaNeed::Overflow]);
    let plan = plan.with_needs(&[SchemaNeed::Overflow]);
    let mapped = map(&plan.mapping, &batch).unwrap();
    let overflow = mapped.rows.columns.last().unwrap();
    assert_eq!(overflow.name.as_str(), "_extra");
    let ColumnData::Texts(texts) = &overflow.data else { panic!("JSON travels as text") };
    assert_eq!(texts.iter().collect::<Vec<_>>(), [Some(r#"{"NEW": "x"}"#)]);
}

#[test]
fn the_hash_ignores_how_emptiness_is_spelled_and_new_empty_columns() {
    let narrow = schema(&[("TITLE", "string")]);
    let wide = schema(&[("AMOUNT", "double"), ("TITLE", "string")]);
    let hash = |plan: &SchemaPlan, values: &[&str]| {
        map(&plan.mapping, &batch(&plan.mapping, &[(1, values)], &[])).unwrap().rows.hashes[0]
    };
    let expected = hash(&narrow, &["\"a\""]);
    for empty in ["null", "\"\"", "[]", "false"] {
        assert_eq!(hash(&wide, &[empty, "\"a\""]), expected, "{empty}");
    }
    let different: Set<_> = ["\"a\"", "\"b\"", "\"\""].iter().map(|title| hash(&narrow, &[title])).collect();
    assert_eq!(different.len(), 3);
}

#[test]
fn widening_changes_no_hash() {
    let plan = schema(&[("AMOUNT", "integer")]);
    let wider = plan
        .clone()
        .with_needs(&[SchemaNeed::Widen(Widening { column: ColumnName::existing("amount"), to: ColumnType::Numeric })]);
    let hash =
        |plan: &SchemaPlan| map(&plan.mapping, &batch(&plan.mapping, &[(1, &["\"5\""])], &[])).unwrap().rows.hashes[0];
    assert_eq!(hash(&plan), hash(&wider));
}

/// The answer's hash of one record.
fn answer(plan: &SchemaPlan, values: &[&str], strays: &[(&str, &str)]) -> AnswerHash {
    map(&plan.mapping, &batch(&plan.mapping, &[(1, values)], strays)).unwrap().rows.answers[0]
}

#[test]
fn a_record_that_was_answered_as_before_is_not_converted() {
    let plan = schema(&[("AMOUNT", "double"), ("TITLE", "string")]);
    let known = HashMap::from([(RecordId::new(1).unwrap(), answer(&plan, &["\"1.5\"", "\"a\""], &[]))]);
    let batch = batch(&plan.mapping, &[(1, &["\"1.5\"", "\"a\""]), (2, &["\"1.5\"", "\"a\""])], &[]);
    let mapped = map_unless_same(&plan.mapping, &batch, &known).unwrap();
    assert_eq!(mapped.same.iter().map(|(id, _)| id.get()).collect::<Vec<_>>(), [1]);
    assert_eq!((mapped.rows.ids.len(), mapped.rows.columns[0].data.len()), (1, 1));
}

#[test]
fn a_batch_is_mapped_in_parts_of_so_many_rows_however_many_records_are_the_same() {
    let plan = schema(&[("AMOUNT", "double"), ("TITLE", "string")]);
    let same = answer(&plan, &["1", "\"same\""], &[]);
    let known: HashMap<_, _> = [2, 3, 5, 7].map(|id| (RecordId::new(id).unwrap(), same)).into();
    let title = |id: i64| if [2, 3, 5].contains(&id) { "\"same\"" } else { "\"other\"" };
    let records: Vec<_> = (1..=8).map(|id| (id, ["1", title(id)])).collect();
    let records: Vec<_> = records.iter().map(|(id, values)| (*id, &values[..])).collect();
    let batch = batch(&plan.mapping, &records, &[]);
    let ids = |mapped: &MappedBatch| mapped.rows.ids.iter().map(|id| id.get()).collect::<Vec<_>>();
    let (mut first, mut parts) = (0, Vec::new());
    while first < batch.len() {
        let (end, mapped) = map_some(&plan.mapping, &batch, first, &known, 2);
        let mapped = mapped.unwrap();
        let part = batch.part(first..end);
        assert_eq!(map_unless_same(&plan.mapping, &part, &known).unwrap(), mapped);
        parts.push((end, ids(&mapped), mapped.same.len()));
        first = end;
    }
    assert_eq!(parts, [(4, vec![1, 4], 2), (7, vec![6, 7], 1), (8, vec![8], 0)]);
    let (end, nothing) = map_some(&plan.mapping, &batch.part(0..0), 0, &known, 2);
    assert_eq!((end, ids(&nothing.unwrap())), (0, Vec::new()));
}

#[test]
fn answers_differ_where_rows_might() {
    let plan = schema(&[("AMOUNT", "double"), ("TITLE", "string")]);
    let base = answer(&plan, &["1", "\"a\""], &[]);
    assert_eq!(answer(&plan, &["1", "\"a\""], &[]), base);
    let others = [
        answer(&plan, &["1", "\"b\""], &[]),
        answer(&plan, &["1"], &[]),
        // A value may not pass for that of its neighbour.
        answer(&plan, &["null", "1"], &[]),
        answer(&schema(&[("AMOUNT", "integer"), ("TITLE", "string")]), &["1", "\"a\""], &[]),
    ];
    assert!(others.iter().all(|other| *other != base), "{others:?}");
    let file = schema(&[("FILE", "file")]);
    let link = |id: u32, token: &str| format!(r#"{{"id":{id},"url":"https://portal/rest/1/{token}"}}"#);
    let first = answer(&file, &[&link(7, "a")], &[]);
    assert_eq!(answer(&file, &[&link(7, "b")], &[]), first, "links change with every answer");
    assert_ne!(answer(&file, &[&link(8, "a")], &[]), first);
}

#[test]
fn values_under_unknown_names_are_part_of_the_answer() {
    let mut plan = schema(&[("TITLE", "string")]);
    plan.mapping.overflow = true;
    let known = answer(&plan, &["1"], &[("NEW", "1")]);
    for strays in [&[][..], &[("NEW", "2")], &[("OTHER", "1")]] {
        assert_ne!(answer(&plan, &["1"], strays), known, "{strays:?}");
    }
}
