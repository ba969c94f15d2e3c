use std::sync::Arc;

use b24sync_testkit::contract::{self, Stores};

use crate::support::World;

#[tokio::test]
async fn the_store_keeps_the_contract_that_the_fake_keeps() {
    contract::all(|| async {
        let World { database, store, .. } = World::new().await;
        (Stores::of(&Arc::new(store)), database)
    })
    .await;
}
