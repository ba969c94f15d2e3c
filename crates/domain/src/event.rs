//! Events of the portal: what their names mean, and what is remembered of them.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::entity::{EntityType, RecordId};

/// What an event is about. Names are those of Bitrix24 REST 10.4, compared in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventMeaning {
    /// A record came, changed or went; the event names its id.
    Record {
        /// Its entity.
        entity: EntityType,
        /// Whether the event says that it is gone. What is done about it does not depend on it.
        deleted: bool,
    },
    /// A user field of an entity came, changed or went.
    Fields(EntityType),
    /// The application's own life.
    Application(ApplicationEvent),
    /// The service has no use for it.
    Unknown,
}

/// Events of the application that the service is to the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationEvent {
    /// It was installed; its handlers are not bound yet.
    Installed,
    /// It got a new version; its handlers are gone.
    Updated,
    /// It was removed.
    Uninstalled,
    /// There are events in the offline queue.
    OfflineQueue,
    /// The portal tries whether events arrive.
    Test,
}

/// What the names of record events end with.
const CHANGES: [(&str, bool); 3] = [("ADD", false), ("UPDATE", false), ("DELETE", true)];

/// A deal that moved to another funnel: no update event is sent for it (Bitrix24 REST 10.4).
const MOVED: &str = "ONCRMDEALMOVETOCATEGORY";

/// What the names of events of user fields end with.
const FIELD_CHANGES: [&str; 4] = ["ADD", "UPDATE", "DELETE", "SETENUMVALUES"];

impl EventMeaning {
    /// What an event with this name is about, in whichever case the name is written.
    pub fn of(name: &str) -> EventMeaning {
        let name = name.to_ascii_uppercase();
        let application = match name.as_str() {
            "ONAPPINSTALL" => Some(ApplicationEvent::Installed),
            "ONAPPUPDATE" => Some(ApplicationEvent::Updated),
            "ONAPPUNINSTALL" => Some(ApplicationEvent::Uninstalled),
            "ONOFFLINEEVENT" => Some(ApplicationEvent::OfflineQueue),
            "ONAPPTEST" => Some(ApplicationEvent::Test),
            _ => None,
        };
        application
            .map(EventMeaning::Application)
            .or_else(|| EntityType::all().find_map(|entity| of_entity(entity, &name)))
            .unwrap_or(EventMeaning::Unknown)
    }
}

fn of_entity(entity: EntityType, name: &str) -> Option<EventMeaning> {
    if name == MOVED && entity.event_stem() == "DEAL" {
        return Some(EventMeaning::Record { entity, deleted: false });
    }
    let rest = name.strip_prefix("ONCRM")?.strip_prefix(entity.event_stem())?;
    if rest.strip_prefix("USERFIELD").is_some_and(|change| FIELD_CHANGES.contains(&change)) {
        return Some(EventMeaning::Fields(entity));
    }
    let (_, deleted) = CHANGES.into_iter().find(|(change, _)| *change == rest)?;
    Some(EventMeaning::Record { entity, deleted })
}

/// Names of the events that the service wants of one entity, as the portal lists them. An outgoing webhook does not offer
/// [the last one of deals](is_for_applications_only).
pub fn names_of(entity: EntityType) -> Vec<String> {
    let stem = entity.event_stem();
    let mut names: Vec<String> = CHANGES.iter().map(|(change, _)| format!("ONCRM{stem}{change}")).collect();
    names.extend(FIELD_CHANGES.iter().map(|change| format!("ONCRM{stem}USERFIELD{change}")));
    if stem == "DEAL" {
        names.push(MOVED.to_owned());
    }
    names
}

/// Whether only applications can subscribe to it (Bitrix24 REST 10.1).
pub fn is_for_applications_only(name: &str) -> bool {
    name == MOVED
}

/// What is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A record.
    Record(RecordId),
    /// The fields of the entity.
    Fields,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Record(id) => id.fmt(f),
            Target::Fields => f.write_str("fields"),
        }
    }
}

/// Something may have changed: what an event leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Of which entity.
    pub entity: EntityType,
    /// What.
    pub target: Target,
    /// Whether the event says that the record is gone.
    pub deleted: bool,
    /// When the portal sent the event, by its own clock and to the second; not when the change was made.
    pub sent_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_the_same_in_any_case() {
        let deal: EntityType = "deal".parse().unwrap();
        let contact: EntityType = "contact".parse().unwrap();
        for (name, meaning) in [
            ("ONCRMDEALUPDATE", EventMeaning::Record { entity: deal, deleted: false }),
            ("OnCrmDealDelete", EventMeaning::Record { entity: deal, deleted: true }),
            ("oncrmcontactadd", EventMeaning::Record { entity: contact, deleted: false }),
            ("OnCrmDealMoveToCategory", EventMeaning::Record { entity: deal, deleted: false }),
            ("OnCrmContactUserFieldSetEnumValues", EventMeaning::Fields(contact)),
            ("ONAPPUNINSTALL", EventMeaning::Application(ApplicationEvent::Uninstalled)),
            ("ONCRMLEADMOVETOCATEGORY", EventMeaning::Unknown),
            ("ONCRMDEALRECURRINGADD", EventMeaning::Unknown),
            ("ONCRMDEAL", EventMeaning::Unknown),
            ("ONCRMINVOICEADD", EventMeaning::Unknown),
            ("", EventMeaning::Unknown),
        ] {
            assert_eq!(EventMeaning::of(name), meaning, "{name}");
        }
    }

    #[test]
    fn every_event_that_is_asked_for_is_understood() {
        for entity in EntityType::all() {
            let names = names_of(entity);
            assert!(names.iter().all(|name| EventMeaning::of(name) != EventMeaning::Unknown), "{names:?}");
            assert_eq!(names.iter().any(|name| is_for_applications_only(name)), entity.key() == "deal");
        }
    }
}
