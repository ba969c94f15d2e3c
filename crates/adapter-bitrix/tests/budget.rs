//! The budget of one process keeps the contract of a shared one.

use std::sync::Arc;

use b24sync_adapter_bitrix::OwnBudget;
use b24sync_domain::ports::BudgetStore;
use b24sync_testkit::contract::budget;

#[tokio::test]
async fn a_budget_of_ones_own_keeps_the_contract() {
    budget::all(|| async {
        let store: Arc<dyn BudgetStore> = Arc::new(OwnBudget::default());
        ([Arc::clone(&store), store], ())
    })
    .await;
}
