//! The application's tokens, and where events go.

use std::time::Duration;

use super::Stores;

/// Two instances renew at once: the pair of the one that is late must not cover the other's.
pub(super) async fn tokens_are_replaced_by_who_knows_the_last_ones(stores: &Stores) {
    let replace = async |known, bytes: Option<&[u8]>| {
        stores.vault.replace(known, bytes.map(<[u8]>::to_vec)).await.expect("an answer")
    };
    let load = async || stores.vault.load().await.expect("the tokens");
    let first = load().await;
    assert_eq!((first.version, first.sealed), (0, None));
    assert_eq!(replace(0, Some(b"one")).await, Some(1));
    assert_eq!(replace(0, Some(b"two")).await, None, "somebody was faster");
    assert_eq!(replace(0, Some(b"one")).await, Some(1), "the answer to this very change was lost");
    let kept = load().await;
    assert_eq!((kept.version, kept.sealed.as_deref()), (1, Some(&b"one"[..])));
    assert!(kept.age < Duration::from_secs(60));
    assert_eq!(replace(1, Some(b"\0\xff")).await, Some(2));
    assert_eq!(replace(2, None).await, Some(3));
    assert_eq!(replace(1, Some(b"one")).await, None, "what is gone does not come back");
    let gone = load().await;
    assert_eq!((gone.version, gone.sealed), (3, None));
}

pub(super) async fn the_handler_is_remembered_beside_the_tokens(stores: &Stores) {
    let handler = async || stores.registrations.handler().await.expect("the handler");
    let keep = async |url: Option<&str>| {
        stores.registrations.keep_handler(url.map(str::to_owned)).await.expect("the handler is kept");
    };
    assert_eq!(handler().await, None);
    keep(Some("https://a.example/")).await;
    assert_eq!(handler().await.as_deref(), Some("https://a.example/"));
    assert_eq!(stores.vault.replace(0, Some(b"one".to_vec())).await.expect("an answer"), Some(1));
    keep(Some("https://b.example/")).await;
    assert_eq!(stores.vault.load().await.expect("the tokens").sealed.as_deref(), Some(&b"one"[..]));
    assert_eq!(handler().await.as_deref(), Some("https://b.example/"));
    keep(None).await;
    assert_eq!(handler().await, None);
}
