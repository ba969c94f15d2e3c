//! The HTTP interface: whose tokens it takes, and what is open without one.

use std::net::IpAddr;

use b24sync_domain::access::Role;
use b24sync_domain::doctor::{Finding, catalogue};

use super::limit::{self, limited};
use super::premises::{ProjectPremises, ServicePremises};

pub(super) async fn check(service: &ServicePremises) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &service.project {
        Some(project) => findings.extend(of_project(project).await),
        None => findings.push(Finding::warn(
            catalogue::API_PROJECT,
            "no Supabase project is set: the API lets nobody in, only /health answers",
            "set SUPABASE_URL, unless nobody is to call it (docs/auth.md)",
        )),
    }
    findings.push(metrics(service));
    findings.push(bind(&service.host));
    findings
}

async fn of_project(project: &ProjectPremises) -> Vec<Finding> {
    let seen = format!("tokens of the issuer {} for the audience `authenticated`", project.keys.issuer());
    vec![Finding::ok(catalogue::API_PROJECT, seen), keys(project).await, secret(project), roles(project.default_role)]
}

async fn keys(project: &ProjectPremises) -> Finding {
    let check = catalogue::API_KEYS;
    match limited(limit::DATABASE, project.keys.published_keys()).await {
        Ok(0) if project.has_secret => Finding::ok(check, "no public keys; tokens are verified by SUPABASE_JWT_SECRET"),
        Ok(0) => Finding::fail(
            check,
            "the project publishes no key that verifies tokens, so that every token is refused",
            "let the project sign by asymmetric keys (Supabase: Project Settings, JWT Keys), or set SUPABASE_JWT_SECRET",
        ),
        Ok(keys) => Finding::ok(check, format!("keys: {keys}")),
        Err(problem) => Finding::fail(
            check,
            format!("the project's keys cannot be had: {}", problem.seen),
            "check SUPABASE_URL and that this machine can reach it; without keys every token is answered with 503",
        ),
    }
}

fn secret(project: &ProjectPremises) -> Finding {
    let check = catalogue::API_SECRET;
    match project.secret_weakness {
        Some(weakness) => Finding::fail(
            check,
            format!("SUPABASE_JWT_SECRET {weakness}: whoever guesses it can make tokens with any role"),
            "make another secret for the project and set it here too, or go over to asymmetric keys and unset it",
        ),
        None if project.has_secret => {
            Finding::ok(check, "long and not one that is known; tokens signed by it are accepted")
        }
        None => Finding::ok(check, "none is set: only the project's own keys count"),
    }
}

fn roles(default: Option<Role>) -> Finding {
    let check = catalogue::API_ROLES;
    match default {
        Some(role @ (Role::Operator | Role::Admin)) => Finding::warn(
            check,
            format!("every user of the project has the role {role}"),
            "set AUTH_DEFAULT_ROLE to viewer or none, and give roles by app_metadata or by AUTH_OPERATORS and AUTH_ADMINS",
        ),
        Some(Role::Viewer) => Finding::ok(check, "every user of the project may look"),
        None => Finding::ok(check, "a user needs a role of their own"),
    }
}

fn metrics(service: &ServicePremises) -> Finding {
    let check = catalogue::API_METRICS;
    match service.metrics_bind {
        Some(address) if !is_near(address.ip()) || address.ip().is_unspecified() => Finding::warn(
            check,
            format!("served without a token at {address}"),
            "set METRICS_BIND to an address that only the watchers reach, 127.0.0.1:9464 for example, or use METRICS_TOKEN instead",
        ),
        Some(address) => Finding::ok(check, format!("served without a token at {address}")),
        None if service.metrics_token => Finding::ok(check, "served with a token"),
        None => Finding::ok(check, "closed"),
    }
}

fn bind(host: &str) -> Finding {
    let check = catalogue::API_BIND;
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Finding::ok(
            check,
            format!("{host}: every address of this machine; it speaks no TLS, so that a proxy belongs before it"),
        ),
        Ok(address) if !is_near(address) => Finding::warn(
            check,
            format!("{host} is an address of the Internet, and the service speaks no TLS"),
            "set HOST to 127.0.0.1 or to an inner address, and put a proxy with a certificate before it",
        ),
        _ => Finding::ok(check, host),
    }
}

/// Whether an address is one of this machine or of its own network.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local() || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use b24sync_domain::doctor::Verdict;

    #[test]
    fn an_address_of_the_internet_is_warned_about() {
        for (host, verdict) in [
            ("0.0.0.0", Verdict::Ok),
            ("127.0.0.1", Verdict::Ok),
            ("10.1.2.3", Verdict::Ok),
            ("localhost", Verdict::Ok),
            ("fd00::1", Verdict::Ok),
            ("8.8.8.8", Verdict::Warn),
            ("::ffff:8.8.8.8", Verdict::Warn),
            ("2001:4860:4860::8888", Verdict::Warn),
        ] {
            assert_eq!(bind(host).verdict, verdict, "{host}");
        }
    }

    #[test]
    fn figures_without_a_token_are_for_near_addresses() {
        for (address, verdict) in [
            (None, Verdict::Ok),
            (Some("127.0.0.1:9464"), Verdict::Ok),
            (Some("0.0.0.0:9464"), Verdict::Warn),
            (Some("8.8.8.8:9464"), Verdict::Warn),
        ] {
            let service = ServicePremises {
                project: None,
                host: String::new(),
                metrics_bind: address.map(|address| address.parse().unwrap()),
                metrics_token: false,
                application_tokens: 0,
            };
            assert_eq!(metrics(&service).verdict, verdict, "{address:?}");
        }
    }

    #[test]
    fn a_role_for_everybody_is_one_that_only_looks() {
        let verdict = |role| roles(role).verdict;
        assert_eq!((verdict(None), verdict(Some(Role::Viewer))), (Verdict::Ok, Verdict::Ok));
        assert_eq!((verdict(Some(Role::Operator)), verdict(Some(Role::Admin))), (Verdict::Warn, Verdict::Warn));
    }
}
