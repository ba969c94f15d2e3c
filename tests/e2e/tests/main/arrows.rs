//! The dependency arrows of docs/ARCHITECTURE.md, checked against what cargo resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Normal dependencies of each crate of the workspace on other crates of it.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap());
            let names = names.filter(|name| ours.contains(name)).map(str::to_owned).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let allowed: &[(&str, &[&str])] = &[
        ("b24sync-domain", &[]),
        ("b24sync-application", &["b24sync-domain"]),
        ("b24sync-adapter-bitrix", &["b24sync-domain", "b24sync-public-address"]),
        ("b24sync-adapter-postgres", &["b24sync-domain"]),
        ("b24sync-adapter-http", &["b24sync-domain"]),
        ("b24sync-adapter-supabase", &["b24sync-domain", "b24sync-public-address"]),
        ("b24sync-embedded-postgres", &[]),
        ("b24sync-heap", &[]),
        ("b24sync-public-address", &[]),
        (
            "b24sync",
            &[
                "b24sync-adapter-bitrix",
                "b24sync-adapter-http",
                "b24sync-adapter-postgres",
                "b24sync-adapter-supabase",
                "b24sync-application",
                "b24sync-domain",
                "b24sync-embedded-postgres",
                "b24sync-heap",
                "b24sync-portal-emulator",
            ],
        ),
        ("b24sync-testkit", &["b24sync-domain"]),
        ("b24sync-model", &["b24sync-application", "b24sync-domain", "b24sync-testkit"]),
        ("b24sync-pg-harness", &["b24sync-embedded-postgres"]),
        ("b24sync-portal-emulator", &[]),
        ("b24sync-e2e", &["b24sync"]),
        ("b24sync-bench", &["b24sync-pg-harness"]),
    ];
    let allowed: BTreeMap<String, BTreeSet<String>> =
        allowed.iter().map(|(name, on)| ((*name).to_owned(), on.iter().map(|on| (*on).to_owned()).collect())).collect();
    assert_eq!(arrows(), allowed);
}

#[test]
fn the_domain_knows_no_runtime_no_tracing_and_no_input_or_output() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "b24sync-domain", "-e", "normal", "--prefix", "none", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    for forbidden in ["tokio", "tracing", "reqwest", "diesel", "actix", "hyper", "mio"] {
        let found = tree.lines().find(|line| line.starts_with(forbidden));
        assert_eq!(found, None, "the domain depends on {forbidden}");
    }
}

#[test]
fn the_emulator_is_an_independent_witness() {
    assert_eq!(arrows()["b24sync-portal-emulator"], BTreeSet::new());
}
