//! Open connections, so that those on which nothing goes on end in time, and make room for others before that.
//!
//! The server's own timers end a first head that does not come and a connection that is idle between two requests. They
//! leave out the head of a second request, an answer that nobody reads, and a body that nobody wants and that never ends.
//! And at its limit of connections the server accepts no others, whoever holds those that there are.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::interval;
use socket2::{SockRef, Socket};
use tokio::time::Instant;

/// Time between two looks for connections that are quiet for too long.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The connections of this instance.
#[derive(Clone)]
pub(crate) struct Connections {
    open: Arc<Mutex<Open>>,
    /// Beyond so many, the one that matters least is closed for each new one.
    room: usize,
    /// How long nothing may go on.
    patience: Duration,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Connection>,
    /// Those on which nothing goes on; the first one matters least.
    quiet: BTreeSet<Quiet>,
}

/// A connection on which nothing goes on. One that has not asked yet matters less than one that has, and of these the one
/// that has been quiet for longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Quiet {
    /// Whether a request has been answered.
    has_asked: bool,
    since: Instant,
    number: u64,
}

struct Connection {
    /// The server's socket under another name.
    socket: Socket,
    /// Requests that are being answered.
    busy: usize,
    quiet: Quiet,
}

impl Connections {
    pub(crate) fn new(room: usize, patience: Duration) -> Connections {
        Connections { open: Arc::default(), room, patience }
    }

    /// Takes note of a connection that the server has accepted; what is left with it is dropped when it ends.
    pub(crate) fn accepted(&self, stream: &dyn Any, extensions: &mut Extensions) {
        let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
        // Without a second descriptor the server's timers have to do.
        let Ok(socket) = SockRef::from(stream).try_clone() else { return };
        let mut open = self.lock();
        while open.by_number.len() >= self.room && open.end_least() {}
        let number = open.next;
        open.next += 1;
        let quiet = Quiet { has_asked: false, since: Instant::now(), number };
        open.quiet.insert(quiet);
        open.by_number.insert(number, Connection { socket, busy: 0, quiet });
        extensions.insert(Entry { connections: self.clone(), number });
    }

    /// Ends connections that are quiet for too long, for ever.
    pub(crate) async fn watch(self) {
        let mut looks = interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            self.end_overdue();
        }
    }

    fn end_overdue(&self) {
        let open = self.lock();
        let overdue = open.quiet.iter().filter(|quiet| quiet.since.elapsed() > self.patience);
        overdue.filter_map(|quiet| open.by_number.get(&quiet.number)).for_each(Connection::end);
    }

    /// Whether there are connections whose first request has not been answered.
    pub(crate) fn some_have_not_asked(&self) -> bool {
        self.lock().by_number.values().any(|connection| !connection.quiet.has_asked)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Ends it: the server reads the end of the stream and does the rest.
    fn end(&self) {
        // It fails where the client was faster.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Open {
    /// Ends the connection that matters least. Returns whether there was one on which nothing goes on.
    fn end_least(&mut self) -> bool {
        let Some(quiet) = self.quiet.pop_first() else { return false };
        if let Some(connection) = self.by_number.remove(&quiet.number) {
            connection.end();
        }
        true
    }

    fn begin(&mut self, number: u64) {
        if let Some(connection) = self.by_number.get_mut(&number) {
            connection.busy += 1;
            self.quiet.remove(&connection.quiet);
        }
    }

    fn finish(&mut self, number: u64) {
        let Some(connection) = self.by_number.get_mut(&number) else { return };
        connection.busy -= 1;
        connection.quiet = Quiet { has_asked: true, since: Instant::now(), number };
        if connection.busy == 0 {
            self.quiet.insert(connection.quiet);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(connection) = self.by_number.remove(&number) {
            self.quiet.remove(&connection.quiet);
        }
    }
}

/// A connection's place among the others, kept with it.
pub(crate) struct Entry {
    connections: Connections,
    number: u64,
}

impl Entry {
    /// Marks the connection as busy until the mark is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.connections.lock().begin(self.number);
        Busy { connections: self.connections.clone(), number: self.number }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.lock().forget(self.number);
    }
}

/// Something goes on on a connection.
pub(crate) struct Busy {
    connections: Connections,
    number: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.connections.lock().finish(self.number);
    }
}
