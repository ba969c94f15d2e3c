//! The offline queue: rows stay until what they say is stored.

use b24sync_adapter_bitrix::BitrixSource;
use b24sync_domain::application::{BoundHandler, OfflineBatch};
use b24sync_domain::ports::{EventSubscriptions, OfflineQueue, PortalGrant};
use b24sync_portal_emulator::{Application, ApplicationRules, Entity, Fault, FaultPlan, When};

use crate::application::Scene;

async fn scene(rules: ApplicationRules) -> (Scene, BitrixSource) {
    let scene = Scene::with(rules, Application::default());
    let source = scene.instance("one");
    source.install(&scene.installation()).await.unwrap();
    let events = ["ONCRMDEALUPDATE", "ONCRMDEALDELETE", "ONCRMLEADUPDATE", "ONCRMQUOTEADD"];
    let handlers = events.map(|event| BoundHandler { event: event.to_owned(), handler: None });
    assert_eq!(source.bind(&handlers).await.unwrap(), vec![None; 4]);
    (scene, source)
}

fn edit(scene: &Scene, entity: Entity, at: usize) -> i64 {
    let id = scene.portal.ids(entity)[at];
    scene.portal.edit(entity, id, [("TITLE", "x".into())]);
    id
}

fn said(batch: &OfflineBatch) -> Vec<String> {
    let mut said: Vec<_> =
        batch.hints.iter().map(|hint| format!("{} {} {}", hint.entity, hint.target, hint.deleted)).collect();
    said.sort();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_reserved_read_again_and_cleared() {
    let (scene, source) = scene(ApplicationRules::default()).await;
    assert!(source.is_available().await.unwrap());
    assert_eq!(source.take(50).await.unwrap(), None);
    let deal = edit(&scene, Entity::Deal, 0);
    let lead = edit(&scene, Entity::Lead, 0);
    let gone = scene.portal.ids(Entity::Deal)[1];
    scene.portal.delete(Entity::Deal, gone);
    let batch = source.take(50).await.unwrap().unwrap();
    let expected = [format!("deal {deal} false"), format!("deal {gone} true"), format!("lead {lead} false")];
    assert_eq!(said(&batch), expected);
    assert!(batch.hints.iter().all(|hint| hint.sent_at.is_some()));
    let process_id = batch.process_id.clone().unwrap();
    // Reserved: nobody else gets them, and whoever comes after a crash finds them.
    assert_eq!(source.take(50).await.unwrap(), None);
    assert_eq!(scene.portal.offline_events().len(), 3);
    let survivor = scene.instance("two");
    assert_eq!(survivor.interrupted().await.unwrap(), [process_id.as_str()]);
    assert_eq!(said(&survivor.again(&process_id).await.unwrap().unwrap()), expected);
    survivor.clear(&process_id).await.unwrap();
    assert_eq!(scene.portal.offline_events(), []);
    assert_eq!(survivor.interrupted().await.unwrap(), Vec::<String>::new());
    assert_eq!(survivor.again(&process_id).await.unwrap(), None);
}

/// The portal reserved rows and the answer was lost: nobody knows the reservation's name but the portal.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_lost_answer_are_found_again() {
    let (scene, source) = scene(ApplicationRules::default()).await;
    let deal = edit(&scene, Entity::Deal, 0);
    let lost = vec![Fault::LostAfterExecution];
    scene.portal.set_faults(FaultPlan::none().and(Some("event.offline.get"), When::Next(1), lost));
    assert_eq!(source.take(50).await.unwrap(), None, "the repeated request finds nothing that is free");
    let processes = source.interrupted().await.unwrap();
    assert_eq!(processes.len(), 1);
    assert_eq!(said(&source.again(&processes[0]).await.unwrap().unwrap()), [format!("deal {deal} false")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_leaves_the_rest_for_the_next_time() {
    let (scene, source) = scene(ApplicationRules::default()).await;
    for at in 0..3 {
        edit(&scene, Entity::Deal, at);
    }
    let first = source.take(2).await.unwrap().unwrap();
    let second = source.take(2).await.unwrap().unwrap();
    assert_eq!((first.hints.len(), second.hints.len()), (2, 1));
    source.clear(&first.process_id.unwrap()).await.unwrap();
    assert_eq!(source.interrupted().await.unwrap(), [second.process_id.unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_names_no_ids_says_at_least_where_to_look() {
    let (scene, source) = scene(ApplicationRules { offline_event_data: false, ..ApplicationRules::default() }).await;
    edit(&scene, Entity::Deal, 0);
    edit(&scene, Entity::Deal, 1);
    edit(&scene, Entity::Lead, 0);
    let batch = source.take(50).await.unwrap().unwrap();
    let blind: Vec<_> = batch.blind.iter().map(|(entity, deleted)| format!("{entity} {deleted}")).collect();
    assert_eq!((blind, batch.hints.len()), (vec!["lead false".to_owned(), "deal false".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_reservations_has_no_queue_for_us() {
    let rules = ApplicationRules { features: [].into(), ..ApplicationRules::default() };
    let (scene, source) = scene(rules).await;
    assert!(!source.is_available().await.unwrap());
    edit(&scene, Entity::Deal, 0);
    assert!(source.take(50).await.is_err());
    assert_eq!(scene.portal.offline_events().len(), 1, "nothing was lost");
}
