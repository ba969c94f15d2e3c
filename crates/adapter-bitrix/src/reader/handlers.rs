//! The portal's list of handlers: reading and changing it (Bitrix24 REST 10.1).

use b24sync_domain::application::BoundHandler;
use b24sync_domain::ports::Lane;
use serde_json::value::RawValue;

use super::BATCH;
use crate::budget::Budget;
use crate::command::{self, Command};
use crate::envelope::{self, Envelope, Named};
use crate::error::{self, Meaning, Refusal};
use crate::failure::Failure;
use crate::lenient;
use crate::transport::{Answer, Exchange, refuse};

/// Seconds between two wake-ups for the offline queue: what comes online is quicker, and each costs two requests.
const WAKE_UP_SECONDS: u32 = 30;

/// Event that only wakes up.
const WAKE_UP: &str = "ONOFFLINEEVENT";

/// The code of the application, from `app.info`.
pub(crate) fn application_code(result: &RawValue) -> Option<String> {
    Named::of(result).get("CODE").and_then(lenient::text)
}

/// Handlers, from `event.get`. Several users' handlers of one event at one address are one.
pub(crate) fn bound(result: &RawValue) -> Option<Vec<BoundHandler>> {
    let handler = |row: &RawValue| {
        let row = Named::of(row);
        let event = row.get("event").and_then(lenient::text)?.to_uppercase();
        let offline = row.get("offline").and_then(lenient::boolean).unwrap_or(false);
        let handler = if offline { None } else { Some(row.get("handler").and_then(lenient::text)?) };
        Some(BoundHandler { event, handler })
    };
    let mut handlers = Named::of(result).iter().map(|(_, row)| handler(row)).collect::<Option<Vec<_>>>()?;
    handlers.sort();
    handlers.dedup();
    Some(handlers)
}

/// What to do with handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Bind,
    Unbind,
}

/// Binds or unbinds up to 50 handlers in one request.
pub(crate) struct ChangeHandlers<'a> {
    pub(crate) change: Change,
    pub(crate) handlers: &'a [BoundHandler],
}

impl ChangeHandlers<'_> {
    fn method_called(&self) -> &'static str {
        match self.change {
            Change::Bind => "event.bind",
            Change::Unbind => "event.unbind",
        }
    }

    fn command(&self, handler: &BoundHandler) -> Command {
        let command = Command::new(self.method_called()).with("event", &handler.event);
        match &handler.handler {
            None => command.with("event_type", "offline"),
            Some(url) if self.change == Change::Bind && handler.event == WAKE_UP => {
                command.with("handler", url).with("options[minTimeout]", WAKE_UP_SECONDS)
            }
            Some(url) => command.with("handler", url),
        }
    }
}

impl Exchange for ChangeHandlers<'_> {
    /// In the order of the handlers: nothing, or why it did not work.
    type Output = Vec<Option<String>>;

    fn method(&self) -> &str {
        BATCH
    }

    fn lane(&self) -> Lane {
        Lane::Hint
    }

    fn charged(&self) -> Vec<String> {
        vec![BATCH.to_owned(), self.method_called().to_owned()]
    }

    fn request(&self) -> Vec<u8> {
        let commands = self.handlers.iter().enumerate();
        let commands: Vec<_> = commands.map(|(at, handler)| (command::page_name(at), self.command(handler))).collect();
        command::batch(false, &commands)
    }

    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Self::Output, Failure> {
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|error| Failure::json(BATCH, &error))?;
        budget.time(BATCH, &envelope.time());
        if let Some(refusal) = envelope.refusal() {
            return Err(refuse(BATCH, answer.status, &refusal, budget));
        }
        let result = envelope.result.map(Named::of).unwrap_or_default();
        let results = result.get("result").map(Named::of).unwrap_or_default();
        let errors = result.get("result_error").map(Named::of).unwrap_or_default();
        let mut outcomes = Vec::with_capacity(self.handlers.len());
        for at in 0..self.handlers.len() {
            let name = command::page_name(at);
            outcomes.push(match (errors.get(&name), results.get(&name)) {
                (Some(entry), _) => Some(self.reason(&envelope::command_refusal(entry), budget)?),
                (None, Some(_)) => None,
                (None, None) => return Err(Failure::malformed(BATCH, "the answer leaves a command out")),
            });
        }
        Ok(outcomes)
    }
}

impl ChangeHandlers<'_> {
    /// Why one command failed; what says nothing about its handler fails them all, and is repeated.
    fn reason(&self, refusal: &Refusal, budget: &mut Budget<'_>) -> Result<String, Failure> {
        let method = self.method_called();
        budget.refusal(method, None, refusal);
        match error::meaning(None, refusal) {
            Meaning::RateLimited
            | Meaning::MethodExhausted
            | Meaning::Fault
            | Meaning::Unauthorized
            | Meaning::Blocked => Err(error::classify(method, None, refusal, budget.resets_at(method))),
            Meaning::MissingScope | Meaning::Forbidden | Meaning::Unsupported | Meaning::Rejected => {
                Ok(error::say(refusal))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    fn handler(event: &str, url: Option<&str>) -> BoundHandler {
        BoundHandler { event: event.to_owned(), handler: url.map(str::to_owned) }
    }

    #[test]
    fn handlers_are_read_in_whichever_shape_their_flags_come() {
        let rows = r#"[{"event":"onCrmLeadAdd","handler":"https://a.example/","auth_type":"0","offline":0},
            {"event":"ONCRMLEADADD","handler":"https://a.example/","auth_type":"15","offline":"0"},
            {"event":"ONCRMLEADADD","handler":"","auth_type":"0","offline":"1"}]"#;
        let expected = [handler("ONCRMLEADADD", None), handler("ONCRMLEADADD", Some("https://a.example/"))];
        assert_eq!(bound(raw(rows)).unwrap(), expected);
        assert_eq!(bound(raw("[]")).unwrap(), []);
        assert_eq!(bound(raw(r#"[{"handler":"x"}]"#)), None);
    }

    #[test]
    fn a_request_names_each_handler_as_the_portal_wants_it() {
        let handlers = [
            handler("ONCRMDEALADD", Some("https://a.example/h")),
            handler("ONCRMDEALADD", None),
            handler("ONOFFLINEEVENT", Some("https://a.example/h")),
        ];
        let text = |change| String::from_utf8(ChangeHandlers { change, handlers: &handlers }.request()).unwrap();
        let bind = text(Change::Bind);
        for part in [
            r#""p00":"event.bind?event=ONCRMDEALADD&handler=https%3A%2F%2Fa.example%2Fh""#,
            r#""p01":"event.bind?event=ONCRMDEALADD&event_type=offline""#,
            r#""p02":"event.bind?event=ONOFFLINEEVENT&handler=https%3A%2F%2Fa.example%2Fh&options[minTimeout]=30""#,
        ] {
            assert!(bind.contains(part), "{bind}");
        }
        assert!(text(Change::Unbind).contains(r#""p02":"event.unbind?event=ONOFFLINEEVENT&handler=https"#));
        assert!(!text(Change::Unbind).contains("minTimeout"));
    }
}
