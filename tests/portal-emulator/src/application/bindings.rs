//! The handlers that an application bound with `event.bind`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::ApiError;

/// A handler as `event.get` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoundHandler {
    /// Name of the event, in upper case.
    pub event: String,
    /// Where it is sent; empty for offline events.
    pub handler: String,
    /// Whose tokens come with it; 0 is the user whose action it was.
    pub auth_type: i64,
    /// Whether events go to the offline queue instead.
    pub offline: bool,
    /// The key of that queue; empty by default.
    pub connector: String,
}

/// What `event.bind` asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) handler: BoundHandler,
    /// For `ONOFFLINEEVENT`: the least time between two of them.
    pub(crate) min_timeout: Duration,
}

/// A handler at work.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) id: i64,
    pub(crate) handler: BoundHandler,
    pub(crate) url: Arc<str>,
    min_timeout: Duration,
    /// When the last wake-up is or was due.
    woken: Option<Instant>,
}

impl Binding {
    /// When the next wake-up is due; `None` if one is under way.
    pub(crate) fn wake(&mut self, now: Instant) -> Option<Instant> {
        let due = match self.woken {
            Some(last) if last > now => return None,
            Some(last) => now.max(last + self.min_timeout),
            None => now,
        };
        self.woken = Some(due);
        Some(due)
    }
}

/// All handlers of an application, in the order in which they were bound.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    list: Vec<Binding>,
}

/// Checks the address of a handler (RU `api-reference/events/event-bind.md`).
fn check_url(url: &str) -> Result<(), ApiError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(ApiError::new(400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL"));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(ApiError::new(400, "ERROR_UNSUPPORTED_PROTOCOL", "Unsupported handler protocol"));
    }
    let host = rest.split(['/', '?', ':']).next().unwrap_or_default();
    // `localhost` is refused, an address in digits is not.
    let good = host.contains('.');
    if good { Ok(()) } else { Err(ApiError::new(400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL")) }
}

impl Bindings {
    /// Binds a handler under a number.
    pub(crate) fn bind(&mut self, id: i64, request: Request) -> Result<(), ApiError> {
        let Request { handler, min_timeout } = request;
        if !handler.offline {
            check_url(&handler.handler)?;
        }
        if self.list.iter().any(|bound| bound.handler == handler) {
            let text = "Unable to set event handler: Handler already binded";
            return Err(ApiError::new(400, "ERROR_CORE", text));
        }
        let url = handler.handler.as_str().into();
        self.list.push(Binding { id, handler, url, min_timeout, woken: None });
        Ok(())
    }

    /// Removes the handlers that match; returns how many.
    pub(crate) fn unbind(&mut self, matches: impl Fn(&BoundHandler) -> bool) -> usize {
        let before = self.list.len();
        self.list.retain(|bound| !matches(&bound.handler));
        before - self.list.len()
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn handlers(&self) -> impl Iterator<Item = &BoundHandler> {
        self.list.iter().map(|bound| &bound.handler)
    }

    /// The handlers that are called for an event.
    pub(crate) fn online(&self, event: &str) -> impl Iterator<Item = &Binding> {
        self.list.iter().filter(move |bound| !bound.handler.offline && bound.handler.event == event)
    }

    pub(crate) fn online_mut(&mut self, event: &str) -> impl Iterator<Item = &mut Binding> {
        self.list.iter_mut().filter(move |bound| !bound.handler.offline && bound.handler.event == event)
    }

    /// The keys of the offline queues that an event goes to.
    pub(crate) fn offline(&self, event: &str) -> impl Iterator<Item = &str> {
        let offline = self.handlers().filter(move |handler| handler.offline && handler.event == event);
        offline.map(|handler| handler.connector.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(handler: &str, auth_type: i64) -> Request {
        let (event, handler) = ("ONCRMDEALADD".to_owned(), handler.to_owned());
        let handler = BoundHandler { event, handler, auth_type, offline: false, connector: String::new() };
        Request { handler, min_timeout: Duration::from_secs(2) }
    }

    #[test]
    fn the_same_handler_is_bound_once_for_each_user() {
        let mut bindings = Bindings::default();
        bindings.bind(1, request("http://127.0.0.1:1/", 0)).unwrap();
        bindings.bind(2, request("http://127.0.0.1:1/", 15)).unwrap();
        let error = bindings.bind(3, request("http://127.0.0.1:1/", 0)).unwrap_err();
        assert!(error.description.starts_with("Unable to set event handler"), "{error:?}");
        assert_eq!(bindings.online("ONCRMDEALADD").count(), 2);
        assert_eq!((bindings.unbind(|bound| bound.auth_type == 15), bindings.unbind(|_| true)), (1, 1));
        assert!(bindings.is_empty());
    }

    #[test]
    fn addresses_without_a_dot_or_a_web_scheme_are_refused() {
        for (url, code) in [
            ("https://handler.example/hook", None),
            ("http://localhost/", Some("ERROR_WRONG_HANDLER_URL")),
            ("handler", Some("ERROR_WRONG_HANDLER_URL")),
            ("ftp://handler.example/", Some("ERROR_UNSUPPORTED_PROTOCOL")),
        ] {
            let refused = Bindings::default().bind(1, request(url, 0)).err().map(|error| error.code);
            assert_eq!(refused, code.map(|code| crate::error::Code::Word(code.to_owned())), "{url}");
        }
    }

    #[test]
    fn wake_ups_keep_their_distance_and_none_is_lost() {
        let mut bindings = Bindings::default();
        bindings.bind(1, request("http://a.b/", 0)).unwrap();
        let binding = bindings.online_mut("ONCRMDEALADD").next().unwrap();
        let now = Instant::now();
        assert_eq!(binding.wake(now), Some(now));
        assert_eq!(binding.wake(now), Some(now + Duration::from_secs(2)));
        assert_eq!(binding.wake(now + Duration::from_secs(1)), None);
        let later = now + Duration::from_secs(9);
        assert_eq!(binding.wake(later), Some(later));
    }
}
