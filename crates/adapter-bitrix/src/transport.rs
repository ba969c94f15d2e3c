//! One call: ask the pacer, draw a read token, send, read, judge, repeat. The only place that sends a request.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use b24sync_domain::application::TokenError;
use b24sync_domain::error::{Chain, SourceError};
use b24sync_domain::ports::{Lane, Permit, PortalPacer, PortalRequest, ReadOrder};
use b24sync_domain::record::ReadToken;
use b24sync_domain::secret::Secret;
use chrono::{DateTime, FixedOffset};
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, LOCATION};
use tokio_retry::RetryIf;
use tracing::{Instrument as _, debug, field, warn};
use url::Url;

use crate::access::Access;
use crate::body;
use crate::budget::{Budget, Resets};
use crate::client;
use crate::config::{BitrixConfig, ConfigError, RetryPolicy};
use crate::envelope::Envelope;
use crate::error::{self, Refusal};
use crate::failure::{Class, Failure};
use crate::metering;
use crate::redirect::{self, Redirect};
use crate::retry::Backoff;
use crate::scrub;
use crate::webhook;

/// A kind of call: what to send, and what to make of the answer.
pub(crate) trait Exchange: Sync {
    type Output: Send;

    /// REST method of the request.
    fn method(&self) -> &str;

    fn lane(&self) -> Lane;

    /// Methods whose execution time the request uses.
    fn charged(&self) -> Vec<String>;

    /// How many commands the request may hold: as few as it can do with, and as many as it would like.
    fn commands(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// The next request holds so many commands.
    fn admitted(&self, _commands: usize) {}

    /// The request's JSON; asked for before every attempt.
    fn request(&self) -> Vec<u8>;

    /// Turns an answer with a 2xx status into the output.
    fn read(&self, answer: Answer, budget: &mut Budget<'_>) -> Result<Self::Output, Failure>;

    /// Whether `read` bounds the nesting of each value that it takes, so that the answer need not be looked through for
    /// that before: answers with many records are long.
    fn bounds_nesting(&self) -> bool {
        false
    }

    /// An attempt failed in a way that less work may avoid.
    fn lighten(&self) {}
}

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// Drawn before the request was sent, where the call reads records.
    pub(crate) token: Option<ReadToken>,
    /// The portal's time when the request was sent, by its `Date` header: for answers without a `time` block.
    pub(crate) sent_at: Option<DateTime<FixedOffset>>,
}

/// The connection to one portal.
pub(crate) struct Transport {
    client: Client,
    access: Access,
    endpoint: RwLock<Endpoint>,
    pacer: Arc<dyn PortalPacer>,
    resets: Resets,
    retry: RetryPolicy,
    max_body: usize,
    max_depth: usize,
    allow_loopback: bool,
}

struct Endpoint {
    base: Url,
    /// A redirect has been followed already; a second one is not.
    moved: bool,
}

impl Transport {
    pub(crate) fn new(config: &BitrixConfig, pacer: Arc<dyn PortalPacer>) -> Result<Transport, ConfigError> {
        let client = client::builder(config.allow_loopback)
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.read_timeout)
            .timeout(config.request_timeout)
            .build()
            .map_err(|error| ConfigError::Client(error.without_url().into()))?;
        Ok(Transport {
            client,
            access: config.access.clone(),
            endpoint: RwLock::new(Endpoint { base: config.access.endpoint()?, moved: false }),
            pacer,
            resets: Resets::default(),
            retry: config.retry.clone(),
            max_body: config.max_body,
            max_depth: config.max_depth,
            allow_loopback: config.allow_loopback,
        })
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Makes a call, repeating failed attempts as the policy says. Draws a token from `order` before each of them.
    pub(crate) async fn call<E: Exchange>(
        &self,
        exchange: &E,
        order: Option<&dyn ReadOrder>,
    ) -> Result<E::Output, SourceError> {
        self.call_as(Caller::Us, exchange, order).await
    }

    /// Makes a call for somebody whose token is not kept yet.
    pub(crate) async fn call_with<E: Exchange>(&self, token: &Secret, exchange: &E) -> Result<E::Output, SourceError> {
        self.call_as(Caller::Holder(token), exchange, None).await
    }

    async fn call_as<E: Exchange>(
        &self,
        caller: Caller<'_>,
        exchange: &E,
        order: Option<&dyn ReadOrder>,
    ) -> Result<E::Output, SourceError> {
        let backoff = Backoff::new(&self.retry);
        let attempts = AtomicU32::new(0);
        let attempt = || {
            let number = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            let span = tracing::debug_span!(
                "portal.call",
                method = exchange.method(),
                attempt = number,
                http.status = field::Empty,
                duration_ms = field::Empty
            );
            async {
                let result = self.attempt(caller, exchange, order).await;
                metering::request(exchange.method(), &result);
                result
            }
            .instrument(span)
        };
        let permits = |failure: &Failure| {
            if failure.class == Class::Fault {
                exchange.lighten();
            }
            let number = attempts.load(Ordering::Relaxed);
            let again = backoff.permits(failure) && number < self.retry.attempts;
            let error = Chain(&failure.error);
            if again {
                warn!(method = exchange.method(), attempt = number, %error, "a call of the portal failed and is repeated");
            }
            again
        };
        RetryIf::start(backoff.delays(), attempt, permits).await.map_err(|failure| failure.error)
    }

    async fn attempt<E: Exchange>(
        &self,
        caller: Caller<'_>,
        exchange: &E,
        order: Option<&dyn ReadOrder>,
    ) -> Result<E::Output, Failure> {
        let keeper = match (&self.access, caller) {
            (_, Caller::Holder(token)) => return self.attempt_with(Some(token), exchange, order).await,
            (Access::Webhook(_), Caller::Us) => return self.attempt_with(None, exchange, order).await,
            (Access::Application(keeper), Caller::Us) => keeper,
        };
        let denied = |error| Failure::last(SourceError::Token(error));
        let pass = keeper.pass().await.map_err(denied)?;
        let mut result = self.attempt_with(Some(&pass.token), exchange, order).await;
        if matches!(&result, Err(failure) if error::is_renewable(&failure.error)) {
            let pass = keeper.renewed(&pass).await.map_err(denied)?;
            result = self.attempt_with(Some(&pass.token), exchange, order).await;
        }
        result.map_err(|failure| match failure.error {
            SourceError::Unauthorized { code } => denied(TokenError::Rejected { code }),
            error => Failure { error, class: failure.class },
        })
    }

    /// Attempts a call that shows this token, or the code in the address.
    async fn attempt_with<E: Exchange>(
        &self,
        token: Option<&Secret>,
        exchange: &E,
        order: Option<&dyn ReadOrder>,
    ) -> Result<E::Output, Failure> {
        let output = async {
            let (answer, permit) = loop {
                let base = self.base();
                match self.ask(&base, token, exchange, order).await? {
                    Answered::Completely(answer, permit) => break (answer, permit),
                    // A move is followed once in the life of the process, so this ends.
                    Answered::Redirected(location) => self.follow(&base, exchange.method(), &location)?,
                }
            };
            let mut budget = Budget::new(&self.resets);
            let output = self.judge(exchange, answer, &mut budget);
            let reports = budget.into_reports(permit.commands());
            reports.iter().for_each(metering::budget);
            self.pacer.report(&reports).await;
            output
        };
        output.await.map_err(|failure| {
            let base = self.base();
            let secret = token.map(Secret::expose).or_else(|| webhook::code(&base)).unwrap_or_default();
            Failure { error: scrub::scrub(failure.error, secret), class: failure.class }
        })
    }

    /// Sends the request once.
    async fn ask<E: Exchange>(
        &self,
        base: &Url,
        token: Option<&Secret>,
        exchange: &E,
        order: Option<&dyn ReadOrder>,
    ) -> Result<Answered, Failure> {
        let method = exchange.method();
        let asked = Instant::now();
        let (lane, methods, commands) = (exchange.lane(), exchange.charged(), exchange.commands());
        let admitted = self.pacer.admit(&PortalRequest { lane, methods, commands }).await;
        let permit = admitted.map_err(|error| Failure::last(SourceError::Budget(error)))?;
        exchange.admitted(permit.commands());
        metering::waited(lane, asked.elapsed());
        let read_token = match order {
            Some(order) => Some(order.next().await.map_err(|error| Failure::last(SourceError::ReadOrder(error)))?),
            None => None,
        };
        let address = base.join(method).map_err(|error| Failure::unavailable(method, error))?;
        let request = self
            .client
            .post(address)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(signed(exchange.request(), token));
        let started = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
        let response = request.send().await.map_err(|error| body::lost(method, error))?;
        let status = response.status().as_u16();
        tracing::Span::current().record("http.status", status);
        let sent_at = sent_at(response.headers(), started.elapsed());
        if let Some(location) = location(status, response.headers()) {
            return Ok(Answered::Redirected(location));
        }
        let text = body::read(method, response, self.max_body).await?;
        let elapsed = started.elapsed();
        tracing::Span::current().record("duration_ms", u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        debug!(bytes = text.len(), "the portal answered");
        Ok(Answered::Completely(Answer { status, text, token: read_token, sent_at }, permit))
    }

    fn judge<E: Exchange>(&self, exchange: &E, answer: Answer, budget: &mut Budget<'_>) -> Result<E::Output, Failure> {
        let method = exchange.method();
        if !answer.text.trim_start().starts_with('{') {
            return Err(error::not_json(method, answer.status, &answer.text));
        }
        let is_good = (200..300).contains(&answer.status);
        let is_bounded = is_good && exchange.bounds_nesting();
        if !is_bounded && !body::is_shallow(&answer.text, self.max_depth) {
            return Err(Failure::malformed(method, format!("the answer is nested deeper than {}", self.max_depth)));
        }
        if is_good {
            return exchange.read(answer, budget);
        }
        let envelope: Envelope<'_> =
            serde_json::from_str(&answer.text).map_err(|_json| error::without_code(method, answer.status))?;
        budget.time(method, &envelope.time());
        match envelope.refusal() {
            Some(refusal) => Err(refuse(method, answer.status, &refusal, budget)),
            None => Err(error::without_code(method, answer.status)),
        }
    }

    fn base(&self) -> Url {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).base.clone()
    }

    /// Takes the portal's new address over, once in the life of the process.
    fn follow(&self, asked: &Url, method: &str, location: &str) -> Result<(), Failure> {
        let mut endpoint = self.endpoint.write().unwrap_or_else(PoisonError::into_inner);
        if endpoint.base != *asked {
            // Another call has followed meanwhile.
            return Ok(());
        }
        match redirect::judge(&endpoint.base, method, location, self.allow_loopback) {
            Redirect::Follow(base) if !endpoint.moved => {
                let (host, setting) = (webhook::host_and_port(&base), self.access.setting());
                warn!(host, "the portal has moved; put its new address into {setting}");
                *endpoint = Endpoint { base, moved: true };
                Ok(())
            }
            Redirect::Follow(base) => Err(Failure::last(SourceError::Moved { host: webhook::host_and_port(&base) })),
            Redirect::Elsewhere(host) => Err(Failure::last(SourceError::Moved { host })),
            Redirect::Nonsense => Err(Failure {
                class: Class::Final,
                ..Failure::unavailable(method, "answered with a redirect to another page instead of JSON")
            }),
        }
    }
}

/// For whom a call is made.
#[derive(Clone, Copy)]
enum Caller<'a> {
    /// For the service, with whatever lets it in.
    Us,
    /// For whoever holds this token.
    Holder(&'a Secret),
}

/// The JSON object with `auth` in it: of the places for a token, the body is the one that no log shows (Bitrix24 REST
/// 2.1: query or body).
fn signed(request: Vec<u8>, token: Option<&Secret>) -> Vec<u8> {
    let Some((token, members)) = token.zip(request.strip_prefix(b"{")) else { return request };
    let mut signed = br#"{"auth":"#.to_vec();
    // A text always serialises.
    signed.extend(serde_json::to_vec(token.expose()).unwrap_or_default());
    if members != b"}" {
        signed.push(b',');
    }
    signed.extend_from_slice(members);
    signed
}

enum Answered {
    Completely(Answer, Permit),
    Redirected(String),
}

/// The failure of a refused request, noted in the budget.
pub(crate) fn refuse(method: &str, status: u16, refusal: &Refusal, budget: &mut Budget<'_>) -> Failure {
    budget.refusal(method, Some(status), refusal);
    error::classify(method, Some(status), refusal, budget.resets_at(method))
}

fn location(status: u16, headers: &HeaderMap) -> Option<String> {
    matches!(status, 301 | 302 | 303 | 307 | 308)
        .then(|| headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned())
}

/// The `Date` header is written when the answer begins, so the time that has passed since sending is taken off.
fn sent_at(headers: &HeaderMap, elapsed: Duration) -> Option<DateTime<FixedOffset>> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    date.checked_sub_signed(chrono::Duration::from_std(elapsed).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_into_the_body_before_everything_else() {
        let token = Secret::new(r#"a"b"#);
        for (request, expected) in [("{}", r#"{"auth":"a\"b"}"#), (r#"{"halt":0}"#, r#"{"auth":"a\"b","halt":0}"#)] {
            let signed = |token| String::from_utf8(signed(request.as_bytes().to_vec(), token)).unwrap();
            assert_eq!((signed(Some(&token)).as_str(), signed(None).as_str()), (expected, request));
        }
    }
}
