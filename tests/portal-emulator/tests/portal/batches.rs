//! `batch` and its PHP shapes.

use std::fs;
use std::path::Path;

use b24sync_portal_emulator::{BatchOverflow, Counts, Entity, Fault, FaultPlan, PortalConfig, UnresolvedReference};
use serde_json::{Value, json};

use crate::client::{Bench, bench, ids};

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Whether each of the five maps is an array or an object, as in a recorded answer.
fn map_kinds(answer: &Value) -> Vec<(String, bool)> {
    ["result", "result_error", "result_total", "result_next", "result_time"]
        .map(|name| (name.to_owned(), answer["result"][name].is_array()))
        .into()
}

fn batch(bench: &Bench, halt: i64, commands: &[(&str, String)]) -> Value {
    // The text is put together by hand, because serde_json would sort the names.
    let cmd: Vec<String> = commands.iter().map(|(name, call)| format!("{}:{}", json!(name), json!(call))).collect();
    let body = format!("{{\"halt\":{halt},\"cmd\":{{{}}}}}", cmd.join(","));
    let reply = bench.send("POST", &bench.path("batch"), "application/json", &body).unwrap();
    assert_eq!(reply.status, 200);
    reply.json()
}

fn chain(pages: usize, dialect: &str) -> Vec<(String, String)> {
    let (method, bound, order) = match dialect {
        "item" => ("crm.item.list?entityTypeId=2&", "[items][49][id]", "order[id]=ASC&filter[%3Eid]"),
        _ => ("crm.deal.list?", "[49][ID]", "order[ID]=ASC&filter[%3EID]"),
    };
    (0..pages)
        .map(|page| {
            let last = match page {
                0 => "0".to_owned(),
                _ => format!("$result[p{:02}]{bound}", page - 1),
            };
            (format!("p{page:02}"), format!("{method}{order}={last}&select[]=ID&select[]=id&start=-1"))
        })
        .collect()
}

fn run_chain(bench: &Bench, pages: usize, dialect: &str) -> Value {
    let chain = chain(pages, dialect);
    let commands: Vec<(&str, String)> = chain.iter().map(|(name, call)| (name.as_str(), call.clone())).collect();
    batch(bench, 1, &commands)
}

#[test]
fn a_keyset_chain_reads_everything_in_one_request() {
    let bench = bench(PortalConfig { counts: Counts::deals(2_477), ..PortalConfig::default() });
    for dialect in ["classic", "item"] {
        let answer = run_chain(&bench, 50, dialect);
        let read: Vec<i64> = (0..50).flat_map(|page| ids(&answer["result"]["result"][format!("p{page:02}")])).collect();
        assert_eq!(read, bench.portal().ids(Entity::Deal));
        for map in ["result_error", "result_total", "result_next"] {
            assert_eq!(answer["result"][map], json!([]));
        }
    }
    assert_eq!(bench.portal().stats().http_requests, 2);
    assert_eq!(bench.portal().stats().batch_commands, 100);
}

#[test]
fn a_short_page_has_three_outcomes() {
    for (unresolved, file) in [
        (UnresolvedReference::Restart, "batch.keyset-chain.short-page.restart.json"),
        (UnresolvedReference::Empty, "batch.keyset-chain.short-page.empty.json"),
        (UnresolvedReference::Halted, "batch.keyset-chain.short-page.halted.json"),
    ] {
        let config =
            PortalConfig { counts: Counts::deals(62), unresolved_reference: unresolved, ..PortalConfig::default() };
        let bench = bench(config);
        let sample = fixture(file);
        for dialect in ["classic", "item"] {
            let answer = run_chain(&bench, 4, dialect);
            let pages = |answer: &Value| -> Vec<(String, usize, bool)> {
                let pages = answer["result"]["result"].as_object().unwrap();
                let first = ids(&pages["p00"]);
                pages.iter().map(|(name, rows)| (name.clone(), ids(rows).len(), ids(rows) == first)).collect()
            };
            assert_eq!(pages(&answer), pages(&sample), "{file} {dialect}");
            assert_eq!(answer["result"]["result_error"], sample["result"]["result_error"]);
            assert_eq!(map_kinds(&answer), map_kinds(&sample));
        }
    }
}

#[test]
fn maps_have_the_php_shapes_of_recorded_answers() {
    let bench = bench(PortalConfig { counts: Counts::deals(120), ..PortalConfig::default() });
    let id = bench.portal().ids(Entity::Deal)[0];
    let get = |id: &str| format!("crm.deal.get?ID={id}");
    let numbered = batch(&bench, 0, &[("0", "crm.status.list?filter[ENTITY_ID]=SOURCE".to_owned())]);
    let sample = fixture("batch.numeric-key-zero.real.json");
    assert_eq!(numbered["result"]["result"].is_array(), sample["result"]["result"].is_array());
    assert_eq!(numbered["result"]["result_time"].is_array(), sample["result"]["result_time"].is_array());
    let sparse = batch(&bench, 0, &[("2", get("0")), (id.to_string().as_str(), get(&id.to_string()))]);
    assert!(sparse["result"]["result"][id.to_string()]["ID"].is_string());
    let two_errors = batch(&bench, 0, &[("0", get("")), ("1", get("999999999"))]);
    assert_eq!(map_kinds(&two_errors), map_kinds(&fixture("batch.two-errors.real.json")));
    assert_eq!(two_errors["result"]["result_error"], fixture("batch.two-errors.real.json")["result"]["result_error"]);
    let mixed = batch(&bench, 0, &[("0", get("")), ("1", get("999999999")), ("35943", get(&id.to_string()))]);
    assert_eq!(map_kinds(&mixed), map_kinds(&fixture("batch.mixed-errors.real.json")));
    let empty = batch(&bench, 0, &[("order0000000000", "crm.deal.list?filter[ID]=2000000000".to_owned())]);
    let sample = fixture("batch.empty-list.real.json");
    assert_eq!(map_kinds(&empty), map_kinds(&sample));
    for map in ["result", "result_total", "result_next"] {
        assert_eq!(empty["result"][map], sample["result"][map]);
    }
}

#[test]
fn totals_and_offsets_come_only_with_counted_lists() {
    let bench = bench(PortalConfig { counts: Counts::deals(260), ..PortalConfig::default() });
    let list = |start: i64| format!("crm.deal.list?select[0]=ID&start={start}&order[ID]=ASC&");
    let answer = batch(&bench, 0, &[("cmd0", list(50)), ("cmd1", list(100)), ("cmd2", list(250)), ("k", list(-1))]);
    assert_eq!(answer["result"]["result_total"], json!({"cmd0": 260, "cmd1": 260, "cmd2": 260}));
    assert_eq!(answer["result"]["result_next"], json!({"cmd0": 100, "cmd1": 150}));
    let sample = fixture("batch.lead-list-pages.real.json");
    assert_eq!(map_kinds(&answer), map_kinds(&sample));
    assert_eq!(ids(&answer["result"]["result"]["cmd2"]), bench.portal().ids(Entity::Deal)[250..]);
}

#[test]
fn halt_ends_a_batch_at_the_first_error() {
    let bench = bench(PortalConfig::default());
    bench.portal().set_scopes(["user"]);
    let commands = [
        ("get_user", "crm.deal.list".to_owned()),
        ("get_department", "crm.lead.list".to_owned()),
        ("time", "server.time".to_owned()),
    ];
    let go_on = batch(&bench, 0, &commands);
    let errors = |answer: &Value| -> Vec<String> {
        answer["result"]["result_error"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(errors(&go_on), errors(&fixture("batch.errors.halt0.json")));
    assert!(go_on["result"]["result"]["time"].is_string());
    let halted = batch(&bench, 1, &commands);
    assert_eq!(errors(&halted), errors(&fixture("batch.errors.halt1.json")));
    assert_eq!(halted["result"]["result"], json!([]));
    assert_eq!(halted["result"]["result_error"]["get_user"]["error"], "insufficient_scope");
}

#[test]
fn a_form_body_is_decoded_twice() {
    let bench = bench(PortalConfig { counts: Counts::deals(120), ..PortalConfig::default() });
    let third = bench.portal().ids(Entity::Deal)[2];
    let body = format!(
        "halt=0&cmd[a]=crm.deal.list%3Ffilter%5B%253EID%5D%3D{third}%26select%5B%5D%3DID%26start%3D-1%26\
         filter%5B%2525TITLE%5D%3D%2525D0%2525B0"
    );
    let reply = bench.send("POST", &bench.path("batch.json"), "application/x-www-form-urlencoded", &body).unwrap();
    let answer = reply.json();
    assert_eq!(answer["result"]["result_error"], json!([]));
    let found = ids(&answer["result"]["result"]["a"]);
    // `%25D0%25B0` decodes in two steps to the text `%D0%B0`, which no title contains.
    assert!(found.is_empty(), "{found:?}");
    let body = "cmd[a]=crm.deal.list%3Ffilter%5B%25TITLE%5D%3D%25D0%25B0%26select%5B%5D%3DTITLE";
    let reply = bench.send("POST", &bench.path("batch"), "application/x-www-form-urlencoded", body).unwrap();
    let rows = reply.json()["result"]["result"]["a"].take();
    assert!(!rows.as_array().unwrap().is_empty());
    assert!(rows.as_array().unwrap().iter().all(|row| row["TITLE"].as_str().unwrap().to_lowercase().contains('а')));
}

#[test]
fn too_many_or_nested_commands_are_refused() {
    let many: Vec<(String, String)> = (0..52).map(|at| (format!("c{at}"), "server.time".to_owned())).collect();
    let commands: Vec<(&str, String)> = many.iter().map(|(name, call)| (name.as_str(), call.clone())).collect();
    let bench_refusing = bench(PortalConfig::default());
    let cmd: serde_json::Map<String, Value> = many.iter().map(|(name, call)| (name.clone(), json!(call))).collect();
    let (status, code, _) = bench_refusing.error("batch", &json!({ "cmd": cmd }));
    assert_eq!((status, code), (400, json!("ERROR_BATCH_LENGTH_EXCEEDED")));
    let surplus = bench(PortalConfig { batch_overflow: BatchOverflow::SurplusFails, ..PortalConfig::default() });
    let answer = batch(&surplus, 0, &commands);
    assert_eq!(answer["result"]["result"].as_object().unwrap().len(), 50);
    assert_eq!(answer["result"]["result_error"].as_object().unwrap().len(), 2);
    let nested = batch(&surplus, 0, &[("n", "batch?cmd[a]=server.time".to_owned())]);
    assert_eq!(nested["result"]["result_error"]["n"]["error"], "ERROR_BATCH_METHOD_NOT_ALLOWED");
}

#[test]
fn one_command_can_fail_inside_a_successful_batch() {
    let bench = bench(PortalConfig::default());
    bench.portal().set_faults(FaultPlan::next(1, Fault::error("OPERATION_TIME_LIMIT")).on("crm.lead.list"));
    let answer = batch(
        &bench,
        0,
        &[("c0", "crm.deal.list?select[]=ID&select[]=DATE_MODIFY".to_owned()), ("c1", "crm.lead.list".to_owned())],
    );
    let sample = fixture("batch.partial.limit-error.json");
    assert_eq!(answer["result"]["result_error"], sample["result"]["result_error"]);
    assert!(answer["result"]["result"]["c0"][0]["ID"].is_string());
    bench.portal().set_faults(FaultPlan::next(1, Fault::BatchPartialError { code: "X".to_owned() }));
    let answer = batch(&bench, 0, &["a", "b", "c"].map(|name| (name, "server.time".to_owned())));
    assert_eq!(answer["result"]["result_error"], json!({"b": {"error": "X", "error_description": "Error"}}));
}
