//! From a verified caller to a role (CORRECTNESS S3).

use std::collections::BTreeMap;

use b24sync_domain::access::Role;
use serde_json::Value;
use tracing::debug;

use crate::claims::Claims;

/// Where roles come from.
#[derive(Debug)]
pub(crate) struct RolePolicy {
    /// Names of the members that lead to the claim.
    pub(crate) path: Vec<String>,
    /// Roles of users, by their ids in lower case.
    pub(crate) users: BTreeMap<String, Role>,
    /// The role of everybody else.
    pub(crate) default: Option<Role>,
}

impl RolePolicy {
    /// The claim decides where there is one, then the list of users, then the default. A claim that names no role
    /// gives none: whoever wrote it meant something, and it was not the default.
    pub(crate) fn role(&self, claims: &Claims) -> Option<Role> {
        match self.claim(claims) {
            None | Some(Value::Null) => self.users.get(&claims.subject).copied().or(self.default),
            Some(value) => {
                let role = value.as_str().and_then(|word| word.parse().ok());
                if role.is_none() {
                    debug!(claim = self.path.join("."), "the claim of a token names no role");
                }
                role
            }
        }
    }

    fn claim<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        let (first, rest) = self.path.split_first()?;
        rest.iter().try_fold(claims.all.get(first)?, |value, name| value.get(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    #[test]
    fn the_claim_then_the_list_then_the_default() {
        let listed = RolePolicy {
            path: ["app_metadata", "b24sync", "role"].map(str::to_owned).into(),
            users: BTreeMap::from([(USER.to_owned(), Role::Operator)]),
            default: Some(Role::Viewer),
        };
        let unlisted = RolePolicy { path: listed.path.clone(), users: BTreeMap::new(), default: Some(Role::Viewer) };
        let strict = RolePolicy { path: listed.path.clone(), users: BTreeMap::new(), default: None };
        let (viewer, operator, admin) = (Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin));
        for (claims, expected) in [
            (json!({"app_metadata": {"b24sync": {"role": "admin"}}}), [admin, admin, admin]),
            (json!({"app_metadata": {"b24sync": {"role": "viewer"}}}), [viewer, viewer, viewer]),
            (json!({"app_metadata": {"b24sync": {"role": null}}}), [operator, viewer, None]),
            (json!({"app_metadata": {"b24sync": "admin"}}), [operator, viewer, None]),
            (json!({"app_metadata": {}}), [operator, viewer, None]),
            (json!({"app_metadata": null}), [operator, viewer, None]),
            (json!({}), [operator, viewer, None]),
            (json!({"user_metadata": {"b24sync": {"role": "admin"}}}), [operator, viewer, None]),
            (json!({"b24sync": {"role": "admin"}, "role": "admin"}), [operator, viewer, None]),
            (json!({"app_metadata": {"b24sync": {"role": "Admin"}}}), [None, None, None]),
            (json!({"app_metadata": {"b24sync": {"role": ""}}}), [None, None, None]),
            (json!({"app_metadata": {"b24sync": {"role": ["admin"]}}}), [None, None, None]),
            (json!({"app_metadata": {"b24sync": {"role": true}}}), [None, None, None]),
        ] {
            let Value::Object(all) = claims else { panic!("claims are an object") };
            let claims = Claims { subject: USER.to_owned(), all };
            assert_eq!([&listed, &unlisted, &strict].map(|policy| policy.role(&claims)), expected, "{claims:?}");
        }
    }
}
