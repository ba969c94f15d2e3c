use std::time::{Duration, Instant};

use crate::stage::{finish, program};

#[tokio::test]
async fn the_demo_shows_the_tables_three_deals_and_a_live_change_and_ends() {
    let data = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(data.path(), open).unwrap();
    let mut command = program();
    command.args(["demo", "--once", "--deals", "300"]).env("B24SYNC_DATA_DIR", data.path().join("demo"));
    let began = Instant::now();
    let finished = finish(command).await.expect_success();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    for expected in ["crm_deals", "crm_leads", "crm_contacts", "crm_companies", "300", "bitrix_id", "→"] {
        assert!(finished.stdout.contains(expected), "no `{expected}` in:\n{}", finished.stdout);
    }
}
