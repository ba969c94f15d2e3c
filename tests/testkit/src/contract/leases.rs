//! Leases.

use b24sync_domain::lease::{Grant, Scope};

use super::{Stores, TTL};
use crate::build::deal;

/// I8.
pub(super) async fn a_lease_has_one_holder_and_its_token_rises(stores: &Stores) {
    let first = stores.lease("one").await;
    let Grant::Held(held) = stores.leases.acquire(Scope::Sync(deal()), "two", TTL).await.expect("an answer") else {
        panic!("two holders of one lease")
    };
    assert_eq!(held.holder, "one");
    stores.leases.renew(&first, TTL).await.expect("renewed");
    stores.leases.release(&first).await.expect("released");
    let second = stores.lease("two").await;
    assert!(second.token > first.token);
    // What the first holder still does is harmless.
    stores.leases.release(&first).await.expect("harmless");
    stores.leases.renew(&second, TTL).await.expect("still held");
}
