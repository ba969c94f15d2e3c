//! Who may do what: roles, and why a token was refused.

use std::fmt;
use std::str::FromStr;

/// What a caller may do. Each role may do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees how things stand.
    Viewer,
    /// Starts and cancels syncs.
    Operator,
    /// Changes settings and webhooks.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The word for settings and claims.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no role. It is not repeated: it may come from a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role; the roles are `viewer`, `operator` and `admin`")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.as_str() == word).ok_or(UnknownRole)
    }
}

/// A caller whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's id: a UUID in lower case.
    pub subject: String,
    /// `None`: known, but may do nothing.
    pub role: Option<Role>,
}

impl Identity {
    /// Whether the caller may do what `role` may do.
    pub fn allows(&self, role: Role) -> bool {
        self.role >= Some(role)
    }
}

/// Why a token was refused: for logs and metrics, never for the caller, who learns no more than "401". Closed, and
/// without anything that the token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("no token")]
    Missing,
    /// It is longer than tokens may be.
    #[error("the token is too long")]
    TooLong,
    /// It does not have the form of a token.
    #[error("the token is malformed")]
    Malformed,
    /// Its header has a member that must not be there, or a value that must not.
    #[error("the token's header has an unacceptable `{0}`")]
    Header(&'static str),
    /// It names an algorithm that is not that of the key, or none.
    #[error("the token names the wrong algorithm")]
    Algorithm,
    /// It names no key that is known.
    #[error("the token was signed by an unknown key")]
    UnknownKey,
    /// Its signature is not that of the key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Somebody else issued it.
    #[error("the token has another issuer")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience")]
    Audience,
    /// A claim is missing, or has a value that it must not have.
    #[error("the token's claim `{0}` is missing or unacceptable")]
    Claim(&'static str),
    /// It is a key of an application, not a session of a user.
    #[error("an API key is not a session token")]
    ApiKey,
    /// Its user has not signed in.
    #[error("the session is anonymous")]
    Anonymous,
    /// It could not be verified, because the keys could not be had.
    #[error("the keys that verify tokens are not available")]
    KeysUnavailable,
}

impl Refusal {
    /// Whether the token may be good and the fault is ours: "503", not "401".
    pub fn is_our_fault(self) -> bool {
        self == Refusal::KeysUnavailable
    }

    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Missing => "missing",
            Refusal::TooLong => "too_long",
            Refusal::Malformed => "malformed",
            Refusal::Header(_) => "header",
            Refusal::Algorithm => "algorithm",
            Refusal::UnknownKey => "unknown_key",
            Refusal::Signature => "signature",
            Refusal::Expired => "expired",
            Refusal::NotYetValid => "not_yet_valid",
            Refusal::Issuer => "issuer",
            Refusal::Audience => "audience",
            Refusal::Claim(_) => "claim",
            Refusal::ApiKey => "api_key",
            Refusal::Anonymous => "anonymous",
            Refusal::KeysUnavailable => "keys_unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_ones_before_it_may() {
        for (mine, allowed) in [
            (None, [false, false, false]),
            (Some(Role::Viewer), [true, false, false]),
            (Some(Role::Operator), [true, true, false]),
            (Some(Role::Admin), [true, true, true]),
        ] {
            let identity = Identity { subject: String::new(), role: mine };
            assert_eq!(Role::ALL.map(|role| identity.allows(role)), allowed, "{mine:?}");
        }
    }

    #[test]
    fn a_role_is_known_by_its_exact_word() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for word in ["", "Admin", " admin", "admin ", "root", "viewer,admin"] {
            assert_eq!(word.parse::<Role>(), Err(UnknownRole), "{word}");
        }
    }

    #[test]
    fn only_missing_keys_are_our_fault() {
        assert!(Refusal::KeysUnavailable.is_our_fault());
        assert!(!Refusal::UnknownKey.is_our_fault() && !Refusal::Signature.is_our_fault());
    }
}
