//! What the portal really holds, independent of how a dialect prints it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entity::{Dialect, Entity};

/// The meaning of one field of one record: what a perfect replica must hold whatever the dialect.
///
/// Every empty form that the portal prints for a single value (`null`, `""`, `"0"` for links, an absent key) means
/// [`Truth::Null`]; every empty form of a multiple value (`[]`, `false`, `null`, an absent key) means an empty list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// No value.
    Null,
    /// Text, exactly as held: line feeds, BB codes and invisible characters included. Also codes of dictionaries and
    /// currencies, CRM bindings (`C_12`) and user-field addresses (`text|lat;lng|id`).
    Text(String),
    /// A whole number in decimal notation; it may exceed 64 bits.
    Integer(String),
    /// A decimal number in plain notation.
    Decimal(String),
    /// Yes or no.
    Boolean(bool),
    /// A moment, with the precision of the portal: one second.
    Instant {
        /// Seconds since 1970-01-01T00:00:00Z.
        epoch_seconds: i64,
    },
    /// A calendar day without a time zone.
    Date {
        /// Year.
        y: i32,
        /// Month, from 1.
        m: u8,
        /// Day of the month, from 1.
        d: u8,
    },
    /// The id of something else: a user, a record, an option of a list, a funnel. Never 0, except for funnels.
    Reference(i64),
    /// The values of a multiple field, in order.
    List(Vec<Truth>),
    /// An amount with its currency.
    Money {
        /// The amount in plain decimal notation.
        amount: String,
        /// The currency code; rarely missing.
        currency: Option<String>,
    },
    /// The id of a file. Its addresses change with every answer and are no part of the truth.
    File(i64),
    /// Phones, e-mails and their kin, in order.
    Multifield(Vec<MultifieldValue>),
    /// A value that no typed column can hold (a poisoned record); `json` is the token as it is sent.
    Unstorable {
        /// The raw JSON token.
        json: String,
    },
}

/// One phone, e-mail address, site, messenger or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultifieldValue {
    /// The id of this value, unique in the portal.
    pub id: i64,
    /// `WORK`, `HOME`, `MOBILE`…
    pub value_type: String,
    /// The value itself.
    pub value: String,
}

impl Truth {
    /// Whether there is nothing to hold: null or an empty list.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Multifield(values) => values.is_empty(),
            _ => false,
        }
    }
}

impl From<&str> for Truth {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Truth {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Truth {
    fn from(number: i64) -> Self {
        Self::Integer(number.to_string())
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// One record as the portal holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrueRecord {
    /// Which entity it belongs to.
    pub entity: Entity,
    /// Its id.
    pub id: i64,
    /// Whether a field of it holds [`Truth::Unstorable`].
    pub poisoned: bool,
    /// Every field by its classic upper-case name, also those that only one dialect delivers.
    pub fields: BTreeMap<String, Truth>,
}

/// One field of an entity as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrueField {
    /// The classic upper-case name; the key of [`TrueRecord::fields`].
    pub name: String,
    /// The name in `crm.item.*`; `None` where that dialect has no such field.
    pub item_name: Option<String>,
    /// The type as the classic `*.fields` method prints it.
    pub kind: String,
    /// Whether a value is a list.
    pub multiple: bool,
    /// Whether it is a user field.
    pub user: bool,
    /// The label shown to people.
    pub label: String,
    /// Whether rows of the classic lists can carry it.
    pub(crate) in_classic: bool,
}

impl TrueField {
    /// Whether rows of that dialect can carry the field, if everything is selected that can be.
    ///
    /// The classic dialect never delivers `CONTACT_IDS`, `COMPANY_IDS`, `OBSERVERS` and `WEBFORM_ID`, and `FACE_ID`
    /// only in `get`; the item dialect delivers no address parts (one text `address` only) and has the phones,
    /// e-mails, sites, messengers and links of a record together in `fm`, which counts as delivered.
    pub fn delivered_by(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Classic => self.in_classic,
            Dialect::Item => self.item_name.is_some(),
        }
    }
}
