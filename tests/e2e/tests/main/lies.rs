//! I4, I9: a portal that lies costs no row, and the run says what was wrong.

use b24sync_portal_emulator::{Counts, Entity, Fault, FaultPlan, PortalConfig};

use crate::stage::Stage;

const DEALS: usize = 300;

/// Where a run ends that meets the lie.
#[derive(Clone, Copy)]
enum Outcome {
    /// Well: what was doubtful was read again.
    Completes,
    /// Well, and a warning says this.
    Warns(&'static str),
    /// Badly, and the run's error in the log says this.
    Fails(&'static str),
}

struct Lie {
    name: &'static str,
    tell: fn(&Stage),
    outcome: Outcome,
}

fn hide(stage: &Stage, share: usize) {
    let ids: Vec<i64> = stage.portal().ids(Entity::Deal).into_iter().take(share).collect();
    stage.portal().hide(Entity::Deal, &ids);
}

fn partial(code: &str) -> Fault {
    Fault::BatchPartialError { code: code.to_owned() }
}

const LIES: [Lie; 12] = [
    Lie {
        name: "every second answer has a short page in the middle",
        tell: |stage| stage.portal().set_faults(FaultPlan::every(2, Fault::ShortPage)),
        outcome: Outcome::Completes,
    },
    Lie {
        name: "every third batch has an error inside",
        tell: |stage| stage.portal().set_faults(FaultPlan::every(3, partial("INTERNAL_SERVER_ERROR"))),
        outcome: Outcome::Completes,
    },
    Lie {
        name: "every batch has an error inside",
        tell: |stage| stage.portal().set_faults(FaultPlan::always(partial("INTERNAL_SERVER_ERROR"))),
        outcome: Outcome::Fails("reading `deal` from the portal failed"),
    },
    Lie {
        name: "access is denied inside every batch",
        tell: |stage| stage.portal().set_faults(FaultPlan::always(partial("ACCESS_DENIED"))),
        outcome: Outcome::Fails("ACCESS_DENIED"),
    },
    Lie {
        name: "HTML with 200",
        tell: |stage| stage.portal().set_faults(FaultPlan::always(Fault::HtmlWith200)),
        outcome: Outcome::Fails("reading `deal` from the portal failed"),
    },
    Lie {
        name: "truncated bodies",
        tell: |stage| stage.portal().set_faults(FaultPlan::always(Fault::TruncatedBody)),
        outcome: Outcome::Fails("reading `deal` from the portal failed"),
    },
    Lie {
        name: "pages in the wrong order",
        tell: |stage| stage.portal().set_faults(FaultPlan::always(Fault::WrongOrder)),
        outcome: Outcome::Fails("dishonest page"),
    },
    Lie {
        name: "rights lost for 1 % of records",
        tell: |stage| hide(stage, 3),
        outcome: Outcome::Warns("may not read"),
    },
    Lie {
        name: "rights lost for 50 % of records",
        tell: |stage| hide(stage, DEALS / 2),
        outcome: Outcome::Warns("may not read"),
    },
    Lie {
        name: "rights lost for all records",
        tell: |stage| stage.portal().hide_all(Entity::Deal),
        outcome: Outcome::Fails("nothing was deleted"),
    },
    Lie {
        name: "type removed",
        tell: |stage| stage.portal().remove_entity_type(Entity::Deal, true),
        outcome: Outcome::Fails("deal"),
    },
    Lie {
        name: "half of the records gone at once",
        tell: |stage| {
            for id in stage.portal().ids(Entity::Deal).into_iter().take(DEALS / 2) {
                stage.portal().delete(Entity::Deal, id);
            }
        },
        outcome: Outcome::Fails("did not delete their rows"),
    },
];

#[tokio::test]
async fn i4_i9_a_lying_portal_costs_no_row_in_a_full_sync_and_the_run_says_why() {
    for lie in LIES {
        tell(&lie, "--full").await;
    }
}

#[tokio::test]
async fn i4_i9_a_lying_portal_costs_no_row_in_a_sweep_and_the_run_says_why() {
    for lie in LIES {
        tell(&lie, "--sweep").await;
    }
}

#[tokio::test]
async fn i4_i9_a_lying_portal_costs_no_row_in_an_incremental_sync() {
    // Those about rights: an incremental sync draws no conclusion from what it does not see.
    for lie in &LIES[7..] {
        let stage = synced().await;
        (lie.tell)(&stage);
        stage.run(&["sync", "deal", "--incremental"]).await;
        assert_eq!(rows(&stage).await, 300, "{}", lie.name);
    }
}

async fn synced() -> Stage {
    let counts = Counts::deals(u64::try_from(DEALS).unwrap());
    let stage = Stage::new(PortalConfig { counts, user_fields: 1, ..PortalConfig::default() }).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    stage
}

async fn rows(stage: &Stage) -> i64 {
    stage.client().await.query_one("select count(*) from crm_deals", &[]).await.unwrap().get(0)
}

async fn tell(lie: &Lie, how: &str) {
    let stage = synced().await;
    (lie.tell)(&stage);
    let finished = stage.run(&["sync", "deal", how]).await;
    let said = format!("{how}, {}:\n{}\n{}", lie.name, finished.stdout, finished.stderr);
    assert_eq!(rows(&stage).await, 300, "I4: {said}");
    let client = stage.client().await;
    let last = "select status, coalesce(error_message, '') from sync_logs order by id desc limit 1";
    let last = client.query_one(last, &[]).await.unwrap();
    let (status, error): (String, String) = (last.get(0), last.get(1));
    match lie.outcome {
        Outcome::Completes => assert_eq!((finished.code, status.as_str()), (Some(0), "completed"), "I9: {said}"),
        Outcome::Warns(words) => {
            assert_eq!((finished.code, status.as_str()), (Some(0), "completed"), "I9: {said}");
            assert!(finished.stderr.contains(words), "I9: {said}");
            assert!(error.contains("may not be read"), "I9: {said}\nlogged: {error}");
        }
        Outcome::Fails(words) => {
            assert_eq!((finished.code, status.as_str()), (Some(1), "failed"), "I9: {said}");
            assert!(error.contains(words), "I9: {said}\nlogged: {error}");
        }
    }
    let buried = "select count(*) from b24sync.item_state where deleted_at is not null";
    assert_eq!(client.query_one(buried, &[]).await.unwrap().get::<_, i64>(0), 0, "I4: {said}");
}
