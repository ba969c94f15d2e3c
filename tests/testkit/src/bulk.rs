//! Many wide records, for what is measured: as wide and as mixed as those of a portal that has been lived in.

use std::fmt::Write as _;
use std::sync::Arc;

use b24sync_domain::field::FieldDescription;
use b24sync_domain::record::{Layout, ReadToken, RecordBatch, RecordBatchBuilder};
use chrono::{TimeDelta, Utc};

use crate::build::{deal, field, id, portal_time};

/// Fields of each of these types, again and again, make a hundred. The second says how many in ten records have none.
const MIX: [(&str, bool, i64); 14] = [
    ("string", false, 3),
    ("string", true, 5),
    ("enumeration", false, 4),
    ("enumeration", true, 6),
    ("double", false, 4),
    ("integer", false, 5),
    ("boolean", false, 1),
    ("datetime", false, 4),
    ("date", false, 4),
    ("money", false, 6),
    ("crm_status", false, 1),
    ("user", false, 2),
    ("url", false, 7),
    ("file", false, 8),
];

/// A hundred fields: what a sync needs, and every type that portals have.
pub fn fields() -> Vec<FieldDescription> {
    let mut fields = vec![field("ID", "integer"), field("TITLE", "string"), field("DATE_MODIFY", "datetime")];
    let others = MIX.iter().cycle().take(100 - fields.len()).enumerate();
    fields.extend(others.map(|(number, (type_name, multiple, _))| FieldDescription {
        multiple: *multiple,
        ..field(&format!("UF_CRM_{}", 1_600_000_000 + number), type_name)
    }));
    fields
}

/// Records with these fields, as the one text that an answer is.
pub fn deals(fields: &[FieldDescription], layout: &Arc<Layout>, count: i64) -> RecordBatch {
    let mut text = String::new();
    let mut spans = Vec::new();
    for record in 1..=count {
        for (number, field) in (0_i64..).zip(fields) {
            let start = text.len();
            value(&mut text, field, record, number);
            spans.push(start..text.len());
            text.push(',');
        }
    }
    let mut builder = RecordBatchBuilder::new(deal(), Arc::clone(layout), ReadToken(1), portal_time(0), text);
    let mut spans = spans.into_iter();
    for record in 1..=count {
        builder.begin(id(record), Some(portal_time(record).with_timezone(&Utc)));
        for field in fields {
            let span = spans.next().expect("a span per value");
            if let Some(position) = layout.fields().iter().position(|name| *name == field.name) {
                builder.set(position, span);
            }
        }
    }
    builder.finish(false)
}

fn value(text: &mut String, field: &FieldDescription, record: i64, number: i64) {
    let roll = record * 31 + number * 7;
    let rarely = MIX.iter().find(|(name, multiple, _)| *name == field.type_name && *multiple == field.multiple);
    let written = match (field.name.as_str(), field.type_name.as_str()) {
        ("ID", _) => write!(text, "{record}"),
        ("TITLE", _) => write!(text, "\"Поставка оборудования №{record} — ООО «Ромашка»\""),
        ("DATE_MODIFY", _) => write!(text, "\"{}\"", portal_time(record).to_rfc3339()),
        _ if roll % 10 < rarely.map_or(0, |(_, _, absent)| *absent) => {
            write!(text, "{}", if field.multiple { "[]" } else { "null" })
        }
        (_, "string") if field.multiple => write!(text, "[\"важный клиент\",\"call back after lunch {roll}\"]"),
        (_, "string") => write!(text, "\"просил скидку {roll}%\\nи документы по \\\"старой\\\" схеме\""),
        (_, "enumeration") if field.multiple => write!(text, "[{},{}]", roll % 90, roll % 70),
        (_, "enumeration") => write!(text, "{}", roll % 90),
        (_, "double") => write!(text, "{roll}.25"),
        (_, "integer") => write!(text, "{roll}"),
        (_, "boolean") => write!(text, "\"{}\"", if roll % 2 == 0 { "Y" } else { "N" }),
        (_, "datetime") => write!(text, "\"{}\"", (portal_time(0) + TimeDelta::seconds(roll * 1_000)).to_rfc3339()),
        (_, "date") => write!(text, "\"2025-{:02}-{:02}T03:00:00+03:00\"", roll % 12 + 1, roll % 28 + 1),
        (_, "money") => write!(text, "\"{roll}.50|RUB\""),
        (_, "crm_status") => write!(text, "\"C{}:PREPARATION\"", roll % 3),
        (_, "user") => write!(text, "{}", roll % 14 + 1),
        (_, "url") => write!(text, "\"https://example.com/{roll}?q=тест\""),
        _ => write!(text, "{{\"id\":{roll},\"url\":\"https://portal.example/file/?id={roll}&auth=token\"}}"),
    };
    written.expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use b24sync_domain::mapping::rows;

    use super::*;
    use crate::build::plan;

    #[test]
    fn every_record_can_be_stored() {
        let fields = fields();
        assert_eq!(fields.len(), 100);
        let plan = plan(deal(), &fields);
        let batch = deals(&fields, &plan.mapping.layout, 50);
        let mapped = rows::map(&plan.mapping, &batch).unwrap();
        assert_eq!((mapped.rows.len(), mapped.rejected.len()), (50, 0), "{:?}", mapped.rejected.first());
    }
}
