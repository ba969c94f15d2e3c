//! A running service, and those who call it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use b24sync_portal_emulator::{Counts, PortalConfig};
use serde_json::{Value, json};

use crate::stage::Stage;

const PROJECT: &str = "http://127.0.0.1:9";
const SECRET: &str = "a-shared-secret-of-the-project-that-is-long-enough";

/// The user of [`token`].
pub(crate) const SUBJECT: &str = "5f1d9a3e-2c1b-4d6e-9f00-0123456789ab";

/// A service that ends with the test.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub(crate) fn start(stage: &Stage) -> Service {
        Service::start_with(stage, &[])
    }

    /// One with these further settings.
    pub(crate) fn start_with(stage: &Stage, settings: &[(&str, &str)]) -> Service {
        let mut command = stage.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
        command.envs(settings.iter().copied());
        Service::launch(command)
    }

    /// One that is started by this command, for users of [`token`].
    pub(crate) fn launch(mut command: Command) -> Service {
        command.env("SUPABASE_URL", PROJECT).env("SUPABASE_JWT_SECRET", SECRET);
        Service::launch_as_it_is(command)
    }

    /// The same with nothing added to the command.
    pub(crate) fn launch_as_it_is(command: Command) -> Service {
        Service::launch_heard(command, |_| {})
    }

    /// The same for whoever wants every line that it says.
    pub(crate) fn launch_heard(mut command: Command, mut hear: impl FnMut(&str) + Send + 'static) -> Service {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let is_it = |line: &String| {
            hear(line);
            line.contains("listening on http://")
        };
        let line = lines.find(is_it).expect("it says where it listens");
        let address = line.split("http://").nth(1).unwrap().split([' ', '/']).next().unwrap().to_owned();
        // Whatever it says later must find a reader.
        let complaints = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&complaints);
        std::thread::spawn(move || {
            for line in lines {
                hear(&line);
                if line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#) {
                    heard.lock().unwrap().push(line);
                }
            }
        });
        Service { child, address, complaints }
    }

    /// Status and body of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let (status, body) = self.ask_text(method, path, token, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// The same with the body as it came.
    pub(crate) fn ask_text(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: test\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// What it warned of, and errors, as lines of its log.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Value {
        let (status, body) = self.ask("GET", path, Some(token), None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Stands still from now on.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit code, once it has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        until("the end of the service", || {
            self.child.try_wait().unwrap().is_some_and(|status| {
                code = status.code();
                true
            })
        });
        code
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Memory that it occupies, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most memory that it ever occupied, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A portal with deals only, and a migrated database; what runs is what the test starts.
pub(crate) async fn unscheduled(deals: u64) -> Stage {
    unscheduled_of(PortalConfig { counts: Counts::deals(deals), user_fields: 1, ..PortalConfig::default() }).await
}

/// The same with a portal of one's own.
pub(crate) async fn unscheduled_of(config: PortalConfig) -> Stage {
    let stage = Stage::new(config).await;
    stage.run(&["migrate"]).await.expect_success();
    for entity in ["company", "contact", "lead", "deal"] {
        stage.run(&["config", "set", entity, "--enabled", "false"]).await.expect_success();
    }
    stage
}

/// A token of a user with this role.
pub(crate) fn token(role: Option<&str>) -> String {
    token_of(SUBJECT, role)
}

/// A token of this user: requests are limited user by user.
pub(crate) fn token_of(subject: &str, role: Option<&str>) -> String {
    signed(SECRET, PROJECT, subject, role)
}

/// A token of a user of another project.
pub(crate) fn signed_token(secret: &str, project: &str, role: Option<&str>) -> String {
    signed(secret, project, SUBJECT, role)
}

fn signed(secret: &str, project: &str, subject: &str, role: Option<&str>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": format!("{project}/auth/v1"), "aud": "authenticated", "role": "authenticated",
        "sub": subject, "iat": now, "exp": now + 600, "is_anonymous": false,
        "app_metadata": { "b24sync_role": role },
    });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256), &claims, &key).unwrap()
}

/// Returns once it is so; fails after a minute.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Prints a figure that was measured; test runners show it on failure, or when asked.
#[expect(clippy::print_stdout, reason = "figures of a test are read by people")]
pub(crate) fn figure(text: &str) {
    println!("{text}");
}
