//! What a process remembers of the tokens between two calls.

use std::sync::Arc;
use std::time::Duration;

use b24sync_domain::application::TokenError;
use b24sync_domain::secret::Secret;
use tokio::time::Instant;

use super::tokens::Tokens;

/// How long before its end an access token is renewed.
const MARGIN: Duration = Duration::from_secs(60);

/// How long the application token is believed, and how long that there is none.
const HEARD_FOR: Duration = Duration::from_secs(10);
const HEARD_NOTHING_FOR: Duration = Duration::from_secs(1);

/// How long a refusal is believed for the same tokens: it is final until somebody acts (Bitrix24 REST 12.4).
const REFUSED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// The tokens as they are kept, and how long they are good.
pub(super) struct Current {
    /// That of the vault.
    pub(super) version: i64,
    pub(super) tokens: Tokens,
    renew_at: Instant,
    ends_at: Instant,
}

impl Current {
    /// Tokens that came this long ago.
    pub(super) fn new(version: i64, tokens: Tokens, age: Duration, now: Instant) -> Current {
        let left = tokens.life().saturating_sub(age);
        let margin = MARGIN.min(tokens.life() / 4);
        Current { version, tokens, renew_at: now + left.saturating_sub(margin), ends_at: now + left }
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.renew_at
    }

    pub(super) fn is_alive(&self, now: Instant) -> bool {
        now < self.ends_at
    }

    pub(super) fn application_token(&self) -> Option<Secret> {
        self.tokens.application_token.as_deref().map(Secret::new)
    }
}

/// A refusal that repeating does not change.
#[derive(Clone)]
pub(super) enum Refusal {
    Lapsed(String),
    Application(String),
}

impl Refusal {
    pub(super) fn of(error: &TokenError) -> Option<Refusal> {
        match error {
            TokenError::Lapsed { code } => Some(Refusal::Lapsed(code.clone())),
            TokenError::Refused { code } => Some(Refusal::Application(code.clone())),
            _ => None,
        }
    }

    pub(super) fn into_error(self) -> TokenError {
        match self {
            Refusal::Lapsed(code) => TokenError::Lapsed { code },
            Refusal::Application(code) => TokenError::Refused { code },
        }
    }
}

/// A pair that replaces the one of a version, and that the vault could not take yet.
#[derive(Clone)]
pub(super) struct Unsaved {
    pub(super) known: i64,
    pub(super) tokens: Tokens,
    pub(super) since: Instant,
}

/// What was heard of the application token.
pub(super) struct Heard(pub(super) Option<Secret>);

/// All that is remembered.
#[derive(Default)]
pub(super) struct State {
    current: Option<Arc<Current>>,
    application_token: Option<(Instant, Option<Secret>)>,
    refused: Option<(i64, Instant, Refusal)>,
    unsaved: Option<Unsaved>,
}

impl State {
    pub(super) fn current(&self) -> Option<Arc<Current>> {
        self.current.clone()
    }

    /// Takes over what the vault has; what was remembered of an older version is of no use any more.
    pub(super) fn adopt(&mut self, current: &Arc<Current>, now: Instant) {
        if self.current.as_ref().is_none_or(|known| known.version != current.version) {
            self.current = Some(Arc::clone(current));
        }
        self.application_token = Some((now, current.application_token()));
        if self.unsaved.as_ref().is_some_and(|unsaved| unsaved.known < current.version) {
            self.unsaved = None;
        }
    }

    /// There are no tokens.
    pub(super) fn forget(&mut self, now: Instant) {
        self.current = None;
        self.unsaved = None;
        self.application_token = Some((now, None));
    }

    /// The application token, or that there is none, if that was heard a moment ago.
    pub(super) fn heard(&self, now: Instant) -> Option<Heard> {
        let (at, token) = self.application_token.as_ref()?;
        let believed = if token.is_some() { HEARD_FOR } else { HEARD_NOTHING_FOR };
        (now < *at + believed).then(|| Heard(token.clone()))
    }

    pub(super) fn refuse(&mut self, version: i64, refusal: Refusal, now: Instant) {
        self.refused = Some((version, now + REFUSED_FOR, refusal));
    }

    /// Why tokens of this version need not be offered again.
    pub(super) fn refusal(&self, version: i64, now: Instant) -> Option<Refusal> {
        let (refused, until, refusal) = self.refused.as_ref()?;
        (*refused == version && now < *until).then(|| refusal.clone())
    }

    pub(super) fn keep_unsaved(&mut self, unsaved: Unsaved) {
        self.unsaved = Some(unsaved);
    }

    pub(super) fn unsaved(&self) -> Option<Unsaved> {
        self.unsaved.clone()
    }

    pub(super) fn saved(&mut self) {
        self.unsaved = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(life: u64, age: u64) -> (bool, bool) {
        let tokens = Tokens {
            client_id: String::new(),
            access_token: String::new(),
            refresh_token: String::new(),
            expires_in: life,
            member_id: String::new(),
            server: None,
            application_token: None,
        };
        let now = Instant::now();
        let current = Current::new(1, tokens, Duration::from_secs(age), now);
        (current.is_fresh(now), current.is_alive(now))
    }

    #[test]
    fn tokens_are_renewed_a_minute_before_they_end() {
        for (life, age, expected) in [
            (3_600, 0, (true, true)),
            (3_600, 3_539, (true, true)),
            (3_600, 3_540, (false, true)),
            (3_600, 3_600, (false, false)),
            (3_600, u64::MAX / 4, (false, false)),
            // A life shorter than the margin does not mean a renewal with each call.
            (40, 0, (true, true)),
            (40, 30, (false, true)),
            (0, 0, (false, false)),
        ] {
            assert_eq!(current(life, age), expected, "{age} of {life} s");
        }
    }
}
