use super::*;
use proptest::prelude::*;

fn deal() -> EntityType {
    "deal".parse().unwrap()
}

fn field(name: &str, type_name: &str) -> FieldDescription {
    FieldDescription {
        name: FieldName::new(name),
        type_name: type_name.to_owned(),
        kind: FieldKind::of(type_name),
        multiple: false,
        label: None,
        options: Vec::new(),
    }
}

fn make(described: &[FieldDescription], known: &KnownTable) -> SchemaPlan {
    plan(deal(), described, known, TimestampStyle::Timestamp).unwrap()
}

fn column<'a>(plan: &'a SchemaPlan, field: &str) -> &'a Target {
    &plan.mapping.fields.iter().find(|mapped| mapped.field.as_str() == field).unwrap().target
}

/// What the database knows after a plan was carried out.
fn after(plan: &SchemaPlan, before: &KnownTable) -> KnownTable {
    let mut columns = before.shape.clone().unwrap_or_default().columns;
    for added in &plan.add {
        columns.push((added.name.clone(), ActualType::Known(added.column_type)));
    }
    let mut fields = before.fields.clone();
    for entry in &plan.dictionary {
        fields.retain(|stored| stored.field != entry.description.name);
        fields.push(StoredField {
            field: entry.description.name.clone(),
            column: entry.column.clone(),
            currency: entry.currency.clone(),
            type_name: entry.description.type_name.clone(),
            multiple: entry.description.multiple,
            retired: false,
        });
    }
    KnownTable { shape: Some(TableShape { columns }), fields, pinned: HashSet::new() }
}

fn existing(columns: &[(&str, ActualType)]) -> TableShape {
    TableShape { columns: columns.iter().map(|(name, actual)| (ColumnName::existing(*name), actual.clone())).collect() }
}

#[test]
fn the_types_are_those_of_the_users_own_design() {
    let expected = [
        ("string", ColumnType::Text),
        ("integer", ColumnType::Integer),
        ("double", ColumnType::Numeric),
        ("boolean", ColumnType::Boolean),
        ("char", ColumnType::Boolean),
        ("datetime", ColumnType::Timestamp),
        ("date", ColumnType::Date),
        ("enumeration", ColumnType::Text),
        ("crm_status", ColumnType::Text),
        ("crm_currency", ColumnType::Varchar(10)),
        ("user", ColumnType::Varchar(50)),
        ("crm_contact", ColumnType::Varchar(50)),
        ("crm_company", ColumnType::Varchar(50)),
        ("crm_lead", ColumnType::Varchar(50)),
        ("employee", ColumnType::Varchar(50)),
        ("file", ColumnType::Jsonb),
        ("crm_category", ColumnType::Integer),
        ("money", ColumnType::Numeric),
        ("url", ColumnType::Text),
        ("address", ColumnType::Text),
        ("crm_multifield", ColumnType::Jsonb),
        ("rest_app_thing", ColumnType::Text),
    ];
    for (type_name, column_type) in expected {
        let found = ColumnType::for_field(FieldKind::of(type_name), false, TimestampStyle::Timestamp);
        assert_eq!(found, column_type, "{type_name}");
        assert_eq!(ColumnType::for_field(FieldKind::of(type_name), true, TimestampStyle::Timestamp), ColumnType::Jsonb);
    }
}

#[test]
fn a_new_table_gets_every_field_but_the_id() {
    let plan =
        make(&[field("ID", "integer"), field("TITLE", "string"), field("PRICE", "money")], &KnownTable::default());
    let added: Vec<_> = plan.add.iter().map(|c| format!("{} {}", c.name, c.column_type)).collect();
    assert!(plan.create);
    assert_eq!(added, ["price numeric", "price_currency varchar(10)", "title text"]);
}

#[test]
fn a_table_of_another_program_is_taken_over_with_its_types() {
    let shape = existing(&[
        ("id", ActualType::Known(ColumnType::Integer)),
        ("bitrix_id", ActualType::Known(ColumnType::Varchar(50))),
        ("stage_id", ActualType::Known(ColumnType::Varchar(50))),
    ]);
    let known = KnownTable { shape: Some(shape), ..KnownTable::default() };
    let plan = make(&[field("STAGE_ID", "crm_status"), field("TITLE", "string")], &known);
    assert!(matches!(column(&plan, "STAGE_ID"), Target::Column { column_type: ColumnType::Varchar(50), .. }));
    assert_eq!(plan.add.len(), 1);
    assert!(!plan.create);
}

#[test]
fn a_column_that_the_user_added_later_is_not_taken_over() {
    let first = make(&[field("TITLE", "string")], &KnownTable::default());
    let mut known = after(&first, &KnownTable::default());
    known.shape.as_mut().unwrap().columns.push((ColumnName::existing("notes"), ActualType::Known(ColumnType::Text)));
    let second = make(&[field("TITLE", "string"), field("NOTES", "string")], &known);
    let Target::Column { name, .. } = column(&second, "NOTES") else { panic!("a column of its own") };
    assert!(name.as_str().starts_with("notes_"), "{name}");
}

#[test]
fn an_alien_type_is_named_in_the_refusal() {
    let known = KnownTable {
        shape: Some(existing(&[("title", ActualType::Other("tsvector".to_owned()))])),
        ..KnownTable::default()
    };
    let error = plan(deal(), &[field("TITLE", "string")], &known, TimestampStyle::Timestamp).unwrap_err();
    assert_eq!(error.to_string(), "column `title` has the type `tsvector`");
}

#[test]
fn fields_beyond_the_limit_share_the_overflow_column() {
    let fields: Vec<_> = (0..MAX_FIELD_COLUMNS + 2).map(|n| field(&format!("UF_CRM_{n:04}"), "string")).collect();
    let plan = make(&fields, &KnownTable::default());
    assert_eq!(plan.add.len(), MAX_FIELD_COLUMNS + 1);
    assert_eq!(*column(&plan, "UF_CRM_0701"), Target::Overflow);
    assert!(plan.mapping.overflow);
}

#[test]
fn a_need_changes_the_mapping_and_the_dictionary_together() {
    let plan = make(&[field("AMOUNT", "integer")], &KnownTable::default());
    let widening = Widening { column: ColumnName::existing("amount"), to: ColumnType::BigInt };
    let plan = plan.with_needs(&[SchemaNeed::Widen(widening.clone()), SchemaNeed::Overflow]);
    assert_eq!(plan.widen, [widening]);
    assert!(matches!(column(&plan, "AMOUNT"), Target::Column { column_type: ColumnType::BigInt, .. }));
    assert_eq!(plan.dictionary[0].column_type, Some(ColumnType::BigInt));
    assert!(plan.mapping.overflow);
}

fn arbitrary_fields() -> impl Strategy<Value = Vec<FieldDescription>> {
    let name = prop_oneof!["[A-Z_]{1,6}", "UF_CRM_[A-Za-z0-9_-]{0,8}", "\\PC{1,70}"];
    let type_name = prop_oneof![Just("string"), Just("money"), Just("integer"), Just("file"), Just("datetime")];
    prop::collection::vec((name, type_name).prop_map(|(name, type_name)| field(&name, type_name)), 0..30)
}

proptest! {
    #[test]
    fn columns_are_stable_and_never_shared(first in arbitrary_fields(), second in arbitrary_fields()) {
        let empty = KnownTable::default();
        let plan_one = make(&first, &empty);
        let known = after(&plan_one, &empty);
        let mut all = first.clone();
        all.extend(second.into_iter().filter(|new| !first.iter().any(|old| old.name == new.name)));
        let plan_two = make(&all, &known);
        // What was mapped stays where it was.
        for mapped in &plan_one.mapping.fields {
            prop_assert_eq!(&mapped.target, column(&plan_two, mapped.field.as_str()));
        }
        // No two targets are the same column.
        let mut seen = HashSet::new();
        for mapped in &plan_two.mapping.fields {
            for target in std::iter::once(&mapped.target).chain(mapped.currency.as_ref()) {
                if let Target::Column { name, .. } = target {
                    prop_assert!(seen.insert(name.clone()), "{} twice", name);
                }
            }
        }
        // Carrying a plan out leaves nothing to do.
        let again = make(&all, &after(&plan_two, &known));
        prop_assert!(!again.changes_table());
        prop_assert_eq!(again.mapping, plan_two.mapping);
    }
}

#[test]
fn a_change_of_the_fields_says_which_records_must_be_read_again() {
    let first = [field("ID", "integer"), field("TITLE", "string"), field("UF_A", "integer"), field("UF_B", "string")];
    let known = after(&make(&first, &KnownTable::default()), &KnownTable::default());
    assert_eq!(make(&first, &known).changes, []);
    let changed = |described: &[FieldDescription], known: &KnownTable| -> Vec<(String, &str)> {
        let plan = make(described, known);
        plan.changes.iter().map(|change| (change.field.as_str().to_owned(), change.scope.as_str())).collect()
    };
    let new = [first.to_vec(), vec![field("UF_C", "date")]].concat();
    assert_eq!(changed(&new, &known), [("UF_C".to_owned(), "values")]);
    assert_eq!(changed(&first[..3], &known), [("UF_B".to_owned(), "compare")]);
    let mut retyped = first.to_vec();
    // Of the same kind, and another type all the same.
    retyped[2].type_name = "int".to_owned();
    retyped[3].multiple = true;
    assert_eq!(changed(&retyped, &known), [("UF_A".to_owned(), "rewrite"), ("UF_B".to_owned(), "rewrite")]);
    let mut renamed = first.to_vec();
    renamed[2].label = Some("another label".to_owned());
    assert_eq!(changed(&renamed, &known), []);
    let mut gone = known.clone();
    gone.fields.iter_mut().for_each(|stored| stored.retired = stored.field.as_str() == "UF_B");
    assert_eq!(changed(&first, &gone), [("UF_B".to_owned(), "rewrite")]);
    assert_eq!(changed(&first[..3], &gone), []);
}

#[test]
fn the_first_plan_of_an_entity_changes_nothing_that_was_read() {
    assert_eq!(make(&[field("ID", "integer"), field("TITLE", "string")], &KnownTable::default()).changes, []);
}

#[test]
fn a_retyped_field_keeps_its_column_and_gets_room_in_it() {
    let first = [field("ID", "integer"), field("UF_N", "integer"), field("UF_T", "string"), field("UF_D", "double")];
    let known = after(&make(&first, &KnownTable::default()), &KnownTable::default());
    let mut retyped = first.to_vec();
    retyped[1] = field("UF_N", "string");
    retyped[2] = field("UF_T", "integer");
    retyped[3] = field("UF_D", "integer");
    let plan = make(&retyped, &known);
    assert_eq!(plan.add, []);
    assert_eq!(plan.widen, [Widening { column: ColumnName::existing("uf_n"), to: ColumnType::Text }]);
    let text = Target::Column { name: ColumnName::existing("uf_n"), column_type: ColumnType::Text, pinned: false };
    assert_eq!(*column(&plan, "UF_N"), text);
    let mut multiple = first.to_vec();
    multiple[1].multiple = true;
    assert_eq!(make(&multiple, &known).widen.len(), 1);
    let pinned = KnownTable { pinned: HashSet::from([ColumnName::existing("uf_n")]), ..known };
    assert_eq!(make(&retyped, &pinned).widen, []);
}
