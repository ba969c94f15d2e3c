//! What stands before every handler: limits, token, role, deadline, and a net for panics.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use b24sync_domain::access::Refusal;
use b24sync_domain::ports::Authenticator;
use futures_util::FutureExt;

use crate::auth::{self, Caller};
use crate::client;
use crate::limits::Limits;
use crate::problem::{self, Kind, Problem};
use crate::request_id::RequestId;
use crate::routes::{Access, Endpoint};
use crate::settings::ApiSettings;

/// Lets requests pass to handlers, or answers in their place.
pub(crate) struct Gate {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) settings: ApiSettings,
}

impl Gate {
    /// The answer of the endpoint, or of the gate.
    pub(crate) async fn pass(
        &self,
        endpoint: &Endpoint,
        request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse, Error> {
        // A handler that panics or hangs takes its request with it, so that the answer needs its own copy.
        let head = request.request().clone();
        let answer = AssertUnwindSafe(async {
            match self.admit(endpoint, &request).await {
                Ok(()) => next.call(request).await,
                Err(problem) => {
                    let answer = problem.respond(request.request());
                    Ok(request.into_response(answer))
                }
            }
        });
        let problem = match tokio::time::timeout(self.settings.handler_timeout, answer.catch_unwind()).await {
            Ok(Ok(answer)) => return answer.map(problem::complete),
            Ok(Err(_panic)) => {
                tracing::error!(route = endpoint.path, request.id = %RequestId::of(&head), "a handler panicked");
                Problem::internal()
            }
            Err(_elapsed) => {
                tracing::error!(route = endpoint.path, request.id = %RequestId::of(&head), "a handler took too long");
                Problem::new(
                    Kind::Unavailable,
                    "the answer took too long; whether the request had an effect is not known",
                )
                .retry_after(std::time::Duration::from_secs(5))
            }
        };
        let answer = problem.respond(&head);
        Ok(ServiceResponse::new(head, answer))
    }

    async fn admit(&self, endpoint: &Endpoint, request: &ServiceRequest) -> Result<(), Problem> {
        let address = client::address(request.peer_addr(), request.headers(), &self.settings.trusted_proxies);
        let role = match endpoint.access {
            Access::Role(role) => role,
            Access::Public if endpoint.limited => return self.limits.public(address),
            // The portal sends as many events as there are changes; who has no token is limited by the handler.
            Access::Public | Access::Portal => return Ok(()),
            Access::MetricsToken => return self.admit_scraper(request, address),
        };
        let identity = match auth::token(request, endpoint.stream) {
            Ok(token) => self.authenticator.identify(&token).await,
            Err(refusal) => Err(refusal),
        };
        let identity = identity.or_else(|refusal| self.refuse(refusal, address))?;
        self.limits.subject(&identity.subject)?;
        let allowed = identity.allows(role);
        request.extensions_mut().insert(Caller { subject: identity.subject });
        if allowed { Ok(()) } else { Err(auth::forbidden(role)) }
    }

    fn admit_scraper(&self, request: &ServiceRequest, address: IpAddr) -> Result<(), Problem> {
        let Some(expected) = &self.settings.metrics_token else {
            return Err(Problem::new(
                Kind::NotFound,
                "metrics are not served here: set METRICS_TOKEN, or ask the address of METRICS_BIND",
            ));
        };
        match auth::token(request, false) {
            Ok(token) if expected.matches(&token) => Ok(()),
            Ok(_) => self.refuse(Refusal::Signature, address),
            Err(refusal) => self.refuse(refusal, address),
        }
    }

    fn refuse<T>(&self, refusal: Refusal, address: IpAddr) -> Result<T, Problem> {
        tracing::info!(reason = refusal.as_str(), client.address = %address, "a token was refused");
        if refusal.is_our_fault() {
            return Err(auth::keys_unavailable());
        }
        self.limits.failed_auth(address)?;
        Err(Problem::unauthorized())
    }
}
