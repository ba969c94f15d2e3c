//! `/api/v1/webhooks/bitrix`: events of the portal. Kept first, answered then: the portal sends them once.

use std::net::IpAddr;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use b24sync_domain::application::{ApplicationError, Installation};
use b24sync_domain::error::Chain;
use b24sync_domain::event::{ApplicationEvent, EventMeaning, Hint, Target};
use b24sync_domain::ports::{Acceptance, ApplicationControl, EventIntake};
use b24sync_domain::secret::Secret;
use chrono::DateTime;
use metrics::counter;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::body;
use crate::client;
use crate::limits::Limits;
use crate::notification::{InstallTokens, Notification, NotificationError, Record, check_content_type, form};
use crate::problem::{Kind, Problem};
use crate::settings::ApiSettings;
use crate::token_digest::TokenDigest;

/// What became of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventAnswer {
    /// `accepted`: it is kept and will be applied; `ignored`: the service has no use for it, or events of its entity are
    /// switched off.
    status: &'static str,
    /// Its name, in upper case.
    event: String,
    /// Id of its record; null where there is none.
    entity_id: Option<String>,
}

/// Body of an event, as the portal sends it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a form that is read by hand")]
pub(crate) struct EventForm {
    #[schema(example = "ONCRMDEALUPDATE")]
    event: String,
    #[schema(rename = "data[FIELDS][ID]", example = "123")]
    id: String,
    #[schema(example = "1766047124")]
    ts: String,
    #[schema(rename = "auth[application_token]", example = "51856fefc120afa4b628cc82d3935cce")]
    token: String,
}

/// Takes an event of the portal in.
///
/// The token is that of the outgoing webhook (`BITRIX_APPLICATION_TOKENS`) or of the application. 200 means that the event
/// survives a crash; it is applied within seconds. The portal sends no event twice: what is answered otherwise is made up
/// for by a sync.
#[utoipa::path(
    post, path = "/api/v1/webhooks/bitrix", tag = "webhooks",
    request_body(content = EventForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It is kept, or not needed", body = EventAnswer, example = json!({
        "status": "accepted", "event": "ONCRMDEALUPDATE", "entity_id": "123"
    })))
)]
pub(crate) async fn receive(
    request: HttpRequest,
    payload: web::Payload,
    settings: web::Data<ApiSettings>,
    limits: web::Data<Limits>,
    intake: web::Data<dyn EventIntake>,
    application: web::Data<dyn ApplicationControl>,
) -> Result<HttpResponse, Problem> {
    let answer = Receiver { settings: &settings, limits: &limits, intake: &**intake, application: &**application };
    let answer = answer.receive(&request, payload).await;
    let outcome = match &answer {
        Ok(answer) => answer.status,
        Err(problem) => problem.word(),
    };
    counter!("b24sync_events_total", "outcome" => outcome).increment(1);
    answer.map(|answer| HttpResponse::Ok().json(answer))
}

struct Receiver<'a> {
    settings: &'a ApiSettings,
    limits: &'a Limits,
    intake: &'a dyn EventIntake,
    application: &'a dyn ApplicationControl,
}

impl Receiver<'_> {
    async fn receive(&self, request: &HttpRequest, payload: web::Payload) -> Result<EventAnswer, Problem> {
        body::check_encoding(request)?;
        check_content_type(request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes)).map_err(malformed)?;
        let bytes = body::read(payload, form::BODY_BYTES, self.settings.body_timeout).await?;
        let notification = Notification::parse(&bytes).map_err(malformed)?;
        let meaning = EventMeaning::of(&notification.event);
        if let EventMeaning::Application(ApplicationEvent::Installed) = meaning {
            // Its token is the first that anybody hears of; the tokens themselves prove who sent it.
            self.installed(request, notification.install, &notification.application_token, notification.member_id)
                .await?;
            return Ok(EventAnswer { status: "accepted", event: notification.event, entity_id: None });
        }
        self.check_sender(request, &notification).await?;
        self.take(meaning, notification).await
    }

    /// Compares the token with every one that is known, and the portal with the one that is expected.
    async fn check_sender(&self, request: &HttpRequest, notification: &Notification) -> Result<(), Problem> {
        let given = notification.application_token.expose_secret();
        // Not `any`: each comparison is made, whatever the ones before it said.
        let mut known =
            self.settings.application_tokens.iter().fold(false, |known, token| known | token.matches(given));
        let installed = self.application.application_token().await.map_err(Problem::from)?;
        if let Some(token) = installed {
            known |= TokenDigest::of(token.expose()).matches(given);
        }
        let portal_fits = match (&self.settings.member_id, &notification.member_id) {
            (Some(expected), given) => given.as_ref() == Some(expected),
            (None, _) => true,
        };
        if known && portal_fits {
            return Ok(());
        }
        let address = self.address_of(request);
        tracing::warn!(event.kind = notification.event, client.address = %address, known_token = known, "an event of an unknown sender was refused");
        self.limits.failed_auth(address)?;
        Err(Problem::new(Kind::Forbidden, "the application token or the portal is not one that this service knows"))
    }

    async fn take(&self, meaning: EventMeaning, notification: Notification) -> Result<EventAnswer, Problem> {
        let sent_at = notification.sent_at.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let hint = match meaning {
            EventMeaning::Record { entity, deleted } => {
                let target = Target::Record(notification.record_id().map_err(malformed)?);
                Some(Hint { entity, target, deleted, sent_at })
            }
            EventMeaning::Fields(entity) => Some(Hint { entity, target: Target::Fields, deleted: false, sent_at }),
            EventMeaning::Application(event) => {
                self.application_event(event, notification.clean).await?;
                return Ok(answer("accepted", notification));
            }
            EventMeaning::Unknown => None,
        };
        let Some(hint) = hint else {
            tracing::info!(event.kind = notification.event, "an event that the service has no use for");
            return Ok(answer("ignored", notification));
        };
        match self.intake.take(hint).await {
            Ok(Acceptance::Stored) => Ok(answer("accepted", notification)),
            Ok(Acceptance::SwitchedOff) => Ok(answer("ignored", notification)),
            Err(error) => {
                tracing::error!(event.kind = notification.event, error = %Chain(&error), "an event could not be kept");
                Err(Problem::new(Kind::Unavailable, "the event could not be kept; a sync will make up for it"))
            }
        }
    }

    async fn application_event(&self, event: ApplicationEvent, clean: bool) -> Result<(), Problem> {
        match event {
            ApplicationEvent::Updated => self.application.updated().await?,
            ApplicationEvent::Uninstalled => self.application.uninstalled(clean).await?,
            ApplicationEvent::OfflineQueue => self.application.offline_events(),
            ApplicationEvent::Installed | ApplicationEvent::Test => {}
        }
        Ok(())
    }

    async fn installed(
        &self,
        request: &HttpRequest,
        tokens: Option<InstallTokens>,
        application_token: &secrecy::SecretString,
        member_id: Option<String>,
    ) -> Result<(), Problem> {
        let missing = |what: &str| Problem::new(Kind::Invalid, format!("the installation brings no {what}"));
        let tokens = tokens.ok_or_else(|| missing("tokens"))?;
        let installation = Installation {
            access_token: Secret::new(tokens.access_token.expose_secret().to_owned()),
            refresh_token: Secret::new(tokens.refresh_token.expose_secret().to_owned()),
            expires_in: tokens.expires_in.map_or(0, |time| time.as_secs()),
            application_token: Secret::new(application_token.expose_secret().to_owned()),
            member_id: member_id.ok_or_else(|| missing("member_id"))?,
            server_endpoint: tokens.server_endpoint,
        };
        match self.application.installed(installation).await {
            Err(error @ ApplicationError::NotOurs { .. }) => {
                // Each of them costs the portal a question.
                self.limits.failed_auth(self.address_of(request))?;
                Err(error.into())
            }
            installed => Ok(installed?),
        }
    }

    fn address_of(&self, request: &HttpRequest) -> IpAddr {
        client::address(request.peer_addr(), request.headers(), &self.settings.trusted_proxies)
    }
}

fn malformed(error: NotificationError) -> Problem {
    Problem::new(Kind::Invalid, error)
}

fn answer(status: &'static str, notification: Notification) -> EventAnswer {
    let entity_id = match notification.record {
        Record::Id(id) => Some(id.to_string()),
        Record::Absent | Record::Malformed => None,
    };
    EventAnswer { status, event: notification.event, entity_id }
}
