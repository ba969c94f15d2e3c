//! The tokens of one installation. Time is an argument: seconds of the portal's clock.

use std::collections::HashMap;

use super::rules::ApplicationRules;
use crate::data::mix;

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenProblem {
    Unknown,
    Expired,
}

/// An access token and the refresh token that came with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// When the access token ends.
    pub(crate) expires: i64,
}

#[derive(Debug)]
struct Refresh {
    expires: i64,
    access_token: String,
}

/// Every token that was issued and is not used up.
#[derive(Debug)]
pub(crate) struct Tokens {
    seed: u64,
    issued: u64,
    /// When each access token ends, also of those that have.
    access: HashMap<String, i64>,
    refresh: HashMap<String, Refresh>,
    /// When each code ends.
    codes: HashMap<String, i64>,
    latest: Pair,
    /// The access token that events of one second share.
    for_events: Option<(i64, String)>,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            issued: 0,
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            latest: Pair::default(),
            for_events: None,
        }
    }

    /// 64 hexadecimal digits that never came before.
    fn make(&mut self) -> String {
        self.issued += 1;
        let root = mix(self.seed ^ mix(self.issued));
        let [a, b, c, d] = [0, 1, 2, 3].map(|part| mix(root ^ part));
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }

    fn access(&mut self, expires: i64) -> String {
        let token = self.make();
        self.access.insert(token.clone(), expires);
        token
    }

    /// Issues a new pair.
    pub(super) fn issue(&mut self, now: i64, rules: &ApplicationRules) -> Pair {
        let expires = now + rules.access_token_seconds;
        let access_token = self.access(expires);
        let refresh_token = self.make();
        let refresh = Refresh { expires: now + rules.refresh_token_seconds, access_token: access_token.clone() };
        self.refresh.insert(refresh_token.clone(), refresh);
        self.latest = Pair { access_token, refresh_token, expires };
        self.latest.clone()
    }

    /// Replaces both tokens; `None` if the refresh token is unknown, replaced already, or too old.
    pub(super) fn refresh(&mut self, token: &str, now: i64, rules: &ApplicationRules) -> Option<Pair> {
        let old = self.refresh.remove(token).filter(|refresh| now < refresh.expires)?;
        if rules.refresh_ends_access_token {
            self.access.insert(old.access_token, now);
        }
        Some(self.issue(now, rules))
    }

    /// Makes a code that can be exchanged for a pair.
    pub(super) fn code(&mut self, now: i64, rules: &ApplicationRules) -> String {
        let code = self.make();
        self.codes.insert(code.clone(), now + rules.code_seconds);
        code
    }

    /// Exchanges a code, once and in time.
    pub(super) fn redeem(&mut self, code: &str, now: i64, rules: &ApplicationRules) -> Option<Pair> {
        self.codes.remove(code).filter(|expires| now < *expires).map(|_| self.issue(now, rules))
    }

    /// Checks an access token.
    pub(crate) fn check(&self, token: &str, now: i64) -> Result<(), TokenProblem> {
        match self.access.get(token) {
            None => Err(TokenProblem::Unknown),
            Some(expires) if now >= *expires => Err(TokenProblem::Expired),
            Some(_) => Ok(()),
        }
    }

    /// The pair that was issued last.
    pub(crate) fn latest(&self) -> &Pair {
        &self.latest
    }

    /// An access token for an event that is sent now.
    pub(crate) fn for_event(&mut self, now: i64, rules: &ApplicationRules) -> String {
        match &self.for_events {
            Some((second, token)) if *second == now => token.clone(),
            _ => {
                let token = self.access(now + rules.access_token_seconds);
                self.for_events = Some((now, token.clone()));
                token
            }
        }
    }

    /// Ends all access tokens at once.
    pub(super) fn expire_access(&mut self) {
        self.access.values_mut().for_each(|expires| *expires = i64::MIN);
        self.for_events = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn tokens() -> (Tokens, ApplicationRules) {
        (Tokens::new(7), ApplicationRules::default())
    }

    #[test]
    fn a_refresh_token_works_once_and_brings_two_new_ones() {
        let (mut tokens, rules) = tokens();
        let first = tokens.issue(NOW, &rules);
        let second = tokens.refresh(&first.refresh_token, NOW + 10, &rules).unwrap();
        assert_eq!(tokens.refresh(&first.refresh_token, NOW + 10, &rules), None);
        assert!(first.access_token != second.access_token && first.refresh_token != second.refresh_token);
        assert_eq!(second.expires, NOW + 3_610);
        assert_eq!(tokens.latest(), &second);
        // The old access token lives on unless the rules say otherwise.
        assert_eq!(tokens.check(&first.access_token, NOW + 20), Ok(()));
        let strict = ApplicationRules { refresh_ends_access_token: true, ..rules };
        tokens.refresh(&second.refresh_token, NOW + 20, &strict).unwrap();
        assert_eq!(tokens.check(&second.access_token, NOW + 20), Err(TokenProblem::Expired));
    }

    #[test]
    fn tokens_and_codes_end() {
        let (mut tokens, rules) = tokens();
        let pair = tokens.issue(NOW, &rules);
        assert_eq!(tokens.check(&pair.access_token, NOW + 3_599), Ok(()));
        assert_eq!(tokens.check(&pair.access_token, NOW + 3_600), Err(TokenProblem::Expired));
        assert_eq!(tokens.check(&pair.refresh_token, NOW), Err(TokenProblem::Unknown));
        assert_eq!(tokens.refresh(&pair.refresh_token, NOW + 180 * 86_400, &rules), None);
        let code = tokens.code(NOW, &rules);
        assert_eq!(tokens.redeem(&code, NOW + 30, &rules), None);
        let code = tokens.code(NOW, &rules);
        assert!(tokens.redeem(&code, NOW + 29, &rules).is_some());
        assert_eq!(tokens.redeem(&code, NOW + 29, &rules), None);
        tokens.expire_access();
        assert_eq!(tokens.check(&pair.access_token, NOW), Err(TokenProblem::Expired));
    }

    #[test]
    fn events_of_one_second_share_a_token() {
        let (mut tokens, rules) = tokens();
        let token = tokens.for_event(NOW, &rules);
        assert_eq!(tokens.for_event(NOW, &rules), token);
        assert_ne!(tokens.for_event(NOW + 1, &rules), token);
        assert_eq!(tokens.check(&token, NOW + 3_599), Ok(()));
    }
}
