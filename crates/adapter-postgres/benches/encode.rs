//! The statement that writes a batch, with its binds.
#![expect(clippy::expect_used, reason = "a bench has no better answer than to stop")]

use std::hint::black_box;

use b24sync_adapter_postgres::bench::encode;
use b24sync_domain::mapping::rows;
use b24sync_testkit::{build, bulk};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RECORDS: u32 = 1_000;

fn upsert(criterion: &mut Criterion) {
    let fields = bulk::fields();
    let plan = build::plan(build::deal(), &fields);
    let batch = bulk::deals(&fields, &plan.mapping.layout, RECORDS.into());
    let rows = rows::map(&plan.mapping, &batch).expect("the table has all that the records need").rows;
    assert_eq!(rows.len(), 1_000, "all can be stored");
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(RECORDS.into()));
    group.bench_function("1,000 rows of 100 columns", |bencher| {
        bencher.iter(|| encode(black_box(&rows)));
    });
    group.finish();
}

criterion_group!(benches, upsert);
criterion_main!(benches);
