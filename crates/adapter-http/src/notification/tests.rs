use std::time::Duration;

use b24sync_domain::entity::RecordId;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::corpus::laws;
use super::form::{BODY_BYTES, Form, KEY_BYTES, NESTING, PAIRS};
use super::{EVENT_BYTES, LAST_SECOND, Notification, NotificationError, Record, TEXT_BYTES, check_content_type};

const TOKEN: &str = "0000000000000000000000000000feed";

fn id(id: i64) -> Record {
    Record::Id(RecordId::new(id).unwrap())
}

fn pairs(body: &str) -> Vec<(String, String)> {
    let form = Form::parse(body.as_bytes()).unwrap();
    form.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A notification with a name and a token, and this besides.
fn read(more: &str) -> Result<Notification, NotificationError> {
    Notification::parse(format!("event=ONCRMDEALADD&auth[application_token]={TOKEN}&{more}").as_bytes())
}

fn refusal(more: &str) -> String {
    read(more).unwrap_err().to_string()
}

macro_rules! real {
    ($($name:literal: $event:literal, $record:expr;)*) => {
        [$(($name, include_str!(concat!("../../tests/fixtures/events/", $name, ".txt")), $event, $record)),*]
    };
}

#[test]
fn every_real_body_is_read() {
    let bodies = real! {
        "app.CATALOG.PRODUCT.ON.UPDATE": "CATALOG.PRODUCT.ON.UPDATE", id(1);
        "app.ONAPPINSTALL": "ONAPPINSTALL", Record::Absent;
        "app.ONAPPTEST": "ONAPPTEST", Record::Absent;
        "app.ONAPPUNINSTALL": "ONAPPUNINSTALL", Record::Absent;
        "app.ONCRMCONTACTADD": "ONCRMCONTACTADD", id(134_806);
        "app.ONCRMCURRENCYUPDATE": "ONCRMCURRENCYUPDATE", Record::Malformed;
        "app.ONCRMDEALADD": "ONCRMDEALADD", id(7_405);
        "app.ONCRMDEALDELETE": "ONCRMDEALDELETE", id(1_765);
        "app.ONCRMDEALMOVETOCATEGORY": "ONCRMDEALMOVETOCATEGORY", id(6_675);
        "app.ONCRMDEALRECURRINGEXPOSE": "ONCRMDEALRECURRINGEXPOSE", id(9);
        "app.ONCRMDEALUPDATE": "ONCRMDEALUPDATE", id(759);
        "app.ONCRMDEALUPDATE.robot-no-tokens": "ONCRMDEALUPDATE", id(759);
        "app.ONCRMDEALUSERFIELDADD": "ONCRMDEALUSERFIELDADD", id(6_947);
        "app.ONCRMDEALUSERFIELDSETENUMVALUES": "ONCRMDEALUSERFIELDSETENUMVALUES", id(6_947);
        "app.ONCRMDYNAMICITEMDELETE_1220": "ONCRMDYNAMICITEMDELETE_1220", id(23);
        "app.ONCRMDYNAMICITEMUPDATE": "ONCRMDYNAMICITEMUPDATE", id(24);
        "app.ONCRMTYPEUPDATE": "ONCRMTYPEUPDATE", id(42);
        "app.ONCRMTYPEUSERFIELDADD": "ONCRMTYPEUSERFIELDADD", id(6_977);
        "app.ONOFFLINEEVENT": "ONOFFLINEEVENT", Record::Absent;
        "app.ONTASKDELETE": "ONTASKDELETE", Record::Absent;
        "app.ONTASKUPDATE": "ONTASKUPDATE", Record::Absent;
        "app.ONVOXIMPLANTCALLEND": "ONVOXIMPLANTCALLEND", Record::Absent;
        "app.onCrmActivityAdd": "ONCRMACTIVITYADD", id(999);
        "app.onCrmAddressRegister": "ONCRMADDRESSREGISTER", Record::Absent;
        "app.onCrmTimelineCommentDelete": "ONCRMTIMELINECOMMENTDELETE", id(999);
        "forged.wrong-token.ONCRMDEALDELETE": "ONCRMDEALDELETE", id(7_405);
        "webhook.ONCRMDEALADD": "ONCRMDEALADD", id(7_405);
        "webhook.ONCRMDEALDELETE": "ONCRMDEALDELETE", id(7_405);
        "webhook.ONCRMDEALUPDATE": "ONCRMDEALUPDATE", id(7_405);
    };
    for (name, body, event, record) in bodies {
        let token = match name.split('.').next().unwrap() {
            "app" => TOKEN,
            "webhook" => "0000000000000000000000000000beef",
            _ => "00000000000000000000000000000bad",
        };
        let read = Notification::parse(body.as_bytes()).unwrap();
        assert_eq!((&*read.event, read.record), (event, record), "{name}");
        assert_eq!(read.application_token.expose_secret(), token, "{name}");
        assert_eq!(read.member_id.as_deref(), Some("00000000000000000000000000000001"), "{name}");
        assert_eq!(read.sent_at, Some(1_726_000_000), "{name}");
        assert_eq!(read.clean, name == "app.ONAPPUNINSTALL", "{name}");
        assert_eq!(read.install.is_some(), ["app.ONAPPINSTALL", "app.ONOFFLINEEVENT"].contains(&name), "{name}");
        let user_field = name.contains("USERFIELD");
        assert_eq!(read.field.is_some(), user_field, "{name}");
        assert_eq!(read.entity_id.is_some(), user_field || name == "app.onCrmAddressRegister", "{name}");
    }
}

#[test]
fn a_user_field_is_named() {
    let read =
        read("data[FIELDS][ID]=6947&data[FIELDS][ENTITY_ID]=CRM_13&data[FIELDS][FIELD_NAME]=UF_CRM_13_1").unwrap();
    assert_eq!((read.entity_id.as_deref(), read.field.as_deref()), (Some("CRM_13"), Some("UF_CRM_13_1")));
}

#[test]
fn an_installation_brings_tokens() {
    let body = include_bytes!("../../tests/fixtures/events/app.ONAPPINSTALL.txt");
    let tokens = Notification::parse(body).unwrap().install.unwrap();
    assert!(tokens.access_token.expose_secret().starts_with("FAKEACCESSTOKEN000"));
    assert!(tokens.refresh_token.expose_secret().starts_with("FAKEREFRESHTOKEN000"));
    assert_eq!(tokens.expires_in, Some(Duration::from_hours(1)));
    assert_eq!(tokens.client_endpoint.as_deref(), Some("https://portal.bitrix24.example/rest/"));
    assert_eq!(tokens.server_endpoint.as_deref(), Some("https://oauth.bitrix.info/rest/"));
    assert_eq!(tokens.domain.as_deref(), Some("portal.bitrix24.example"));
    assert_eq!(tokens.scope.as_deref(), Some("crm"));
}

#[test]
fn tokens_come_with_a_refresh_token_only() {
    assert!(read("auth[access_token]=a&auth[expires_in]=3600").unwrap().install.is_none());
    assert!(read("auth[access_token]=a&auth[refresh_token]=").unwrap().install.is_none());
    assert!(read("auth[access_token]=a&auth[refresh_token]=r").unwrap().install.unwrap().expires_in.is_none());
    assert_eq!(refusal("auth[refresh_token]=r"), "`auth[access_token]` is missing");
}

#[test]
fn nothing_of_auth_is_shown() {
    let body = include_bytes!("../../tests/fixtures/events/app.ONAPPINSTALL.txt");
    insta::assert_snapshot!(format!("{:?}", Notification::parse(body).unwrap()),
        @r#"Notification { event: "ONAPPINSTALL", record: Absent, entity_id: None, field: None, sent_at: Some(1726000000), clean: false, install: Some(InstallTokens(…)), .. }"#);
    insta::assert_snapshot!(format!("{:?}", Form::parse(body).unwrap()), @"Form(16 pairs)");
}

#[test]
fn an_id_is_a_plain_number() {
    let cases = [
        ("1", id(1)),
        ("9223372036854775807", id(i64::MAX)),
        ("9223372036854775808", Record::Malformed),
        ("99999999999999999999999999", Record::Malformed),
        ("0", Record::Malformed),
        ("-1", Record::Malformed),
        ("%2B1", Record::Malformed),
        ("+1", Record::Malformed),
        ("01", Record::Malformed),
        ("1.0", Record::Malformed),
        ("1e3", Record::Malformed),
        ("0x1", Record::Malformed),
        ("%D9%A1", Record::Malformed),
        ("CHE", Record::Malformed),
        ("undefined", Record::Malformed),
        ("%00", Record::Malformed),
        ("", Record::Absent),
    ];
    for (value, record) in cases {
        for key in ["data[FIELDS][ID]", "data[ID]"] {
            assert_eq!(read(&format!("{key}={value}")).unwrap().record, record, "{key}={value}");
        }
    }
}

#[test]
fn an_event_that_needs_a_record_can_ask_for_it() {
    assert_eq!(read("data[ID]=7").unwrap().record_id().unwrap().get(), 7);
    let refusal = |more| read(more).unwrap().record_id().unwrap_err().to_string();
    assert_eq!(refusal(""), "`data[FIELDS][ID]` is missing");
    assert_eq!(refusal("data[ID]=x"), "`data[FIELDS][ID]` must be a number from 1 to 9223372036854775807");
}

#[test]
fn an_event_is_a_short_word() {
    let read = |event: &str| {
        let body = format!("event={event}&auth[application_token]={TOKEN}");
        Notification::parse(body.as_bytes()).map(|read| read.event)
    };
    assert_eq!(read("onCrmDynamicItemUpdate_31.x").unwrap(), "ONCRMDYNAMICITEMUPDATE_31.X");
    assert_eq!(read(&"a".repeat(EVENT_BYTES)).unwrap(), "A".repeat(EVENT_BYTES));
    for wrong in ["", "+", "a-b", "a b", "a%00", "%C3%A9", "a[b]", "ONCRMDEALADD%0A", &"a".repeat(EVENT_BYTES + 1)] {
        assert_eq!(read(wrong), Err(NotificationError::Event), "{wrong}");
    }
}

#[test]
fn a_time_is_a_second_that_calendars_have() {
    assert_eq!(read("").unwrap().sent_at, None);
    assert_eq!(read("ts=").unwrap().sent_at, None);
    assert_eq!(read("ts=1").unwrap().sent_at, Some(1));
    assert_eq!(read(&format!("ts={LAST_SECOND}")).unwrap().sent_at, Some(LAST_SECOND));
    for wrong in ["0", "-1", "1726000000.5", "now", "253402300800", "9223372036854775808", "%31%00", "01"] {
        assert_eq!(refusal(&format!("ts={wrong}")), "`ts` must be a number from 1 to 253402300799", "{wrong}");
    }
}

#[test]
fn tokens_expire_in_seconds() {
    let expires = |value: &str| {
        read(&format!("auth[access_token]=a&auth[refresh_token]=r&auth[expires_in]={value}"))
            .map(|read| read.install.unwrap().expires_in)
    };
    assert_eq!(expires("0"), Ok(Some(Duration::ZERO)));
    assert_eq!(expires("4294967295"), Ok(Some(Duration::from_secs(u32::MAX.into()))));
    for wrong in ["4294967296", "-1", "soon"] {
        assert!(
            matches!(expires(wrong), Err(NotificationError::NotANumber { key: "auth[expires_in]", .. })),
            "{wrong}"
        );
    }
}

#[test]
fn data_is_to_be_cleaned_only_if_it_says_one() {
    for (more, clean) in [("data[CLEAN]=1", true), ("data[CLEAN]=0", false), ("data[CLEAN]=", false)] {
        assert_eq!(read(more).unwrap().clean, clean, "{more}");
    }
    for more in ["data[CLEAN]=true", "data[CLEAN]=01", "data[clean]=1", "CLEAN=1", "data[CLEAN][]=1", ""] {
        assert!(!read(more).unwrap().clean, "{more}");
    }
}

#[test]
fn what_is_needed_is_needed() {
    let cases = [
        ("", "`auth[application_token]` is missing"),
        ("event=A", "`auth[application_token]` is missing"),
        ("event=A&auth[application_token]=", "`auth[application_token]` is missing"),
        ("event=A&auth[APPLICATION_TOKEN]=t", "`auth[application_token]` is missing"),
        ("event=A&AUTH[application_token]=t", "`auth[application_token]` is missing"),
        ("event=A&auth[application_token][]=t", "`auth[application_token]` is missing"),
        ("event=A&auth=t", "`auth[application_token]` is missing"),
        ("auth[application_token]=t", "`event` is missing"),
        ("EVENT=A&auth[application_token]=t", "`event` is missing"),
        ("event[]=A&auth[application_token]=t", "`event` is missing"),
    ];
    for (body, message) in cases {
        assert_eq!(Notification::parse(body.as_bytes()).unwrap_err().to_string(), message, "{body}");
    }
}

#[test]
fn what_may_be_given_once_is_refused_twice() {
    let cases = [
        ("event=ONCRMDEALADD", "event"),
        ("%65vent=", "event"),
        ("ts=1&ts=1", "ts"),
        ("auth[application_token]=other", "auth[application_token]"),
        ("auth%5Bapplication_token%5D=", "auth[application_token]"),
        ("auth[member_id]=a&auth[member_id]=a", "auth[member_id]"),
        ("auth[refresh_token]=&auth[refresh_token]=", "auth[refresh_token]"),
        ("auth[whatever][x]=a&auth[whatever][x]=b", "auth[whatever][x]"),
        ("auth[]=a&auth[]=b", "auth[]"),
        ("data[FIELDS][ID]=1&data[FIELDS][ID]=1", "data[FIELDS][ID]"),
        ("data[FIELDS][ID]=&data[FIELDS][ID]", "data[FIELDS][ID]"),
        ("data[ID]=1&data[ID]=2", "data[ID]"),
        ("data[ID]=1&data[FIELDS][ID]=1", "data[ID]"),
        ("data[FIELDS][ENTITY_ID]=a&data[FIELDS][ENTITY_ID]=a", "data[FIELDS][ENTITY_ID]"),
        ("data[FIELDS][FIELD_NAME]=a&data[FIELDS][FIELD_NAME]=a", "data[FIELDS][FIELD_NAME]"),
        ("data[CLEAN]=0&data[CLEAN]=1", "data[CLEAN]"),
    ];
    for (more, key) in cases {
        assert_eq!(refusal(more), format!("`{key}` is given more than once"), "{more}");
    }
    read("data[other]=1&data[other]=2&data[FIELDS][id]=3&data[FIELDS][Id]=4").unwrap();
}

#[test]
fn a_message_repeats_the_start_of_a_key_and_what_is_printable() {
    let key = format!("auth[é\n{}]", "k".repeat(100));
    let message = refusal(&format!("{key}=secret&{key}=secret"));
    assert_eq!(message, format!("`auth[??{}` is given more than once", "k".repeat(57)));
}

#[test]
fn texts_are_short_and_have_no_control_characters() {
    let keys = [
        "data[FIELDS][ENTITY_ID]",
        "data[FIELDS][FIELD_NAME]",
        "auth[member_id]",
        "auth[client_endpoint]",
        "auth[server_endpoint]",
        "auth[domain]",
        "auth[scope]",
    ];
    let tokens = "auth[access_token]=a&auth[refresh_token]=r";
    let longest = "x".repeat(TEXT_BYTES);
    for key in keys {
        read(&format!("{tokens}&{key}=")).unwrap();
        read(&format!("{tokens}&{key}={longest}")).unwrap();
        for wrong in [format!("{longest}x"), "a%00".to_owned(), "%0D%0A".to_owned(), "%C2%85".to_owned()] {
            let message = refusal(&format!("{tokens}&{key}={wrong}"));
            assert_eq!(message, format!("`{key}` must have at most 2048 bytes and no control characters"));
        }
    }
    for key in ["auth[access_token]", "auth[refresh_token]"] {
        let other = tokens.split('&').find(|pair| !pair.starts_with(key)).unwrap();
        assert!(matches!(read(&format!("{other}&{key}={longest}x")), Err(NotificationError::Text { .. })), "{key}");
    }
    let body = format!("event=A&auth[application_token]={longest}x");
    assert!(matches!(Notification::parse(body.as_bytes()), Err(NotificationError::Text { .. })));
}

#[test]
fn a_form_is_decoded() {
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("", &[]),
        ("&&&", &[]),
        ("a", &[("a", "")]),
        ("a=&b==&c=d=e", &[("a", ""), ("b", "="), ("c", "d=e")]),
        ("&a=1&&b=2&", &[("a", "1"), ("b", "2")]),
        ("a+b=c+d%20e%2B", &[("a b", "c d e+")]),
        ("%d0%B8=%D0%b8é", &[("и", "иé")]),
        ("a%5Bb%5D[c]=%26%3D%00", &[("a[b][c]", "&=\0")]),
    ];
    for (body, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(pairs(body), expected, "{body}");
    }
}

#[test]
fn a_form_is_not_repaired() {
    let percent = NotificationError::Percent { pair: 2 };
    let not_utf8 = NotificationError::NotUtf8 { pair: 2 };
    let malformed = NotificationError::MalformedKey { pair: 2 };
    let cases: [(&[u8], &NotificationError); 25] = [
        (b"%", &percent),
        (b"a=%", &percent),
        (b"a=%4", &percent),
        (b"a=%zz", &percent),
        (b"a=%4z", &percent),
        (b"a=%%41", &percent),
        (b"a=%+1", &percent),
        (b"a=%-1", &percent),
        (b"a%4=b", &percent),
        (b"a=%4&1=b", &percent),
        (b"a=\xFF", &not_utf8),
        (b"a=%FF", &not_utf8),
        (b"a=%C3", &not_utf8),
        (b"a=%C0%80", &not_utf8),
        (b"a=%ED%A0%80", &not_utf8),
        (b"\xC3=\xA9", &not_utf8),
        (b"%80=", &not_utf8),
        (b"=a", &malformed),
        (b"[a]=b", &malformed),
        (b"a[=b", &malformed),
        (b"a]=b", &malformed),
        (b"a[b]c=d", &malformed),
        (b"a[b[c]]=d", &malformed),
        (b"a[b]]=d", &malformed),
        (b"a%00b=c", &malformed),
    ];
    for (body, expected) in cases {
        let body = [b"x=y&", body].concat();
        assert_eq!(Form::parse(&body).unwrap_err(), *expected, "{}", body.escape_ascii());
    }
}

#[test]
fn a_body_is_no_longer_than_64_kib() {
    let body = |length: usize| [b"a=".to_vec(), vec![b'x'; length - 2]].concat();
    assert!(Form::parse(&body(BODY_BYTES)).is_ok());
    assert_eq!(Form::parse(&body(BODY_BYTES + 1)).unwrap_err(), NotificationError::BodyTooLarge);
    assert_eq!(Form::parse(&vec![b'%'; BODY_BYTES]).unwrap_err(), NotificationError::Percent { pair: 1 });
    assert_eq!(Form::parse(&vec![b'&'; BODY_BYTES]).unwrap().pairs().count(), 0);
}

#[test]
fn a_form_has_no_more_than_256_pairs() {
    let body = |count: usize| vec!["a=b"; count].join("&");
    assert_eq!(pairs(&body(PAIRS)).len(), 256);
    for count in [PAIRS + 1, 10_000] {
        assert_eq!(Form::parse(body(count).as_bytes()).unwrap_err(), NotificationError::TooManyPairs, "{count}");
    }
    assert_eq!(pairs(&format!("&{}&", body(PAIRS))).len(), 256);
    let bad = format!("%&{}", body(PAIRS));
    assert_eq!(Form::parse(bad.as_bytes()).unwrap_err(), NotificationError::TooManyPairs, "before anything is decoded");
}

#[test]
fn a_key_has_no_more_than_256_bytes() {
    let too_long = NotificationError::KeyTooLong { pair: 1 };
    assert_eq!(pairs(&"k".repeat(KEY_BYTES)).len(), 1);
    assert_eq!(Form::parse("k".repeat(KEY_BYTES + 1).as_bytes()).unwrap_err(), too_long);
    assert_eq!(pairs(&"%6B".repeat(KEY_BYTES)).len(), 1);
    assert_eq!(Form::parse("%6B".repeat(KEY_BYTES + 1).as_bytes()).unwrap_err(), too_long);
    assert_eq!(Form::parse("é".repeat(KEY_BYTES / 2 + 1).as_bytes()).unwrap_err(), too_long);
}

#[test]
fn a_key_has_no_more_than_four_levels() {
    let too_deep = NotificationError::KeyTooDeep { pair: 1 };
    for level in ["[a]", "[]", "%5Ba%5D"] {
        let body = |levels: usize| format!("k{}=v", level.repeat(levels));
        assert_eq!(pairs(&body(NESTING)).len(), 1, "{level}");
        assert_eq!(Form::parse(body(NESTING + 1).as_bytes()).unwrap_err(), too_deep, "{level}");
    }
    assert_eq!(Form::parse(format!("k{}", "[]".repeat(127)).as_bytes()).unwrap_err(), too_deep);
    let deep = format!("k{}", "[]".repeat(30_000));
    assert_eq!(Form::parse(deep.as_bytes()).unwrap_err(), NotificationError::KeyTooLong { pair: 1 });
}

#[test]
fn only_forms_in_utf8_are_taken() {
    let right = [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-URLencoded",
        " application/x-www-form-urlencoded\t",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded ; Charset=UTF-8 ",
        "application/x-www-form-urlencoded; charset=\"utf-8\"",
    ];
    for header in right {
        assert_eq!(check_content_type(Some(header.as_bytes())), Ok(()), "{header}");
    }
    let wrong = [
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencodedx",
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencoded;",
        "application/x-www-form-urlencoded; charset",
        "application/x-www-form-urlencoded; charset=",
        "application/x-www-form-urlencoded; charset=utf8",
        "application/x-www-form-urlencoded; charset=windows-1251",
        "application/x-www-form-urlencoded; charset=utf-8; charset=utf-8",
        "application/x-www-form-urlencoded; charset=utf-8; x=y",
        "application/x-www-form-urlencoded; x=y",
    ];
    for header in wrong {
        assert_eq!(check_content_type(Some(header.as_bytes())), Err(NotificationError::ContentType), "{header}");
    }
    for header in [None, Some(&b"application/x-www-form-urlencoded\xFF"[..])] {
        assert_eq!(check_content_type(header), Err(NotificationError::ContentType));
    }
}

#[test]
fn every_error_has_its_sentence() {
    let key = "ts";
    let pair = 3;
    insta::assert_snapshot!(
        [
            NotificationError::ContentType,
            NotificationError::BodyTooLarge,
            NotificationError::TooManyPairs,
            NotificationError::Percent { pair },
            NotificationError::NotUtf8 { pair },
            NotificationError::KeyTooLong { pair },
            NotificationError::KeyTooDeep { pair },
            NotificationError::MalformedKey { pair },
            NotificationError::Duplicate { key: super::KeyName::of(key) },
            NotificationError::Missing { key },
            NotificationError::Event,
            NotificationError::NotANumber { key, least: 1, most: 2 },
            NotificationError::Text { key },
        ]
        .map(|error| error.to_string())
        .join("\n")
    );
}

/// Texts of every kind that a field may have.
fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{1,40}".prop_filter("no control characters", |text| !text.contains(char::is_control)))
}

proptest! {
    #[test]
    fn what_is_rendered_is_read_back(
        name in "[A-Za-z0-9_.]{1,100}",
        bare in any::<bool>(),
        record in proptest::option::of(1..=i64::MAX),
        sent_at in proptest::option::of(1..=LAST_SECOND),
        token in "\\PC{1,40}".prop_filter("no control characters", |text| !text.contains(char::is_control)),
        (entity_id, field, member_id) in (texts(), texts(), texts()),
        (access, refresh, domain) in ("[a-z0-9]{1,70}", proptest::option::of("[a-z0-9]{1,70}"), texts()),
        clean in any::<bool>(),
    ) {
        let record_text = record.map(|id| id.to_string());
        let sent_text = sent_at.map(|second| second.to_string());
        let given = [
            ("event", Some(&*name)),
            (if bare { "data[ID]" } else { "data[FIELDS][ID]" }, record_text.as_deref()),
            ("data[FIELDS][ENTITY_ID]", entity_id.as_deref()),
            ("data[FIELDS][FIELD_NAME]", field.as_deref()),
            ("data[CLEAN]", Some(if clean { "1" } else { "0" })),
            ("ts", sent_text.as_deref()),
            ("auth[access_token]", Some(&*access)),
            ("auth[refresh_token]", refresh.as_deref()),
            ("auth[domain]", domain.as_deref()),
            ("auth[member_id]", member_id.as_deref()),
            ("auth[application_token]", Some(&*token)),
        ];
        let body = laws::render(given.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let read = Notification::parse(&body).unwrap();
        prop_assert_eq!(&read.event, &name.to_uppercase());
        prop_assert_eq!(read.record, record.map_or(Record::Absent, id));
        prop_assert_eq!(read.sent_at, sent_at);
        prop_assert_eq!(read.application_token.expose_secret(), &token);
        prop_assert_eq!((&read.entity_id, &read.field, &read.member_id), (&entity_id, &field, &member_id));
        prop_assert_eq!(read.clean, clean);
        let tokens = read.install.as_ref();
        let refresh_token = tokens.map(|tokens| tokens.refresh_token.expose_secret().to_owned());
        prop_assert_eq!(refresh_token, refresh);
        if let Some(tokens) = tokens {
            prop_assert_eq!(tokens.access_token.expose_secret(), &access);
            prop_assert_eq!(&tokens.domain, &domain);
        }
        laws::hold(&body);
    }

    #[test]
    fn no_bytes_break_a_law(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        laws::hold(&body);
    }

    #[test]
    fn no_form_breaks_a_law(
        parts in proptest::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "event", "ts", "data[FIELDS][ID]", "data[ID]", "auth[", "auth[application_token]", "[", "]", "=",
                    "&", "%", "%5B", "%5D", "%00", "+", "1", "A", "%C3%A9", "auth[refresh_token]", "auth[access_token]",
                ]).prop_map(str::to_owned),
                "\\PC{0,8}",
            ],
            0..60,
        ),
        joint in prop::sample::select(vec!["", "=", "&"]),
    ) {
        laws::hold(parts.join(joint).as_bytes());
    }
}
