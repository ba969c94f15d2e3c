//! The OpenAPI document.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::routes::{Access, endpoints};

fn document() -> Value {
    serde_json::from_str(&crate::openapi()).unwrap()
}

#[test]
fn the_document_is_as_committed() {
    insta::assert_snapshot!("openapi", crate::openapi());
}

#[test]
fn the_document_has_every_endpoint_of_the_table_and_no_other() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let table: BTreeSet<String> = endpoints()
        .iter()
        .filter(|endpoint| endpoint.described)
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    assert_eq!(described, table);
}

#[test]
fn every_answer_has_an_example_and_every_guarded_endpoint_its_scheme() {
    let document = document();
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.described) {
        let operation = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            for (media, content) in response["content"].as_object().unwrap() {
                assert!(content.get("example").is_some(), "{} {status} {media}", endpoint.path);
            }
        }
        let guarded = !matches!(endpoint.access, Access::Public | Access::Portal);
        assert_eq!(operation.get("security").is_some(), guarded, "{}", endpoint.path);
        assert_eq!(responses.contains_key("401"), guarded, "{}", endpoint.path);
        let by_role = matches!(endpoint.access, Access::Role(_) | Access::Portal);
        assert_eq!(responses.contains_key("403"), by_role, "{}", endpoint.path);
    }
}

#[test]
fn the_documentation_lists_every_path_with_its_role() {
    let text = include_str!("../../../../docs/api.md");
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.described) {
        let Access::Role(role) = endpoint.access else { continue };
        let line = format!("| {} | `{}` | {role} |", endpoint.method, endpoint.path);
        assert!(text.contains(&line), "no line {line}");
    }
}
