//! The keys of an item row, in the order in which the portal prints them.

use super::{Field, Schema};
use crate::entity::Entity;

/// One key of an item row.
#[derive(Clone, Debug)]
pub(crate) struct ItemColumn {
    pub(crate) name: String,
    /// `"name":`, ready to be written.
    pub(crate) key: Vec<u8>,
    pub(crate) content: ItemContent,
}

/// What stands behind a key of an item row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemContent {
    /// The field at this position of the schema.
    Field(usize),
    UserField(usize),
    /// A legacy field that is always null.
    Legacy,
    SearchContent,
    /// The first value of a multifield: type code and value type, empty for any.
    Alias(&'static str, &'static str),
    /// All multifields together.
    Multifields,
    EntityTypeId,
}

/// Keys in order: `-` marks legacy ones, `#` groups that depend on the record type.
const DEAL: &str = "\
    id createdTime -dateCreateShort updatedTime -dateModifyShort createdBy updatedBy assignedById opened \
    leadId companyId contactId quoteId title -productId categoryId stageId stageSemanticId isNew isRecurring \
    isReturnCustomer isRepeatedApproach closed typeId opportunity isManualOpportunity taxValue currencyId \
    probability comments begindate -begindateShort closedate -closedateShort -eventDate -eventDateShort \
    -eventId -eventDescription locationId webformId sourceId sourceDescription originatorId originId \
    additionalInfo #search -orderStage movedBy movedTime lastActivityBy lastActivityTime -isWork -isWon \
    -isLose -receivedAmount -lostAmount -hasProducts #user parentId1220 utmSource utmMedium utmCampaign \
    utmContent utmTerm observers contactIds #type";
const LEAD: &str = "\
    id createdTime -dateCreateShort updatedTime -dateModifyShort createdBy updatedBy assignedById opened \
    companyId contactId stageId -isConvert statusDescription stageSemanticId -productId opportunity currencyId \
    sourceId sourceDescription title name lastName secondName -shortName companyTitle post address comments \
    webformId originatorId originId dateClosed birthdate honorific hasPhone hasEmail hasImol -login \
    isReturnCustomer #search isManualOpportunity movedBy movedTime lastActivityBy lastActivityTime #aliases \
    #fm #user parentId1222 utmSource utmMedium utmCampaign utmContent utmTerm observers contactIds #type";
const CONTACT: &str = "\
    id createdTime -dateCreateShort updatedTime -dateModifyShort createdBy updatedBy assignedById opened \
    companyId leadId categoryId sourceId sourceDescription name lastName secondName -shortName photo post \
    address comments typeId webformId originatorId originId originVersion birthdate honorific export hasPhone \
    hasEmail hasImol -login #search lastActivityBy lastActivityTime #aliases #fm #user parentId1224 utmSource \
    utmMedium utmCampaign utmContent utmTerm observers companyIds #type";
const COMPANY: &str = "\
    id createdTime -dateCreateShort updatedTime -dateModifyShort createdBy updatedBy assignedById opened \
    leadId categoryId title logo address addressLegal bankingDetails comments typeId industry revenue \
    currencyId employees isMyCompany webformId originatorId originId originVersion hasPhone hasEmail hasImol \
    #search lastActivityBy lastActivityTime lastCommunicationTime #aliases #fm #user parentId156 utmSource \
    utmMedium utmCampaign utmContent utmTerm observers contactIds #type";

const ALIASES: &[(&str, ItemContent)] = &[
    ("phoneMobile", ItemContent::Alias("PHONE", "MOBILE")),
    ("phoneWork", ItemContent::Alias("PHONE", "WORK")),
    ("phoneMailing", ItemContent::Alias("PHONE", "MAILING")),
    ("emailHome", ItemContent::Alias("EMAIL", "HOME")),
    ("emailWork", ItemContent::Alias("EMAIL", "WORK")),
    ("emailMailing", ItemContent::Alias("EMAIL", "MAILING")),
    ("skype", ItemContent::Legacy),
    ("icq", ItemContent::Legacy),
    ("imol", ItemContent::Alias("IM", "OPENLINE")),
    ("email", ItemContent::Alias("EMAIL", "")),
    ("phone", ItemContent::Alias("PHONE", "")),
];

fn column(name: &str, content: ItemContent) -> ItemColumn {
    ItemColumn { name: name.to_owned(), key: format!("\"{name}\":").into_bytes(), content }
}

/// The columns of an item row for the fields as they stand.
pub(super) fn columns(schema: &Schema) -> Vec<ItemColumn> {
    let keys = match schema.entity {
        Entity::Deal => DEAL,
        Entity::Lead => LEAD,
        Entity::Contact => CONTACT,
        Entity::Company => COMPANY,
    };
    keys.split_whitespace().flat_map(|key| expand(schema, key)).collect()
}

fn expand(schema: &Schema, key: &str) -> Vec<ItemColumn> {
    match key {
        "#search" => vec![column("searchContent", ItemContent::SearchContent)],
        "#fm" => vec![column("fm", ItemContent::Multifields)],
        "#type" => vec![column("entityTypeId", ItemContent::EntityTypeId)],
        "#aliases" => ALIASES.iter().map(|(name, content)| column(name, *content)).collect(),
        "#user" => schema.fields().iter().enumerate().filter_map(user_column).collect(),
        name => match name.strip_prefix('-') {
            Some(legacy) => vec![column(legacy, ItemContent::Legacy)],
            None => schema.item_named(name).map(|(at, _)| column(name, ItemContent::Field(at))).into_iter().collect(),
        },
    }
}

fn user_column((at, field): (usize, &Field)) -> Option<ItemColumn> {
    field.user.as_ref()?;
    Some(column(field.item_name.as_deref()?, ItemContent::UserField(at)))
}
