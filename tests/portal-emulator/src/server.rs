//! HTTP: requests in, answers out, and the faults that happen on the way.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, LOCATION};
use actix_web::middleware::{Compress, Condition};
use actix_web::rt::net::TcpStream as ActixStream;
use actix_web::rt::time::sleep;
use actix_web::web::{Bytes, BytesMut, Data, PayloadConfig, to};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use socket2::SockRef;

use crate::access::Credentials;
use crate::admin;
use crate::application;
use crate::delivery::Courier;
use crate::faults::Fault;
use crate::portal::Portal;
use crate::rest::{self, Answer, Input, Request};

/// Largest request body, as PHP portals usually have it.
const BODY_LIMIT: usize = 64 << 20;

/// A portal that answers on a port of this machine until it is dropped.
#[derive(Debug)]
pub struct RunningPortal {
    portal: Portal,
    port: u16,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
    courier: Option<Courier>,
}

impl RunningPortal {
    pub(crate) fn start(portal: Portal, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let port = listener.local_addr()?.port();
        portal.inner().listens_on(port);
        let courier = Some(Courier::start(Arc::clone(portal.inner()))?);
        let (sender, receiver) = mpsc::channel();
        let served = portal.clone();
        let thread = std::thread::Builder::new().name("portal-emulator".to_owned()).spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = server(&served, listener, true)?;
                let _ = sender.send(running.handle());
                running.await
            })
        })?;
        match receiver.recv() {
            Ok(handle) => Ok(Self { portal, port, handle, thread: Some(thread), courier }),
            Err(_) => Err(thread.join().ok().and_then(Result::err).unwrap_or_else(|| io::Error::other("no server"))),
        }
    }

    /// The address of the webhook, with a slash at the end: `http://127.0.0.1:PORT/rest/USER/CODE/`.
    pub fn webhook_url(&self) -> String {
        format!("{}{}", self.base_url(), self.portal.webhook_path())
    }

    /// Scheme, host and port; `/__admin/` lies below it.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The portal behind it.
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for RunningPortal {
    fn drop(&mut self) {
        // First, because a handler may need the portal to finish its answer.
        drop(self.courier.take());
        // The command is sent by the call; the future only waits for the end, which joining does too.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves a portal on this thread until the process is told to stop (SIGTERM, SIGINT).
pub(crate) fn serve_until_signal(portal: &Portal, listener: TcpListener) -> io::Result<()> {
    portal.inner().listens_on(listener.local_addr()?.port());
    let _courier = Courier::start(Arc::clone(portal.inner()))?;
    actix_web::rt::System::new().block_on(async { server(portal, listener, false)?.await })
}

fn server(portal: &Portal, listener: TcpListener, embedded: bool) -> io::Result<actix_web::dev::Server> {
    let data = Data::new(portal.clone());
    let (workers, gzip) = (portal.config().workers.max(1), portal.config().gzip);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .wrap(Condition::new(gzip, Compress::default()))
            .default_service(to(handle))
    })
    .on_connect(remember_socket)
    .workers(workers)
    .shutdown_timeout(1)
    .listen(listener)?;
    Ok(if embedded { server.disable_signals().run() } else { server.run() })
}

/// A second handle on the socket of a connection, to cut it off.
#[derive(Clone, Debug)]
struct Socket(Arc<TcpStream>);

fn remember_socket(connection: &dyn std::any::Any, extensions: &mut Extensions) {
    #[cfg(unix)]
    if let Some(stream) = connection.downcast_ref::<ActixStream>() {
        use std::os::fd::AsFd as _;
        if let Ok(copy) = stream.as_fd().try_clone_to_owned() {
            extensions.insert(Socket(Arc::new(TcpStream::from(copy))));
        }
    }
}

/// Counts a request as in flight while it lives.
struct InFlight<'p>(&'p Portal);

impl<'p> InFlight<'p> {
    fn enter(portal: &'p Portal) -> Self {
        portal.inner().stats.entered();
        Self(portal)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.inner().stats.left();
    }
}

async fn handle(request: HttpRequest, portal: Data<Portal>, body: Bytes) -> HttpResponse {
    let content_type = header(&request, "content-type").unwrap_or("");
    let input = Input { query: request.query_string(), is_json: content_type.contains("json"), body: &body };
    match Route::of(&request) {
        Route::Admin(command) => {
            let (status, body) = admin::execute(&portal, command, input.query, &body);
            HttpResponse::build(status_of(status)).content_type("application/json; charset=utf-8").body(body)
        }
        Route::Authorize => match application::authorize(portal.inner(), &rest::params(input)) {
            Ok(location) => HttpResponse::Found().insert_header((LOCATION, location)).finish(),
            Err(text) => page(StatusCode::BAD_REQUEST, text),
        },
        Route::Token => respond(&request, rest::answer_oauth(portal.inner(), input)).await,
        Route::Rest(credentials, method) => {
            let _in_flight = InFlight::enter(&portal);
            let answer = rest::answer(portal.inner(), Request { credentials, method, input });
            respond(&request, answer).await
        }
        Route::Nowhere => page(StatusCode::NOT_FOUND, "404 Not Found"),
    }
}

/// What a request is for.
enum Route<'r> {
    Admin(&'r str),
    /// The page on which a user authorises an application.
    Authorize,
    /// The authorisation server.
    Token,
    /// A method of the REST API.
    Rest(Credentials<'r>, &'r str),
    Nowhere,
}

impl<'r> Route<'r> {
    fn of(request: &'r HttpRequest) -> Self {
        let path = request.path();
        if let Some(command) = path.strip_prefix("/__admin/") {
            return Self::Admin(command);
        }
        match path.trim_end_matches('/') {
            "/oauth/authorize" => return Self::Authorize,
            "/oauth/token" => return Self::Token,
            _ => {}
        }
        let mut parts = path.strip_prefix("/rest/").unwrap_or_default().splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(user_id), Some(code), Some(method)) => Self::Rest(Credentials::Webhook { user_id, code }, method),
            (Some(method), None | Some(""), None) if !method.is_empty() => {
                let bearer = header(request, "authorization").and_then(|value| value.strip_prefix("Bearer "));
                Self::Rest(Credentials::Token { bearer }, method)
            }
            _ => Self::Nowhere,
        }
    }
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn page(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).content_type("text/html").body(format!("<html><body>{text}</body></html>"))
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn respond(request: &HttpRequest, answer: Answer) -> HttpResponse {
    let socket = request.conn_data::<Socket>();
    let mut response = HttpResponse::build(status_of(answer.status));
    response.content_type(if answer.html { "text/html" } else { "application/json; charset=utf-8" });
    if let Some(location) = &answer.location {
        response.insert_header((LOCATION, format!("{location}{}", request.uri())));
    }
    match answer.transport {
        Some(Fault::Delay { milliseconds }) => {
            sleep(Duration::from_millis(milliseconds)).await;
            response.body(answer.body)
        }
        Some(Fault::ConnectionReset) => {
            if let Some(Socket(socket)) = socket {
                // With no time to linger, closing sends a reset.
                let _ = SockRef::from(&**socket).set_linger(Some(Duration::ZERO));
            }
            response.body(Broken::at_once())
        }
        Some(Fault::LostAfterExecution) => {
            if let Some(Socket(socket)) = socket {
                let _ = socket.shutdown(Shutdown::Both);
            }
            response.body(Broken::at_once())
        }
        Some(Fault::TruncatedBody) => {
            response.insert_header((CONTENT_ENCODING, "identity"));
            response.body(Broken::half_of(&answer.body))
        }
        _ => response.body(answer.body),
    }
}

/// A body that promises more than it delivers and then breaks the connection.
struct Broken {
    promised: u64,
    delivered: Option<Bytes>,
    pause: Option<Pin<Box<actix_web::rt::time::Sleep>>>,
}

impl Broken {
    fn at_once() -> Self {
        Self { promised: 1, delivered: None, pause: None }
    }

    fn half_of(body: &[u8]) -> Self {
        let half = BytesMut::from(body.get(..body.len() / 2).unwrap_or_default()).freeze();
        // The pause lets the half leave before the connection breaks.
        let pause = Some(Box::pin(sleep(Duration::from_millis(5))));
        Self { promised: u64::try_from(body.len()).unwrap_or(1), delivered: Some(half), pause }
    }
}

impl MessageBody for Broken {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.promised)
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        let this = self.get_mut();
        if let Some(half) = this.delivered.take() {
            return Poll::Ready(Some(Ok(half)));
        }
        if let Some(pause) = &mut this.pause {
            std::task::ready!(pause.as_mut().poll(context));
        }
        Poll::Ready(Some(Err(io::Error::other("spoilt by a fault"))))
    }
}
