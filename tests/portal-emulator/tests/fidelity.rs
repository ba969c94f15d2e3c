//! The portal read by `fast_bitrix24`, a client from `PyPI` that we did not write.
//!
//! Set `B24SYNC_SKIP_PYTHON=1` where there is no Python or no package registry.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use b24sync_portal_emulator::{Counts, Dialect, Entity, Portal, PortalConfig, Truth};
use serde_json::{Map, Value, json};

const CLIENT: &str = "fast-bitrix24==1.8.14";

/// Runs a command and returns what it printed; fails with `hint` and its output.
fn run(command: &mut Command, hint: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{hint}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{hint}\n{printed}\n{complaints}");
    printed
}

/// A Python with the client in it, made once for each version and kept in the target directory.
fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("venv-{}", CLIENT.replace("==", "-")));
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if !ready.exists() {
        let skip = "python3 with venv is needed, or B24SYNC_SKIP_PYTHON=1";
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), skip);
        let skip = "the registry of Python packages is needed, or B24SYNC_SKIP_PYTHON=1";
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", CLIENT]), skip);
        fs::write(&ready, CLIENT).unwrap();
    }
    python
}

fn texts(portal: &Portal, id: i64) -> Map<String, Value> {
    let record = portal.truth(Entity::Deal, id).unwrap();
    let text = |name: &str| match &record.fields[name] {
        Truth::Text(text) | Truth::Decimal(text) => json!(text),
        Truth::Reference(id) => json!(id.to_string()),
        Truth::Boolean(value) => json!(if *value { "Y" } else { "N" }),
        other => panic!("{name} is {other:?}"),
    };
    let names = ["TITLE", "OPPORTUNITY", "STAGE_ID", "CATEGORY_ID", "ASSIGNED_BY_ID", "CLOSED"];
    names.map(|name| (name.to_owned(), text(name))).into_iter().collect()
}

#[test]
fn fast_bitrix24_reads_the_whole_portal() {
    if std::env::var_os("B24SYNC_SKIP_PYTHON").is_some_and(|value| value == "1") {
        return;
    }
    let python = python();
    let counts = Counts { deals: 330, leads: 20, contacts: 20, companies: 75 };
    let running = Portal::new(PortalConfig { counts, ..PortalConfig::default() }).start().unwrap();
    let portal = running.portal();
    let ids = portal.ids(Entity::Deal);
    let fields = portal.fields_truth(Entity::Deal);
    let mut names: Vec<&str> =
        fields.iter().filter(|field| field.delivered_by(Dialect::Classic)).map(|field| field.name.as_str()).collect();
    names.sort_unstable();
    let few = [ids[0], ids[57], ids[329]];
    let records: Map<String, Value> =
        few.iter().map(|id| (id.to_string(), Value::Object(texts(portal, *id)))).collect();
    let truth = json!({
        "ids": ids,
        "few": few,
        "records": records,
        "companies": portal.ids(Entity::Company),
        "field_names": names,
        "user_fields": fields.iter().filter(|field| field.user).count(),
    });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("truth-{}.json", running.port()));
    fs::write(&path, truth.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fidelity.py");
    let printed =
        run(Command::new(python).arg(script).arg(running.webhook_url()).arg(&path), "the client found a difference");
    fs::remove_file(&path).unwrap();
    assert_eq!(printed.trim(), "ok");
    let stats = portal.stats();
    // The client read pages by batches, not one by one.
    assert!(stats.by_method["batch"] >= 4 && stats.batch_commands > 80, "{stats:?}");
}
