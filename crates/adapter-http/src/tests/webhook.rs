//! Events of the portal: what is kept, what is refused, and that nothing is kept of what is refused.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use b24sync_domain::application::ApplicationError;
use b24sync_domain::entity::RecordId;
use b24sync_domain::error::StoreError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::ports::{Acceptance, MockApplicationControl, MockEventIntake};
use b24sync_domain::secret::Secret;
use chrono::DateTime;

use super::support::{Answer, Mocks, answer, entity, request};
use crate::{ApiSettings, TokenDigest};

const TOKENS: [&str; 2] = ["the-token-of-one-webhook", "the-token-of-another"];
const MEMBER: &str = "a223c6b3710f85df22e9377d6c4f7553";

fn settings() -> ApiSettings {
    ApiSettings {
        application_tokens: TOKENS.map(TokenDigest::of).to_vec(),
        member_id: Some(MEMBER.to_owned()),
        ..ApiSettings::default()
    }
}

fn post(body: impl Into<actix_web::web::Bytes>) -> TestRequest {
    request(Method::POST, "/api/v1/webhooks/bitrix", "")
        .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
        .set_payload(body.into())
}

fn event(name: &str, id: &str, token: &str) -> String {
    format!(
        "event={name}&data%5BFIELDS%5D%5BID%5D={id}&ts=1766047124&auth%5Bmember_id%5D={MEMBER}&auth%5Bapplication_token%5D={token}"
    )
}

/// Ports of which none may be called but the question for the application's token.
fn strict() -> Mocks {
    let mut application = MockApplicationControl::new();
    application.expect_application_token().returning(|| Ok(None));
    Mocks { application, ..Mocks::default() }
}

fn taking(take: impl Fn(Hint) -> Result<Acceptance, StoreError> + Send + Sync + 'static) -> Mocks {
    let mut intake = MockEventIntake::new();
    intake.expect_take().returning(take);
    Mocks { intake, ..strict() }
}

async fn sent(mocks: Mocks, body: impl Into<actix_web::web::Bytes>) -> Answer {
    answer(&mocks.api_with(settings()), post(body)).await
}

#[actix_web::test]
async fn an_event_is_kept_before_it_is_answered_with_any_of_the_tokens() {
    for token in TOKENS {
        let mocks = taking(|hint| {
            let target = Target::Record(RecordId::new(7405).unwrap());
            let sent_at = DateTime::from_timestamp(1_766_047_124, 0);
            assert_eq!(hint, Hint { entity: entity("deal"), target, deleted: true, sent_at });
            Ok(Acceptance::Stored)
        });
        let answer = sent(mocks, event("OnCrmDealDelete", "7405", token)).await;
        let expected = serde_json::json!({"status": "accepted", "event": "ONCRMDEALDELETE", "entity_id": "7405"});
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
}

#[actix_web::test]
async fn an_event_that_is_not_needed_is_answered_and_not_kept() {
    let answer = sent(strict(), event("ONCRMINVOICEADD", "5", TOKENS[0])).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("ignored")));
    let switched_off = taking(|_| Ok(Acceptance::SwitchedOff));
    let answer = sent(switched_off, event("ONCRMLEADADD", "5", TOKENS[0])).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("ignored")));
}

#[actix_web::test]
async fn a_field_event_asks_for_the_fields_of_its_entity() {
    let mocks = taking(|hint| {
        assert_eq!((hint.entity, hint.target), (entity("contact"), Target::Fields));
        Ok(Acceptance::Stored)
    });
    let body = format!(
        "event=ONCRMCONTACTUSERFIELDADD&data[FIELDS][ID]=11&data[FIELDS][ENTITY_ID]=CRM_CONTACT&data[FIELDS][FIELD_NAME]=UF_CRM_1&auth[member_id]={MEMBER}&auth[application_token]={}",
        TOKENS[1]
    );
    assert_eq!(sent(mocks, body).await.status, 200);
}

#[actix_web::test]
async fn what_could_not_be_kept_is_not_answered_as_if_it_were() {
    let failing = taking(|_| Err(StoreError::Unavailable { doing: "keeping an event", source: "gone".into() }));
    let answer = sent(failing, event("ONCRMDEALADD", "5", TOKENS[0])).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
}

#[actix_web::test]
async fn nobody_but_the_portal_is_let_in_and_nothing_is_kept_of_others() {
    let good = event("ONCRMDEALADD", "5", TOKENS[0]);
    let other_member = good.replace(MEMBER, "00000000000000000000000000000000");
    let no_member = good.replace(&format!("&auth%5Bmember_id%5D={MEMBER}"), "");
    for wrong in [
        event("ONCRMDEALADD", "5", "wrong"),
        event("ONCRMDEALADD", "5", TOKENS[0].trim_start_matches('t')),
        event("ONCRMDEALADD", "5", &format!("{}0", TOKENS[0])),
        event("ONNOTHINGKNOWN", "5", "wrong"),
        event("ONAPPUNINSTALL", "5", "wrong"),
        other_member,
        no_member,
    ] {
        let answer = sent(strict(), wrong).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let closed = answer(&strict().api(), post(good)).await;
    assert_eq!(closed.status, 403, "without tokens nobody is let in");
}

#[actix_web::test]
async fn the_token_of_the_installed_application_is_good_too() {
    let mut mocks = taking(|_| Ok(Acceptance::Stored));
    mocks.application = MockApplicationControl::new();
    mocks.application.expect_application_token().returning(|| Ok(Some(Secret::new("of-the-application"))));
    assert_eq!(sent(mocks, event("ONCRMDEALADD", "5", "of-the-application")).await.status, 200);
}

#[actix_web::test]
async fn malformed_events_are_refused_and_nothing_is_kept_of_them() {
    let good = event("ONCRMDEALADD", "5", TOKENS[0]);
    let pairs = |count: usize| "&key=value".repeat(count);
    let many = pairs(10_000);
    let deep = format!("{good}&a[b][c][d][e][f]=1");
    let twice = format!("{good}&auth[application_token]={}", TOKENS[0]);
    for (wrong, status) in [
        (Vec::new(), 400),
        (b"\xff\xfe".to_vec(), 400),
        (format!("{good}&x=%ff").into_bytes(), 400),
        (format!("{good}{many}").into_bytes(), 413),
        (format!("{good}{}", pairs(300)).into_bytes(), 400),
        (deep.into_bytes(), 400),
        (twice.into_bytes(), 400),
        (event("ONCRMDEALADD", "0", TOKENS[0]).into_bytes(), 400),
        (event("ONCRMDEALADD", "9223372036854775808", TOKENS[0]).into_bytes(), 400),
        (event("ONCRMDEALADD", "", TOKENS[0]).into_bytes(), 400),
        (event("", "5", TOKENS[0]).into_bytes(), 400),
        (vec![b'a'; 70_000], 413),
    ] {
        let shown = String::from_utf8_lossy(&wrong[..wrong.len().min(80)]).into_owned();
        let answer = sent(strict(), wrong).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert!(!answer.text().contains(TOKENS[0]), "{}", answer.text());
    }
    let as_json = post(good).insert_header(("Content-Type", "application/json"));
    assert_eq!(answer(&strict().api_with(settings()), as_json).await.status, 400);
}

#[actix_web::test]
async fn whoever_guesses_tokens_is_slowed_down() {
    let api = strict().api_with(settings());
    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(answer(&api, post(event("ONCRMDEALADD", "5", "wrong"))).await.status);
    }
    assert!(statuses.contains(&403) && statuses.ends_with(&[429]), "{statuses:?}");
}

#[actix_web::test]
async fn registration_by_hand_is_explained() {
    let mut mocks = Mocks::willing();
    mocks.registration = b24sync_domain::ports::MockWebhookRegistration::new();
    let instructions = "open the portal and enter … ".repeat(40);
    mocks
        .registration
        .expect_registered()
        .returning(move || Err(ApplicationError::ByHand { instructions: instructions.clone() }));
    let answer = answer(&mocks.api(), request(Method::GET, "/api/v1/webhooks/registered", "viewer")).await;
    assert_eq!(answer.status, 409);
    assert!(answer.json()["detail"].as_str().unwrap().len() > 1_000, "the whole explanation");
}
