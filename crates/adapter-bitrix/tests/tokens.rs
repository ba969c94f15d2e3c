//! An application's tokens: proven, kept, renewed once, and lost in a way that says what to do.

use std::time::Duration;

use b24sync_domain::application::{Installation, TokenError};
use b24sync_domain::error::{Chain, Remedy, SourceError};
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::ports::{CrmSource, LeaseStore, PortalGrant, TokenVault};
use b24sync_domain::secret::Secret;
use b24sync_portal_emulator::{Application, ApplicationRules, Fault, FaultPlan, When};

use b24sync_testkit::observe::NamedInstance;

use crate::application::{Scene, call};
use crate::support::entity;

fn token(result: Result<i64, SourceError>) -> TokenError {
    match result.unwrap_err() {
        SourceError::Token(error) => error,
        other => panic!("{other:?}"),
    }
}

fn plan(when: When, fault: Fault) -> FaultPlan {
    FaultPlan::none().and(Some("oauth.token"), when, vec![fault])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_application_reads_the_portal() {
    let scene = Scene::new();
    let source = scene.instance("one");
    assert!(matches!(token(call(&source).await), TokenError::NotInstalled));
    assert!(source.application_token().await.unwrap().is_none());
    source.install(&scene.installation()).await.unwrap();
    assert_eq!(call(&source).await.unwrap(), 1);
    assert!(!source.fields(entity("deal")).await.unwrap().is_empty());
    assert_eq!(source.count(entity("deal")).await.unwrap(), Some(5));
    // Another instance with the same store needs no installation of its own.
    let other = scene.instance("two");
    assert_eq!(call(&other).await.unwrap(), 1);
    let shown = other.application_token().await.unwrap().unwrap();
    assert_eq!(shown.expose(), scene.issued.application_token);
    assert_eq!(scene.refreshes(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_shows_nothing_and_opens_with_the_key_only() {
    let (scene, _) = Scene::installed().await;
    let sealed = scene.vault.load().await.unwrap().sealed.unwrap();
    let text = String::from_utf8_lossy(&sealed);
    for secret in [&scene.issued.access_token, &scene.issued.refresh_token, &scene.issued.application_token] {
        assert!(!text.contains(secret.get(..8).unwrap()));
    }
    let mut settings = scene.settings();
    settings.token_key = b24sync_adapter_bitrix::TokenKey::generate().unwrap().parse().unwrap();
    let stranger = scene.instance_with("two", settings);
    let error = token(call(&stranger).await);
    assert!(matches!(error, TokenError::Sealed) && error.advice().contains("BITRIX_TOKEN_KEY"), "{error:?}");
    // The tokens of another application are none.
    let mut settings = scene.settings();
    settings.client_id = "local.other".to_owned();
    assert!(matches!(token(call(&scene.instance_with("three", settings)).await), TokenError::NotInstalled));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_is_not_proven_changes_nothing() {
    let (scene, source) = Scene::installed().await;
    let before = scene.vault.load().await.unwrap();
    let forged = Installation { access_token: Secret::new("forged"), ..scene.installation() };
    let another = Installation { application_token: Secret::new("another"), ..scene.installation() };
    for installation in [forged, another] {
        let error = source.install(&installation).await.unwrap_err();
        assert!(matches!(error, TokenError::NotProven { .. }), "{error:?}");
    }
    let server = Some("https://oauth.evil.example/rest/".to_owned());
    let foreign = Installation { server_endpoint: server, ..scene.installation() };
    let error = source.install(&foreign).await.unwrap_err();
    assert!(matches!(&error, TokenError::ForeignServer { host } if host == "oauth.evil.example"), "{error:?}");
    let mut settings = scene.settings();
    settings.member_id = Some("ours".to_owned());
    let strict = scene.instance_with("two", settings);
    assert!(matches!(strict.install(&scene.installation()).await, Err(TokenError::NotProven { .. })));
    scene.portal.set_faults(FaultPlan::always(Fault::Status { status: 502 }));
    let error = source.install(&scene.installation()).await.unwrap_err();
    assert!(matches!(error, TokenError::PortalUnavailable { .. }), "{error:?}");
    assert_eq!(error.remedy(), Remedy::Retry { after: None });
    assert_eq!(scene.vault.load().await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ended_is_replaced_once_and_the_call_repeated() {
    let (scene, source) = Scene::installed().await;
    scene.portal.expire_access_tokens();
    assert_eq!(call(&source).await.unwrap(), 1);
    assert_eq!(call(&source).await.unwrap(), 1);
    assert_eq!(scene.refreshes(), (1, 0));
    // What was renewed is kept: a process that starts now uses it. The application token is still known.
    let other = scene.instance("two");
    assert_eq!(call(&other).await.unwrap(), 1);
    assert_eq!(other.application_token().await.unwrap().unwrap().expose(), scene.issued.application_token);
    // And the pair that came with it is good for the next time.
    scene.portal.expire_access_tokens();
    assert_eq!(call(&other).await.unwrap(), 1);
    assert_eq!(scene.refreshes(), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_a_minute_before_it_ends() {
    let (scene, _) = Scene::installed().await;
    for (age, refreshes) in [(3_500, 0), (3_545, 1)] {
        scene.vault.make_old(Duration::from_secs(age));
        let source = scene.instance("two");
        scene.portal.reset_stats();
        assert_eq!(call(&source).await.unwrap(), 1);
        assert_eq!(call(&source).await.unwrap(), 1);
        assert_eq!(scene.refreshes(), (refreshes, 0), "{age} s");
    }
    // While it lives, a call does not fail because the next one cannot be had.
    scene.vault.make_old(Duration::from_secs(3_590));
    scene.portal.set_faults(plan(When::Always, Fault::Status { status: 502 }));
    let source = scene.instance("three");
    assert_eq!(call(&source).await.unwrap(), 1);
    scene.vault.make_old(Duration::from_secs(3_601));
    let error = token(call(&scene.instance("four")).await);
    assert!(matches!(error, TokenError::ServerUnavailable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_meet_the_end_at_once_renew_once() {
    for ends in [false, true] {
        let rules = ApplicationRules { refresh_ends_access_token: ends, ..ApplicationRules::default() };
        let scene = Scene::with(rules, Application::default());
        let instances = [scene.instance("one"), scene.instance("two"), scene.instance("three")];
        instances[0].install(&scene.installation()).await.unwrap();
        for instance in &instances {
            call(instance).await.unwrap();
        }
        // Slow enough for the others to come while one is at it.
        scene.portal.set_faults(plan(When::Always, Fault::Delay { milliseconds: 300 }));
        scene.portal.expire_access_tokens();
        let calls = instances.iter().flat_map(|instance| [call(instance), call(instance), call(instance)]);
        for result in futures_util::future::join_all(calls).await {
            assert_eq!(result.unwrap(), 1);
        }
        assert_eq!(scene.refreshes(), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_not_carried_out_is_repeated() {
    for fault in [Fault::Status { status: 502 }, Fault::ConnectionReset, Fault::HtmlWith200] {
        let (scene, source) = Scene::installed().await;
        scene.portal.set_faults(plan(When::Next(2), fault.clone()));
        scene.portal.expire_access_tokens();
        assert_eq!(call(&source).await.unwrap(), 1, "{fault:?}");
        assert_eq!(scene.refreshes(), (1, 0), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_ends_with_a_person_and_not_with_a_loop() {
    let (scene, source) = Scene::installed().await;
    scene.portal.set_faults(plan(When::Next(1), Fault::LostAfterExecution));
    scene.portal.expire_access_tokens();
    let error = token(call(&source).await);
    assert!(matches!(&error, TokenError::Lapsed { code } if code == "invalid_grant"), "{error:?}");
    assert!(error.advice().contains("authorise the application again"));
    assert_eq!(error.remedy(), Remedy::Operator);
    let asked = scene.refreshes();
    assert_eq!(asked, (1, 1));
    for _ in 0..3 {
        assert!(matches!(token(call(&source).await), TokenError::Lapsed { .. }));
    }
    assert_eq!(scene.refreshes(), asked, "the server is not asked again and again");
    // Somebody opens the application: at another instance, and this one notices.
    let mut again = scene.installation();
    let issued = scene.portal.install_application(Application::default());
    again.access_token = Secret::new(issued.access_token);
    again.refresh_token = Secret::new(issued.refresh_token);
    scene.instance("two").install(&again).await.unwrap();
    assert_eq!(call(&source).await.unwrap(), 1);
}

/// Renewed, and the database does not take the new pair: the old one is used up, so the new one must not be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_could_not_be_stored_is_stored_later() {
    let (scene, source) = Scene::installed().await;
    scene.portal.expire_access_tokens();
    scene.vault.refuse(2);
    for _ in 0..2 {
        let error = token(call(&source).await);
        assert!(matches!(error, TokenError::Store(_)), "{error:?}");
        assert_eq!(scene.vault.load().await.unwrap().version, 1, "it is not used before it is stored");
    }
    assert_eq!(call(&source).await.unwrap(), 1);
    assert_eq!(call(&scene.instance("two")).await.unwrap(), 1);
    assert_eq!(scene.refreshes(), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_takes_no_pair_with_it() {
    let (scene, source) = Scene::installed().await;
    scene.portal.expire_access_tokens();
    scene.portal.set_faults(plan(When::Next(1), Fault::Delay { milliseconds: 400 }));
    let given_up = tokio::time::timeout(Duration::from_millis(150), call(&source)).await;
    assert!(given_up.is_err(), "it was still waiting");
    assert_eq!(call(&source).await.unwrap(), 1);
    assert_eq!(scene.refreshes(), (1, 0));
}

/// Somebody else is at it: whoever is alive is waited for, and whoever is gone is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_waits_for_the_living_and_not_for_the_dead() {
    let (scene, source) = Scene::installed().await;
    scene.portal.expire_access_tokens();
    let ttl = Duration::from_secs(60);
    let Grant::Granted(lease) = scene.vault.store.acquire(Scope::Tokens, "stranger", ttl).await.unwrap() else {
        panic!("nobody has it")
    };
    let waiting = tokio::time::timeout(Duration::from_millis(600), call(&source)).await;
    assert!(waiting.is_err() && scene.refreshes() == (0, 0));
    let heir = NamedInstance::new("two");
    heir.bury("stranger");
    assert_eq!(call(&scene.source(heir, scene.settings())).await.unwrap(), 1);
    assert_eq!(call(&source).await.unwrap(), 1, "who waited sees what the other one stored");
    assert_eq!(scene.refreshes(), (1, 0));
    assert!(scene.vault.store.renew(&lease, ttl).await.is_err());
    assert!(scene.vault.store.holder(Scope::Tokens).await.unwrap().is_none(), "the lease was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_itself_may_be_refused() {
    for code in ["PAYMENT_REQUIRED", "wrong_client", "NOT_INSTALLED"] {
        let (scene, source) = Scene::installed().await;
        scene.portal.expire_access_tokens();
        let refusal = Fault::ErrorCode { status: Some(200), code: code.to_owned(), description: None };
        scene.portal.set_faults(plan(When::Always, refusal));
        let error = token(call(&source).await);
        assert!(matches!(&error, TokenError::Refused { code: given } if given == code), "{error:?}");
        assert_eq!(error.remedy(), Remedy::Operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_was_removed_says_so() {
    let (scene, source) = Scene::installed().await;
    let other = scene.instance("two");
    call(&other).await.unwrap();
    scene.portal.uninstall_application(false);
    // Before the event came.
    let error = token(call(&source).await);
    assert!(matches!(&error, TokenError::Rejected { code } if code == "APPLICATION_NOT_FOUND"), "{error:?}");
    assert_eq!(scene.refreshes(), (0, 0));
    source.revoke().await.unwrap();
    assert_eq!(scene.vault.load().await.unwrap().sealed, None);
    assert!(matches!(token(call(&source).await), TokenError::NotInstalled));
    assert!(source.application_token().await.unwrap().is_none());
    assert!(matches!(token(call(&other).await), TokenError::Rejected { .. } | TokenError::NotInstalled));
    source.revoke().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_authorises_it_with_a_code() {
    let redirect_uri = Some("https://app.example/callback".to_owned());
    let scene = Scene::with(ApplicationRules::default(), Application { redirect_uri, ..Application::default() });
    let source = scene.instance("one");
    source.install(&scene.installation()).await.unwrap();
    let code = async || {
        let url = source.authorize_url("st4te&x").unwrap();
        assert!(url.contains("/oauth/authorize/?client_id=local.") && url.ends_with("state=st4te%26x"), "{url}");
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let location = browser.execute(browser.get(url).build().unwrap()).await.unwrap();
        let location = location.headers()["location"].to_str().unwrap().to_owned();
        let url = url::Url::parse(&location).unwrap();
        let of = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_eq!(of("state"), "st4te&x");
        (Secret::new(of("code")), Some(of("server_domain")))
    };
    let (first, server) = code().await;
    source.redeem(&first, server.clone()).await.unwrap();
    assert_eq!(call(&source).await.unwrap(), 1);
    assert_eq!(scene.vault.load().await.unwrap().version, 2);
    let known = source.application_token().await.unwrap().unwrap();
    assert_eq!(known.expose(), scene.issued.application_token, "events still show the token of the installation");
    let error = source.redeem(&first, server).await.unwrap_err();
    assert!(matches!(error, TokenError::Lapsed { .. }), "{error:?}");
    let (second, _) = code().await;
    let error = source.redeem(&second, Some("evil.example".to_owned())).await.unwrap_err();
    assert!(matches!(error, TokenError::ForeignServer { .. }), "{error:?}");
    assert_eq!(scene.portal.oauth_stats().exchanges, 1);
    scene.portal.expire_access_tokens();
    assert_eq!(call(&source).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_portal_are_not_kept() {
    let (scene, _) = Scene::installed().await;
    let mut settings = scene.settings();
    settings.member_id = Some("ours".to_owned());
    let strict = scene.instance_with("two", settings);
    scene.portal.expire_access_tokens();
    let error = token(call(&strict).await);
    assert!(matches!(&error, TokenError::AnotherPortal { known, .. } if known == "ours"), "{}", Chain(&error));
    assert_eq!(scene.vault.load().await.unwrap().version, 1);
}
