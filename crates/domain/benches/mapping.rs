//! A batch as a full sync has it: conversion of its values, and the hashes of its records.

use std::hint::black_box;

use b24sync_domain::mapping::rows::{self, ContentHash};
use b24sync_testkit::{build, bulk};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RECORDS: u32 = 1_000;

/// What a record's content weighs, about.
const CONTENT_BYTES: usize = 3_000;

fn map(criterion: &mut Criterion) {
    let fields = bulk::fields();
    let plan = build::plan(build::deal(), &fields);
    let batch = bulk::deals(&fields, &plan.mapping.layout, RECORDS.into());
    let mut group = criterion.benchmark_group("map");
    group.throughput(Throughput::Elements(RECORDS.into()));
    group.bench_function("1,000 records of 100 fields", |bencher| {
        bencher.iter(|| rows::map(&plan.mapping, black_box(&batch)));
    });
    group.finish();
}

fn hash(criterion: &mut Criterion) {
    let content: Vec<u8> = (0..=u8::MAX).cycle().take(CONTENT_BYTES).collect();
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Elements(1));
    group.bench_function("content of 3,000 bytes", |bencher| {
        bencher.iter(|| ContentHash::of(black_box(&content)));
    });
    group.finish();
}

criterion_group!(benches, map, hash);
criterion_main!(benches);
