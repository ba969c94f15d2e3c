//! `crm.item.*`: one set of methods for all entities, camelCase names, records wrapped in `items`.

use b24sync_domain::entity::EntityType;

use super::{EntityDialect, SelectUserFields, has_multifields};

/// First values of multi-fields, duplicates of other fields, and the search index (Bitrix24 REST 7.5).
const ALIASES: &[&str] = &[
    "entityTypeId",
    "searchContent",
    "contacts",
    "phone",
    "phoneMobile",
    "phoneWork",
    "phoneMailing",
    "email",
    "emailHome",
    "emailWork",
    "emailMailing",
    "skype",
    "icq",
    "imol",
];

/// "Disabled legacy fields: always `null`" (Bitrix24 REST 7.5).
const LEGACY: &[&str] = &[
    "dateCreateShort",
    "dateModifyShort",
    "begindateShort",
    "closedateShort",
    "eventDate",
    "eventDateShort",
    "eventId",
    "eventDescription",
    "productId",
    "orderStage",
    "isWork",
    "isWon",
    "isLose",
    "isConvert",
    "receivedAmount",
    "lostAmount",
    "hasProducts",
    "shortName",
    "fullName",
    "login",
];

pub(super) fn describe(entity: EntityType) -> EntityDialect {
    EntityDialect {
        list_method: "crm.item.list".to_owned(),
        fields_method: "crm.item.fields".to_owned(),
        user_fields_method: None,
        type_id: Some(entity.type_id()),
        list_wrapper: Some("items"),
        fields_wrapper: Some("fields"),
        id_name: "id",
        modified_name: "updatedTime".to_owned(),
        // Only `*` brings the multi-fields. Whether it brings user fields is not documented, so they are named.
        select: &["*"],
        select_user_fields: SelectUserFields::All,
        multifield_key: Some("fm"),
        has_multifields: has_multifields(entity),
        aliases: ALIASES,
        legacy: LEGACY,
        never_returned: Vec::new(),
        renames: renames(entity),
    }
}

/// Bitrix24 REST, appendix B.
fn renames(entity: EntityType) -> Vec<(&'static str, &'static str)> {
    let mut renames = vec![
        ("CREATED_TIME", "DATE_CREATE"),
        ("UPDATED_TIME", entity.modified_field()),
        ("CREATED_BY", "CREATED_BY_ID"),
        ("UPDATED_BY", "MODIFY_BY_ID"),
        ("MOVED_BY", "MOVED_BY_ID"),
    ];
    match entity.key() {
        "lead" => renames.extend([("STAGE_ID", "STATUS_ID"), ("STAGE_SEMANTIC_ID", "STATUS_SEMANTIC_ID")]),
        "company" => renames.push(("TYPE_ID", "COMPANY_TYPE")),
        _ => {}
    }
    renames
}
