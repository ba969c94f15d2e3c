//! Which events the service wants.

use b24sync_domain::application::{BoundHandler, Mode};
use b24sync_domain::entity::EntityType;
use b24sync_domain::event;

use super::HandlerUrl;

/// Events of the application's own life.
const LIFE: [&str; 3] = ["ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL"];

/// Says that there is something in the offline queue.
const WAKE_UP: &str = "ONOFFLINEEVENT";

/// Events that a subscription of this kind can have, in the catalogue's order.
pub fn events(mode: Mode) -> Vec<String> {
    let records = EntityType::all().flat_map(event::names_of);
    match mode {
        Mode::Webhook => records.filter(|name| !event::is_for_applications_only(name)).collect(),
        Mode::Application => records.chain(LIFE.map(str::to_owned)).collect(),
    }
}

/// Handlers that an application binds. What comes online is quick; what the portal queues besides survives an outage of
/// ours.
pub(super) fn handlers(handler: &HandlerUrl, queued: bool) -> Vec<BoundHandler> {
    let online = |event: String| BoundHandler { event, handler: Some(handler.as_str().to_owned()) };
    let mut handlers: Vec<BoundHandler> = events(Mode::Application).into_iter().map(online).collect();
    if queued {
        let offline = EntityType::all().flat_map(event::names_of);
        handlers.extend(offline.map(|event| BoundHandler { event, handler: None }));
        handlers.push(online(WAKE_UP.to_owned()));
    }
    handlers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outgoing_webhook_is_offered_what_it_can_have() {
        let (webhook, application) = (events(Mode::Webhook), events(Mode::Application));
        assert_eq!((webhook.len(), application.len()), (28, 32));
        assert!(webhook.iter().all(|name| application.contains(name) && name != "ONCRMDEALMOVETOCATEGORY"));
        assert!(application.iter().any(|name| name == "ONCRMDEALMOVETOCATEGORY"));
    }

    #[test]
    fn every_event_of_a_record_comes_twice_where_the_portal_queues() {
        let handler = HandlerUrl::below("https://a.example", false).unwrap();
        let (plain, queued) = (handlers(&handler, false), handlers(&handler, true));
        assert_eq!((plain.len(), queued.len()), (32, 32 + 29 + 1));
        assert!(plain.iter().all(|bound| bound.handler.as_deref() == Some(handler.as_str())));
        let offline = queued.iter().filter(|bound| bound.handler.is_none());
        assert!(offline.clone().all(|bound| !bound.event.starts_with("ONAPP") && bound.event != WAKE_UP));
        assert_eq!(offline.count(), 29);
    }
}
