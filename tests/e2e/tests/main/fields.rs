//! I1, I11: user fields that come and go.

use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth, UserFieldSpec, UserType};

use crate::compare::entity_differences;
use crate::stage::Stage;

#[tokio::test]
async fn a_field_that_comes_back_empty_keeps_none_of_its_old_values() {
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
