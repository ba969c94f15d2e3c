//! I10, I11: the portal's fields change, and the tables follow by themselves.

use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth, UserFieldSpec, UserType};

use crate::compare::{differences, entity_differences};
use crate::stage::{Finished, Stage, finish};

const BOTH: [(&str, Dialect); 2] = [("item", Dialect::Item), ("classic", Dialect::Classic)];

struct Drifting {
    stage: Stage,
    api: &'static str,
    dialect: Dialect,
}

impl Drifting {
    async fn new((api, dialect): (&'static str, Dialect)) -> Drifting {
        let counts = Counts { deals: 700, leads: 60, contacts: 120, companies: 40 };
        let stage = Stage::new(PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }).await;
        let drifting = Drifting { stage, api, dialect };
        drifting.sync("--full").await;
        drifting
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.stage.command(arguments);
        command.env("BITRIX_CRM_API", self.api);
        finish(command).await
    }

    async fn sync(&self, how: &str) -> serde_json::Value {
        let finished = self.run(&["sync", "--all", how, "--output", "json"]).await.expect_success();
        serde_json::from_str(&finished.stdout).unwrap()
    }

    async fn assert_equal(&self, what: &str) {
        let client = self.stage.client().await;
        let found = differences(self.stage.portal(), &client, self.dialect).await;
        assert!(found.is_empty(), "{} {what}: {:#?}", self.api, &found[..found.len().min(10)]);
        let verified = self.run(&["verify", "--all"]).await;
        assert_eq!(verified.code, Some(0), "{} {what}: {}", self.api, verified.stdout);
    }
}

#[tokio::test]
async fn i10_a_new_field_gets_a_column_and_its_values_with_one_incremental_sync_and_no_full_one() {
    for how in BOTH {
        let drifting = Drifting::new(how).await;
        let portal = drifting.stage.portal();
        for (user_type, multiple) in
            [(UserType::String, false), (UserType::Integer, true), (UserType::Money, false), (UserType::Date, false)]
        {
            for entity in [Entity::Deal, Entity::Contact] {
                let label = format!("new {user_type:?}");
                let filled = UserFieldSpec { multiple, filled: true, ..UserFieldSpec::new(user_type, &label) };
                portal.add_user_field(entity, &filled);
            }
        }
        let empty = portal.add_user_field(Entity::Lead, &UserFieldSpec::new(UserType::String, "empty"));
        let summaries = drifting.sync("--incremental").await;
        for summary in summaries.as_array().unwrap() {
            assert_eq!(summary["sync_type"], "incremental", "{summary}");
        }
        drifting.assert_equal("new fields").await;
        let comment = format!(
            "select col_description('crm_leads'::regclass, attnum) from pg_attribute where attrelid = 'crm_leads'::regclass and attname = '{}'",
            empty.to_ascii_lowercase()
        );
        let comment: String = drifting.stage.client().await.query_one(&comment, &[]).await.unwrap().get(0);
        assert_eq!(comment, "empty");
        portal.reset_stats();
        drifting.sync("--incremental").await;
        assert!(portal.stats().http_requests <= 8, "nothing is read twice for the fields' sake");
    }
}

#[tokio::test]
async fn i10_i11_fields_that_change_lose_nothing_and_invent_nothing_and_views_and_grants_survive() {
    for how in BOTH {
        let drifting = Drifting::new(how).await;
        let portal = drifting.stage.portal();
        let field = |user_type, label: &str| {
            let spec = UserFieldSpec { filled: true, ..UserFieldSpec::new(user_type, label) };
            portal.add_user_field(Entity::Deal, &spec)
        };
        let retyped = field(UserType::Integer, "retyped");
        let widened = field(UserType::Integer, "made multiple");
        let removed = field(UserType::String, "removed");
        let viewed = field(UserType::Integer, "viewed");
        drifting.sync("--incremental").await;
        drifting.assert_equal("before").await;
        let client = drifting.stage.client().await;
        let view = format!(
            "create view sums as select sum({}) from crm_deals; \
             do $$ begin if to_regrole('drift_reader') is null then create role drift_reader; end if; \
             exception when duplicate_object or unique_violation then null; end $$; \
             grant select on crm_deals to drift_reader;",
            viewed.to_ascii_lowercase()
        );
        client.batch_execute(&view).await.unwrap();

        assert!(portal.retype_user_field(Entity::Deal, &retyped, UserType::String));
        assert!(portal.make_multiple(Entity::Deal, &widened, true));
        assert!(portal.remove_user_field(Entity::Deal, &removed));
        assert!(portal.rename_label(Entity::Deal, &viewed, "another label"));
        portal.edit_random(Entity::Deal, 20, 7);
        drifting.sync("--incremental").await;
        drifting.assert_equal("after").await;

        let kept = format!("select count({}) from crm_deals", removed.to_ascii_lowercase());
        let kept: i64 = client.query_one(&kept, &[]).await.unwrap().get(0);
        assert!(kept > 0, "a field that is gone keeps its column and values");
        let label = format!(
            "select label, col_description('crm_deals'::regclass, attnum) from b24sync.fields, pg_attribute where field = '{viewed}' and attrelid = 'crm_deals'::regclass and attname = '{}'",
            viewed.to_ascii_lowercase()
        );
        let label = client.query_one(&label, &[]).await.unwrap();
        assert_eq!((label.get::<_, &str>(0), label.get::<_, &str>(1)), ("another label", "another label"));
        client.query_one("select * from sums", &[]).await.unwrap();
        let granted = "select has_table_privilege('drift_reader', 'crm_deals', 'select')";
        assert!(client.query_one(granted, &[]).await.unwrap().get::<_, bool>(0));
    }
}

#[tokio::test]
async fn i10_a_field_whose_column_a_view_holds_fast_puts_into_quarantine_only_what_does_not_fit() {
    let drifting = Drifting::new(BOTH[0]).await;
    let portal = drifting.stage.portal();
    let held = portal.add_user_field(Entity::Deal, &UserFieldSpec::new(UserType::Integer, "held"));
    drifting.sync("--incremental").await;
    let view = format!("create view held as select {} from crm_deals", held.to_ascii_lowercase());
    drifting.stage.client().await.batch_execute(&view).await.unwrap();
    portal.retype_user_field(Entity::Deal, &held, UserType::String);
    let ids = portal.ids(Entity::Deal);
    portal.edit(Entity::Deal, ids[0], [(held.as_str(), Truth::from("12"))]);
    portal.edit(Entity::Deal, ids[1], [(held.as_str(), Truth::from("a dozen"))]);
    let summaries = drifting.sync("--incremental").await;
    let deals = summaries.as_array().unwrap().iter().find(|summary| summary["entity"] == "deal").unwrap();
    assert_eq!((deals["status"].as_str(), deals["quarantined"].as_u64()), (Some("completed_with_quarantine"), Some(1)));
    // The operator takes the view away and lets the column be a text; then the record can be stored.
    let mended = format!(
        "drop view held; alter table crm_deals alter column {} type text; delete from b24sync.pinned_columns",
        held.to_ascii_lowercase()
    );
    drifting.stage.client().await.batch_execute(&mended).await.unwrap();
    let retried = drifting.run(&["quarantine", "retry", "--all", "--output", "json"]).await.expect_success();
    let retried: serde_json::Value = serde_json::from_str(&retried.stdout).unwrap();
    let deals = retried.as_array().unwrap().iter().find(|line| line["entity"] == "deal").unwrap();
    assert_eq!((deals["before"].as_u64(), deals["after"].as_u64()), (Some(1), Some(0)));
    drifting.assert_equal("retried").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i10_fields_that_change_in_the_middle_of_a_pass_lose_nothing() {
    for how in BOTH {
        let drifting = Drifting::new(how).await;
        let portal = drifting.stage.portal().clone();
        portal.set_faults(b24sync_portal_emulator::FaultPlan::always(b24sync_portal_emulator::Fault::Delay {
            milliseconds: 15,
        }));
        let changes = tokio::task::spawn_blocking(move || {
            let mut names: Vec<String> = Vec::new();
            for round in 0..12 {
                let spec = UserFieldSpec { filled: true, ..UserFieldSpec::new(UserType::Integer, "in the middle") };
                names.push(portal.add_user_field(Entity::Deal, &spec));
                match round % 3 {
                    0 => drop(portal.retype_user_field(Entity::Deal, &names[round / 2], UserType::String)),
                    1 => drop(portal.make_multiple(Entity::Deal, &names[round / 2], true)),
                    _ => drop(portal.remove_user_field(Entity::Deal, &names[round / 2])),
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        for how in ["--full", "--incremental"] {
            drifting.run(&["sync", "deal", how]).await;
        }
        changes.await.unwrap();
        drifting.stage.portal().set_faults(b24sync_portal_emulator::FaultPlan::none());
        drifting.sync("--incremental").await;
        drifting.assert_equal("changes in the middle").await;
    }
}

#[tokio::test]
async fn a_table_that_was_dropped_is_filled_again_by_an_incremental_sync() {
    let drifting = Drifting::new(BOTH[0]).await;
    drifting.stage.client().await.batch_execute("drop table crm_contacts").await.unwrap();
    drifting.sync("--incremental").await;
    drifting.assert_equal("dropped").await;
}

#[tokio::test]
async fn schema_plan_tells_what_a_sync_would_do_and_schema_show_what_there_is() {
    let counts = Counts { deals: 5, leads: 0, contacts: 0, companies: 0 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 0, ..PortalConfig::default() }).await;
    stage.run(&["migrate"]).await.expect_success();
    let plan = stage.run(&["schema", "plan", "deal"]).await.expect_success().stdout;
    assert!(plan.starts_with("create table \"public\".\"crm_deals\""), "{plan}");
    assert!(stage.run(&["schema", "show", "deal"]).await.expect_success().stderr.contains("b24sync sync deal"));
    stage.run(&["sync", "deal"]).await.expect_success();
    let plan = stage.run(&["schema", "plan", "deal"]).await.expect_success().stdout;
    assert_eq!(plan.trim(), "✓ crm_deals is as the portal's fields want it");
    let spec = UserFieldSpec { name: Some("UF_CRM_NEW".to_owned()), ..UserFieldSpec::new(UserType::Date, "It's new") };
    stage.portal().add_user_field(Entity::Deal, &spec);
    let plan = stage.run(&["schema", "plan", "deal"]).await.expect_success().stdout;
    insta::assert_snapshot!(plan, @r#"
    alter table "public"."crm_deals"
      add column if not exists "uf_crm_new" date;
    comment on column "public"."crm_deals"."uf_crm_new" is E'It''s new';
    -- UF_CRM_NEW: new; records that have a value of it are read again
    "#);
    let shown = stage.run(&["schema", "show", "deal", "--output", "json"]).await.expect_success().stdout;
    let fields: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let stage_id = fields.as_array().unwrap().iter().find(|field| field["name"] == "STAGE_ID").unwrap();
    assert_eq!((stage_id["column"].as_str(), stage_id["column_type"].as_str()), (Some("stage_id"), Some("text")));
    assert_eq!(stage_id["state"], "current");
    stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    stage.portal().remove_user_field(Entity::Deal, "UF_CRM_NEW");
    stage.run(&["sync", "deal", "--incremental"]).await.expect_success();
    let shown = stage.run(&["schema", "show", "deal"]).await.expect_success().stdout;
    let line = shown.lines().find(|line| line.contains("UF_CRM_NEW")).unwrap();
    assert!(line.contains("retired"), "{line}");
}

#[tokio::test]
async fn i11_a_field_that_comes_back_empty_keeps_none_of_its_old_values() {
    let config = PortalConfig { counts: Counts::deals(60), user_fields: 3, ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    let name = "UF_CRM_COMES_BACK".to_owned();
    let filled = UserFieldSpec {
        user_type: UserType::Integer,
        multiple: false,
        label: "Before".to_owned(),
        name: Some(name.clone()),
        filled: true,
    };
    stage.portal().add_user_field(Entity::Deal, &filled);
    stage.run(&["sync", "deal"]).await.expect_success();
    stage.portal().remove_user_field(Entity::Deal, &name);
    // Without it, records are read and stored as they are then.
    let ids = stage.portal().ids(Entity::Deal);
    stage.portal().edit(Entity::Deal, ids[0], [("TITLE", Truth::from("changed meanwhile"))]);
    stage.run(&["sync", "deal"]).await.expect_success();
    let empty = UserFieldSpec { filled: false, label: "After".to_owned(), ..filled };
    stage.portal().add_user_field(Entity::Deal, &empty);
    stage.run(&["sync", "deal"]).await.expect_success();
    let mut found = Vec::new();
    let client = stage.client().await;
    entity_differences(stage.portal(), &client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
    assert!(found.is_empty(), "I1: {} differences: {:#?}", found.len(), &found[..found.len().min(5)]);
    stage.run(&["verify", "deal"]).await.expect_success();
}
