//! Types of fields.

use serde::{Deserialize, Serialize};

use crate::entity::Entity;

/// The type of a field, with what its values need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Double,
    Text,
    /// `string` in classic metadata, `text` in the item dialect.
    LongText,
    /// `Y`/`N`; called `char` in the classic dialect and `boolean` in the other.
    Char,
    Boolean,
    Date,
    DateTime,
    Enumeration,
    /// A code of the dictionary with this `ENTITY_ID`.
    Status(&'static str),
    Category,
    Currency,
    User,
    Employee,
    Link(Entity),
    Quote,
    Parent(i64),
    /// A CRM binding with a prefix, `C_12`.
    Crm,
    /// A CRM binding that allows companies only: a bare id.
    CrmCompany,
    Multifield,
    Money,
    Url,
    Address,
    File,
    Section,
    Element,
    Booking,
    Location,
    /// A type registered by an application.
    App,
}

impl Kind {
    /// The type as classic `*.fields` prints it.
    pub(crate) fn classic_name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Text | Self::LongText => "string",
            Self::Char => "char",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Enumeration => "enumeration",
            Self::Status(_) => "crm_status",
            Self::Category => "crm_category",
            Self::Currency => "crm_currency",
            Self::User => "user",
            Self::Employee => "employee",
            Self::Link(Entity::Lead) => "crm_lead",
            Self::Link(Entity::Deal) => "crm_deal",
            Self::Link(Entity::Contact) => "crm_contact",
            Self::Link(Entity::Company) => "crm_company",
            Self::Quote => "crm_quote",
            Self::Parent(_) => "crm_entity",
            Self::Crm | Self::CrmCompany => "crm",
            Self::Multifield => "crm_multifield",
            Self::Money => "money",
            Self::Url => "url",
            Self::Address => "address",
            Self::File => "file",
            Self::Section => "iblock_section",
            Self::Element => "iblock_element",
            Self::Booking => "resourcebooking",
            Self::Location => "location",
            Self::App => "rest_app_x",
        }
    }

    /// The type as `crm.item.fields` prints it.
    pub(crate) fn item_name(self) -> &'static str {
        match self {
            Self::Char => "boolean",
            Self::LongText => "text",
            other => other.classic_name(),
        }
    }

    /// Whether a value is the id of something else, so that `"0"` means nothing.
    pub(crate) fn is_link(self) -> bool {
        matches!(self, Self::Link(_) | Self::Quote | Self::Parent(_) | Self::User | Self::Location)
    }
}

/// The types that user fields can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserType {
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `double`
    Double,
    /// `boolean`
    Boolean,
    /// `date`
    Date,
    /// `datetime`
    Datetime,
    /// `enumeration`
    Enumeration,
    /// `crm_status`, bound to the dictionary `INDUSTRY`
    CrmStatus,
    /// `crm` bound to several entity types: values carry a prefix
    Crm,
    /// `crm` bound to companies only: values are bare ids
    CrmCompany,
    /// `money`
    Money,
    /// `url`
    Url,
    /// `address`
    Address,
    /// `file`
    File,
    /// `employee`
    Employee,
    /// `iblock_section`
    IblockSection,
    /// `iblock_element`
    IblockElement,
    /// `resourcebooking`
    Resourcebooking,
    /// `rest_app_x`: a type that an application registered
    RestAppX,
}

impl UserType {
    /// Every type, in the order in which generated portals use them.
    pub const ALL: [Self; 19] = [
        Self::String,
        Self::Integer,
        Self::Double,
        Self::Boolean,
        Self::Date,
        Self::Datetime,
        Self::Enumeration,
        Self::CrmStatus,
        Self::Crm,
        Self::Money,
        Self::Url,
        Self::Address,
        Self::File,
        Self::Employee,
        Self::IblockSection,
        Self::IblockElement,
        Self::Resourcebooking,
        Self::RestAppX,
        Self::CrmCompany,
    ];

    /// The type as the portal prints it.
    pub fn name(self) -> &'static str {
        self.kind().classic_name()
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::String => Kind::Text,
            Self::Integer => Kind::Integer,
            Self::Double => Kind::Double,
            Self::Boolean => Kind::Boolean,
            Self::Date => Kind::Date,
            Self::Datetime => Kind::DateTime,
            Self::Enumeration => Kind::Enumeration,
            Self::CrmStatus => Kind::Status("INDUSTRY"),
            Self::Crm => Kind::Crm,
            Self::CrmCompany => Kind::CrmCompany,
            Self::Money => Kind::Money,
            Self::Url => Kind::Url,
            Self::Address => Kind::Address,
            Self::File => Kind::File,
            Self::Employee => Kind::Employee,
            Self::IblockSection => Kind::Section,
            Self::IblockElement => Kind::Element,
            Self::Resourcebooking => Kind::Booking,
            Self::RestAppX => Kind::App,
        }
    }

    /// The `SETTINGS` of a field of this type, as JSON text; `[]` where there are none.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::String => r#"{"SIZE":20,"ROWS":1,"REGEXP":"","MIN_LENGTH":0,"MAX_LENGTH":0,"DEFAULT_VALUE":""}"#,
            Self::Integer => r#"{"SIZE":20,"MIN_VALUE":0,"MAX_VALUE":0,"DEFAULT_VALUE":null}"#,
            Self::Double => r#"{"PRECISION":2,"SIZE":20,"MIN_VALUE":0,"MAX_VALUE":0,"DEFAULT_VALUE":null}"#,
            Self::Boolean => {
                r#"{"DEFAULT_VALUE":0,"DISPLAY":"CHECKBOX","LABEL":["",""],"LABEL_CHECKBOX":{"en":"Yes","de":"Ja"}}"#
            }
            Self::Date => r#"{"DEFAULT_VALUE":{"TYPE":"NONE","VALUE":""}}"#,
            Self::Datetime => r#"{"DEFAULT_VALUE":{"TYPE":"NONE","VALUE":""},"USE_SECOND":"Y","USE_TIMEZONE":"N"}"#,
            Self::Enumeration => r#"{"DISPLAY":"LIST","LIST_HEIGHT":1,"CAPTION_NO_VALUE":"","SHOW_NO_VALUE":"Y"}"#,
            Self::CrmStatus => r#"{"ENTITY_TYPE":"INDUSTRY"}"#,
            Self::Crm => r#"{"CONTACT":"Y","COMPANY":"Y","DYNAMIC_128":"Y","LEAD":null}"#,
            Self::CrmCompany => r#"{"COMPANY":"Y","LEAD":null}"#,
            Self::Money => r#"{"DEFAULT_VALUE":""}"#,
            Self::Url => r#"{"POPUP":"Y","SIZE":20,"MIN_LENGTH":0,"MAX_LENGTH":0,"DEFAULT_VALUE":"","ROWS":1}"#,
            Self::Address => r#"{"SHOW_MAP":"Y"}"#,
            Self::File => {
                r#"{"SIZE":20,"LIST_WIDTH":0,"LIST_HEIGHT":0,"MAX_SHOW_SIZE":0,"MAX_ALLOWED_SIZE":0,"EXTENSIONS":[],"TARGET_BLANK":"Y"}"#
            }
            Self::IblockSection | Self::IblockElement => {
                r#"{"DISPLAY":"LIST","LIST_HEIGHT":1,"IBLOCK_ID":7,"DEFAULT_VALUE":"","ACTIVE_FILTER":"N"}"#
            }
            Self::Resourcebooking => {
                r#"{"USE_USERS":"N","USE_RESOURCES":"Y","RESOURCES":{"resource":{"XML_ID":"resource","NAME":"resource","SECTIONS":[{"ID":"7","CAL_TYPE":"resource","NAME":"Museum Hall"}]}},"SELECTED_RESOURCES":[{"type":"resource","id":"7","title":"Museum Hall"}],"SELECTED_USERS":[],"FULL_DAY":"N","ALLOW_OVERBOOKING":"Y","USE_SERVICES":"N","SERVICE_LIST":[{"name":"","duration":"60"}],"RESOURCE_LIMIT":-1,"TIMEZONE":"Europe/Berlin","USE_USER_TIMEZONE":"N"}"#
            }
            Self::Employee | Self::RestAppX => "[]",
        }
    }
}
