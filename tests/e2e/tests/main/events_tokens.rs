//! Who may send events: tokens that are wrong, missing, old and rotated, over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use tokio_postgres::Client;

use crate::running::{Service, unscheduled};
use crate::stage::Stage;

const OLD: &str = "old0fefc120afa4b628cc82d3935cce0";
const NEW: &str = "new0fefc120afa4b628cc82d3935cce1";
const MEMBER: &str = "0b24e000000000000000000000000001";

/// Sends an event of a deal; the status of the answer.
fn send(service: &Service, deal: i64, auth: &str) -> u16 {
    let form = format!("event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D={deal}&ts=1766047124{auth}");
    let mut stream = TcpStream::connect(&service.address).unwrap();
    write!(
        stream,
        "POST /api/v1/webhooks/bitrix HTTP/1.0\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(!answer.contains(OLD) && !answer.contains(NEW), "an answer tells a token: {answer}");
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn token(token: &str) -> String {
    format!("&auth%5Bmember_id%5D={MEMBER}&auth%5Bapplication_token%5D={token}")
}

/// Ids of the hints that are kept, rising.
async fn kept(client: &Client) -> Vec<i64> {
    let rows = client.query("select item_id from b24sync.hints order by item_id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// An instance without a worker, so that what it keeps stays to be looked at.
fn serve(stage: &Stage, tokens: &str) -> Service {
    let mut command = stage.command(&["serve", "--host", "127.0.0.1", "--port", "0", "--role", "api"]);
    command.env("BITRIX_APPLICATION_TOKENS", tokens).env("BITRIX_MEMBER_ID", MEMBER);
    Service::launch(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_rotated_one_after_the_other_and_nothing_is_kept_of_who_has_none_that_is_known() {
    let stage = unscheduled(10).await;
    let client = stage.client().await;
    let both = serve(&stage, &format!("{OLD},{NEW}"));
    assert_eq!((send(&both, 1, &token(OLD)), send(&both, 2, &token(NEW))), (200, 200));
    let refused = [
        ("none", String::new(), 400),
        ("an empty one", token(""), 400),
        ("a wrong one", token("51856fefc120afa4b628cc82d3935cce"), 403),
        ("the beginning of one", token(NEW.trim_end_matches('1')), 403),
        ("one with more behind it", token(&format!("{NEW}0")), 403),
        ("another case", token(&NEW.to_uppercase()), 403),
        ("both as they are set", token(&format!("{OLD}%2C{NEW}")), 403),
        ("the right one twice", token(NEW) + &token(NEW), 400),
        ("a wrong one before the right one", token("wrong") + &token(NEW), 400),
        ("the right one at the wrong place", format!("&application_token={NEW}"), 400),
        ("the right one of another portal", token(NEW).replace(MEMBER, "0b24e000000000000000000000000002"), 403),
        ("the right one of no portal", format!("&auth%5Bapplication_token%5D={NEW}"), 403),
    ];
    for (position, (what, auth, status)) in refused.iter().enumerate() {
        assert_eq!(send(&both, 100 + i64::try_from(position).unwrap(), auth), *status, "{what}");
    }
    assert_eq!(kept(&client).await, [1, 2]);
    drop(both);

    let rotated = serve(&stage, NEW);
    assert_eq!((send(&rotated, 3, &token(OLD)), send(&rotated, 4, &token(NEW))), (403, 200));
    assert_eq!(kept(&client).await, [1, 2, 4]);
    drop(rotated);

    // No token at all: nobody is let in, not even with an empty one.
    let closed = serve(&stage, "");
    assert_eq!([token(NEW), token(""), String::new()].map(|auth| send(&closed, 5, &auth)), [403, 400, 400]);
    assert_eq!(kept(&client).await, [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_guesses_tokens_is_slowed_down_and_those_who_know_one_are_not() {
    let stage = unscheduled(10).await;
    let client = stage.client().await;
    let service = serve(&stage, NEW);
    let statuses: Vec<u16> = (0..100).map(|guess| send(&service, 7, &token(&format!("guess{guess}")))).collect();
    assert_eq!(statuses[0], 403);
    assert_eq!(statuses[99], 429);
    assert_eq!(send(&service, 8, &token(NEW)), 200, "the portal comes from the same address");
    assert_eq!(kept(&client).await, [8]);
}
