//! An application: installation, tokens, authorisation, life cycle.

use std::time::Duration;

use b24sync_portal_emulator::{
    Application, ApplicationRules, ClockSource, Counts, Entity, Fault, FaultPlan, IssuedTokens, OauthStats,
    PortalConfig, When,
};
use serde_json::{Value, json};

use crate::client::{Bench, Reply, bench};
use crate::handler::{Handler, pairs};

pub(crate) fn stage(rules: ApplicationRules) -> Bench {
    let clock = ClockSource::Fixed(1_790_000_000);
    let counts = Counts { deals: 12, leads: 3, contacts: 3, companies: 3 };
    bench(PortalConfig { counts, clock, application_rules: rules, ..PortalConfig::default() })
}

fn application() -> Application {
    Application {
        redirect_uri: Some("https://app.example/callback?x=1".to_owned()),
        scope: vec!["crm".to_owned(), "user".to_owned()],
        ..Application::default()
    }
}

/// Calls a method with a token in the JSON body.
pub(crate) fn call_as(bench: &Bench, token: &str, method: &str, params: &Value) -> Reply {
    let mut params = params.clone();
    params["auth"] = json!(token);
    bench.send("POST", &format!("/rest/{method}"), "application/json", &params.to_string()).unwrap()
}

/// The result of a successful call.
pub(crate) fn result_as(bench: &Bench, token: &str, method: &str, params: &Value) -> Value {
    let reply = call_as(bench, token, method, params);
    assert_eq!(reply.status, 200, "{method}: {}", String::from_utf8_lossy(&reply.body));
    reply.json()["result"].take()
}

/// Status and code of a refused call.
pub(crate) fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error"].as_str().unwrap().to_owned())
}

fn token_request(bench: &Bench, query: &str) -> Reply {
    bench.send("GET", &format!("/oauth/token/?{query}"), "text/plain", "").unwrap()
}

fn refresh(bench: &Bench, token: &str) -> Reply {
    let Application { client_id, client_secret, .. } = application();
    let query = format!("client_id={client_id}&client_secret={client_secret}&refresh_token={token}");
    token_request(bench, &format!("grant_type=refresh_token&{query}"))
}

fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_installation_path_gets_the_tokens() {
    let (bench, handler) = (stage(ApplicationRules::default()), Handler::start());
    let portal = bench.portal();
    let install_url = Some(handler.url("/install"));
    let issued = portal.install_application(Application { install_url, ..application() });
    assert!(portal.wait_for_deliveries(Duration::from_secs(20)));
    let received = handler.received().remove(0);
    let names = |pairs: Vec<(String, String)>| pairs.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let sample = include_str!("../../fixtures/events/app.ONAPPINSTALL.txt").trim();
    assert_eq!(names(received.pairs()), names(pairs(sample)));
    for (name, value) in [
        ("event", "ONAPPINSTALL"),
        ("auth[access_token]", &issued.access_token),
        ("auth[refresh_token]", &issued.refresh_token),
        ("auth[application_token]", &issued.application_token),
        ("auth[expires_in]", "3600"),
        ("auth[scope]", "crm,user"),
        ("auth[status]", "L"),
        ("auth[member_id]", portal.member_id()),
    ] {
        assert_eq!(received.get(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(portal.application_tokens(), Some(issued.clone()));
    assert_eq!(issued.application_token.len(), 32);
    // The application token belongs to the application and the portal, the others to the installation.
    let again = portal.install_application(application());
    assert_eq!(again.application_token, issued.application_token);
    assert_ne!(again.access_token, issued.access_token);
    assert_eq!(refused(&call_as(&bench, &issued.access_token, "profile", &json!({}))), (401, "invalid_token".into()));
}

#[test]
fn a_token_opens_the_api_wherever_it_is_put() {
    let bench = stage(ApplicationRules::default());
    let IssuedTokens { access_token: token, .. } = bench.portal().install_application(application());
    let id = bench.portal().ids(Entity::Deal)[0];
    assert_eq!(result_as(&bench, &token, "crm.deal.get", &json!({ "id": id }))["ID"], id.to_string());
    let in_query = format!("/rest/crm.deal.get.json?auth={token}&id={id}");
    assert_eq!(bench.send("GET", &in_query, "text/plain", "").unwrap().json()["result"]["ID"], id.to_string());
    let form = format!("auth={token}&id={id}");
    let reply = bench.send("POST", "/rest/crm.deal.get/", "application/x-www-form-urlencoded", &form).unwrap();
    assert_eq!(reply.json()["result"]["ID"], id.to_string());
    let header = format!("text/plain\r\nAuthorization: Bearer {token}");
    let reply = bench.send("GET", &format!("/rest/crm.deal.get?id={id}"), &header, "").unwrap();
    assert_eq!(reply.json()["result"]["ID"], id.to_string());
    let commands = json!({"cmd": {"a": "scope", "b": "app.info", "c": "crm.lead.list"}});
    let batch = result_as(&bench, &token, "batch", &commands);
    assert_eq!((&batch["result"]["a"], &batch["result_error"]), (&json!(["crm", "user"]), &json!([])));
    assert_eq!(refused(&bench.send("GET", "/rest/profile", "text/plain", "").unwrap()), (401, "NO_AUTH_FOUND".into()));
    assert_eq!(refused(&call_as(&bench, "nonsense", "profile", &json!({}))), (401, "invalid_token".into()));
}

#[test]
fn an_application_has_its_own_scopes() {
    let bench = stage(ApplicationRules::default());
    let scope = vec!["user".to_owned()];
    let token = bench.portal().install_application(Application { scope, ..application() }).access_token;
    let reply = call_as(&bench, &token, "crm.deal.list", &json!({}));
    assert_eq!(refused(&reply), (403, "insufficient_scope".into()));
    assert_eq!(bench.call("crm.deal.list", &json!({})).status, 200);
    let bound = json!({"event": "ONCRMDEALADD", "handler": "https://a.example/"});
    assert_eq!(refused(&call_as(&bench, &token, "event.bind", &bound)), (400, "ERROR_EVENT_NOT_FOUND".into()));
    assert_eq!(bench.result("scope", &json!({})).as_array().unwrap().len(), 3);
}

#[test]
fn an_access_token_ends_by_the_clock_of_the_portal() {
    let bench = stage(ApplicationRules { access_token_seconds: 60, ..ApplicationRules::default() });
    let portal = bench.portal();
    let issued = portal.install_application(application());
    portal.clock().advance(Duration::from_secs(59));
    assert_eq!(call_as(&bench, &issued.access_token, "profile", &json!({})).status, 200);
    portal.clock().advance(Duration::from_secs(1));
    let wanted = json!({"error": "expired_token", "error_description": "The access token provided has expired."});
    let reply = call_as(&bench, &issued.access_token, "profile", &json!({}));
    assert_eq!((reply.status, reply.json()), (401, wanted));
    let renewed = refresh(&bench, &issued.refresh_token).json();
    assert_eq!((&renewed["expires_in"], &renewed["expires"]), (&json!(60), &json!(1_790_000_120)));
    let token = renewed["access_token"].as_str().unwrap();
    assert_eq!(call_as(&bench, token, "profile", &json!({})).status, 200);
    portal.expire_access_tokens();
    assert_eq!(refused(&call_as(&bench, token, "profile", &json!({}))).1, "expired_token");
}

#[test]
fn a_refresh_replaces_both_tokens_and_the_old_one_is_refused() {
    let bench = stage(ApplicationRules::default());
    let portal = bench.portal();
    let issued = portal.install_application(application());
    let reply = refresh(&bench, &issued.refresh_token);
    let (status, renewed) = (reply.status, reply.json());
    assert_eq!(status, 200);
    assert_eq!(keys(&renewed), keys(&fixture(include_str!("../../fixtures/oauth.token.refresh.json"))));
    let endpoint = format!("http://127.0.0.1:{}/rest/", bench.running.port());
    assert_eq!((&renewed["server_endpoint"], &renewed["client_endpoint"]), (&json!(endpoint), &json!(endpoint)));
    assert_ne!(renewed["access_token"], issued.access_token.as_str());
    assert_ne!(renewed["refresh_token"], issued.refresh_token.as_str());
    assert_eq!(portal.application_tokens().unwrap().refresh_token, renewed["refresh_token"].as_str().unwrap());
    assert_eq!(refused(&refresh(&bench, &issued.refresh_token)), (400, "invalid_grant".into()));
    assert_eq!(refused(&refresh(&bench, "nonsense")), (400, "invalid_grant".into()));
    let wrong = "grant_type=refresh_token&client_id=local.f4k3000000000000.00000001&client_secret=wrong";
    let with_token = format!("{wrong}&refresh_token={}", renewed["refresh_token"].as_str().unwrap());
    assert_eq!(refused(&token_request(&bench, &with_token)), (401, "invalid_client".into()));
    // A refused secret uses nothing up; POST works as well.
    let Application { client_id, client_secret, .. } = application();
    let token = renewed["refresh_token"].as_str().unwrap();
    let form =
        format!("grant_type=refresh_token&client_id={client_id}&client_secret={client_secret}&refresh_token={token}");
    let reply = bench.send("POST", "/oauth/token/", "application/x-www-form-urlencoded", &form).unwrap();
    assert_eq!(reply.status, 200);
    let query = format!("grant_type=password&client_id={client_id}&client_secret={client_secret}");
    assert_eq!(refused(&token_request(&bench, &query)), (400, "invalid_request".into()));
    let wanted = OauthStats { refreshes: 2, refused_refreshes: 3, ..OauthStats::default() };
    assert_eq!(portal.oauth_stats(), wanted);
    portal.reset_stats();
    assert_eq!(portal.oauth_stats(), OauthStats::default());
}

#[test]
fn a_refresh_may_end_the_old_access_token() {
    for ends in [false, true] {
        let bench = stage(ApplicationRules { refresh_ends_access_token: ends, ..ApplicationRules::default() });
        let issued = bench.portal().install_application(application());
        refresh(&bench, &issued.refresh_token);
        let status = call_as(&bench, &issued.access_token, "profile", &json!({})).status;
        assert_eq!(status, if ends { 401 } else { 200 });
    }
}

#[test]
fn of_two_refreshes_with_one_token_only_one_succeeds() {
    let bench = stage(ApplicationRules::default());
    let issued = bench.portal().install_application(application());
    let mut statuses = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| refresh(&bench, &issued.refresh_token).status);
        let asked = [ask(), ask(), ask()];
        asked.map(|thread| thread.join().unwrap())
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400]);
}

#[test]
fn the_answer_to_a_refresh_can_be_lost() {
    let bench = stage(ApplicationRules::default());
    let portal = bench.portal();
    let issued = portal.install_application(application());
    portal.set_faults(FaultPlan::always(Fault::Status { status: 502 }));
    assert_eq!(refresh(&bench, "nonsense").status, 400, "rules without a name do not concern it");
    portal.set_faults(FaultPlan::none().and(Some("oauth.token"), When::Next(1), vec![Fault::LostAfterExecution]));
    let Application { client_id, client_secret, .. } = application();
    let query = format!("client_id={client_id}&client_secret={client_secret}&refresh_token={}", issued.refresh_token);
    let path = format!("/oauth/token/?grant_type=refresh_token&{query}");
    let lost = bench.send("GET", &path, "text/plain", "");
    assert!(lost.is_err() || !lost.unwrap().is_complete());
    assert_eq!(refused(&refresh(&bench, &issued.refresh_token)), (400, "invalid_grant".into()));
    let payment = Fault::error("PAYMENT_REQUIRED");
    portal.set_faults(FaultPlan::none().and(Some("oauth.token"), When::Next(1), vec![payment]));
    assert_eq!(refused(&refresh(&bench, "x")), (401, "PAYMENT_REQUIRED".into()));
}

#[test]
fn a_user_authorises_the_application_with_a_code() {
    let bench = stage(ApplicationRules::default());
    let portal = bench.portal();
    let authorize = |query: &str| bench.send("GET", &format!("/oauth/authorize/?{query}"), "text/plain", "").unwrap();
    let Application { client_id, client_secret, .. } = application();
    let good = format!("client_id={client_id}&state=a%20b%26c");
    assert_eq!(authorize(&good).status, 400, "nothing is installed");
    portal.install_application(application());
    assert_eq!(authorize("client_id=other").status, 400);
    let code = || {
        let reply = authorize(&good);
        assert_eq!(reply.status, 302);
        let location = reply.header("location").unwrap().to_owned();
        pairs(location.strip_prefix("https://app.example/callback?").unwrap())
    };
    let sent = code();
    let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x", "code", "state", "domain", "member_id", "scope", "server_domain"]);
    assert_eq!((sent[2].1.as_str(), sent[5].1.as_str()), ("a b&c", "crm,user"));
    assert_eq!(sent[6].1, format!("127.0.0.1:{}", bench.running.port()));
    let exchange = |code: &str| {
        let query = format!("client_id={client_id}&client_secret={client_secret}&code={code}");
        token_request(&bench, &format!("grant_type=authorization_code&{query}"))
    };
    let reply = exchange(&sent[1].1);
    let mut wanted = keys(&fixture(include_str!("../../fixtures/oauth.token.authorization_code.json")));
    wanted.extend(["expires".to_owned(), "user_id".to_owned()]);
    wanted.sort();
    assert_eq!(keys(&reply.json()), wanted);
    assert_eq!(refused(&exchange(&sent[1].1)), (400, "invalid_grant".into()));
    let late = code();
    portal.clock().advance(Duration::from_secs(30));
    assert_eq!(refused(&exchange(&late[1].1)), (400, "invalid_grant".into()));
    let stats = OauthStats { authorizations: 2, exchanges: 1, refused_exchanges: 2, ..OauthStats::default() };
    assert_eq!(portal.oauth_stats(), stats);
}

#[test]
fn the_application_asks_about_itself_and_the_plan() {
    let features = ["rest_auth_connector".to_owned()].into();
    let bench = stage(ApplicationRules { features, ..ApplicationRules::default() });
    let token = bench.portal().install_application(application()).access_token;
    let info = result_as(&bench, &token, "app.info", &json!({}));
    assert_eq!(keys(&info), keys(&fixture(include_str!("../../fixtures/app.info.json"))["result"]));
    assert_eq!((&info["STATUS"], &info["INSTALLED"], &info["VERSION"]), (&json!("L"), &json!(true), &json!(1)));
    let feature = |code: &str| result_as(&bench, &token, "feature.get", &json!({ "CODE": code }));
    assert_eq!(feature("rest_auth_connector"), fixture(include_str!("../../fixtures/feature.get.json"))["result"]);
    assert_eq!(feature("rest_offline_extended"), json!({"value": "N"}));
    let methods = ["event.bind", "event.unbind", "event.get", "events", "event.test", "app.info", "feature.get"];
    let offline = ["event.offline.get", "event.offline.list", "event.offline.clear", "event.offline.error"];
    for method in methods.iter().chain(&offline) {
        let (status, code, _) = bench.error(method, &json!({}));
        assert_eq!((status, code), (403, json!("WRONG_AUTH_TYPE")), "{method}");
    }
}

#[test]
fn an_update_is_told_before_the_handlers_are_removed() {
    for removes in [true, false] {
        let bench = stage(ApplicationRules { update_removes_handlers: removes, ..ApplicationRules::default() });
        let (portal, handler) = (bench.portal(), Handler::start());
        assert!(!portal.update_application());
        let token = portal.install_application(application()).access_token;
        for event in ["onAppUpdate", "ONCRMDEALUPDATE"] {
            result_as(&bench, &token, "event.bind", &json!({"event": event, "handler": handler.url("/h")}));
        }
        assert!(portal.update_application());
        assert_eq!(portal.handlers().len(), if removes { 0 } else { 2 });
        portal.edit(Entity::Deal, portal.ids(Entity::Deal)[0], [("TITLE", "x".into())]);
        assert!(portal.wait_for_deliveries(Duration::from_secs(20)));
        let received = handler.received();
        assert_eq!(received.len(), if removes { 1 } else { 2 });
        let update = received.iter().find(|one| one.event().0 == "ONAPPUPDATE").unwrap();
        assert_eq!(update.get("data[VERSION]").as_deref(), Some("2.0.0"));
        assert_eq!(update.get("data[PREVIOUS_VERSION]").as_deref(), Some("1.0.0"));
        // Tokens survive an update.
        assert_eq!(result_as(&bench, &token, "app.info", &json!({}))["VERSION"], 2);
    }
}

#[test]
fn an_uninstallation_is_told_without_tokens_and_ends_them() {
    let bench = stage(ApplicationRules::default());
    let (portal, handler) = (bench.portal(), Handler::start());
    assert!(!portal.uninstall_application(true));
    let issued = portal.install_application(application());
    let bind = json!({"event": "ONAPPUNINSTALL", "handler": handler.url("/h")});
    result_as(&bench, &issued.access_token, "event.bind", &bind);
    assert!(portal.uninstall_application(true));
    assert!(portal.wait_for_deliveries(Duration::from_secs(20)));
    let received = handler.received().remove(0);
    let names = |form: &[(String, String)]| {
        let names = form.iter().map(|(name, _)| name.clone());
        names.filter(|name| name != "event_handler_id").collect::<Vec<_>>()
    };
    let sample = pairs(include_str!("../../fixtures/events/app.ONAPPUNINSTALL.txt").trim());
    assert_eq!(names(&received.pairs()), names(&sample));
    assert_eq!(received.get("data[CLEAN]").as_deref(), Some("1"));
    assert_eq!(received.get("auth[application_token]"), Some(issued.application_token.clone()));
    let reply = call_as(&bench, &issued.access_token, "profile", &json!({}));
    assert_eq!(refused(&reply), (401, "APPLICATION_NOT_FOUND".into()));
    assert_eq!(refused(&refresh(&bench, &issued.refresh_token)), (401, "invalid_client".into()));
    assert_eq!((portal.application_tokens(), portal.handlers().len()), (None, 0));
    assert_eq!(bench.call("profile", &json!({})).status, 200, "the webhook goes on");
}

#[test]
fn an_application_can_be_driven_from_outside() {
    let bench = stage(ApplicationRules::default());
    let admin = |command: &str, body: &Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = bench.send("POST", &format!("/__admin/{command}"), "application/json", &body).unwrap();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()
    };
    let issued = admin("install_application", &json!({"client_id": "local.x", "client_secret": "s"}));
    let token = issued["access_token"].as_str().unwrap();
    assert_eq!(admin("application_tokens", &Value::Null), issued);
    result_as(&bench, token, "event.bind", &json!({"event": "ONCRMDEALADD", "event_type": "offline"}));
    let id = admin("add", &json!({"entity": "deal"}))["id"].take();
    assert_eq!(admin("handlers", &Value::Null)[0]["offline"], true);
    let row = admin("offline_events", &Value::Null)[0].take();
    assert_eq!((&row["event"], &row["object"], &row["at"]), (&json!("ONCRMDEALADD"), &id, &json!(1_790_000_000)));
    assert_eq!(admin("update_application", &Value::Null), json!({"ok": true}));
    admin("expire_access_tokens", &Value::Null);
    assert_eq!(refused(&call_as(&bench, token, "profile", &json!({}))).1, "expired_token");
    assert_eq!(admin("stats", &Value::Null)["oauth"]["refused_refreshes"], 0);
    assert_eq!(admin("uninstall_application", &json!({"clean": true})), json!({"ok": true}));
    assert_eq!(admin("application_tokens", &Value::Null), Value::Null);
}
