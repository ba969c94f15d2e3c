//! An answer to a batch of lists, as the emulated portal gives it: the look at its depth, and its records.
#![expect(clippy::expect_used, reason = "a bench has no better answer than to stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use b24sync_adapter_bitrix::bench::{Decoder, is_shallow};
use b24sync_domain::record::Layout;
use b24sync_portal_emulator::{Counts, Portal, PortalConfig, RunningPortal};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const PAGES: u64 = 20;
const RECORDS: u64 = PAGES * 50;
const DEPTH: usize = 64;

/// Calls a method with a JSON body.
fn call(portal: &RunningPortal, method: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", portal.port())).expect("the portal listens");
    let path = portal.portal().webhook_path();
    let length = body.len();
    write!(
        stream,
        "POST {path}{method} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("the portal reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the portal answers");
    answer.split_once("\r\n\r\n").expect("a head and a body").1.to_owned()
}

/// List commands, each after the last record of the one before.
fn batch() -> String {
    let mut commands = String::new();
    for page in 0..PAGES {
        let above = match page.checked_sub(1) {
            None => "0".to_owned(),
            Some(before) => format!("$result[p{before:02}][items][49][id]"),
        };
        let separator = if page == 0 { "" } else { "," };
        let command = format!(
            "crm.item.list?entityTypeId=2&order[id]=ASC&filter[%3Eid]={above}&select[]=*&select[]=uf_*&start=-1"
        );
        write!(commands, r#"{separator}"p{page:02}":"{command}""#).expect("writing to a string cannot fail");
    }
    format!(r#"{{"halt":1,"cmd":{{{commands}}}}}"#)
}

fn decode(criterion: &mut Criterion) {
    let config = PortalConfig { counts: Counts::deals(RECORDS + 100), user_fields: 55, ..PortalConfig::default() };
    let portal = Portal::new(config).start().expect("a free port");
    let fields = call(&portal, "crm.item.fields", r#"{"entityTypeId":2}"#);
    let decoder = Decoder::new("deal".parse().expect("deals are known"), &fields).expect("fields are described");
    let answer = call(&portal, "batch", &batch());
    let layout = Layout::new(decoder.descriptions().into_iter().map(|field| field.name).collect());
    let records = decoder.decode(&layout, answer.clone()).map(|records| records.len());
    assert_eq!(records.map(u64::try_from), Some(Ok(RECORDS)), "all pages are full");

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("1,000 records of 100 fields", |bencher| {
        let answer = || answer.clone();
        bencher.iter_batched(answer, |answer| decoder.decode(&layout, black_box(answer)), BatchSize::LargeInput);
    });
    group.bench_function("the depth of their answer", |bencher| {
        bencher.iter(|| is_shallow(black_box(&answer), DEPTH));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
