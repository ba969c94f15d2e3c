//! Key endpoints that are none.

use b24sync_domain::ports::Authenticator as _;
use std::time::{Duration, Instant};

use b24sync_domain::access::Refusal;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Answer, Key, KeyServer, Project};

fn padded(length: usize) -> Answer {
    let keys = json!({"keys": [Key::ec().jwk()], "padding": ""}).to_string();
    let padding = "x".repeat(length - keys.len());
    Answer::ok("application/json", keys.replace(r#""padding":"""#, &format!(r#""padding":"{padding}""#)))
}

fn endless() -> Answer {
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    Answer::Bytes((head.to_owned() + &chunk.repeat(100)).into_bytes())
}

#[tokio::test]
async fn what_is_no_set_of_keys_lets_nobody_in() {
    let elsewhere = KeyServer::start(Answer::keys(&[Key::ec().jwk()]));
    let location = format!("location: {}/auth/v1/.well-known/jwks.json\r\n", elsewhere.url());
    let many: Vec<Value> = vec![Key::ec().jwk(); 33];
    let good = json!({"keys": [Key::ec().jwk()]}).to_string();
    let down = Some(Refusal::KeysUnavailable);
    for (name, answer, expected) in [
        ("the largest answer", padded(64 * 1024), None),
        ("an answer too large by one byte", padded(64 * 1024 + 1), down),
        ("an answer without end", endless(), down),
        ("a redirect to good keys", Answer::status("302 Found", &location, ""), down),
        ("a lasting redirect", Answer::status("308 Permanent Redirect", &location, ""), down),
        ("a page", Answer::ok("text/html", "<!doctype html><h1>Project paused</h1>"), down),
        ("an error with good keys", Answer::status("500 Internal Server Error", "", &good), down),
        ("another success", Answer::status("203 Non-Authoritative Information", "", &good), down),
        ("not found", Answer::status("404 Not Found", "", ""), down),
        ("nothing", Answer::ok("application/json", ""), down),
        ("JSON that is cut", Answer::ok("application/json", &good[..good.len() - 2]), down),
        ("JSON twice", Answer::ok("application/json", good.repeat(2)), down),
        ("another document", Answer::ok("application/json", "[]"), down),
        ("a document of great depth", Answer::ok("application/json", "[".repeat(60_000)), down),
        ("not UTF-8", Answer::ok("application/json", b"{\"keys\":[\"\xff\"]}"), down),
        ("false gzip", Answer::status("200 OK", "content-encoding: gzip\r\n", &good), down),
        ("too many keys", Answer::keys(&many), down),
        ("a closed connection", Answer::Closed, down),
        ("not HTTP", Answer::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), down),
        ("an empty set", Answer::keys(&[]), Some(Refusal::UnknownKey)),
    ] {
        let project = Project::publishing(&[]);
        project.server.answer(answer.clone());
        let token = project.token(&Key::ec());
        assert_eq!(project.refusal(&token).await, expected, "{name}");

        // Keys that were known before stay, unless the set itself says otherwise.
        project.server.publish(&[Key::ec().jwk()]);
        project.authenticator.forget_keys();
        assert_eq!(project.refusal(&token).await, None, "{name}");
        project.server.answer(answer);
        project.clock.advance(TimeDelta::minutes(6));
        let token = project.token(&Key::ec());
        assert_eq!(project.refusal(&token).await, None, "{name}");
    }
    assert_eq!(elsewhere.requests(), 0, "redirects are not followed");
}

#[tokio::test]
async fn a_slow_endpoint_is_given_five_seconds() {
    let waits = async |answer| {
        let project = Project::publishing(&[]);
        project.server.answer(answer);
        let started = Instant::now();
        assert_eq!(project.refusal(&project.token(&Key::ec())).await, Some(Refusal::KeysUnavailable));
        assert!((4..8).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    };
    let late = Answer::keys(&[Key::ec().jwk()]).after(Duration::from_secs(20));
    tokio::join!(waits(Answer::Stalled), waits(late));
}
