//! Everything is read, in both dialects, whatever the portal leaves open.

use std::collections::BTreeSet;

use b24sync_adapter_bitrix::Dialect;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::field::FieldKind;
use b24sync_domain::mapping::value;
use b24sync_domain::portal::BoundStyle;
use b24sync_domain::ports::CrmSource;
use b24sync_domain::progress::{Cursor, TimeBound, Window};
use b24sync_domain::record::Layout;
use b24sync_portal_emulator::{
    Accounting, Entity, ItemUpperNames, MinusOneTotal, OperatingInTime, OperatingLimit, Portal, Truth,
    UnresolvedReference, UserFieldSpec, UserType,
};
use chrono::{DateTime, FixedOffset};

use crate::support::{Rig, Table, deals, entity, portal, query};

fn emulated(entity: EntityType) -> Entity {
    match entity.key() {
        "deal" => Entity::Deal,
        "lead" => Entity::Lead,
        "contact" => Entity::Contact,
        _ => Entity::Company,
    }
}

/// Fields that only one dialect has.
const ITEM_ONLY: &[&str] = &["CONTACT_IDS", "COMPANY_IDS", "OBSERVERS", "WEBFORM_ID", "CATEGORY_ID", "XML_ID"];

fn names(table: &Table) -> BTreeSet<&str> {
    table.fields.iter().map(|field| field.name.as_str()).collect()
}

fn assert_same(portal: &Portal, entity: EntityType, item: &Table, classic: &Table) {
    let ids = portal.ids(emulated(entity));
    assert_eq!(item.ids(), ids, "{entity}");
    assert_eq!(classic.ids(), ids, "{entity}");
    assert_eq!(item.strays(), [].into(), "{entity}");
    assert_eq!(classic.strays(), [].into(), "{entity}");

    let common: BTreeSet<&str> = names(item).intersection(&names(classic)).copied().collect();
    let differing: Vec<&str> = names(item).symmetric_difference(&names(classic)).copied().collect();
    let unexpected =
        |name: &&str| !ITEM_ONLY.contains(name) && !name.starts_with("ADDRESS_") && !name.starts_with("REG_ADDRESS");
    assert_eq!(differing.iter().filter(|name| unexpected(name)).collect::<Vec<_>>(), [&""; 0], "{entity}");
    let kind = |table: &Table, name: &str| {
        let field = table.fields.iter().find(|field| field.name.as_str() == name).unwrap();
        (field.kind, field.multiple, field.options.clone())
    };
    let offset = FixedOffset::east_opt(3 * 3600).unwrap();
    let (item_rows, classic_rows) = (item.rows(), classic.rows());
    for name in &common {
        let (shape, other) = (kind(item, name), kind(classic, name));
        assert_eq!(shape, other, "{entity} {name}");
        for (id, row) in &item_rows {
            let cell = |json: Option<&&str>| {
                let cell = json.map(|json| value::convert(shape.0, shape.1, json, offset).map(|value| value.cell));
                same_in_both(cell.unwrap_or(Ok(value::Cell::Null)), shape.0)
            };
            let (left, right) = (cell(row.get(name)), cell(classic_rows[id].get(name)));
            // Empty text is `null` in one dialect and `""` in the other.
            let empty = |cell: &str| cell == "Ok(Null)" || cell == "Ok(Text(\"\"))";
            assert!(left == right || (empty(&left) && empty(&right)), "{entity} {id} {name}: {left} {right}");
        }
    }
}

/// What a value says, without what the dialects write differently: trailing zeros, and ids inside values without a fixed
/// shape.
fn same_in_both(cell: Result<value::Cell<'_>, value::ValueError>, kind: FieldKind) -> String {
    match cell {
        Ok(value::Cell::Decimal(decimal)) if decimal.contains('.') => {
            decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Ok(value::Cell::Decimal(decimal)) => decimal.into_owned(),
        Ok(value::Cell::Json(json)) if kind == FieldKind::Object => json.replace('"', ""),
        Ok(value::Cell::Json(json)) if kind == FieldKind::Double => json.replace(".00", ""),
        cell => format!("{cell:?}"),
    }
}

async fn both(running: &b24sync_portal_emulator::RunningPortal, entity: EntityType) -> (Table, Table) {
    let item = Rig::on(running, Dialect::Item).read_all(entity).await.unwrap();
    let classic = Rig::on(running, Dialect::Classic).read_all(entity).await.unwrap();
    (item, classic)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dialects_read_everything_under_the_same_names() {
    let (portal, running) = portal(|_| {});
    for entity in EntityType::all() {
        let (item, classic) = both(&running, entity).await;
        assert_same(&portal, entity, &item, &classic);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_reference_leaves_open_makes_no_difference() {
    let (portal, running) = portal(|config| {
        config.item_upper_names = ItemUpperNames::SmartProcess;
        config.item_star_includes_user_fields = false;
        config.uf_star_includes_multiple = false;
        config.minus_one_total = MinusOneTotal::Absent;
        config.operating_in_time = OperatingInTime::Absent;
        config.php_escapes = true;
        config.gzip = true;
    });
    for entity in EntityType::all() {
        let (item, classic) = both(&running, entity).await;
        assert_same(&portal, entity, &item, &classic);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_fields_come_in_the_classic_shape_from_both_dialects() {
    let (portal, running) = portal(|_| {});
    let contact = entity("contact");
    let (item, classic) = both(&running, contact).await;
    let mut seen = 0;
    let item_rows = item.rows();
    for (id, row) in classic.rows() {
        for name in ["PHONE", "EMAIL", "WEB", "IM", "LINK"] {
            let truth = &portal.truth(Entity::Contact, id).unwrap().fields[name];
            let Truth::Multifield(expected) = truth else { panic!("{name} is a multi-field") };
            let parse = |json: Option<&&str>| {
                json.map_or(serde_json::json!([]), |json| serde_json::from_str::<serde_json::Value>(json).unwrap())
            };
            let entries: Vec<_> = expected
                .iter()
                .map(|value| serde_json::json!({"ID": value.id.to_string(), "VALUE_TYPE": value.value_type, "VALUE": value.value, "TYPE_ID": name}))
                .collect();
            assert_eq!(parse(row.get(name)), serde_json::Value::from(entries.clone()), "classic {id}");
            assert_eq!(parse(item_rows[&id].get(name)), serde_json::Value::from(entries.clone()), "item {id}");
            seen += entries.len();
        }
    }
    assert!(seen > 50);
    let fields = &item.fields;
    assert!(fields.iter().any(|field| field.name.as_str() == "PHONE" && field.kind == FieldKind::Multifield));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_a_short_page_ends_in_the_same_records() {
    for unresolved in [UnresolvedReference::Restart, UnresolvedReference::Empty, UnresolvedReference::Halted] {
        for count in [0, 1, 49, 50, 51, 100, 499, 500, 501, 1_234] {
            let (portal, running) = portal(|config| {
                config.counts = b24sync_portal_emulator::Counts::deals(count);
                config.unresolved_reference = unresolved;
                config.user_fields = 0;
            });
            for dialect in [Dialect::Item, Dialect::Classic] {
                let table = Rig::on(&running, dialect).read_all(entity("deal")).await.unwrap();
                assert_eq!(table.ids(), portal.ids(Entity::Deal), "{unresolved:?} {count} {dialect:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_listing_takes_few_requests() {
    let (portal, running) = deals(10_000);
    let rig = Rig::on(&running, Dialect::Item);
    rig.source.fields(entity("deal")).await.unwrap();
    portal.reset_stats();
    let table = rig.read_all(entity("deal")).await.unwrap();
    assert_eq!(table.ids().len(), 10_000);
    assert!(portal.stats().http_requests <= 12, "{:?}", portal.stats());
    let tokens: Vec<_> = table.batches.iter().map(|batch| batch.read).collect();
    assert!(tokens.is_sorted() && tokens.len() > 3);
    let time = table.batches[0].source_time;
    assert_eq!(time.offset().local_minus_utc(), 3 * 3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_short_page_a_single_command_asks_for_the_end() {
    let (portal, running) = deals(120);
    let rig = Rig::on(&running, Dialect::Item);
    let deal = entity("deal");
    let fields = rig.source.fields(deal).await.unwrap();
    let mut query = query(deal, &fields, Window::Everything);
    let first = rig.page(&query).await.unwrap();
    assert_eq!((first.len(), first.exhausted), (120, false));
    query.cursor = Cursor::after(first.ids()[119].get());
    portal.reset_stats();
    let last = rig.page(&query).await.unwrap();
    assert_eq!((last.len(), last.exhausted), (0, true));
    assert_eq!((portal.stats().http_requests, portal.stats().batch_commands), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_holds_what_changed_since_its_beginning_and_an_empty_one_costs_one_command() {
    let (portal, running) = deals(700);
    let deal = entity("deal");
    let ids = portal.ids(Entity::Deal);
    let changed: Vec<i64> = ids.iter().copied().step_by(5).collect();
    let since = portal.bulk_edit_in_one_second(Entity::Deal, &changed);
    for dialect in [Dialect::Item, Dialect::Classic] {
        let rig = Rig::on(&running, dialect);
        let since = DateTime::from_timestamp(since, 0).unwrap();
        let from = |at| Window::ModifiedSince(TimeBound { at, style: BoundStyle::WithOffset });
        let table = rig.read(deal, from(since)).await.unwrap();
        assert_eq!(table.ids(), changed, "{dialect:?}");
        let batch = &table.batches[0];
        assert_eq!(batch.modified(0), Some(since));

        let later = from(since + chrono::Duration::days(1));
        portal.reset_stats();
        let batch = rig.page(&query(deal, &table.fields, later)).await.unwrap();
        assert!(batch.is_empty() && batch.exhausted);
        assert_eq!((portal.stats().http_requests, portal.stats().batch_commands), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_few_fields_brings_them_and_nothing_else() {
    let (portal, running) = deals(2_600);
    let deal = entity("deal");
    for dialect in [Dialect::Item, Dialect::Classic] {
        let rig = Rig::on(&running, dialect);
        let fields = rig.source.fields(deal).await.unwrap();
        let user_field = fields.iter().find(|field| field.name.is_user_field()).unwrap().clone();
        for wanted in [vec![user_field], vec![]] {
            let mut query = query(deal, &wanted, Window::Everything);
            let mut ids = Vec::new();
            loop {
                let batch = rig.page(&query).await.unwrap();
                assert_eq!(batch.strays().count(), 0, "{dialect:?}");
                assert!((0..batch.len()).all(|row| wanted.is_empty() || batch.value(row, 0).is_some()), "{dialect:?}");
                ids.extend(batch.ids().iter().map(|id| id.get()));
                if batch.exhausted {
                    break;
                }
                query.cursor = Cursor::after(*ids.last().unwrap());
            }
            assert_eq!(ids, portal.ids(Entity::Deal), "{dialect:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_by_their_ids() {
    let (portal, running) = deals(2_600);
    let deal = entity("deal");
    let ids = portal.ids(Entity::Deal);
    portal.delete(Entity::Deal, ids[7]);
    portal.hide(Entity::Deal, &[ids[9]]);
    for dialect in [Dialect::Item, Dialect::Classic] {
        let rig = Rig::on(&running, dialect);
        let fields = rig.source.fields(deal).await.unwrap();
        let layout = Layout::new(fields.iter().map(|field| field.name.clone()).collect());
        let mut asked: Vec<RecordId> = ids.iter().take(2_500).map(|id| RecordId::new(*id).unwrap()).collect();
        asked.reverse();
        let batch = rig.source.by_ids(deal, &layout, &asked, &rig.order).await.unwrap();
        let found: Vec<i64> = batch.ids().iter().map(|id| id.get()).collect();
        let expected: Vec<i64> = ids.iter().take(2_500).copied().filter(|id| ![ids[7], ids[9]].contains(id)).collect();
        assert_eq!(found, expected);
        assert!(!batch.exhausted);
        let title = fields.iter().position(|field| field.name.as_str() == "TITLE").unwrap();
        assert!(batch.value(0, title).is_some());

        let few = [asked[0], asked[0], asked[1]];
        assert_eq!(rig.source.by_ids(deal, &layout, &few, &rig.order).await.unwrap().len(), 2);
        portal.reset_stats();
        assert!(rig.source.by_ids(deal, &layout, &[], &rig.order).await.unwrap().is_empty());
        assert_eq!(portal.stats().http_requests, 0);
        let many: Vec<RecordId> = (1..=2_501).map(|id| RecordId::new(id).unwrap()).collect();
        rig.source.by_ids(deal, &layout, &many, &rig.order).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_counted_and_the_connection_is_described() {
    let (_portal, running) = deals(321);
    for dialect in [Dialect::Item, Dialect::Classic] {
        let rig = Rig::on(&running, dialect);
        assert_eq!(rig.source.count(entity("deal")).await.unwrap(), Some(321));
        assert_eq!(rig.source.count(entity("lead")).await.unwrap(), Some(0));
        let profile = rig.source.profile().await.unwrap();
        assert_eq!((profile.user_id, profile.admin), (1, Some(true)));
        assert!(profile.scopes.contains(&"crm".to_owned()), "{profile:?}");
        assert_eq!(profile.server_time.offset().local_minus_utc(), 3 * 3600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_field_made_during_a_run_arrives_as_a_stray() {
    let (portal, running) = deals(60);
    let rig = Rig::on(&running, Dialect::Classic);
    let deal = entity("deal");
    let fields = rig.source.fields(deal).await.unwrap();
    let spec = UserFieldSpec::new(UserType::String, "late").named("UF_CRM_LATE");
    let name = portal.add_user_field(Entity::Deal, &spec);
    portal.edit(Entity::Deal, portal.ids(Entity::Deal)[3], [(name.as_str(), "late".into())]);
    let batch = rig.page(&query(deal, &fields, Window::Everything)).await.unwrap();
    let strays: Vec<_> = batch.strays().map(|(stray, json)| (stray.row, stray.name.as_str(), json)).collect();
    assert!(strays.contains(&(3, "UF_CRM_LATE", "\"late\"")), "{strays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pacer_hears_of_the_execution_time() {
    let (_portal, running) = portal(|config| {
        config.counts = b24sync_portal_emulator::Counts::deals(120);
        config.operating = Some(OperatingLimit { accounting: Accounting::PerMethod, ..OperatingLimit::default() });
    });
    let rig = Rig::on(&running, Dialect::Item);
    rig.read_all(entity("deal")).await.unwrap();
    let reports = rig.pacer.reports.lock().unwrap();
    let list: Vec<_> = reports.iter().filter(|report| report.method == "crm.item.list").collect();
    assert!(list.iter().any(|report| report.operating_seconds > Some(0.0) && report.resets_in.is_some()), "{list:?}");
    assert!(rig.pacer.admitted.lock().unwrap().iter().all(|(_, methods)| methods[0] == "batch"));
}
