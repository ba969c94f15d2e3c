//! Events by name and data (REST.md 10.4).

use super::Grant;
use crate::entity::Entity;
use crate::param::Param;

/// Something that listeners are told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// In upper case.
    pub(crate) name: String,
    /// The id in its data, if it has one.
    pub(crate) id: Option<i64>,
    pub(crate) data: Param,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Update,
    Delete,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// What became of the definition of a user field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldVerb {
    Record(Verb),
    /// The options of a list were set; comes on top of the event for the field itself.
    SetEnumValues,
}

impl FieldVerb {
    fn name(self) -> &'static str {
        match self {
            Self::Record(verb) => verb.name(),
            Self::SetEnumValues => "SETENUMVALUES",
        }
    }
}

fn map<const N: usize>(members: [(&str, Param); N]) -> Param {
    Param::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
}

fn texts<const N: usize>(members: [(&str, String); N]) -> Param {
    map(members.map(|(name, value)| (name, Param::Text(value))))
}

/// `{"FIELDS": {NAME: value}}`.
fn fields<const N: usize>(members: [(&str, String); N]) -> Param {
    map([("FIELDS", texts(members))])
}

/// The language that events about an application name.
const LANGUAGE: &str = "en";

fn word(entity: Entity) -> String {
    entity.name().to_ascii_uppercase()
}

impl Event {
    /// A record was added, changed or deleted.
    pub(crate) fn record(entity: Entity, verb: Verb, id: i64) -> Self {
        let name = format!("ONCRM{}{}", word(entity), verb.name());
        Self { name, id: Some(id), data: fields([("ID", id.to_string())]) }
    }

    /// A deal went to another funnel.
    pub(crate) fn moved(id: i64, funnel: i64, stage: String) -> Self {
        let data = fields([("ID", id.to_string()), ("CATEGORY_ID", funnel.to_string()), ("STAGE_ID", stage)]);
        Self { name: "ONCRMDEALMOVETOCATEGORY".to_owned(), id: Some(id), data }
    }

    /// The definition of a user field changed.
    pub(crate) fn user_field(entity: Entity, verb: FieldVerb, id: i64, field: &str) -> Self {
        let name = format!("ONCRM{}USERFIELD{}", word(entity), verb.name());
        let owner = entity.user_field_owner().to_owned();
        let data = fields([("ID", id.to_string()), ("ENTITY_ID", owner), ("FIELD_NAME", field.to_owned())]);
        Self { name, id: Some(id), data }
    }

    fn about_application(name: &str, data: Param) -> Self {
        Self { name: name.to_owned(), id: None, data }
    }

    /// The application was installed.
    pub(crate) fn installed(version: String) -> Self {
        let (yes, language) = (|| "Y".to_owned(), LANGUAGE.to_owned());
        let data = [("VERSION", version), ("ACTIVE", yes()), ("INSTALLED", yes()), ("LANGUAGE_ID", language)];
        Self::about_application("ONAPPINSTALL", texts(data))
    }

    /// The application was updated (RU `api-reference/common/events/on-app-update.md`).
    pub(crate) fn updated(version: String, previous: String) -> Self {
        let data = [("VERSION", version), ("PREVIOUS_VERSION", previous), ("LANGUAGE_ID", LANGUAGE.to_owned())];
        Self::about_application("ONAPPUPDATE", texts(data))
    }

    /// The application was removed, with its data if `clean`.
    pub(crate) fn uninstalled(clean: bool) -> Self {
        let data = [("LANGUAGE_ID", LANGUAGE.to_owned()), ("CLEAN", u8::from(clean).to_string())];
        Self::about_application("ONAPPUNINSTALL", texts(data))
    }

    /// `event.test` was called with these parameters.
    pub(crate) fn test(query: Param) -> Self {
        Self::about_application("ONAPPTEST", map([("QUERY", query)]))
    }

    /// Something is in the offline queue.
    pub(crate) fn wake_up() -> Self {
        Self::about_application("ONOFFLINEEVENT", Param::default())
    }

    /// The tokens that an application gets with it (REST.md 10.2, 12.5).
    pub(crate) fn grant(&self) -> Grant {
        match self.name.as_str() {
            "ONAPPUNINSTALL" => Grant::Nothing,
            "ONOFFLINEEVENT" => Grant::AccessAndRefresh,
            "ONAPPINSTALL" | "ONAPPUPDATE" => Grant::Installation,
            _ => Grant::Access,
        }
    }

    /// Whether the form for outgoing webhooks offers it: funnel moves and what concerns applications is for
    /// applications only (REST.md 10.1).
    pub(crate) fn is_for_webhooks(&self) -> bool {
        let for_applications = ["ONAPP", "ONOFFLINEEVENT", "CATALOG."];
        self.name != "ONCRMDEALMOVETOCATEGORY" && !for_applications.iter().any(|start| self.name.starts_with(start))
    }
}
