//! Fields as the portal describes them: name, kind, label, options.

use std::fmt;

/// Name of a field in the portal, in its classic upper-case form (`STAGE_ID`, `UF_CRM_1720697698689`).
/// Both dialects of the portal's API end in the same names, so that the columns do not depend on the dialect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(String);

impl FieldName {
    /// Takes the name as it stands.
    pub fn new(name: impl Into<String>) -> FieldName {
        FieldName(name.into())
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the portal's owner defined the field (`UF_*`).
    pub fn is_user_field(&self) -> bool {
        self.0.starts_with("UF_")
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a field's values are. One kind may cover several of the portal's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// Text of any length, line feeds and markup kept.
    Text,
    /// Whole number.
    Integer,
    /// Decimal number.
    Double,
    /// Yes or no, in any of the portal's spellings.
    Boolean,
    /// Instant with an offset.
    DateTime,
    /// Calendar day.
    Date,
    /// Option of a list, by its id.
    Enumeration,
    /// Code of a stage or of another dictionary.
    Status,
    /// Three-letter currency code.
    Currency,
    /// Funnel; 0 is a real one.
    Category,
    /// Id of another record or of a user; 0 means none.
    Reference,
    /// Amount with a currency, written `amount|CUR`.
    Money,
    /// Web address.
    Url,
    /// Postal address, written `text|lat;lng|id`.
    Address,
    /// File; only its id is kept, because its links carry tokens that change with every answer.
    File,
    /// List of phones, e-mails, links: always multiple.
    Multifield,
    /// Object or list without a fixed shape.
    Object,
    /// Anything the service does not know: stored as text.
    Other,
}

impl FieldKind {
    /// The kind for one of the portal's type names (Bitrix24 REST, "data types"; unknown ones are [`FieldKind::Other`]).
    pub fn of(type_name: &str) -> FieldKind {
        match type_name {
            "string" | "text" => FieldKind::Text,
            "integer" | "int" => FieldKind::Integer,
            "double" => FieldKind::Double,
            "boolean" | "char" => FieldKind::Boolean,
            "datetime" => FieldKind::DateTime,
            "date" => FieldKind::Date,
            "enumeration" => FieldKind::Enumeration,
            "crm_status" => FieldKind::Status,
            "crm_currency" => FieldKind::Currency,
            "crm_category" => FieldKind::Category,
            "user" | "employee" | "crm_contact" | "crm_company" | "crm_lead" | "crm_deal" | "crm_quote"
            | "crm_entity" => FieldKind::Reference,
            "money" => FieldKind::Money,
            "url" => FieldKind::Url,
            "address" => FieldKind::Address,
            "file" => FieldKind::File,
            "crm_multifield" => FieldKind::Multifield,
            "diskfile"
            | "attached_diskfile"
            | "product_file"
            | "recurring_params"
            | "object"
            | "lang_map"
            | "currency_localization"
            | "crm_activity_binding"
            | "crm_activity_communication"
            | "uf_enum_element"
            | "crm_dynamic_type"
            | "crm_status_extra"
            | "productproperty" => FieldKind::Object,
            _ => FieldKind::Other,
        }
    }
}

/// One option of a list field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldOption {
    /// What records store.
    pub id: String,
    /// What people see.
    pub value: String,
}

/// A field as the portal describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDescription {
    /// Classic name.
    pub name: FieldName,
    /// The portal's own type name, kept for the data dictionary.
    pub type_name: String,
    /// What its values are.
    pub kind: FieldKind,
    /// Whether a value is a list.
    pub multiple: bool,
    /// What people see; not unique, and free to change.
    pub label: Option<String>,
    /// Options of a list field, empty for others.
    pub options: Vec<FieldOption>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_registered_by_applications_are_kept_as_text() {
        assert_eq!(FieldKind::of("rest_42_rating"), FieldKind::Other);
    }

    #[test]
    fn a_char_is_a_boolean_because_the_portal_has_only_yes_and_no_there() {
        assert_eq!(FieldKind::of("char"), FieldKind::Boolean);
    }
}
