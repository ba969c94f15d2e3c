//! `sync --plan`: what a sync would take, next to what it then takes.

use b24sync_portal_emulator::{Accounting, Counts, Entity, OperatingLimit, PortalConfig};
use serde_json::Value;

use crate::stage::{Stage, finish};

async fn planned(stage: &Stage, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let mut command = stage.command(&[&["sync", "--plan", "--output", "json"], arguments].concat());
    command.envs(environment.iter().copied());
    let finished = finish(command).await.expect_success();
    serde_json::from_str(&finished.stdout).unwrap()
}

async fn migrated(config: PortalConfig) -> Stage {
    let stage = Stage::new(config).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.portal().reset_stats();
    stage
}

#[tokio::test]
async fn a_plan_costs_little_changes_nothing_and_comes_true() {
    let counts = Counts { deals: 12_000, contacts: 130, ..Counts::deals(0) };
    let stage = migrated(PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }).await;
    let plan = planned(&stage, &["deal", "contact"], &[]).await;
    let asked = stage.portal().stats().http_requests;
    assert!(asked <= 8, "{asked} requests for the plan of two entities");
    let tables = "select count(*) from pg_tables where tablename like 'crm_%'";
    assert_eq!(stage.client().await.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!((&plan[0]["sync_type"], &plan[0]["creates_table"]), (&"full".into(), &true.into()));
    assert_eq!((plan[0]["records"].as_u64(), plan[1]["records"].as_u64()), (Some(12_000), Some(130)));
    for (position, entity) in ["deal", "contact"].into_iter().enumerate() {
        stage.portal().reset_stats();
        stage.run(&["sync", entity]).await.expect_success();
        let (took, said) = (stage.portal().stats().http_requests, plan[position]["requests"].as_u64().unwrap());
        // The fields, the count and the portal's clock come on top.
        assert!(took >= said && took <= said + 6, "{entity}: {took} requests, {said} planned");
    }
    stage.portal().edit_random(Entity::Deal, 70, 1);
    let plan = planned(&stage, &["deal", "--incremental"], &[]).await;
    assert_eq!((&plan[0]["sync_type"], &plan[0]["creates_table"]), (&"incremental".into(), &false.into()));
    let records = plan[0]["records"].as_u64().unwrap();
    assert!((60..200).contains(&records), "{records} records changed by 70 edits");
}

#[tokio::test]
async fn a_plan_knows_what_pages_cost_however_the_portal_charges_them() {
    for accounting in [Accounting::PerMethod, Accounting::Batch] {
        let operating = OperatingLimit {
            limit_seconds: 480.0,
            window_seconds: 600.0,
            cost_per_page: 0.05,
            cost_per_count: 0.0,
            cost_per_call: 0.0,
            takes_time: false,
            accounting,
        };
        let counts = Counts::deals(4_800);
        let stage =
            migrated(PortalConfig { counts, operating: Some(operating), user_fields: 3, ..PortalConfig::default() })
                .await;
        let limited = [("BITRIX_OPERATING_LIMIT_SECONDS", "1")];
        let plan = planned(&stage, &["deal"], &limited).await;
        assert_eq!(plan[0]["bound_by"], "operating", "{accounting:?}");
        // 96 pages are 4.8 s; 0.96 s are there at once, and as much again in each ten minutes.
        let seconds = plan[0]["seconds_at_least"].as_f64().unwrap();
        assert!((seconds - 2_400.0).abs() < 60.0, "{seconds} s, {accounting:?}");
        let plan = planned(&stage, &["lead"], &[]).await;
        assert_eq!((plan[0]["records"].as_u64(), plan[0]["seconds_at_least"].as_f64()), (Some(0), Some(0.0)));
    }
}

#[tokio::test]
async fn people_read_the_plan_as_a_table() {
    let stage = migrated(PortalConfig { counts: Counts::deals(120), user_fields: 2, ..PortalConfig::default() }).await;
    let finished = stage.run(&["sync", "--all", "--plan"]).await.expect_success();
    insta::assert_snapshot!(finished.stdout);
    let refused = stage.run(&["sync", "deal", "--plan", "--sweep"]).await;
    assert_eq!(refused.code, Some(2));
    let refused = Stage::new(PortalConfig::default()).await.run(&["sync", "deal", "--plan"]).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("b24sync migrate"), "{}", refused.stderr);
}
