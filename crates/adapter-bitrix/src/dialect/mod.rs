//! The two dialects of the CRM methods as data: what they are called, how their answers are wrapped, and how their names
//! become the classic ones. To add a dialect, add a module like `item`.

mod classic;
mod item;

use b24sync_domain::entity::EntityType;
use b24sync_domain::field::FieldName;

use crate::config::Dialect;

/// The multi-fields of leads, contacts and companies.
pub(crate) const MULTIFIELDS: [&str; 5] = ["PHONE", "EMAIL", "WEB", "IM", "LINK"];

/// One entity in one dialect.
#[derive(Debug)]
pub(crate) struct EntityDialect {
    /// Lists records; the id reads of several records are lists too.
    pub(crate) list_method: String,
    /// Describes the fields.
    pub(crate) fields_method: String,
    /// Describes the user fields once more, with their options, where the dialect has such a method.
    pub(crate) user_fields_method: Option<String>,
    /// `entityTypeId`, where the methods serve several entities.
    pub(crate) type_id: Option<i16>,
    /// What the records of a list are wrapped in.
    pub(crate) list_wrapper: Option<&'static str>,
    /// What the descriptions of fields are wrapped in.
    pub(crate) fields_wrapper: Option<&'static str>,
    /// Name of the id in filters, orders and records.
    pub(crate) id_name: &'static str,
    /// Name of the time of the last change in filters and records.
    pub(crate) modified_name: String,
    /// What every list selects.
    pub(crate) select: &'static [&'static str],
    /// Which user fields must be selected by name on top of that.
    pub(crate) select_user_fields: SelectUserFields,
    /// The key in which all multi-fields come together; `None` where each comes, and is selected, under its own name.
    pub(crate) multifield_key: Option<&'static str>,
    /// Whether records of this entity have multi-fields.
    pub(crate) has_multifields: bool,
    /// Names that only repeat what other fields say, or are too volatile to keep.
    pub(crate) aliases: &'static [&'static str],
    /// Names that the portal keeps for compatibility and always fills with `null`.
    pub(crate) legacy: &'static [&'static str],
    /// Described fields that lists never return.
    pub(crate) never_returned: Vec<&'static str>,
    /// Names by the portal's own upper-case name → classic names.
    pub(crate) renames: Vec<(&'static str, &'static str)>,
}

/// Which user fields a list must select by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelectUserFields {
    All,
    Multiple,
}

impl EntityDialect {
    pub(crate) fn of(dialect: Dialect, entity: EntityType) -> EntityDialect {
        match dialect {
            Dialect::Item => item::describe(entity),
            Dialect::Classic => classic::describe(entity),
        }
    }

    /// The classic name of a field, or `None` where the field is left out. `upper_name` is the portal's own word for it,
    /// where it says so.
    pub(crate) fn classic_name(&self, name: &str, upper_name: Option<&str>) -> Option<FieldName> {
        let left_out = self.aliases.contains(&name)
            || self.legacy.contains(&name)
            || self.never_returned.contains(&name)
            || self.multifield_key == Some(name);
        if left_out {
            return None;
        }
        let upper = upper_name.map_or_else(|| upper_case(name), str::to_owned);
        let renamed = self.renames.iter().find(|(from, _)| *from == upper).map(|(_, to)| (*to).to_owned());
        Some(FieldName::new(renamed.unwrap_or(upper)))
    }
}

fn has_multifields(entity: EntityType) -> bool {
    matches!(entity.key(), "lead" | "contact" | "company")
}

/// `assignedById` → `ASSIGNED_BY_ID`, `parentId128` → `PARENT_ID_128`. A name without lower-case letters stays.
fn upper_case(name: &str) -> String {
    if !name.chars().any(|letter| letter.is_ascii_lowercase()) {
        return name.to_owned();
    }
    let mut upper = String::with_capacity(name.len() + 4);
    let mut before = None;
    for letter in name.chars() {
        let starts_word = letter.is_ascii_uppercase()
            || (letter.is_ascii_digit() && before.is_some_and(|before: char| before.is_ascii_alphabetic()));
        if starts_word && before.is_some() && before != Some('_') {
            upper.push('_');
        }
        upper.push(letter.to_ascii_uppercase());
        before = Some(letter);
    }
    upper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_an_upper_name_are_derived() {
        for (name, upper) in [
            ("assignedById", "ASSIGNED_BY_ID"),
            ("parentId128", "PARENT_ID_128"),
            ("mycompanyId", "MYCOMPANY_ID"),
            ("id", "ID"),
            ("ufCrm_1721244707107", "UF_CRM_1721244707107"),
            ("ufCrm3_1747309727", "UF_CRM_3_1747309727"),
            ("UF_CRM_A", "UF_CRM_A"),
        ] {
            assert_eq!(upper_case(name), upper);
        }
    }

    #[test]
    fn both_dialects_end_in_the_same_names() {
        for (entity, name, upper, classic) in [
            ("deal", "createdTime", "CREATED_TIME", "DATE_CREATE"),
            ("deal", "updatedTime", "DATE_MODIFY", "DATE_MODIFY"),
            ("deal", "updatedBy", "UPDATED_BY", "MODIFY_BY_ID"),
            ("deal", "movedBy", "MOVED_BY_ID", "MOVED_BY_ID"),
            ("deal", "movedBy", "MOVED_BY", "MOVED_BY_ID"),
            ("deal", "stageId", "STAGE_ID", "STAGE_ID"),
            ("deal", "typeId", "TYPE_ID", "TYPE_ID"),
            ("lead", "stageId", "STAGE_ID", "STATUS_ID"),
            ("lead", "stageId", "STATUS_ID", "STATUS_ID"),
            ("lead", "stageSemanticId", "STAGE_SEMANTIC_ID", "STATUS_SEMANTIC_ID"),
            ("company", "typeId", "TYPE_ID", "COMPANY_TYPE"),
            ("contact", "typeId", "TYPE_ID", "TYPE_ID"),
            ("deal", "parentId128", "PARENT_ID_128", "PARENT_ID_128"),
        ] {
            let dialect = EntityDialect::of(Dialect::Item, entity.parse().unwrap());
            assert_eq!(dialect.classic_name(name, Some(upper)).unwrap().as_str(), classic, "{entity} {name}");
        }
    }

    #[test]
    fn noise_has_no_name() {
        let deal = EntityDialect::of(Dialect::Item, "deal".parse().unwrap());
        for noise in ["searchContent", "dateCreateShort", "entityTypeId", "contacts", "fm"] {
            assert_eq!(deal.classic_name(noise, None), None, "{noise}");
        }
        let company = EntityDialect::of(Dialect::Classic, "company".parse().unwrap());
        assert_eq!(company.classic_name("CONTACT_ID", None), None);
        let deal = EntityDialect::of(Dialect::Classic, "deal".parse().unwrap());
        assert!(deal.classic_name("CONTACT_ID", None).is_some());
    }
}
