//! The project's key set cannot be had.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use b24sync_pg_harness::PgServer;
use b24sync_testkit::proxy::Proxy;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::ground::Ground;
use super::lasting;
use crate::running::SUBJECT;

const KID: &str = "of-today";

/// A key of a project, and where the project publishes it.
struct Project {
    key: jsonwebtoken::EncodingKey,
    port: u16,
}

impl Project {
    /// The thread ends with the test's process.
    fn open() -> Project {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KID, "x": x, "y": y }] });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let body = keys.to_string();
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let length = body.len();
                // The client may have gone.
                let _ = write!(
                    connection,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Project { key: jsonwebtoken::EncodingKey::from_ec_der(document.as_ref()), port }
    }

    /// A token of a viewer of the project at this address.
    fn token(&self, address: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": format!("{address}/auth/v1"), "aud": "authenticated", "role": "authenticated", "sub": SUBJECT,
            "iat": now, "exp": now + 3_600, "is_anonymous": false, "app_metadata": { "b24sync_role": "viewer" },
        });
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(KID.to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_set_cannot_be_had() {
    let project = Project::open();
    let way_to_keys = Proxy::before(project.port).await;
    let address = format!("http://127.0.0.1:{}", way_to_keys.port());
    let token = project.token(&address);
    let mut ground = Ground::on(PgServer::private().await, vec![("SUPABASE_URL", address)]).await;
    let ask = |ground: &Ground| ground.service.ask("GET", "/api/v1/sync/running", Some(&token), None).0;
    assert_eq!(ask(&ground), 200);

    way_to_keys.refuse(true);
    way_to_keys.cut();
    let (accepted, sent) = (ground.answered(200), ground.portal().deliveries().sent);
    ground.endure(lasting(2, 60)).await;
    assert_eq!(ask(&ground), 200, "keys that are known are good for half an hour");
    let (accepted, sent) = (ground.answered(200) - accepted, ground.portal().deliveries().sent - sent);
    assert!(accepted > 5 && accepted == sent, "{accepted} of {sent} events were taken in");

    // An instance that is started now knows no key: it lets nobody in, and does everything else.
    ground.kill();
    let started = Instant::now();
    ground.start();
    ground.back(started).await;
    assert_eq!(ask(&ground), 503);
    ground.endure(lasting(1, 60)).await;
    assert_eq!(ask(&ground), 503);

    way_to_keys.refuse(false);
    let since = Instant::now();
    while ask(&ground) != 200 {
        assert!(since.elapsed() < Duration::from_secs(10), "nobody is let in although the keys are there again");
        ground.endure(Duration::from_millis(50)).await;
    }
    ground.back(since).await;
    ground.holds("key set of the project away", since).await;
}
