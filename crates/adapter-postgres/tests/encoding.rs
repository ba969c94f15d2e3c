//! Array binds and `COPY` against PostgreSQL as oracle: what was sent is what PostgreSQL reads from text.

use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::cells::ColumnData;
use b24sync_domain::mapping::rows::{Column, ContentHash, MappedBatch, RowBatch};
use b24sync_domain::mapping::value::Cell;
use b24sync_domain::mapping::{ColumnName, ColumnType};
use b24sync_domain::ports::{Commit, ReadOrder, RecordStore};
use chrono::{DateTime, NaiveDate, Utc};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::*;

const TABLE: &str = "create table crm_deals (id serial primary key, bitrix_id varchar(50) unique not null,
    c_text text, c_varchar varchar(50), c_small smallint, c_integer integer, c_big bigint, c_numeric numeric,
    c_boolean boolean, c_timestamp timestamp, c_timestamptz timestamptz, c_date date, c_jsonb jsonb, c_json json,
    created_at timestamptz, updated_at timestamp)";

/// Column, its type, and how PostgreSQL is to read the expected text.
const COLUMNS: [(&str, ColumnType); 12] = [
    ("c_text", ColumnType::Text),
    ("c_varchar", ColumnType::Varchar(50)),
    ("c_small", ColumnType::SmallInt),
    ("c_integer", ColumnType::Integer),
    ("c_big", ColumnType::BigInt),
    ("c_numeric", ColumnType::Numeric),
    ("c_boolean", ColumnType::Boolean),
    ("c_timestamp", ColumnType::Timestamp),
    ("c_timestamptz", ColumnType::TimestampTz),
    ("c_date", ColumnType::Date),
    ("c_jsonb", ColumnType::Jsonb),
    ("c_json", ColumnType::Json),
];

/// A cell and how it is written.
type Sample = (Cell<'static>, Option<String>);

fn text(pattern: &'static str) -> BoxedStrategy<Sample> {
    pattern.prop_map(|text| (Cell::Text(text.clone().into()), Some(text))).boxed()
}

fn integer(range: std::ops::RangeInclusive<i64>) -> BoxedStrategy<Sample> {
    let (least, most) = (*range.start(), *range.end());
    let edges = prop_oneof![Just(least), Just(most), Just(0), range];
    edges.prop_map(|value| (Cell::Integer(value), Some(value.to_string()))).boxed()
}

fn instants() -> BoxedStrategy<Sample> {
    // 0001-01-01 to 9999-12-31, to the microsecond; and the years around PostgreSQL's own epoch.
    let micros = prop_oneof![
        -62_135_596_800_000_000_i64..=253_402_300_799_999_999,
        946_684_799_000_000_i64..=946_684_801_000_000,
        Just(0_i64)
    ];
    micros
        .prop_map(|micros| {
            let instant = DateTime::<Utc>::from_timestamp_micros(micros).unwrap();
            (Cell::Instant(instant), Some(instant.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()))
        })
        .boxed()
}

fn dates() -> BoxedStrategy<Sample> {
    let days = prop_oneof![1_i32..=3_652_059, 730_115_i32..=730_125];
    days.prop_map(|day| {
        let day = NaiveDate::from_num_days_from_ce_opt(day).unwrap();
        (Cell::Date(day), Some(day.format("%Y-%m-%d").to_string()))
    })
    .boxed()
}

fn decimals() -> BoxedStrategy<Sample> {
    "-?[0-9]{1,30}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?"
        .prop_map(|text| (Cell::Decimal(text.clone().into()), Some(text)))
        .boxed()
}

fn json() -> BoxedStrategy<Sample> {
    "[^\\p{C}]{0,20}"
        .prop_map(|text| {
            let text = serde_json::json!({ "a": [text, null, 1.50] }).to_string();
            (Cell::Json(text.clone().into()), Some(text))
        })
        .boxed()
}

fn cell(column_type: ColumnType) -> BoxedStrategy<Sample> {
    let some = match column_type {
        ColumnType::Text => text("[^\\x00]{0,40}"),
        ColumnType::Varchar(_) => text("[^\\x00]{0,50}"),
        ColumnType::SmallInt => integer(i64::from(i16::MIN)..=i64::from(i16::MAX)),
        ColumnType::Integer => integer(i64::from(i32::MIN)..=i64::from(i32::MAX)),
        ColumnType::BigInt => integer(i64::MIN..=i64::MAX),
        ColumnType::Numeric => decimals(),
        ColumnType::Boolean => any::<bool>().prop_map(|value| (Cell::Boolean(value), Some(value.to_string()))).boxed(),
        ColumnType::Timestamp | ColumnType::TimestampTz => instants(),
        ColumnType::Date => dates(),
        ColumnType::Jsonb | ColumnType::Json => json(),
    };
    prop_oneof![1 => Just((Cell::Null, None)), 5 => some].boxed()
}

fn row() -> impl Strategy<Value = Vec<Sample>> {
    COLUMNS.iter().map(|(_, column_type)| cell(*column_type)).collect::<Vec<_>>()
}

fn mapped(read: b24sync_domain::record::ReadToken, rows: &[Vec<Sample>], first: i64) -> MappedBatch {
    let columns = COLUMNS.iter().enumerate().map(|(position, (name, column_type))| {
        let mut data = ColumnData::new(*column_type);
        for row in rows {
            data.push(&row[position].0);
        }
        Column { name: ColumnName::existing(*name), column_type: *column_type, data }
    });
    let ids: Vec<_> = (first..).take(rows.len()).map(id).collect();
    MappedBatch {
        rows: RowBatch {
            entity: deal(),
            read,
            modified: vec![None; ids.len()],
            hashes: ids.iter().map(|id| ContentHash(u128::try_from(id.get()).unwrap().to_be_bytes())).collect(),
            answers: vec![AnswerHash([0; 16]); ids.len()],
            ids,
            columns: columns.collect(),
        },
        same: Vec::new(),
        rejected: Vec::new(),
    }
}

async fn send(running: &Running, rows: &[Vec<Sample>], first: i64) -> Commit {
    let batch = mapped(running.world.store.next().await.unwrap(), rows, first);
    running.world.store.commit(&batch, &running.step(first, 1), &running.lease).await.unwrap()
}

/// Columns whose value is not what PostgreSQL reads from the expected text.
async fn differences(running: &Running, rows: &[Vec<Sample>], first: i64) -> Vec<String> {
    let mut found = Vec::new();
    for (position, (name, column_type)) in COLUMNS.iter().enumerate() {
        let expected: Vec<Option<&str>> = rows.iter().map(|row| row[position].1.as_deref()).collect();
        let cast = match column_type {
            ColumnType::Timestamp => "::timestamptz at time zone 'utc'".to_owned(),
            ColumnType::Json => String::new(),
            other => format!("::{other}"),
        };
        let actual = if *column_type == ColumnType::Json { format!("{name}::text") } else { (*name).to_owned() };
        let sql = format!(
            "select '{name} of ' || n || ': ' || coalesce({name}::text, 'null') || ' for ' || coalesce(value, 'null')
             from unnest($1::text[]) with ordinality as e(value, n)
             left join crm_deals on bitrix_id = ($2::bigint + n - 1)::text
             where {actual} is distinct from value{cast}"
        );
        let differing = running.world.sql.query(&sql, &[&expected, &first]).await.unwrap();
        found.extend(differing.iter().map(|row| row.get::<_, String>(0)));
    }
    found
}

async fn running() -> Running {
    let world = World::new().await;
    world.run_sql(TABLE).await;
    let lease = world.lease().await;
    let run = world.run(&lease).await;
    let plan = world.plan(&[]).await;
    Running { world, plan, lease, run }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_what_postgresql_reads() {
    as_sent(&running().await, 60, 1..12);
}

const TAKE_OVER: &str = "insert into b24sync.replicas (entity, table_schema, table_name, relation, ours)
    values (2, 'public', 'crm_deals', 'crm_deals'::regclass::oid, true)";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_copied_is_what_postgresql_reads() {
    let running = running().await;
    running.world.run_sql(TAKE_OVER).await;
    // With a rule there is no upsert: whatever arrives was copied.
    running.world.run_sql("create rule no_upsert as on insert to crm_deals do instead nothing").await;
    as_sent(&running, 20, 50..60);
}

#[tokio::test]
async fn a_row_of_somebody_elses_does_not_stop_a_copy() {
    let running = running().await;
    running.world.run_sql(TAKE_OVER).await;
    running.world.run_sql("insert into crm_deals (bitrix_id, c_text) values ('7', 'old')").await;
    let new = |(_, column_type): &(&str, ColumnType)| match column_type {
        ColumnType::Text => (Cell::Text("new".into()), None),
        _ => (Cell::Null, None),
    };
    let rows: Vec<Vec<Sample>> = (0..60).map(|_| COLUMNS.iter().map(new).collect()).collect();
    let commit = send(&running, &rows, 1).await;
    assert_eq!((commit.written, commit.refused.len()), (60, 0));
    let sql = "select count(*), count(*) filter (where c_text = 'new'), count(updated_at) from crm_deals";
    assert_eq!(running.world.rows(sql).await, ["60|60|60"]);
}

fn as_sent(running: &Running, cases: u32, rows: std::ops::Range<usize>) {
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let next = std::sync::atomic::AtomicI64::new(1);
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&prop::collection::vec(row(), rows), |rows| {
            let first = next.fetch_add(100, std::sync::atomic::Ordering::Relaxed);
            let (commit, differing) = handle
                .block_on(async { (send(running, &rows, first).await, differences(running, &rows, first).await) });
            prop_assert_eq!(commit.refused, []);
            prop_assert_eq!(differing, Vec::<String>::new());
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test]
async fn the_ends_of_time_are_stored_and_what_lies_beyond_is_refused() {
    let running = running().await;
    let sample = |instant: &str, day: (i32, u32, u32)| -> Vec<Sample> {
        COLUMNS
            .iter()
            .map(|(_, column_type)| match column_type {
                ColumnType::Timestamp | ColumnType::TimestampTz => (Cell::Instant(at(instant)), None),
                ColumnType::Date => (Cell::Date(NaiveDate::from_ymd_opt(day.0, day.1, day.2).unwrap()), None),
                _ => (Cell::Null, None),
            })
            .collect()
    };
    let rows = [
        sample("-4712-01-02T00:00:00Z", (-4712, 1, 2)),
        sample("+250000-12-31T23:59:59Z", (250_000, 12, 31)),
        sample("-6000-01-01T00:00:00Z", (2000, 1, 1)),
        sample("2000-01-01T00:00:00Z", (-6000, 1, 1)),
    ];
    let commit = send(&running, &rows, 1).await;
    assert_eq!(commit.refused.iter().map(|refused| refused.id.get()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(
        running.world.rows("select c_timestamp, c_date from crm_deals order by bitrix_id").await,
        ["4713-01-02 00:00:00 BC|4713-01-02 BC", "250000-12-31 23:59:59|250000-12-31"]
    );
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_and_not_cut() {
    let running = running().await;
    let long = "я".repeat(51);
    let mut row: Vec<Sample> = COLUMNS.iter().map(|_| (Cell::Null, None)).collect();
    row[1] = (Cell::Text(long.into()), None);
    let commit = send(&running, &[row], 1).await;
    assert_eq!((commit.written, commit.refused.len()), (0, 1));
    assert!(commit.refused[0].reason.contains("22001"), "{:?}", commit.refused);
}
