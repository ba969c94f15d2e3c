use super::*;
use proptest::prelude::*;

fn moscow() -> FixedOffset {
    FixedOffset::east_opt(3 * 3600).unwrap()
}

fn one(kind: FieldKind, json: &str) -> Cell<'_> {
    convert(kind, false, json, moscow()).unwrap().cell
}

fn many(kind: FieldKind, json: &str) -> Option<String> {
    match convert(kind, true, json, moscow()).unwrap().cell {
        Cell::Null => None,
        Cell::Json(json) => Some(json.into_owned()),
        other => panic!("a list is JSON, not {other:?}"),
    }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn refusal(kind: FieldKind, json: &str) -> String {
    convert(kind, false, json, moscow()).unwrap_err().to_string()
}

const ALL_KINDS: [FieldKind; 18] = [
    FieldKind::Text,
    FieldKind::Integer,
    FieldKind::Double,
    FieldKind::Boolean,
    FieldKind::DateTime,
    FieldKind::Date,
    FieldKind::Enumeration,
    FieldKind::Status,
    FieldKind::Currency,
    FieldKind::Category,
    FieldKind::Reference,
    FieldKind::Money,
    FieldKind::Url,
    FieldKind::Address,
    FieldKind::File,
    FieldKind::Multifield,
    FieldKind::Object,
    FieldKind::Other,
];

#[test]
fn null_and_empty_lists_and_objects_are_null_in_every_kind() {
    for kind in ALL_KINDS {
        for json in ["null", "[]", "{}"] {
            assert_eq!(one(kind, json), Cell::Null, "{kind:?} {json}");
            assert_eq!(many(kind, json), None, "{kind:?} {json}");
        }
    }
}

#[test]
fn false_is_null_everywhere_but_in_booleans() {
    for kind in ALL_KINDS {
        let expected = if kind == FieldKind::Boolean { Cell::Boolean(false) } else { Cell::Null };
        assert_eq!(one(kind, "false"), expected, "{kind:?}");
        assert_eq!(many(kind, "false"), None, "{kind:?}");
    }
}

#[test]
fn an_empty_string_is_null_outside_text() {
    for kind in ALL_KINDS {
        let expected = if matches!(kind, FieldKind::Text | FieldKind::Other) { text("") } else { Cell::Null };
        assert_eq!(one(kind, "\"\""), expected, "{kind:?}");
    }
}

#[test]
fn text_is_kept_to_the_letter() {
    assert_eq!(one(FieldKind::Text, r#""  [B]x[/B]\r\n\"«ё»\" ""#), text("  [B]x[/B]\r\n\"«ё»\" "));
    assert_eq!(one(FieldKind::Text, r#""\ud83d\ude80""#), text("🚀"));
    assert_eq!(one(FieldKind::Text, "12.50"), text("12.50"));
}

#[test]
fn text_that_postgres_cannot_hold_is_refused() {
    assert_eq!(refusal(FieldKind::Text, r#""a\u0000b""#), "text contains U+0000, which PostgreSQL cannot store");
    assert_eq!(refusal(FieldKind::Text, r#""\ud800""#), "text contains a lone surrogate, which is no character");
    assert_eq!(refusal(FieldKind::Object, r#"{"a":"\u0000"}"#), ValueError::NulCharacter.to_string());
    assert_eq!(refusal(FieldKind::Object, r#"{"a":"\ud800"}"#), ValueError::LoneSurrogate.to_string());
}

#[test]
fn integers_come_as_numbers_or_strings_and_may_be_huge() {
    assert_eq!(one(FieldKind::Integer, "\"410\""), Cell::Integer(410));
    assert_eq!(one(FieldKind::Integer, "250"), Cell::Integer(250));
    assert_eq!(one(FieldKind::Integer, "\"0\""), Cell::Integer(0));
    assert_eq!(one(FieldKind::Integer, "\"-9223372036854775808\""), Cell::Integer(i64::MIN));
    assert_eq!(one(FieldKind::Integer, "9223372036854775808"), Cell::Decimal("9223372036854775808".into()));
    assert_eq!(one(FieldKind::Integer, "\"3.5\""), Cell::Decimal("3.5".into()));
    assert_eq!(refusal(FieldKind::Integer, "\"abc\""), "not a whole number");
    assert_eq!(refusal(FieldKind::Integer, "true"), "not a whole number");
}

#[test]
fn decimals_never_pass_through_floating_point() {
    assert_eq!(one(FieldKind::Double, "\"1000000.00\""), Cell::Decimal("1000000.00".into()));
    assert_eq!(one(FieldKind::Double, "0.1234567890123456789"), Cell::Decimal("0.1234567890123456789".into()));
    assert_eq!(one(FieldKind::Double, "1.0e+25"), Cell::Decimal("1.0e+25".into()));
    for bad in ["\"NaN\"", "\"1,5\"", "\"--1\"", "\".\"", "\"1e\"", "\"Infinity\""] {
        assert_eq!(refusal(FieldKind::Double, bad), "not a number", "{bad}");
    }
    assert_eq!(refusal(FieldKind::Double, "1e999999999999"), "number out of range");
}

#[test]
fn booleans_have_five_spellings() {
    for yes in ["true", "1", "\"1\"", "\"Y\"", "\"y\""] {
        assert_eq!(one(FieldKind::Boolean, yes), Cell::Boolean(true), "{yes}");
    }
    for no in ["false", "0", "\"0\"", "\"N\"", "\"n\""] {
        assert_eq!(one(FieldKind::Boolean, no), Cell::Boolean(false), "{no}");
    }
    assert_eq!(refusal(FieldKind::Boolean, "\"maybe\""), "not a yes or no");
    assert_eq!(refusal(FieldKind::Boolean, "2"), "not a yes or no");
}

#[test]
fn zero_is_no_reference_but_a_real_category() {
    assert_eq!(one(FieldKind::Reference, "0"), Cell::Null);
    assert_eq!(one(FieldKind::Reference, "\"0\""), Cell::Null);
    assert_eq!(one(FieldKind::Reference, "5"), text("5"));
    assert_eq!(one(FieldKind::Category, "\"0\""), Cell::Integer(0));
    assert_eq!(one(FieldKind::Enumeration, "81"), text("81"));
}

#[test]
fn an_instant_keeps_its_moment_and_a_bare_one_is_read_in_the_portals_zone() {
    let expected = Cell::Instant(Utc.with_ymd_and_hms(2024, 8, 30, 12, 29, 0).unwrap());
    for json in ["\"2024-08-30T14:29:00+02:00\"", "\"2024-08-30 15:29:00\"", "\"30.08.2024 15:29:00\""] {
        assert_eq!(one(FieldKind::DateTime, json), expected, "{json}");
    }
    for nothing in ["\"\"", "\"0000-00-00 00:00:00\"", "\" \""] {
        assert_eq!(one(FieldKind::DateTime, nothing), Cell::Null, "{nothing}");
    }
    for bad in ["\"not-a-date\"", "\"2024-13-01T00:00:00+03:00\"", "5"] {
        assert_eq!(refusal(FieldKind::DateTime, bad), "not a date and time", "{bad}");
    }
}

#[test]
fn a_day_is_the_later_of_the_local_and_the_utc_day() {
    let day = |y, m, d| Cell::Date(NaiveDate::from_ymd_opt(y, m, d).unwrap());
    assert_eq!(one(FieldKind::Date, "\"2024-08-30T02:00:00+02:00\""), day(2024, 8, 30));
    assert_eq!(one(FieldKind::Date, "\"2023-12-27T00:00:00+03:00\""), day(2023, 12, 27));
    // UTC midnight seen from a negative offset.
    assert_eq!(one(FieldKind::Date, "\"2024-08-29T19:00:00-05:00\""), day(2024, 8, 30));
    assert_eq!(one(FieldKind::Date, "\"2024-08-30\""), day(2024, 8, 30));
    assert_eq!(refusal(FieldKind::Date, "\"2024-02-30\""), "not a date");
}

#[test]
fn money_is_split_at_the_last_bar() {
    let money = |json| {
        let converted = convert(FieldKind::Money, false, json, moscow()).unwrap();
        (format!("{:?}", converted.cell), format!("{:?}", converted.currency.unwrap()))
    };
    let pair = |amount: &str, currency: &str| (amount.to_owned(), currency.to_owned());
    assert_eq!(money("\"300|USD\""), pair("Decimal(\"300\")", "Text(\"USD\")"));
    assert_eq!(money("\"0|RUB\""), pair("Decimal(\"0\")", "Text(\"RUB\")"));
    assert_eq!(money("\"|RUB\""), pair("Null", "Text(\"RUB\")"));
    assert_eq!(money("\"1500.5\""), pair("Decimal(\"1500.5\")", "Null"));
    assert_eq!(money("\"\""), pair("Null", "Null"));
    assert_eq!(refusal(FieldKind::Money, "\"much|USD\""), "not an amount of money");
}

#[test]
fn only_the_id_of_a_file_is_kept() {
    let json = r#"{"id":37375,"showUrl":"/x?a=1","downloadUrl":"/x?auth=SECRET"}"#;
    assert_eq!(one(FieldKind::File, json), Cell::Json("{\"id\": 37375}".into()));
    assert_eq!(one(FieldKind::File, "\"12\""), Cell::Json("{\"id\": 12}".into()));
    assert_eq!(
        many(FieldKind::File, r#"[{"id":"1","urlMachine":"https://p/?token=S"},{"id":2}]"#).unwrap(),
        "[{\"id\": 1}, {\"id\": 2}]"
    );
    assert_eq!(many(FieldKind::File, json).unwrap(), "[{\"id\": 37375}]");
}

#[test]
fn lists_keep_the_shape_of_their_kind() {
    assert_eq!(many(FieldKind::Enumeration, "[188,190]").unwrap(), r#"["188", "190"]"#);
    assert_eq!(many(FieldKind::Enumeration, r#"["188"]"#).unwrap(), r#"["188"]"#);
    assert_eq!(many(FieldKind::Integer, r#"["1","2",null]"#).unwrap(), "[1, 2, null]");
    assert_eq!(many(FieldKind::Double, r#"["007.50","+1",".5","5."]"#).unwrap(), "[7.50, 1, 0.5, 5]");
    assert_eq!(many(FieldKind::Date, r#"["2023-12-27T00:00:00+03:00"]"#).unwrap(), r#"["2023-12-27"]"#);
    assert_eq!(many(FieldKind::DateTime, r#"["2023-12-27T00:00:00+03:00"]"#).unwrap(), r#"["2023-12-26T21:00:00Z"]"#);
    assert_eq!(many(FieldKind::Boolean, r#"["1","0"]"#).unwrap(), "[true, false]");
    assert_eq!(many(FieldKind::Money, r#"["300|USD",""]"#).unwrap(), r#"[{"amount": 300, "currency": "USD"}, null]"#);
    assert_eq!(many(FieldKind::Text, r#"{"1":"a","3":"b"}"#).unwrap(), r#"["a", "b"]"#);
    assert_eq!(many(FieldKind::Text, r#""single""#).unwrap(), r#"["single"]"#);
}

#[test]
fn links_with_tokens_are_left_out_of_objects() {
    let Cell::Json(json) = one(FieldKind::Object, r#"{"id":1,"url":"https://p/?auth=SECRET","n":"a"}"#) else {
        panic!("an object is JSON")
    };
    assert_eq!(json, r#"{"id":1,"n":"a"}"#);
}

proptest! {
    #[test]
    fn any_storable_text_comes_out_as_it_went_in(value in "[^\\x00]{0,40}") {
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(one(FieldKind::Text, &json), Cell::Text(value.into()));
    }

    #[test]
    fn any_integer_comes_out_as_it_went_in(value: i64) {
        for json in [value.to_string(), format!("\"{value}\"")] {
            prop_assert_eq!(one(FieldKind::Integer, &json), Cell::Integer(value));
        }
    }

    #[test]
    fn any_instant_comes_out_as_it_went_in(seconds in -62_135_596_800_i64..253_402_300_799, minutes in -720_i32..840) {
        let offset = FixedOffset::east_opt(minutes * 60).unwrap();
        let instant = DateTime::from_timestamp(seconds, 0).unwrap();
        let local = instant.with_timezone(&offset);
        prop_assume!((1..=9_999).contains(&local.year()));
        let json = format!("\"{}\"", local.format("%Y-%m-%dT%H:%M:%S%:z"));
        prop_assert_eq!(one(FieldKind::DateTime, &json), Cell::Instant(instant));
    }

    #[test]
    fn a_day_survives_every_offset(days in 1_i32..3_000_000, minutes in -720_i32..840) {
        let day = NaiveDate::from_num_days_from_ce_opt(days).unwrap();
        let offset = FixedOffset::east_opt(minutes * 60).unwrap();
        // UTC midnight seen from the offset, as the portal writes it.
        let local = day.and_hms_opt(0, 0, 0).unwrap().and_utc().with_timezone(&offset);
        prop_assume!((1..=9_999).contains(&local.year()));
        let json = format!("\"{}\"", local.format("%Y-%m-%dT%H:%M:%S%:z"));
        prop_assert_eq!(one(FieldKind::Date, &json), Cell::Date(day));
    }

    #[test]
    fn no_json_makes_conversion_panic(kind in 0_usize..18, multiple: bool, value in arbitrary_json()) {
        let _ = convert(ALL_KINDS[kind], multiple, &value, moscow());
    }

    #[test]
    fn every_list_is_valid_json(kind in 0_usize..18, value in arbitrary_json()) {
        if let Ok(Converted { cell: Cell::Json(json), .. }) = convert(ALL_KINDS[kind], true, &value, moscow()) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        }
    }
}

fn arbitrary_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
        "[0-9.|eE+-]{0,8}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::from("2024-08-30T02:00:00+02:00")),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map("[a-z0-9]{0,3}", inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
    .prop_map(|value| value.to_string())
}
