//! The body of a request to a handler (REST.md 10.2).

use super::{Auth, Form};
use crate::delivery::Parcel;
use crate::inner::Inner;
use crate::param::Param;

fn map<const N: usize>(members: [(&str, String); N]) -> Param {
    Param::Map(members.map(|(name, value)| (name.to_owned(), Param::Text(value))).into())
}

/// Writes the body as it is sent now: `ts` is the moment of sending, not that of the change.
pub(crate) fn body(inner: &Inner, parcel: &Parcel) -> String {
    let mut form = Form::default();
    form.put("event", &parcel.event.name);
    if let Some(id) = parcel.handler_id {
        form.put("event_handler_id", &id.to_string());
    }
    form.tree("data", &parcel.event.data);
    form.put("ts", &inner.clock.now_seconds().to_string());
    form.tree("auth", &auth(inner, parcel));
    form.into_text()
}

fn auth(inner: &Inner, parcel: &Parcel) -> Param {
    let address = inner.address();
    match &parcel.auth {
        Auth::Webhook { application_token } => map([
            ("domain", address.domain().to_owned()),
            ("client_endpoint", address.endpoint()),
            ("server_endpoint", address.endpoint()),
            ("member_id", inner.config.member_id.clone()),
            ("application_token", application_token.to_string()),
        ]),
    }
}
