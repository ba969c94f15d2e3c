//! What an operator decides about tokens and roles.

use std::collections::BTreeMap;

use b24sync_domain::access::Role;
use b24sync_domain::error::BoxError;
use secrecy::SecretString;
use url::{Host, Url};

use crate::roles::RolePolicy;
use crate::secret;
use crate::subject;
use b24sync_public_address as address;

/// The claim that holds the role, unless another one is named.
pub const DEFAULT_ROLE_CLAIM: &str = "app_metadata.b24sync_role";

/// The part of a token that only the project's owner can write.
const OWNED: &str = "app_metadata";

/// Whose tokens are accepted, and who has which role.
#[derive(Debug, Clone)]
pub struct SupabaseSettings {
    /// The project's address (`SUPABASE_URL`); needed.
    pub url: Option<String>,
    /// The project's old shared secret (`SUPABASE_JWT_SECRET`). Without it tokens signed by HS256 are refused.
    pub jwt_secret: Option<SecretString>,
    /// Where a token holds the role (`AUTH_ROLE_CLAIM`).
    pub role_claim: String,
    /// Ids of the users with each role, where no claim says another (`AUTH_VIEWERS`, `AUTH_OPERATORS`, `AUTH_ADMINS`).
    pub role_users: BTreeMap<Role, Vec<String>>,
    /// The role of users of whom nothing is said (`AUTH_DEFAULT_ROLE`).
    pub default_role: Option<Role>,
    /// Whether `http` and loopback addresses are accepted, for development (`BITRIX_ALLOW_LOOPBACK`).
    pub allow_loopback: bool,
}

impl Default for SupabaseSettings {
    fn default() -> Self {
        SupabaseSettings {
            url: None,
            jwt_secret: None,
            role_claim: DEFAULT_ROLE_CLAIM.to_owned(),
            role_users: BTreeMap::new(),
            default_role: None,
            allow_loopback: false,
        }
    }
}

impl SupabaseSettings {
    /// The settings for a project with asymmetric keys, whose users have their roles in the usual claim.
    pub fn new(url: impl Into<String>) -> SupabaseSettings {
        SupabaseSettings { url: Some(url.into()), ..SupabaseSettings::default() }
    }

    /// Everything that is wrong with the settings, so that it can be reported at once.
    pub fn problems(&self) -> Vec<SettingsError> {
        let mut problems: Vec<SettingsError> = self.project().err().into_iter().collect();
        problems.extend(self.jwt_secret.as_ref().and_then(|text| secret::check(text).err()));
        problems.extend(self.claim_path().err());
        problems.extend(self.user_problems());
        problems
    }

    /// Why others may know the shared secret although it has the right shape, to be read after its name; `None` when
    /// nothing speaks for it, or there is none.
    pub fn secret_weakness(&self) -> Option<&'static str> {
        self.jwt_secret.as_ref().and_then(secret::weakness)
    }

    /// The project's address, without anything behind the host.
    pub(crate) fn project(&self) -> Result<Url, SettingsError> {
        let text = self.url.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let url = Url::parse(text.ok_or(SettingsError::UrlMissing)?)
            .map_err(|_parse| SettingsError::Url("is not a web address"))?;
        if let Some(problem) = shape_problem(&url) {
            return Err(SettingsError::Url(problem));
        }
        if self.may_ask(&url) { Ok(url) } else { Err(SettingsError::NotPublic) }
    }

    fn may_ask(&self, url: &Url) -> bool {
        let loopback = is_loopback(url);
        (self.allow_loopback && loopback)
            || (url.scheme() == "https" && !loopback && address::literal(url).is_none_or(address::is_global))
    }

    /// Who has which role.
    pub(crate) fn roles(&self) -> Result<RolePolicy, SettingsError> {
        let mut users = BTreeMap::new();
        for (role, ids) in &self.role_users {
            users.extend(ids.iter().filter_map(|id| subject::user_id(id)).map(|id| (id, *role)));
        }
        Ok(RolePolicy { path: self.claim_path()?, users, default: self.default_role })
    }

    fn claim_path(&self) -> Result<Vec<String>, SettingsError> {
        let names: Vec<String> = self.role_claim.split('.').map(str::to_owned).collect();
        let is_owned = names.first().is_some_and(|first| first == OWNED) && names.len() > 1;
        let is_clean =
            names.iter().all(|name| !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control()));
        if is_owned && is_clean { Ok(names) } else { Err(SettingsError::RoleClaim) }
    }

    fn user_problems(&self) -> Vec<SettingsError> {
        let mut roles: BTreeMap<String, Role> = BTreeMap::new();
        let mut problems = Vec::new();
        for (role, ids) in &self.role_users {
            let variable = variable(*role);
            for (number, text) in (1..).zip(ids) {
                let Some(id) = subject::user_id(text) else {
                    problems.push(SettingsError::NotAUser { variable, number });
                    continue;
                };
                match roles.insert(id, *role) {
                    Some(other) if other != *role => {
                        problems.push(SettingsError::TwoRoles { variable, number, other: self::variable(other) });
                    }
                    _ => {}
                }
            }
        }
        problems
    }
}

fn variable(role: Role) -> &'static str {
    match role {
        Role::Viewer => "AUTH_VIEWERS",
        Role::Operator => "AUTH_OPERATORS",
        Role::Admin => "AUTH_ADMINS",
    }
}

fn shape_problem(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "https" | "http") {
        return Some("does not start with `https://`");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Some("has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user name or password before the host");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Some("goes on after the host");
    }
    None
}

/// Whether the address names this machine without asking a name server.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

/// Settings that cannot work. Messages name the variable and never repeat a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// There is no address.
    #[error("SUPABASE_URL is missing; it looks like `https://abcdefghijklmnopqrst.supabase.co`")]
    UrlMissing,
    /// The project's address has the wrong shape.
    #[error("SUPABASE_URL {0}; it must look like `https://abcdefghijklmnopqrst.supabase.co`")]
    Url(&'static str),
    /// The project's address is not one of the public Internet over TLS.
    #[error(
        "SUPABASE_URL must be an `https` address of a public host, like `https://abcdefghijklmnopqrst.supabase.co`; for a project on this machine set BITRIX_ALLOW_LOOPBACK=true"
    )]
    NotPublic,
    /// The secret could be guessed.
    #[error(
        "SUPABASE_JWT_SECRET has fewer than 32 bytes; copy the whole legacy secret, e.g. 88 characters ending with `==`, or leave it out where the project signs by asymmetric keys"
    )]
    SecretTooShort,
    /// The secret is something that others know.
    #[error(
        "SUPABASE_JWT_SECRET is {0}; it must be the project's legacy JWT secret, e.g. 88 characters ending with `==`, or be left out"
    )]
    NotASecret(&'static str),
    /// Users could give themselves roles.
    #[error(
        "AUTH_ROLE_CLAIM must lead into `app_metadata`, which users cannot change themselves, e.g. `app_metadata.b24sync_role`"
    )]
    RoleClaim,
    /// A list has something else than ids.
    #[error(
        "{variable}: entry {number} is not the id of a user; it must look like `0f8fad5b-d9cb-469f-a165-70867728950e`"
    )]
    NotAUser {
        /// Which list.
        variable: &'static str,
        /// Which entry, from 1.
        number: usize,
    },
    /// A user is in two lists.
    #[error(
        "{variable}: entry {number} is in {other} as well; name each user once, e.g. `0f8fad5b-d9cb-469f-a165-70867728950e` in {variable} only"
    )]
    TwoRoles {
        /// Which list.
        variable: &'static str,
        /// Which entry, from 1.
        number: usize,
        /// The other list.
        other: &'static str,
    },
    /// The HTTP client could not be built, for example because the system has no root certificates.
    #[error("the HTTP client could not be set up")]
    Client(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://xyz.supabase.co";
    const USER: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn said(settings: &SupabaseSettings) -> Vec<String> {
        settings.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn http_and_inner_addresses_need_permission_and_only_loopback_gets_it() {
        for (url, strict, permitted) in [
            (URL, true, true),
            ("https://xyz.supabase.co/", true, true),
            ("https://auth.example.com:8443", true, true),
            ("http://xyz.supabase.co", false, false),
            ("http://127.0.0.1:54321", false, true),
            ("http://[::1]:54321", false, true),
            ("http://[::ffff:127.0.0.1]:54321", false, true),
            ("https://localhost", false, true),
            ("https://10.0.0.7", false, false),
            ("https://169.254.169.254", false, false),
            ("https://[fd00::1]", false, false),
        ] {
            for (allow_loopback, good) in [(false, strict), (true, permitted)] {
                let settings = SupabaseSettings { allow_loopback, ..SupabaseSettings::new(url) };
                assert_eq!(settings.problems().is_empty(), good, "{url} {allow_loopback}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (url, expected) in [
            ("", "is missing"),
            ("  ", "is missing"),
            ("xyz.supabase.co", "is not a web address"),
            ("ftp://xyz.supabase.co", "`https://`"),
            ("https://me:pw@xyz.supabase.co", "user name"),
            ("https://xyz.supabase.co/auth/v1", "after the host"),
            ("https://xyz.supabase.co/?apikey=pw", "after the host"),
            ("https://xyz.supabase.co#pw", "after the host"),
        ] {
            let said = said(&SupabaseSettings::new(url));
            let [problem] = said.as_slice() else { panic!("{url}: {said:?}") };
            assert!(problem.contains(expected) && problem.contains("SUPABASE_URL"), "{url}: {problem}");
            assert!(problem.contains("https://") && !problem.contains("pw"), "{url}: {problem}");
        }
    }

    #[test]
    fn roles_come_from_what_users_cannot_change() {
        for (claim, good) in [
            ("app_metadata.b24sync_role", true),
            ("app_metadata.b24sync.role", true),
            ("app_metadata", false),
            ("app_metadata.", false),
            ("app_metadata..role", false),
            ("app_metadata.role ", false),
            ("user_metadata.role", false),
            ("user_metadata.app_metadata.role", false),
            ("app_metadata2.role", false),
            ("App_metadata.role", false),
            ("email", false),
            ("role", false),
            ("", false),
        ] {
            let said = said(&SupabaseSettings { role_claim: claim.to_owned(), ..SupabaseSettings::new(URL) });
            assert_eq!(said.is_empty(), good, "{claim}");
            assert!(said.iter().all(|problem| problem.contains("AUTH_ROLE_CLAIM")), "{said:?}");
        }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let settings = SupabaseSettings {
            url: None,
            jwt_secret: Some("short".into()),
            role_claim: "email".to_owned(),
            role_users: BTreeMap::from([
                (Role::Viewer, vec![USER.to_owned(), USER.to_owned()]),
                (Role::Operator, vec!["someone@example.com".to_owned()]),
                (Role::Admin, vec![USER.to_ascii_uppercase()]),
            ]),
            ..SupabaseSettings::default()
        };
        let said = said(&settings);
        let names = ["SUPABASE_URL", "SUPABASE_JWT_SECRET", "AUTH_ROLE_CLAIM", "AUTH_OPERATORS", "AUTH_ADMINS"];
        assert_eq!(said.len(), names.len(), "{said:?}");
        for (problem, name) in said.iter().zip(names) {
            assert!(problem.starts_with(name), "{problem}");
        }
        assert!(!said.concat().contains("someone"));
    }
}
