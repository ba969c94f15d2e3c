//! `crm.deal.*` and its like: methods per entity, upper-case names, bare lists, every scalar a string.
//! These lists never return the links to many (`CONTACT_IDS`, `COMPANY_IDS`, a company's `CONTACT_ID`), although the
//! description has them: they are left out, and only the item dialect fills their columns.

use b24sync_domain::entity::EntityType;

use super::{EntityDialect, SelectUserFields, has_multifields};

pub(super) fn describe(entity: EntityType) -> EntityDialect {
    let method = |suffix: &str| format!("crm.{}.{suffix}", entity.key());
    let mut never_returned = vec!["CONTACT_IDS", "COMPANY_IDS"];
    if entity.key() == "company" {
        never_returned.push("CONTACT_ID");
    }
    EntityDialect {
        list_method: method("list"),
        fields_method: method("fields"),
        user_fields_method: Some(method("userfield.list")),
        type_id: None,
        list_wrapper: None,
        fields_wrapper: None,
        id_name: "ID",
        modified_name: entity.modified_field().to_owned(),
        select: &["*", "UF_*"],
        // The pages of the documentation differ on whether `UF_*` includes multiple fields.
        select_user_fields: SelectUserFields::Multiple,
        multifield_key: None,
        has_multifields: has_multifields(entity),
        aliases: &[],
        legacy: &[],
        never_returned,
        renames: Vec::new(),
    }
}
