//! A portal that moved to another address answers with a redirect. Followed by hand, because a client that follows it
//! by itself turns POST into GET, and because the webhook's code must not go to strangers (CORRECTNESS F8, S7).

use url::Url;

use crate::webhook::{host_and_port, is_loopback};
use b24sync_public_address as address;

/// What a redirect asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The same portal under another host: this is the webhook's new address.
    Follow(Url),
    /// Another host that may not get the webhook's code.
    Elsewhere(String),
    /// Nothing that a moved portal says: another page of the same host, or no address at all.
    Nonsense,
}

/// Judges a redirect away from `base` + `method`.
pub(crate) fn judge(base: &Url, method: &str, location: &str, allow_loopback: bool) -> Redirect {
    let Some((asked, target)) = base.join(method).ok().and_then(|asked| {
        let target = asked.join(location).ok()?;
        Some((asked, target))
    }) else {
        return Redirect::Nonsense;
    };
    let same_host = target.origin() == asked.origin();
    if same_host || target.host_str().is_none() {
        return Redirect::Nonsense;
    }
    if target.path() != asked.path() || !may_follow(base, &target, allow_loopback) {
        return Redirect::Elsewhere(host_and_port(&target));
    }
    let mut moved = target;
    moved.set_path(base.path());
    moved.set_query(None);
    moved.set_fragment(None);
    Redirect::Follow(moved)
}

/// Whether what belongs to `base` may go to `target`.
pub(crate) fn may_follow(base: &Url, target: &Url, allow_loopback: bool) -> bool {
    if !target.username().is_empty() || target.password().is_some() {
        return false;
    }
    if allow_loopback && is_loopback(target) {
        return true;
    }
    let (Some(old), Some(new)) = (base.host_str(), target.host_str()) else { return false };
    target.scheme() == "https"
        && !is_loopback(target)
        && address::literal(target).is_none()
        && (old == new || is_cloud_portal(new) || are_relatives(old, new))
}

/// `portal.bitrix24.de`, `portal.bitrix24.com.br`.
fn is_cloud_portal(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [.., name, "bitrix24", _] => !name.is_empty(),
        [.., name, "bitrix24", "com" | "co", country] => !name.is_empty() && country.len() == 2,
        _ => false,
    }
}

/// Whether both hosts belong to one registered name. Without the public suffix list this is a guess on the safe side:
/// `crm.example.com` and `portal.example.com` do, `a.co.uk` and `b.co.uk` do not.
fn are_relatives(old: &str, new: &str) -> bool {
    let below = |host: &str, parent: &str| host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    if below(new, old) || below(old, new) {
        return is_registrable(if below(new, old) { old } else { new });
    }
    old.split_once('.').is_some_and(|(_, parent)| is_registrable(parent) && below(new, parent))
}

fn is_registrable(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    match labels.as_slice() {
        [] | [_] => false,
        [second, country] => {
            !(country.len() == 2
                && matches!(*second, "co" | "com" | "org" | "net" | "gov" | "edu" | "ac" | "or" | "ne"))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(old: &str, location: &str) -> Redirect {
        judge(&Url::parse(&format!("https://{old}/rest/1/c0de/")).unwrap(), "batch", location, false)
    }

    fn follows(old: &str, new: &str) -> bool {
        judged(old, &format!("https://{new}/rest/1/c0de/batch"))
            == Redirect::Follow(Url::parse(&format!("https://{new}/rest/1/c0de/")).unwrap())
    }

    #[test]
    fn relatives_and_cloud_portals_are_followed() {
        for (old, new, expected) in [
            ("old.bitrix24.com", "new.bitrix24.com", true),
            ("old.bitrix24.com", "new.bitrix24.de", true),
            ("crm.example.com", "new.bitrix24.com.br", true),
            ("crm.example.com", "portal.example.com", true),
            ("example.com", "crm.example.com", true),
            ("crm.example.com", "example.com", true),
            // The vendor's own.
            ("old.bitrix24.com", "bitrix24.com", true),
            ("crm.example.com", "evil.com", false),
            ("crm.example.com", "evilexample.com", false),
            ("shop.co.uk", "evil.co.uk", false),
            ("old.bitrix24.com", "x.bitrix24.evil.com", false),
            ("old.bitrix24.com", "evil.bitrix24.com.evil.com", false),
            ("old.bitrix24.com", "evilbitrix24.com", false),
            ("old.bitrix24.com", "new.bitrix24.co.evil", false),
            ("old.bitrix24.com", "old.bitrix24.com.evil.com", false),
            ("old.bitrix24.com", "me@evil.com", false),
            ("old.bitrix24.com", "new.bitrix24.com@evil.com", false),
            ("old.bitrix24.com", "new.bitrix24.com:pw@evil.com", false),
            ("old.bitrix24.com", "me:pw@new.bitrix24.com", false),
            ("old.bitrix24.com", "evil.com#new.bitrix24.com", false),
            ("old.bitrix24.com", "evil.com?new.bitrix24.com", false),
            ("old.bitrix24.com", "evil.com\\new.bitrix24.com", false),
            ("crm.example.com", "xexample.com", false),
            ("crm.example.com", "com", false),
            ("crm.example.com", "example.com.evil.com", false),
            ("crm.example.com", "example.co", false),
            ("a.gov.uk", "b.gov.uk", false),
            ("old.bitrix24.com", "127.0.0.1", false),
            ("old.bitrix24.com", "127.1", false),
            ("old.bitrix24.com", "2130706433", false),
            ("old.bitrix24.com", "0x7f000001", false),
            ("old.bitrix24.com", "169.254.169.254", false),
            ("old.bitrix24.com", "8.8.8.8", false),
            ("old.bitrix24.com", "[::1]", false),
            ("old.bitrix24.com", "[::ffff:169.254.169.254]", false),
            ("old.bitrix24.com", "[64:ff9b::a9fe:a9fe]", false),
            ("old.bitrix24.com", "[2600::1]", false),
            ("old.bitrix24.com", "localhost", false),
            ("old.bitrix24.com", "new.bitrix24.localhost", false),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            assert_eq!(follows(old, new), expected, "{old} → {new}");
        }
    }

    #[test]
    fn other_paths_and_http_are_not() {
        for location in [
            "http://new.bitrix24.com/rest/1/c0de/batch",
            "https://new.bitrix24.com/login",
            "https://new.bitrix24.com/rest/1/c0de/batch/",
            "https://new.bitrix24.com//rest/1/c0de/batch",
            "https://new.bitrix24.com/rest/1/c0de/../batch",
            "https://new.bitrix24.com/rest/1/other/batch",
            "ftp://new.bitrix24.com/rest/1/c0de/batch",
            "ws://new.bitrix24.com/rest/1/c0de/batch",
            "//new.bitrix24.com/auth/",
        ] {
            assert_eq!(judged("old.bitrix24.com", location), Redirect::Elsewhere("new.bitrix24.com".to_owned()));
        }
        for location in [
            "",
            "/auth/",
            "https://old.bitrix24.com/rest/1/c0de/batch",
            "https://old.bitrix24.com:443/elsewhere",
            "https://",
            "https://[::1",
            "mailto:a@b",
            "data:text/html,x",
            "javascript:alert(1)",
            "file:///etc/passwd",
        ] {
            assert_eq!(judged("old.bitrix24.com", location), Redirect::Nonsense, "{location}");
        }
    }

    #[test]
    fn loopback_needs_permission() {
        let base = Url::parse("http://127.0.0.1:1/rest/1/c0de/").unwrap();
        let location = "http://127.0.0.1:2/rest/1/c0de/batch";
        assert!(matches!(judge(&base, "batch", location, true), Redirect::Follow(_)));
        assert!(matches!(judge(&base, "batch", location, false), Redirect::Elsewhere(_)));
    }
}
