//! What people and programs read: status, verify, migrate, completions.

use b24sync_portal_emulator::{Counts, Entity, PortalConfig, Truth};

use crate::stage::{Stage, finish, program};

#[tokio::test]
async fn status_tells_how_each_table_stands() {
    let config =
        PortalConfig { counts: Counts { deals: 60, leads: 0, contacts: 5, companies: 0 }, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.run(&["sync", "deal", "contact"]).await.expect_success();
    let status = stage.run(&["status"]).await.expect_success().stdout;
    let shown = mask_times(&status).replace(&stage.portal.port().to_string(), "PORT");
    insta::assert_snapshot!(shown);
    let json = stage.run(&["status", "--output", "json"]).await.expect_success().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let deal = json["entities"].as_array().unwrap().iter().find(|entity| entity["entity"] == "deal").unwrap();
    assert_eq!(
        (json["portal"]["admin"].as_bool(), json["portal"]["utc_offset"].as_str()),
        (Some(true), Some("+03:00"))
    );
    assert_eq!((deal["rows"].as_i64(), deal["last_run"]["status"].as_str()), (Some(60), Some("completed")));
}

/// `2026-01-31 09:30:00` → `YYYY-MM-DD hh:mm:ss`.
fn mask_times(text: &str) -> String {
    let is_time = |word: &str| {
        word.len() == 19
            && word.char_indices().all(|(at, c)| match at {
                4 | 7 => c == '-',
                10 => c == ' ',
                13 | 16 => c == ':',
                _ => c.is_ascii_digit(),
            })
    };
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < characters.len() {
        let word: String = characters[at..characters.len().min(at + 19)].iter().collect();
        if is_time(&word) {
            out.push_str("YYYY-MM-DD hh:mm:ss");
            at += 19;
        } else {
            out.push(characters[at]);
            at += 1;
        }
    }
    out
}

#[tokio::test]
async fn migrate_plans_then_acts_then_has_nothing_to_do() {
    let stage = Stage::new(PortalConfig { counts: Counts::deals(0), ..PortalConfig::default() }).await;
    let planned = stage.run(&["migrate", "--plan"]).await.expect_success();
    let client = stage.client().await;
    let exists = "select to_regclass('public.sync_logs') is not null";
    assert!(
        !client.query_one(exists, &[]).await.unwrap().get::<_, bool>(0),
        "a plan changes nothing: {}",
        planned.stdout
    );
    stage.run(&["migrate"]).await.expect_success();
    assert!(client.query_one(exists, &[]).await.unwrap().get::<_, bool>(0));
    let again = stage.run(&["migrate"]).await.expect_success();
    assert!(again.stdout.contains("up to date"), "{}", again.stdout);
}

#[tokio::test]
async fn completions_are_made_without_any_settings() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = program();
        command.args(["completions", shell]);
        let finished = finish(command).await.expect_success();
        assert!(finished.stdout.contains("quarantine"), "{shell}");
    }
}

#[tokio::test]
async fn verify_finds_nothing_after_a_sync_and_names_what_changed_since() {
    let stage = Stage::new(PortalConfig { poison: 1, ..PortalConfig::default() }).await;
    stage.run(&["sync", "--all"]).await.expect_success();
    let finished = stage.run(&["verify", "--all"]).await.expect_success();
    assert!(finished.stdout.contains("quarantined"), "{}", finished.stdout);
    let ids = stage.portal().ids(Entity::Deal);
    stage.portal().edit(Entity::Deal, ids[5], [("TITLE", Truth::from("changed"))]);
    stage.portal().delete(Entity::Deal, ids[7]);
    let added = stage.portal().add(Entity::Deal, [("TITLE", Truth::from("added"))]);
    let client = stage.client().await;
    client.execute("delete from crm_deals where bitrix_id = $1", &[&ids[9].to_string()]).await.unwrap();
    let finished = stage.run(&["verify", "deal", "--output", "json"]).await;
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let reports: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let mut found: Vec<(i64, &str)> = reports[0]["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["id"].as_i64().unwrap(), line["kind"].as_str().unwrap()))
        .filter(|(_, kind)| *kind != "quarantined")
        .collect();
    found.sort_unstable();
    let mut expected = vec![(ids[5], "different"), (ids[7], "extra"), (ids[9], "missing"), (added, "missing")];
    expected.sort_unstable();
    assert_eq!(found, expected);
    stage.run(&["verify", "deal", "--repair"]).await.expect_success();
    stage.run(&["verify", "deal"]).await.expect_success();
}
