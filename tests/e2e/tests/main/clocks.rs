//! I6: whatever this machine's clock says, and however the portal understands times, nothing is lost.

use std::collections::HashSet;

use b24sync_portal_emulator::{Counts, DateFilter, Dialect, Entity, PortalConfig, Times, Truth, UnreadableDate};

use crate::compare::entity_differences;
use crate::stage::{Stage, finish};

async fn deals_differ(stage: &Stage, dialect: Dialect) -> Vec<String> {
    let mut found = Vec::new();
    let client = stage.client().await;
    entity_differences(stage.portal(), &client, dialect, Entity::Deal, "crm_deals", &mut found).await;
    found
}

#[tokio::test]
async fn i6_a_local_clock_that_is_an_hour_off_loses_nothing() {
    for shift in ["+1h", "-1h"] {
        let config = PortalConfig { counts: Counts::deals(600), user_fields: 3, ..PortalConfig::default() };
        let stage = Stage::new(config).await;
        let sync = |how: &'static str| {
            let real = stage.command(&["sync", "deal", how, "--output", "json"]);
            let mut command = std::process::Command::new("faketime");
            command.args(["-f", shift]).arg(real.get_program()).args(real.get_args()).env_clear();
            command.envs(real.get_envs().filter_map(|(name, value)| Some((name, value?))));
            finish(command)
        };
        sync("--full").await.expect_success();
        let ids: Vec<i64> = stage.portal().ids(Entity::Deal).into_iter().step_by(4).collect();
        stage.portal().bulk_edit_in_one_second(Entity::Deal, &ids);
        stage.portal().add(Entity::Deal, [("TITLE", Truth::from("added"))]);
        let finished = sync("--incremental").await.expect_success();
        assert!(finished.stdout.contains("\"incremental\""), "{}", finished.stdout);
        assert!(deals_differ(&stage, Dialect::Item).await.is_empty(), "clock {shift}");
    }
}

#[tokio::test]
async fn i6_however_the_portal_understands_times_one_incremental_sync_brings_every_change() {
    let ways = [
        ("atom", DateFilter::AtomOnly, UnreadableDate::Ignored, 0, "incremental"),
        ("space", DateFilter::SpaceOnly, UnreadableDate::MatchesNothing, 0, "incremental"),
        ("ignored", DateFilter::Ignored, UnreadableDate::Ignored, 0, "full"),
        ("nothing", DateFilter::Ignored, UnreadableDate::MatchesNothing, 0, "full"),
        ("shifted", DateFilter::Both, UnreadableDate::Ignored, 3_600, "full"),
    ];
    for (api, dialect) in [("item", Dialect::Item), ("classic", Dialect::Classic)] {
        for (way, date_filter, unreadable_date, shift, kind) in ways {
            let config = PortalConfig { counts: Counts::deals(300), user_fields: 1, ..PortalConfig::default() };
            let stage = Stage::new(config).await;
            stage.portal().set_times(Times {
                date_filter,
                unreadable_date,
                user_zone_shift_seconds: shift,
                filter_sees_shift: false,
            });
            let sync = |how: &'static str| {
                let mut command = stage.command(&["sync", "deal", how, "--output", "json"]);
                command.env("BITRIX_CRM_API", api);
                finish(command)
            };
            sync("--full").await.expect_success();
            stage.portal().edit_random(Entity::Deal, 40, 3);
            let finished = sync("--incremental").await.expect_success();
            let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
            assert_eq!(summaries[0]["sync_type"], kind, "{api} {way}");
            if shift == 0 {
                let found = deals_differ(&stage, dialect).await;
                assert!(found.is_empty(), "{api} {way}: {found:#?}");
            }
            let status = stage.run(&["status", "--output", "json"]).await.expect_success().stdout;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            let probe = &status["portal"]["probes"][0];
            assert_eq!(probe["incremental"].as_bool(), Some(kind == "incremental"), "{api} {way}: {status:#}");
        }
    }
}

#[tokio::test]
async fn i6_a_portal_clock_that_jumps_back_loses_nothing() {
    let config = PortalConfig { counts: Counts::deals(200), user_fields: 1, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    stage.portal().clock().follow_real_time(86_400);
    stage.portal().edit_random(Entity::Deal, 5, 1);
    stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    stage.portal().clock().follow_real_time(0);
    stage.portal().edit_random(Entity::Deal, 20, 2);
    let finished = stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    assert!(finished.stderr.contains("clock is behind"), "{}", finished.stderr);
    assert!(deals_differ(&stage, Dialect::Item).await.is_empty());
}

#[tokio::test]
async fn i6_an_owner_whose_time_zone_is_behind_the_portals_loses_nothing() {
    for (api, dialect) in [("item", Dialect::Item), ("classic", Dialect::Classic)] {
        let config = PortalConfig { counts: Counts::deals(200), user_fields: 1, ..PortalConfig::default() };
        let stage = Stage::new(config).await;
        let times = stage.portal().times();
        stage.portal().set_times(Times { user_zone_shift_seconds: -7_200, filter_sees_shift: true, ..times });
        let sync = |how: &'static str| {
            let mut command = stage.command(&["sync", "deal", how, "--output", "json"]);
            command.env("BITRIX_CRM_API", api);
            finish(command)
        };
        sync("--full").await.expect_success();
        let edited: HashSet<_> = stage.portal().edit_random(Entity::Deal, 20, 9).into_iter().collect();
        let finished = sync("--incremental").await.expect_success();
        let summaries: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(summaries[0]["sync_type"], "incremental");
        assert!(summaries[0]["rows_written"].as_u64().unwrap() >= u64::try_from(edited.len()).unwrap(), "{summaries}");
        // Titles say whether the edits arrived; shown times are two hours off, as the portal shows them.
        let found = deals_differ(&stage, dialect).await;
        assert!(found.iter().all(|found| found.contains("date_") || found.contains("_time")), "{api}: {found:#?}");
        let status = stage.run(&["status"]).await.expect_success().stdout;
        assert!(status.contains("7200 s further back"), "{status}");
    }
}
