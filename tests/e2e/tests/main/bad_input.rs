//! Bad input: one clear message that says what to do, an exit code that is not 0, no secret, and no half state.

use b24sync_portal_emulator::{Counts, Entity, PortalConfig};

use crate::stage::{Finished, Stage, finish, program};

async fn stage() -> Stage {
    Stage::new(PortalConfig { counts: Counts::deals(60), user_fields: 3, ..PortalConfig::default() }).await
}

/// The message, once everything that must hold for every failure has been checked.
fn message(stage: &Stage, finished: &Finished) -> String {
    assert!(finished.code.is_some_and(|code| code == 1 || code == 2), "{finished:?}");
    let secret = &stage.portal().config().webhook_code;
    let password = password(&stage.database.url());
    for text in [&finished.stdout, &finished.stderr] {
        assert!(!text.contains(secret.as_str()), "the webhook's secret is in {text}");
        assert!(password.is_empty() || !text.contains(&password), "the password is in {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    let errors = finished.stderr.lines().filter(|line| line.starts_with("error:")).count();
    assert_eq!(errors, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("what to do:"), "{}", finished.stderr);
    finished.stderr.clone()
}

fn password(url: &str) -> String {
    url.split("//")
        .nth(1)
        .and_then(|rest| rest.split('@').next())
        .and_then(|user| user.split_once(':'))
        .map_or_else(String::new, |(_, password)| password.to_owned())
}

/// Whether a table of deals or a running run was left behind.
async fn half_state(stage: &Stage) -> bool {
    let client = stage.client().await;
    let table: bool = client.query_one("select to_regclass('public.crm_deals') is not null", &[]).await.unwrap().get(0);
    let logs: bool = client.query_one("select to_regclass('public.sync_logs') is not null", &[]).await.unwrap().get(0);
    let running = logs
        && client
            .query_one("select count(*) from sync_logs where status = 'running'", &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            > 0;
    table || running
}

#[tokio::test]
async fn a_missing_and_a_malformed_webhook_address() {
    let stage = stage().await;
    for (address, expected) in [
        ("", "BITRIX_WEBHOOK_URL is not set"),
        ("portal.bitrix24.com", "BITRIX_WEBHOOK_URL"),
        ("https://portal.bitrix24.com/", "BITRIX_WEBHOOK_URL"),
        ("ftp://portal.bitrix24.com/rest/1/f4k3w3bh00kc0d3x/", "BITRIX_WEBHOOK_URL"),
    ] {
        let mut command = stage.command(&["sync", "deal"]);
        command.env("BITRIX_WEBHOOK_URL", address);
        let finished = finish(command).await;
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(message(&stage, &finished).contains(expected), "{address}: {}", finished.stderr);
    }
    assert!(!half_state(&stage).await);
}

#[tokio::test]
async fn plain_http_and_this_machine_need_permission() {
    let stage = stage().await;
    let mut command = stage.command(&["sync", "deal"]);
    command.env("BITRIX_ALLOW_LOOPBACK", "false");
    let finished = finish(command).await;
    assert!(message(&stage, &finished).contains("BITRIX_ALLOW_LOOPBACK"), "{}", finished.stderr);
    assert_eq!(stage.portal().stats().http_requests, 0);
}

#[tokio::test]
async fn an_unreachable_portal() {
    let stage = stage().await;
    let mut command = stage.command(&["sync", "deal"]);
    command.env("BITRIX_WEBHOOK_URL", "http://127.0.0.1:9/rest/1/f4k3w3bh00kc0d3x/");
    let finished = finish(command).await;
    assert!(message(&stage, &finished).contains("portal unreachable"), "{}", finished.stderr);
    assert!(!half_state(&stage).await);
}

#[tokio::test]
async fn a_revoked_webhook_is_final_at_once() {
    let stage = stage().await;
    stage.portal().revoke_webhook();
    let finished = stage.run(&["sync", "deal"]).await;
    assert!(message(&stage, &finished).contains("portal refused the credentials"), "{}", finished.stderr);
    assert_eq!(stage.portal().stats().http_requests, 1);
    assert!(!half_state(&stage).await);
}

#[tokio::test]
async fn a_missing_scope() {
    let stage = stage().await;
    stage.portal().set_scopes(["user"]);
    let finished = stage.run(&["sync", "deal"]).await;
    assert!(message(&stage, &finished).contains("scope"), "{}", finished.stderr);
    assert!(!half_state(&stage).await);
}

#[tokio::test]
async fn a_user_without_crm_rights() {
    let stage = stage().await;
    stage.portal().set_crm_rights(false);
    let finished = stage.run(&["sync", "deal"]).await;
    message(&stage, &finished);
    let client = stage.client().await;
    let status: String = client.query_one("select status from sync_logs", &[]).await.unwrap().get(0);
    assert_eq!(status, "failed");
}

#[tokio::test]
async fn an_entity_that_the_portal_does_not_have() {
    let stage = stage().await;
    stage.portal().remove_entity_type(Entity::Deal, true);
    let finished = stage.run(&["sync", "deal"]).await;
    message(&stage, &finished);
}

#[tokio::test]
async fn an_unreachable_database_and_a_wrong_password() {
    let stage = stage().await;
    let mut command = stage.command(&["sync", "deal"]);
    command.env("DATABASE_URL", "postgresql://me:s3cr3tp4ss@127.0.0.1:9/crm");
    let finished = finish(command).await;
    assert!(message(&stage, &finished).contains("database unreachable"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("s3cr3tp4ss"));
    assert_eq!(stage.portal().stats().http_requests, 0, "the portal is not bothered for nothing");

    let client = stage.client().await;
    let role = "b24_wrong_password";
    client
        .batch_execute(&format!("drop role if exists {role}; create role {role} login password 'right'"))
        .await
        .unwrap();
    let mut command = stage.command(&["status"]);
    command.env("DATABASE_URL", stage.database.role_url(role, "s3cr3tp4ss"));
    let finished = finish(command).await;
    assert!(message(&stage, &finished).contains("database refused the login"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("s3cr3tp4ss"));
    client.batch_execute(&format!("drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn a_malformed_database_address() {
    let stage = stage().await;
    let mut command = stage.command(&["sync", "deal"]);
    command.env("DATABASE_URL", "mysql://me:s3cr3tp4ss@localhost/crm");
    let finished = finish(command).await;
    assert_eq!(finished.code, Some(2));
    assert!(message(&stage, &finished).contains("DATABASE_URL"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("s3cr3tp4ss"));
}

#[tokio::test]
async fn a_database_user_without_rights() {
    let stage = stage().await;
    let client = stage.client().await;
    let role = "b24_without_rights";
    client
        .batch_execute(&format!("drop role if exists {role}; create role {role} login password 'weak'"))
        .await
        .unwrap();
    let mut command = stage.command(&["sync", "deal"]);
    command.env("DATABASE_URL", stage.database.role_url(role, "weak"));
    let finished = finish(command).await;
    assert!(message(&stage, &finished).contains("lacks a right"), "{}", finished.stderr);
    assert!(!half_state(&stage).await);
    client.batch_execute(&format!("drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn a_database_that_was_not_migrated() {
    let stage = stage().await;
    let finished = stage.run(&["status"]).await;
    assert!(message(&stage, &finished).contains("b24sync migrate"), "{}", finished.stderr);
}

#[tokio::test]
async fn an_unknown_entity_and_an_unknown_command() {
    let stage = stage().await;
    let finished = stage.run(&["sync", "invoice"]).await;
    assert_eq!(finished.code, Some(2));
    assert!(message(&stage, &finished).contains("known entities are"), "{}", finished.stderr);
    for arguments in [&["sync"][..], &["sink"], &["sync", "--everything"]] {
        assert_eq!(stage.run(arguments).await.code, Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    let stage = stage().await;
    let mut command = stage.command(&["sync", "deal"]);
    command.env("DATABASE_POOL_SIZE", "none").env("BITRIX_CRM_API", "soap").env("BITRIX_WEBHOOK_URL", "");
    let finished = finish(command).await;
    let message = message(&stage, &finished);
    for name in ["DATABASE_POOL_SIZE", "BITRIX_CRM_API", "BITRIX_WEBHOOK_URL"] {
        assert!(message.contains(name), "{message}");
    }
}

#[tokio::test]
async fn failures_are_json_for_programs() {
    let finished = {
        let mut command = program();
        command.args(["sync", "invoice", "--output", "json"]);
        finish(command).await
    };
    let failure: serde_json::Value = serde_json::from_str(&finished.stderr).unwrap();
    assert!(failure["error"].as_str().unwrap().contains("unknown entity") && failure["advice"].is_string());
}
