//! The way in: shut before the server stops, so that nobody is let in who will not be served.

use std::io;
use std::net::TcpListener;

/// A listener's second owner.
pub(crate) struct Door(TcpListener);

impl Door {
    pub(crate) fn of(listener: &TcpListener) -> io::Result<Door> {
        listener.try_clone().map(Door)
    }

    /// Lets no further connection in; those that are wait to be accepted as before. The system accepts connections on
    /// its own, for the server to fetch, and resets them when the listener closes; so it is told to hear no more of
    /// them. A client asks again after a second, and is refused if the listener is closed by then.
    ///
    /// Only Linux can do this; elsewhere a connection that comes while the listener closes is reset.
    pub(crate) fn shut(&self) {
        if let Err(error) = hear_nothing(&self.0) {
            tracing::debug!(%error, "new connections are accepted until the listener closes");
        }
    }
}

#[cfg(target_os = "linux")]
fn hear_nothing(listener: &TcpListener) -> io::Result<()> {
    /// `BPF_RET | BPF_K`: of each packet as many bytes are kept as the constant says.
    const RETURN_CONSTANT: u16 = 0x06;
    let nothing = socket2::SockFilter::new(RETURN_CONSTANT, 0, 0, 0);
    socket2::SockRef::from(listener).attach_filter(&[nothing])
}

#[cfg(not(target_os = "linux"))]
fn hear_nothing(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
