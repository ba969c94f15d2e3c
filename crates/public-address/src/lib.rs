//! Which IP addresses may be connected to: global unicast ones, and loopback where it is permitted (CORRECTNESS S7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A host name led to addresses of an inner network only.
#[derive(Debug, thiserror::Error)]
#[error("the host name leads to no public address")]
pub struct AddressRefused;

/// Resolves names through the system and drops the addresses that may not be used. Because the connection is made to
/// exactly these addresses, a name cannot lead elsewhere between check and use.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    /// Whether addresses of this machine may be used too, for development.
    pub allow_loopback: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            // The port is the client's business; 0 stands for "the usual one".
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let usable: Vec<SocketAddr> =
                found.into_iter().filter(|address| may_connect(address.ip(), allow_loopback)).collect();
            if usable.is_empty() {
                return Err(AddressRefused.into());
            }
            let addresses: Addrs = Box::new(usable.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether a connection to this address is permitted.
#[must_use]
pub fn may_connect(ip: IpAddr, allow_loopback: bool) -> bool {
    is_global(ip) || (allow_loopback && ip.to_canonical().is_loopback())
}

/// The address that the URL spells out, if it does.
#[must_use]
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        Host::Domain(_) => None,
    }
}

/// Whether this is a global unicast address (IANA special-purpose registries).
#[must_use]
pub fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => match carried_v4(ip) {
            Some(ip) => is_global_v4(ip),
            None => is_global_v6(ip),
        },
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 224)
}

/// The IPv4 address inside a mapped, translated (`64:ff9b::/96`) or 6to4 address.
fn carried_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return Some(ip);
    }
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // Documentation, benchmarking, Teredo and other protocol assignments.
        [0x2001, 0xdb8, ..] => false,
        [0x2001, second, ..] if second < 0x200 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_global_unicast_addresses_are_global() {
        for (ip, global) in [
            ("8.8.8.8", true),
            ("195.208.184.220", true),
            ("2a00:1450:4001:81b::200e", true),
            ("64:ff9b::808:808", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.0.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
            ("2001:db8::1", false),
            ("2001::1", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_global(ip.parse().unwrap()), global, "{ip}");
        }
    }

    #[test]
    fn loopback_needs_permission() {
        let ip = "127.0.0.1".parse().unwrap();
        assert!(may_connect(ip, true) && !may_connect(ip, false));
        assert!(!may_connect("10.0.0.1".parse().unwrap(), true));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
        let refused = GuardedResolver { allow_loopback: false }.resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().unwrap().is::<AddressRefused>());
        let found = GuardedResolver { allow_loopback: true }.resolve("localhost".parse().unwrap()).await;
        assert!(found.unwrap().next().is_some());
    }
}
