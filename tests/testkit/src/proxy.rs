//! A TCP proxy that does to a connection what networks do: before PostgreSQL, and before the portal.
//!
//! ```no_run
//! # async fn example() {
//! use b24sync_testkit::proxy::Proxy;
//!
//! let proxy = Proxy::before(5432).await;
//! // Whoever connects to `proxy.port()` talks to 5432. The next COMMIT takes effect, and its sender never learns it.
//! proxy.lose_answers("COMMIT", 0, 1);
//! # }
//! ```

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes that are forwarded at once.
const CHUNK: usize = 64 * 1024;

/// Forwards connections to a port of this machine until it is dropped, which cuts them.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    /// Where new connections lead to, on this machine.
    upstream: AtomicU16,
    weather: Mutex<Weather>,
    /// Counts the cuts; every connection watches it.
    cuts: watch::Sender<u64>,
    /// Whether something is held.
    held: watch::Sender<bool>,
    /// Counts the releases; what is held watches it.
    releases: watch::Sender<u64>,
}

/// What of an exchange is held, or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The request does not reach the server.
    Request,
    /// The request reaches the server, and its answer does not come back.
    Answer,
}

/// What happens to connections and bytes.
#[derive(Debug, Default)]
struct Weather {
    refusing: bool,
    delay: Duration,
    loss: Option<Loss>,
    lost: usize,
    hold: Option<Hold>,
}

/// The exchange that is held.
#[derive(Debug)]
struct Hold {
    request: Vec<u8>,
    spared: usize,
    side: Side,
}

/// Which exchanges are lost.
#[derive(Debug)]
struct Loss {
    request: Vec<u8>,
    spared: usize,
    count: usize,
    side: Side,
}

impl Shared {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of this exchange is lost; counts it if it is one of those that may be.
    fn loses(&self, sent: &[u8]) -> Option<Side> {
        let mut weather = self.weather();
        let loss = weather.loss.as_mut().filter(|loss| contains(sent, &loss.request))?;
        if loss.spared > 0 {
            loss.spared -= 1;
            return None;
        }
        let side = loss.side;
        loss.count -= 1;
        if loss.count == 0 {
            weather.loss = None;
        }
        weather.lost += 1;
        Some(side)
    }

    /// What of this exchange is held; counts it if it is one of those that may be.
    fn holds(&self, sent: &[u8]) -> Option<Side> {
        let mut weather = self.weather();
        let hold = weather.hold.as_mut().filter(|hold| contains(sent, &hold.request))?;
        if hold.spared > 0 {
            hold.spared -= 1;
            return None;
        }
        weather.hold.take().map(|hold| hold.side)
    }

    async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        self.held.send_replace(true);
        // The sender lives as long as the proxy.
        let _ = releases.changed().await;
    }

    fn release(&self) {
        self.weather().hold = None;
        self.held.send_replace(false);
        self.releases.send_modify(|releases| *releases += 1);
    }

    /// Bytes of the end of a chunk that may be the beginning of a request that is looked for.
    fn memory(&self) -> usize {
        let weather = self.weather();
        let lost = weather.loss.as_ref().map_or(0, |loss| loss.request.len());
        let held = weather.hold.as_ref().map_or(0, |hold| hold.request.len());
        lost.max(held).saturating_sub(1)
    }
}

impl Proxy {
    /// A proxy before `upstream` on 127.0.0.1, on a free port of its own.
    pub async fn before(upstream: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("the port that was bound").port();
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream),
            weather: Mutex::default(),
            cuts: watch::Sender::new(0),
            held: watch::Sender::new(false),
            releases: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Proxy { port, shared, _tasks: tasks }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another port of this machine. Those that are open stay where they are.
    pub fn lead_to(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::SeqCst);
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.cuts.receiver_count().saturating_sub(1)
    }

    /// Resets every connection, on both sides; returns how many.
    pub fn cut(&self) -> usize {
        let open = self.connections();
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        open
    }

    /// Resets new connections as soon as they come, or lets them through again. Those that are open stay.
    pub fn refuse(&self, refusing: bool) {
        self.shared.weather().refusing = refusing;
    }

    /// Holds every chunk up, in both directions, from now on.
    pub fn delay(&self, delay: Duration) {
        self.shared.weather().delay = delay;
    }

    /// Loses answers to requests that contain these bytes: the request reaches the server, the server answers, and then
    /// the connection is reset instead of the answer being forwarded. The first `spared` of these requests are answered,
    /// the `count` after them are not.
    pub fn lose_answers(&self, request: &str, spared: usize, count: usize) {
        self.lose(Side::Answer, request, spared, count);
    }

    /// Loses exchanges whose request contains these bytes: all but the first `spared` of them, `count` in number. With
    /// [`Side::Request`] the connection is reset before the request reaches the server, with [`Side::Answer`] after the
    /// server has answered.
    pub fn lose(&self, side: Side, request: &str, spared: usize, count: usize) {
        let loss = Loss { request: request.as_bytes().to_vec(), spared, count, side };
        self.shared.weather().loss = (count > 0).then_some(loss);
    }

    /// Exchanges that were lost so far.
    pub fn lost(&self) -> usize {
        self.shared.weather().lost
    }

    /// Holds the next exchange whose request contains these bytes, after the first `spared` of them, until
    /// [`Proxy::release`]. All others go on.
    pub fn hold(&self, side: Side, request: &str, spared: usize) {
        self.shared.weather().hold = Some(Hold { request: request.as_bytes().to_vec(), spared, side });
    }

    /// Waits until an exchange is held, but not longer than this; returns whether one is.
    pub async fn held(&self, patience: Duration) -> bool {
        let mut held = self.shared.held.subscribe();
        tokio::time::timeout(patience, held.wait_for(|held| *held)).await.is_ok()
    }

    /// Lets go what is held, and holds nothing any more.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Forwards everything from now on, at once.
    pub fn heal(&self) {
        let lost = self.lost();
        *self.shared.weather() = Weather { lost, ..Weather::default() };
        self.shared.release();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    // Every connection gets a clone, so that a cut from the moment of its acceptance on concerns it.
    let watching = shared.cuts.subscribe();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.weather().refusing {
            reset(&client);
            continue;
        }
        let mut cuts = watching.clone();
        cuts.mark_unchanged();
        connections.spawn(connect(client, Arc::clone(&shared), cuts));
    }
}

/// What becomes of the next answer of a connection.
#[derive(Debug, Default)]
struct Fate {
    lost: AtomicBool,
    held: AtomicBool,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// One side closed it.
    Closed,
    /// The proxy resets it.
    Reset,
}

async fn connect(mut client: TcpStream, shared: Arc<Shared>, mut cuts: watch::Receiver<u64>) {
    let upstream = shared.upstream.load(Ordering::SeqCst);
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
        reset(&client);
        return;
    };
    // A failure here costs time only.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let fate = Fate::default();
        tokio::select! {
            _ = cuts.changed() => End::Reset,
            end = requests(from_client, to_server, &shared, &fate) => end,
            end = answers(from_server, to_client, &shared, &fate) => end,
        }
    };
    if end == End::Reset {
        reset(&client);
        reset(&server);
    }
}

/// Makes closing the connection a reset; one that is closed already needs none.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn requests(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared, fate: &Fate) -> End {
    let mut chunk = vec![0; CHUNK];
    let mut seen = Vec::new();
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else { return End::Closed };
        pause(shared).await;
        seen.extend_from_slice(&chunk[..length]);
        let (lost, held) = (shared.loses(&seen), shared.holds(&seen));
        if lost == Some(Side::Request) {
            return End::Reset;
        }
        if lost.is_some() || held.is_some() {
            seen.clear();
        }
        fate.lost.fetch_or(lost.is_some(), Ordering::SeqCst);
        fate.held.fetch_or(held == Some(Side::Answer), Ordering::SeqCst);
        if held == Some(Side::Request) {
            shared.hold().await;
        }
        // What is looked for may go on in the next chunk.
        seen.drain(..seen.len().saturating_sub(shared.memory()));
        if to.write_all(&chunk[..length]).await.is_err() {
            return End::Closed;
        }
    }
}

async fn answers(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared, fate: &Fate) -> End {
    let mut chunk = vec![0; CHUNK];
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else { return End::Closed };
        if fate.held.swap(false, Ordering::SeqCst) {
            shared.hold().await;
        }
        if fate.lost.load(Ordering::SeqCst) {
            return End::Reset;
        }
        pause(shared).await;
        if to.write_all(&chunk[..length]).await.is_err() {
            return End::Closed;
        }
    }
}

async fn pause(shared: &Shared) {
    let delay = shared.weather().delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each request with itself, and remembers what it got.
    struct Echo {
        port: u16,
        got: Arc<Mutex<Vec<u8>>>,
        _tasks: JoinSet<()>,
    }

    impl Echo {
        async fn start() -> Echo {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let got = Arc::new(Mutex::new(Vec::new()));
            let mut tasks = JoinSet::new();
            let heard = Arc::clone(&got);
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((mut client, _)) = listener.accept().await {
                    let heard = Arc::clone(&heard);
                    connections.spawn(async move {
                        let mut chunk = [0; 1_024];
                        while let Ok(length @ 1..) = client.read(&mut chunk).await {
                            heard.lock().unwrap().extend_from_slice(&chunk[..length]);
                            if client.write_all(&chunk[..length]).await.is_err() {
                                break;
                            }
                        }
                    });
                }
            });
            Echo { port, got, _tasks: tasks }
        }

        fn got(&self) -> String {
            String::from_utf8(self.got.lock().unwrap().clone()).unwrap()
        }
    }

    async fn ask(connection: &mut TcpStream, request: &str) -> std::io::Result<String> {
        connection.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; request.len()];
        connection.read_exact(&mut answer).await?;
        Ok(String::from_utf8(answer).unwrap())
    }

    async fn connected(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
    }

    #[tokio::test]
    async fn requests_and_answers_go_through() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        let mut connection = connected(&proxy).await;
        assert_eq!(ask(&mut connection, "one").await.unwrap(), "one");
        assert_eq!(ask(&mut connection, "two").await.unwrap(), "two");
        assert_eq!((server.got().as_str(), proxy.connections()), ("onetwo", 1));
    }

    #[tokio::test]
    async fn a_cut_ends_open_connections_and_no_later_one() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        let mut connection = connected(&proxy).await;
        ask(&mut connection, "one").await.unwrap();
        assert_eq!(proxy.cut(), 1);
        assert!(ask(&mut connection, "two").await.is_err());
        assert_eq!(ask(&mut connected(&proxy).await, "three").await.unwrap(), "three");
    }

    #[tokio::test]
    async fn who_is_refused_gets_nowhere_until_the_proxy_heals() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        let mut open = connected(&proxy).await;
        ask(&mut open, "one").await.unwrap();
        proxy.refuse(true);
        assert!(ask(&mut connected(&proxy).await, "two").await.is_err());
        assert_eq!(ask(&mut open, "three").await.unwrap(), "three");
        proxy.heal();
        assert_eq!(ask(&mut connected(&proxy).await, "four").await.unwrap(), "four");
        assert_eq!(server.got(), "onethreefour");
    }

    #[tokio::test]
    async fn a_lost_answer_belongs_to_a_request_that_arrived() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        proxy.lose_answers("COMMIT", 1, 1);
        let mut connection = connected(&proxy).await;
        assert_eq!(ask(&mut connection, "BEGIN").await.unwrap(), "BEGIN");
        assert_eq!(ask(&mut connection, "COMMIT").await.unwrap(), "COMMIT", "the first one is spared");
        assert!(ask(&mut connection, "COMMIT").await.is_err());
        assert_eq!((server.got().as_str(), proxy.lost()), ("BEGINCOMMITCOMMIT", 1));
        assert_eq!(ask(&mut connected(&proxy).await, "COMMIT").await.unwrap(), "COMMIT");
    }

    #[tokio::test]
    async fn a_lost_request_never_arrives() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        proxy.lose(Side::Request, "COMMIT", 0, 1);
        let mut connection = connected(&proxy).await;
        assert_eq!(ask(&mut connection, "BEGIN").await.unwrap(), "BEGIN");
        assert!(ask(&mut connection, "COMMIT").await.is_err());
        assert_eq!((server.got().as_str(), proxy.lost()), ("BEGIN", 1));
        assert_eq!(ask(&mut connected(&proxy).await, "COMMIT").await.unwrap(), "COMMIT");
    }

    #[tokio::test]
    async fn new_connections_can_be_led_to_another_server() {
        let (old, new) = (Echo::start().await, Echo::start().await);
        let proxy = Proxy::before(old.port).await;
        let mut open = connected(&proxy).await;
        ask(&mut open, "one").await.unwrap();
        proxy.lead_to(new.port);
        ask(&mut connected(&proxy).await, "two").await.unwrap();
        ask(&mut open, "three").await.unwrap();
        assert_eq!((old.got().as_str(), new.got().as_str()), ("onethree", "two"));
    }

    #[tokio::test]
    async fn a_request_in_two_pieces_is_recognised() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        proxy.lose_answers("COMMIT", 0, 1);
        let mut connection = connected(&proxy).await;
        assert_eq!(ask(&mut connection, "...COM").await.unwrap(), "...COM");
        assert!(ask(&mut connection, "MIT...").await.is_err());
        assert_eq!(proxy.lost(), 1);
    }

    #[tokio::test]
    async fn what_is_held_waits_and_others_do_not() {
        for side in [Side::Request, Side::Answer] {
            let server = Echo::start().await;
            let proxy = Proxy::before(server.port).await;
            proxy.hold(side, "COMMIT", 0);
            let mut connection = connected(&proxy).await;
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { ask(&mut connection, "COMMIT").await.unwrap() });
            assert!(proxy.held(Duration::from_secs(10)).await);
            assert_eq!(ask(&mut connected(&proxy).await, "COMMIT").await.unwrap(), "COMMIT");
            let arrived = if side == Side::Request { "COMMIT" } else { "COMMITCOMMIT" };
            assert_eq!((server.got().as_str(), tasks.try_join_next().is_none()), (arrived, true), "{side:?}");
            proxy.release();
            assert_eq!(tasks.join_next().await.unwrap().unwrap(), "COMMIT");
            assert!(!proxy.held(Duration::from_millis(1)).await);
        }
    }

    #[tokio::test]
    async fn a_delay_holds_up_requests_and_answers() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        proxy.delay(Duration::from_millis(30));
        let mut connection = connected(&proxy).await;
        let asked = std::time::Instant::now();
        ask(&mut connection, "one").await.unwrap();
        assert!(asked.elapsed() >= Duration::from_millis(60), "{:?}", asked.elapsed());
    }

    #[tokio::test]
    async fn the_end_of_one_side_is_the_end_of_the_other() {
        let server = Echo::start().await;
        let proxy = Proxy::before(server.port).await;
        let mut connection = connected(&proxy).await;
        ask(&mut connection, "one").await.unwrap();
        drop(connection);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while proxy.connections() > 0 {
            assert!(std::time::Instant::now() < deadline, "the connection stays open");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
