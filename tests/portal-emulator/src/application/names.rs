//! The names that `events` lists and `event.bind` knows. One more kind of record: one more line.

const RECORD: &[&str] = &["ADD", "UPDATE", "DELETE"];
const FIELD: &[&str] = &["USERFIELDADD", "USERFIELDUPDATE", "USERFIELDDELETE", "USERFIELDSETENUMVALUES"];
const RECURRING: &[&str] = &["RECURRINGADD", "RECURRINGUPDATE", "RECURRINGDELETE", "RECURRINGEXPOSE"];

/// Scope (empty: no scope is needed), beginning of the name, and the lists of its ends.
const EVENTS: &[(&str, &str, &[&[&str]])] = &[
    ("", "ONAPP", &[&["UNINSTALL", "INSTALL", "UPDATE", "PAYMENT", "TEST", "METHODCONFIRM"]]),
    ("", "ONOFFLINEEVENT", &[&[""]]),
    ("user", "ONUSER", &[&["ADD"]]),
    ("crm", "ONCRMINVOICE", &[RECORD, &["SETSTATUS"], FIELD, RECURRING]),
    ("crm", "ONCRMLEAD", &[RECORD, FIELD]),
    ("crm", "ONCRMDEAL", &[RECORD, &["MOVETOCATEGORY"], FIELD, RECURRING]),
    ("crm", "ONCRMCOMPANY", &[RECORD, FIELD]),
    ("crm", "ONCRMCONTACT", &[RECORD, FIELD]),
    ("crm", "ONCRMQUOTE", &[RECORD, FIELD]),
    ("crm", "ONCRMCURRENCY", &[RECORD]),
    ("crm", "ONCRMPRODUCT", &[RECORD]),
    ("crm", "ONCRMPRODUCTPROPERTY", &[RECORD]),
    ("crm", "ONCRMPRODUCTSECTION", &[RECORD]),
    ("crm", "ONCRMACTIVITY", &[RECORD]),
    ("crm", "ONCRMREQUISITE", &[RECORD, FIELD]),
    ("crm", "ONCRMBANKDETAIL", &[RECORD]),
    ("crm", "ONCRMADDRESS", &[&["REGISTER", "UNREGISTER"]]),
    ("crm", "ONCRMMEASURE", &[RECORD]),
    ("crm", "ONCRMTIMELINECOMMENT", &[RECORD]),
    ("crm", "ONCRMDYNAMICITEM", &[RECORD]),
    ("crm", "ONCRMTYPE", &[RECORD]),
    ("crm", "ONCRMDOCUMENTGENERATORDOCUMENT", &[RECORD]),
    ("task", "ONTASK", &[RECORD]),
    ("task", "ONTASKCOMMENT", &[RECORD]),
];

/// Every name, with its scope.
fn scoped() -> impl Iterator<Item = (&'static str, String)> {
    EVENTS.iter().flat_map(|(scope, start, lists)| {
        lists.iter().copied().flatten().map(move |end| (*scope, format!("{start}{end}")))
    })
}

/// Every name.
pub(crate) fn all() -> Vec<String> {
    scoped().map(|(_, name)| name).collect()
}

/// The names that these scopes open.
pub(crate) fn in_scopes(open: impl Fn(&str) -> bool) -> Vec<String> {
    scoped().filter(|(scope, _)| open(scope)).map(|(_, name)| name).collect()
}

/// Whether these scopes open an event of this name, which is in upper case.
pub(crate) fn is_known(name: &str, open: impl Fn(&str) -> bool) -> bool {
    scoped().any(|(scope, known)| known == name && open(scope))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_names_are_those_of_the_sample() {
        let sample: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/events.json")).unwrap();
        let sample = sample["result"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        // Smart processes have names of their own; this portal has none.
        let sample: BTreeSet<String> = sample.filter(|name| !name.contains("_147")).collect();
        assert_eq!(all().into_iter().collect::<BTreeSet<_>>(), sample);
    }

    #[test]
    fn a_scope_opens_its_names() {
        assert!(is_known("ONCRMDEALADD", |scope| scope == "crm") && !is_known("ONCRMDEALADD", str::is_empty));
        assert_eq!(in_scopes(str::is_empty).len(), 7);
    }
}
