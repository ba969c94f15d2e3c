//! How the portal treats applications.

use std::collections::BTreeSet;

/// What can differ between portals about applications, and how this one reads what the documentation leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRules {
    /// Life of an access token, in seconds of the portal's clock.
    pub access_token_seconds: i64,
    /// Life of a refresh token.
    pub refresh_token_seconds: i64,
    /// Life of an authorisation code.
    pub code_seconds: i64,
    /// Whether a refresh ends the old access token at once; REST.md says only that both tokens are replaced.
    pub refresh_ends_access_token: bool,
    /// Whether an update of the application removes its handlers, as REST.md 10.1 has it; the newer Russian page of
    /// `event.bind` says that they stay.
    pub update_removes_handlers: bool,
    /// What the plan includes, by the code that `feature.get` asks for.
    pub features: BTreeSet<String>,
    /// Whether `EVENT_DATA` of offline events holds the ids, or `false` as in the samples (REST.md 11).
    pub offline_event_data: bool,
}

impl Default for ApplicationRules {
    fn default() -> Self {
        Self {
            access_token_seconds: 3_600,
            refresh_token_seconds: 180 * 86_400,
            code_seconds: 30,
            refresh_ends_access_token: false,
            update_removes_handlers: true,
            features: ["rest_offline_extended", "rest_auth_connector"].map(str::to_owned).into(),
            offline_event_data: true,
        }
    }
}
