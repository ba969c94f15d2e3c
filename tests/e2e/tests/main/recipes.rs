//! Every block of SQL in docs/recipes.md is run against a synced portal.
#![expect(clippy::panic, reason = "a recipe that does not run is told with its line")]

use b24sync_portal_emulator::{Counts, Entity, PortalConfig, UserFieldSpec, UserType};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::stage::{Stage, finish};

const RECIPES: &str = include_str!("../../../../docs/recipes.md");

/// What a recipe promises, by the word behind `sql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Rows.
    Rows,
    /// `maybe-empty`: rows, if there are any.
    MaybeRows,
    /// `soft`: rows, of a database with `DELETE_MODE=soft`.
    SoftRows,
    /// `statement`: an effect.
    Effect,
}

struct Recipe {
    line: usize,
    promise: Promise,
    sql: String,
}

fn recipes() -> Vec<Recipe> {
    let mut found: Vec<Recipe> = Vec::new();
    let mut open = false;
    for (position, line) in RECIPES.lines().enumerate() {
        if let Some(word) = line.strip_prefix("```sql").filter(|_| !open) {
            let promise = match word.trim() {
                "" => Promise::Rows,
                "maybe-empty" => Promise::MaybeRows,
                "soft" => Promise::SoftRows,
                "statement" => Promise::Effect,
                other => panic!("line {}: what does `{other}` promise?", position + 1),
            };
            found.push(Recipe { line: position + 1, promise, sql: String::new() });
            open = true;
        } else if line.starts_with("```") {
            open = false;
        } else if open {
            let recipe = found.last_mut().unwrap();
            recipe.sql.push_str(line);
            recipe.sql.push('\n');
        }
    }
    assert!(!open && found.len() > 30, "{} recipes were found", found.len());
    found
}

async fn rows(client: &Client, recipe: &Recipe) -> usize {
    let answers = client.simple_query(&recipe.sql).await;
    let answers = answers.unwrap_or_else(|error| panic!("docs/recipes.md:{}: {error:?}\n{}", recipe.line, recipe.sql));
    answers.iter().filter(|answer| matches!(answer, SimpleQueryMessage::Row(_))).count()
}

/// The user fields that the recipes speak of.
fn add_fields(stage: &Stage) {
    let fields = [
        UserFieldSpec::new(UserType::Enumeration, "Industry").named("UF_CRM_INDUSTRY"),
        UserFieldSpec::new(UserType::Enumeration, "Channels").named("UF_CRM_CHANNELS").multiple(),
        UserFieldSpec::new(UserType::String, "Tags").named("UF_CRM_TAGS").multiple(),
        UserFieldSpec::new(UserType::Money, "Budget").named("UF_CRM_BUDGET"),
    ];
    for field in fields {
        stage.portal().add_user_field(Entity::Deal, &field.filled());
    }
}

async fn stage_for_recipes(delete_mode: &str) -> Stage {
    let counts = Counts { deals: 600, leads: 300, contacts: 400, companies: 100 };
    let stage = Stage::new(PortalConfig { counts, ..PortalConfig::demo() }).await;
    stage.portal().set_rate(None);
    add_fields(&stage);
    let sync = async || {
        let mut command = stage.command(&["sync", "--all"]);
        command.env("DELETE_MODE", delete_mode);
        finish(command).await.expect_success();
    };
    sync().await;
    let gone = stage.portal().ids(Entity::Deal)[0];
    stage.portal().delete(Entity::Deal, gone);
    sync().await;
    stage
}

#[tokio::test]
async fn every_recipe_runs_and_those_that_promise_rows_have_some() {
    let stage = stage_for_recipes("hard").await;
    let client = stage.client().await;
    for recipe in recipes().iter().filter(|recipe| recipe.promise != Promise::SoftRows) {
        let rows = rows(&client, recipe).await;
        assert!(rows > 0 || recipe.promise != Promise::Rows, "docs/recipes.md:{} has no row", recipe.line);
    }
}

#[tokio::test]
async fn recipes_for_soft_deletes_run_where_deletes_are_soft() {
    let stage = stage_for_recipes("soft").await;
    let client = stage.client().await;
    for recipe in recipes().iter().filter(|recipe| recipe.promise == Promise::SoftRows) {
        assert!(rows(&client, recipe).await > 0, "docs/recipes.md:{} has no row", recipe.line);
    }
    let deleted = client.query_one("select count(*) from crm_deals where deleted_at is not null", &[]).await.unwrap();
    assert_eq!(deleted.get::<_, i64>(0), 1);
}
