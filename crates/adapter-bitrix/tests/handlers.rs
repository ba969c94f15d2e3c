//! Handlers of an application on the portal.

use b24sync_domain::application::{BoundHandler, TokenError};
use b24sync_domain::error::SourceError;
use b24sync_domain::ports::EventSubscriptions;
use b24sync_portal_emulator::{Fault, FaultPlan, When};

use crate::application::Scene;
use crate::support::Rig;

const URL: &str = "https://sync.example.com/api/v1/webhooks/bitrix";

fn online(event: &str) -> BoundHandler {
    BoundHandler { event: event.to_owned(), handler: Some(URL.to_owned()) }
}

fn offline(event: &str) -> BoundHandler {
    BoundHandler { event: event.to_owned(), handler: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_bound_listed_and_unbound() {
    let (scene, source) = Scene::installed().await;
    assert_eq!(source.list().await.unwrap(), []);
    let wanted = [online("ONCRMDEALADD"), offline("ONCRMDEALADD"), online("ONOFFLINEEVENT"), online("ONAPPUPDATE")];
    assert_eq!(source.bind(&wanted).await.unwrap(), vec![None; 4]);
    let mut sorted = wanted.to_vec();
    sorted.sort();
    assert_eq!(source.list().await.unwrap(), sorted);
    // Again, and with one more: what is bound already is no failure, and is not bound twice.
    let more = [online("ONCRMDEALADD"), online("ONCRMNOTHING"), online("ONCRMLEADADD")];
    let outcomes = source.bind(&more).await.unwrap();
    assert_eq!((&outcomes[0], &outcomes[2]), (&None, &None));
    assert!(outcomes[1].as_deref().unwrap().contains("ERROR_EVENT_NOT_FOUND"), "{outcomes:?}");
    assert_eq!(scene.portal.handlers().len(), 5);
    source.unbind(&[online("ONCRMDEALADD"), online("ONCRMDEALADD"), offline("ONCRMLEADADD")]).await.unwrap();
    let left = source.list().await.unwrap();
    assert!(!left.contains(&online("ONCRMDEALADD")) && left.contains(&offline("ONCRMDEALADD")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_handlers_take_few_requests_and_survive_lost_answers() {
    let (scene, source) = Scene::installed().await;
    let kinds = ["ADD", "UPDATE", "DELETE", "USERFIELDADD", "USERFIELDUPDATE", "USERFIELDDELETE"];
    let entities = ["LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE"];
    let names = entities.iter().flat_map(|entity| kinds.iter().map(move |kind| format!("ONCRM{entity}{kind}")));
    let wanted: Vec<_> = names.flat_map(|name| [online(&name), offline(&name)]).collect();
    scene.portal.set_faults(FaultPlan::next(1, Fault::LostAfterExecution));
    scene.portal.reset_stats();
    assert_eq!(source.bind(&wanted).await.unwrap(), vec![None; wanted.len()]);
    assert_eq!(scene.portal.handlers().len(), wanted.len());
    // Two batches, one of them twice, and a look at what was bound already.
    assert_eq!(scene.portal.stats().http_requests, 4);
    source.unbind(&wanted).await.unwrap();
    assert_eq!(scene.portal.handlers(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_inside_the_batch_is_waited_for() {
    let (scene, source) = Scene::installed().await;
    for code in ["QUERY_LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR"] {
        let fault = Fault::BatchPartialError { code: code.to_owned() };
        scene.portal.set_faults(FaultPlan::none().and(None, When::Next(1), vec![fault]));
        let wanted = [online("ONCRMDEALADD"), online("ONCRMDEALUPDATE"), online("ONCRMDEALDELETE")];
        assert_eq!(source.bind(&wanted).await.unwrap(), vec![None; 3], "{code}");
    }
    assert_eq!(scene.portal.handlers().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incoming_webhook_binds_nothing() {
    let scene = Scene::new();
    let rig = Rig::on(scene.running.as_ref().unwrap(), b24sync_adapter_bitrix::Dialect::Item);
    let outcomes = rig.source.bind(&[online("ONCRMDEALADD")]).await;
    assert!(!matches!(&outcomes, Ok(outcomes) if outcomes[0].is_none()), "{outcomes:?}");
    assert_eq!(scene.portal.handlers(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_the_portal_is_not_asked() {
    let scene = Scene::new();
    let source = scene.instance("one");
    scene.portal.reset_stats();
    let error = source.list().await.unwrap_err();
    assert!(matches!(error, SourceError::Token(TokenError::NotInstalled)), "{error:?}");
    assert_eq!(scene.portal.stats().http_requests, 0);
}
