use b24sync_domain::entity::EntityType;
use b24sync_domain::field::FieldKind;

use super::*;
use crate::config::Dialect;
use crate::samples::metadata;

fn dialect(dialect: Dialect, entity: &str) -> EntityDialect {
    EntityDialect::of(dialect, entity.parse().unwrap())
}

fn field<'a>(metadata: &'a Metadata, name: &str) -> &'a FieldDescription {
    let mut fields = metadata.fields.iter().map(|field| &field.description);
    fields.find(|field| field.name.as_str() == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn every_entity_is_described_by_its_sample() {
    for entity in EntityType::all() {
        let classic = dialect(Dialect::Classic, entity.key());
        let metadata = metadata(&classic, &format!("crm.{entity}.fields.json"), None);
        assert!(metadata.fields.len() >= 40, "{entity}");
        assert_eq!(field(&metadata, "ID").kind, FieldKind::Integer, "{entity}");
        assert_eq!(field(&metadata, entity.modified_field()).kind, FieldKind::DateTime, "{entity}");
        assert!(metadata.fields.iter().all(|field| field.name != "CONTACT_IDS" && field.name != "COMPANY_IDS"));
        let phones = metadata.fields.iter().filter(|field| field.name == "PHONE").count();
        assert_eq!(phones, usize::from(entity.key() != "deal"), "{entity}");
    }
}

#[test]
fn item_descriptions_end_in_classic_names() {
    let item = dialect(Dialect::Item, "lead");
    let metadata = metadata(&item, "crm.item.fields.json", None);
    for (portal, classic, kind) in [
        ("id", "ID", FieldKind::Integer),
        ("createdTime", "DATE_CREATE", FieldKind::DateTime),
        ("updatedTime", "DATE_MODIFY", FieldKind::DateTime),
        ("createdBy", "CREATED_BY_ID", FieldKind::Reference),
        ("updatedBy", "MODIFY_BY_ID", FieldKind::Reference),
        ("movedBy", "MOVED_BY_ID", FieldKind::Reference),
        ("stageId", "STATUS_ID", FieldKind::Status),
        ("opened", "OPENED", FieldKind::Boolean),
        ("sourceDescription", "SOURCE_DESCRIPTION", FieldKind::Text),
        ("parentId1248", "PARENT_ID_1248", FieldKind::Reference),
    ] {
        let description = field(&metadata, classic);
        assert_eq!(description.kind, kind, "{classic}");
        assert!(metadata.fields.iter().any(|field| field.name == portal && field.description.name.as_str() == classic));
    }
    assert!(field(&metadata, "CONTACT_IDS").multiple);
    assert!(metadata.fields.iter().all(|field| field.name != "contacts"));
    let phone = field(&metadata, "PHONE");
    assert_eq!((phone.kind, phone.multiple), (FieldKind::Multifield, true));
}

#[test]
fn user_fields_of_the_item_dialect_are_selected_by_their_names_and_have_options() {
    let item = dialect(Dialect::Item, "deal");
    let fragment = crate::samples::sample("crm.item.fields.userfields-spa.json");
    let wrapped = format!(r#"{{"fields":{fragment}}}"#);
    let metadata = decode(&item, serde_json::from_str(&wrapped).unwrap(), None).unwrap();
    let list = field(&metadata, "UF_CRM_44_1721812814433");
    assert_eq!(list.kind, FieldKind::Enumeration);
    assert_eq!(list.label.as_deref(), Some("Custom field (list)"));
    assert_eq!(list.options.len(), 4);
    assert_eq!((list.options[0].id.as_str(), list.options[0].value.as_str()), ("79", "List item #1"));
    let select = metadata.select(&item, &everything(&metadata));
    assert_eq!(select[0], "*");
    assert!(select.contains(&"ufCrm44_1721812814433") && !select.contains(&"PHONE"));
}

#[test]
fn the_classic_dialect_selects_multiple_user_fields_and_multi_fields_by_name() {
    let classic = dialect(Dialect::Classic, "contact");
    let fields = r#"{"ID":{"type":"integer"},
        "PHONE":{"type":"crm_multifield","isMultiple":true},
        "UF_CRM_A":{"type":"string","isMultiple":false},
        "UF_CRM_B":{"type":"string","isMultiple":"Y"},
        "ODD":[]}"#;
    let metadata = decode(&classic, serde_json::from_str(fields).unwrap(), None).unwrap();
    assert_eq!(
        metadata.select(&classic, &everything(&metadata)),
        ["*", "UF_*", "PHONE", "UF_CRM_B", "EMAIL", "WEB", "IM", "LINK"]
    );
    assert_eq!(field(&metadata, "ODD").kind, FieldKind::Other);
}

#[test]
fn a_few_fields_are_selected_by_name_unless_they_come_bundled() {
    let names = |names: &[&str]| Layout::new(names.iter().map(|name| FieldName::new(*name)).collect());
    let item = dialect(Dialect::Item, "contact");
    let fields = r#"{"fields":{"id":{"type":"integer"},"name":{"type":"string"},"updatedTime":{"type":"datetime"},
        "ufCrm_1":{"type":"string","upperName":"UF_CRM_1"},"fm":{"type":"crm_multifield"}}}"#;
    let metadata = decode(&item, serde_json::from_str(fields).unwrap(), None).unwrap();
    assert_eq!(metadata.select(&item, &names(&["UF_CRM_1"])), ["id", "updatedTime", "ufCrm_1"]);
    assert_eq!(metadata.select(&item, &names(&[])), ["id", "updatedTime"]);
    assert_eq!(metadata.select(&item, &names(&["PHONE"]))[0], "*", "`fm` cannot be asked for by name");
    let classic = dialect(Dialect::Classic, "contact");
    let fields = r#"{"ID":{"type":"integer"},"NAME":{"type":"string"},"PHONE":{"type":"crm_multifield"}}"#;
    let metadata = decode(&classic, serde_json::from_str(fields).unwrap(), None).unwrap();
    assert_eq!(metadata.select(&classic, &names(&["PHONE"])), ["ID", "DATE_MODIFY", "PHONE"]);
}

#[test]
fn labels_of_user_fields_come_from_the_first_place_that_has_one() {
    let classic = dialect(Dialect::Classic, "company");
    let metadata = metadata(&classic, "crm.company.fields.json", None);
    assert_eq!(field(&metadata, "UF_CRM_1687188367").label.as_deref(), Some("Subsidiary"));

    let deal = dialect(Dialect::Classic, "deal");
    let fields = r#"{"ID":{"type":"integer","title":"ID"},
        "UF_CRM_1724077760":{"type":"enumeration","isMultiple":true,"title":"UF_CRM_1724077760","items":[]},
        "UF_CRM_1713790573":{"type":"crm_status","title":"UF_CRM_1713790573","listLabel":"Industry"}}"#;
    let sample = crate::samples::sample("crm.deal.userfield.list.json");
    let envelope: crate::envelope::Envelope<'_> = serde_json::from_str(&sample).unwrap();
    let metadata = decode(&deal, serde_json::from_str(fields).unwrap(), envelope.result).unwrap();
    let radio = field(&metadata, "UF_CRM_1724077760");
    assert_eq!((radio.label.as_deref(), radio.options.len()), (Some("Radio"), 5));
    assert_eq!(field(&metadata, "UF_CRM_1713790573").label.as_deref(), Some("Industry"));
    assert_eq!(field(&metadata, "ID").label, None, "a label that only repeats the name is none");
}

#[test]
fn nothing_described_is_no_description() {
    let classic = dialect(Dialect::Classic, "deal");
    for nothing in ["[]", "{}", "null", "true"] {
        assert!(decode(&classic, serde_json::from_str(nothing).unwrap(), None).is_none());
    }
    let item = dialect(Dialect::Item, "deal");
    assert!(decode(&item, serde_json::from_str(r#"{"items":{}}"#).unwrap(), None).is_none());
}

fn everything(metadata: &Metadata) -> std::sync::Arc<Layout> {
    Layout::new(metadata.descriptions().into_iter().map(|description| description.name).collect())
}
