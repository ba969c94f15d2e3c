//! What a person enters in the portal. Pure.

use b24sync_domain::application::Mode;

/// Characters of a line of event names.
const WIDTH: usize = 90;

/// What to do in the portal so that it sends these events to the handler.
pub fn instructions(mode: Mode, handler_url: &str, events: &[String]) -> String {
    let events = lines(events);
    match mode {
        Mode::Webhook => format!(
            "\
With an incoming webhook, Bitrix24 does not let a program subscribe to events. Do it by hand, once:

1. Open the portal as an administrator: Developer resources → Other → Outgoing webhook.
2. Your handler URL:
     {handler_url}
   The portal must reach it from outside, over https with a valid certificate.
3. Events:
{events}
4. Save, and copy the application token that the portal shows there.
5. Add the token to BITRIX_APPLICATION_TOKENS (comma-separated; each outgoing webhook has its own) and restart the service.

While no token is set, the endpoint is closed, and scheduled syncs bring the changes, only later.
Moving a deal to another funnel sends none of these events; the next incremental sync finds it.
"
        ),
        Mode::Application => format!(
            "\
As a local application the service subscribes to events by itself. Add the application, once:

1. Open the portal as an administrator, best as one made for integrations: Developer resources, add a local application.
2. API only (no user interface).
   Handler path and initial installation path, both:
     {handler_url}
   The portal must reach it from outside, over https with a valid certificate.
3. Scope: crm (and user_brief for user names).
4. Save, and copy the application's id and key into BITRIX_CLIENT_ID and BITRIX_CLIENT_SECRET.
   Set BITRIX_PORTAL_URL to the portal, and BITRIX_TOKEN_KEY to the output of `openssl rand -base64 32`.
5. Start the service, then install the application again from its card, so that the portal sends the tokens to a service that knows the id.
6. `b24sync webhooks register` with the service's address, unless the settings name it. These events are bound then:
{events}
"
        ),
    }
}

/// The names, as many to a line as fit.
fn lines(events: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + event.len() <= WIDTH => {
                line.push(' ');
                line.push_str(event);
            }
            _ => lines.push(format!("     {event}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::application::events;

    #[test]
    fn a_person_reads_what_to_enter_where() {
        for mode in [Mode::Webhook, Mode::Application] {
            let handler = "https://sync.example.com/api/v1/webhooks/bitrix";
            insta::assert_snapshot!(format!("{mode:?}"), instructions(mode, handler, &events(mode)));
        }
    }
}
