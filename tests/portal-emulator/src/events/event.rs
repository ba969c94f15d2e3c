//! Events by name and data (REST.md 10.4).

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

/// `{"FIELDS": {NAME: value}}`.
fn fields<const N: usize>(members: [(&str, String); N]) -> Param {
    let members = members.map(|(name, value)| (name.to_owned(), Param::Text(value)));
    Param::Map(vec![("FIELDS".to_owned(), Param::Map(members.into()))])
}

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

    /// Whether the form for outgoing webhooks offers it: funnel moves and what concerns applications is for
    /// applications only (REST.md 10.1).
    pub(crate) fn is_for_webhooks(&self) -> bool {
        let for_applications = ["ONAPP", "ONOFFLINEEVENT", "CATALOG."];
        self.name != "ONCRMDEALMOVETOCATEGORY" && !for_applications.iter().any(|start| self.name.starts_with(start))
    }
}
