//! Stages, statuses, funnels and the other dictionaries of `crm.status.list` and `crm.category.list`.

/// One entry of a dictionary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    /// `P` in progress, `S` success, `F` failure; stages only.
    pub(crate) semantic: Option<&'static str>,
}

const fn plain(code: &'static str, name: &'static str) -> Entry {
    Entry { code, name, semantic: None }
}

const fn stage(code: &'static str, name: &'static str, semantic: &'static str) -> Entry {
    Entry { code, name, semantic: Some(semantic) }
}

pub(crate) const STAGES_0: &[Entry] = &[
    stage("NEW", "New", "P"),
    stage("PREPARATION", "Document preparation", "P"),
    stage("PREPAYMENT_INVOICE", "Prepayment invoice", "P"),
    stage("EXECUTING", "In progress", "P"),
    stage("FINAL_INVOICE", "Final invoice", "P"),
    stage("WON", "Deal successful", "S"),
    stage("LOSE", "Deal failed", "F"),
    stage("APOLOGY", "Failure reason analysis", "F"),
];
pub(crate) const STAGES_1: &[Entry] = &[
    stage("C1:NEW", "Первый контакт", "P"),
    stage("C1:PREPARATION", "Подготовка документов", "P"),
    stage("C1:UC_LAFJPE", "Тендер", "P"),
    stage("C1:WON", "Сделка успешна", "S"),
    stage("C1:LOSE", "Сделка провалена", "F"),
];
pub(crate) const STAGES_9: &[Entry] = &[
    stage("C9:NEW", "Inbox", "P"),
    stage("C9:UC_KN8KFI", "Negotiation", "P"),
    stage("C9:UC_NYL06U", "Contract", "P"),
    stage("C9:WON", "Won", "S"),
    stage("C9:LOSE", "Lost", "F"),
];
pub(crate) const LEAD_STATUSES: &[Entry] = &[
    stage("NEW", "Unassigned", "P"),
    stage("IN_PROCESS", "In progress", "P"),
    stage("PROCESSED", "Processed", "P"),
    stage("CONVERTED", "Good lead", "S"),
    stage("JUNK", "Junk lead", "F"),
];
const SOURCES: &[Entry] = &[
    plain("CALL", "Call"),
    plain("EMAIL", "E-mail"),
    plain("WEB", "Website"),
    plain("ADVERTISING", "Advertising"),
    plain("PARTNER", "Existing client"),
    plain("TRADE_SHOW", "Show/Exhibition"),
    plain("CALLBACK", "Callback"),
    plain("1|OPENLINE", "Открытая линия"),
];
const DEAL_TYPES: &[Entry] = &[
    plain("SALE", "Sale"),
    plain("COMPLEX", "Integrated sale"),
    plain("GOODS", "Sale of goods"),
    plain("SERVICE", "Service"),
    plain("SERVICES", "Services"),
];
const CONTACT_TYPES: &[Entry] = &[
    plain("CLIENT", "Clients"),
    plain("SUPPLIER", "Suppliers"),
    plain("PARTNER", "Partners"),
    plain("OTHER", "Other"),
];
const COMPANY_TYPES: &[Entry] = &[
    plain("CUSTOMER", "Client"),
    plain("SUPPLIER", "Supplier"),
    plain("COMPETITOR", "Competitor"),
    plain("PARTNER", "Partner"),
    plain("OTHER", "Other"),
];
const INDUSTRIES: &[Entry] = &[
    plain("IT", "Information technology"),
    plain("TELECOM", "Telecommunications"),
    plain("MANUFACTURING", "Manufacturing"),
    plain("BANKING", "Banking services"),
    plain("CONSULTING", "Consulting"),
    plain("OTHER", "Other"),
];
const EMPLOYEES: &[Entry] = &[
    plain("EMPLOYEES_1", "less than 50"),
    plain("EMPLOYEES_2", "50–250"),
    plain("EMPLOYEES_3", "250–500"),
    plain("EMPLOYEES_4", "over 500"),
];
const HONORIFICS: &[Entry] = &[plain("HNR_RU_1", "г-н"), plain("HNR_RU_2", "г-жа"), plain("UC_N1LWUS", "Dr.")];

/// Every dictionary by its `ENTITY_ID`.
pub(crate) const DICTIONARIES: &[(&str, &[Entry])] = &[
    ("STATUS", LEAD_STATUSES),
    ("SOURCE", SOURCES),
    ("CONTACT_TYPE", CONTACT_TYPES),
    ("COMPANY_TYPE", COMPANY_TYPES),
    ("EMPLOYEES", EMPLOYEES),
    ("INDUSTRY", INDUSTRIES),
    ("DEAL_TYPE", DEAL_TYPES),
    ("HONORIFIC", HONORIFICS),
    ("DEAL_STAGE", STAGES_0),
    ("DEAL_STAGE_1", STAGES_1),
    ("DEAL_STAGE_9", STAGES_9),
];

/// The entries of one dictionary; none for an unknown one.
pub(crate) fn entries(dictionary: &str) -> &'static [Entry] {
    DICTIONARIES.iter().find(|(name, _)| *name == dictionary).map_or(&[], |(_, entries)| entries)
}

/// A deal funnel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Funnel {
    pub(crate) id: i64,
    pub(crate) name: &'static str,
    pub(crate) sort: i64,
    pub(crate) stages: &'static [Entry],
}

/// The deal funnels; 0 is the real default funnel.
pub(crate) const FUNNELS: &[Funnel] = &[
    Funnel { id: 0, name: "General", sort: 300, stages: STAGES_0 },
    Funnel { id: 1, name: "Тендеры", sort: 200, stages: STAGES_1 },
    Funnel { id: 9, name: "Funnel with Original Name", sort: 200, stages: STAGES_9 },
];

/// The semantic of a deal stage or lead status code.
pub(crate) fn semantic(code: &str) -> Option<&'static str> {
    let lists = [STAGES_0, STAGES_1, STAGES_9, LEAD_STATUSES];
    lists.iter().flat_map(|list| list.iter()).find(|entry| entry.code == code).and_then(|entry| entry.semantic)
}
