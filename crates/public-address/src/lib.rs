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
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Addrs = Box::new(usable(found, allow_loopback)?.into_iter());
            Ok(addresses)
        })
    }
}

/// Of the addresses that a name has, those that may be used: one that is not does not spoil the others.
fn usable(found: impl Iterator<Item = SocketAddr>, allow_loopback: bool) -> Result<Vec<SocketAddr>, AddressRefused> {
    let usable: Vec<SocketAddr> = found.filter(|address| may_connect(address.ip(), allow_loopback)).collect();
    if usable.is_empty() { Err(AddressRefused) } else { Ok(usable) }
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
        for ip in [
            "8.8.8.8",
            "1.1.1.1",
            "195.208.184.220",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2a00:1450:4001:81b::200e",
            "2001:200::1",
            "2600::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.1.2.3",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.0.0.53",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.17.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::10.0.0.1",
            "::ffff:0.0.0.0",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:192.168.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2002:a00:1::",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_inner_address_is_seen_in_a_url_however_it_is_spelled() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "0177.0.0.01",
            "0x7F.0x0.0x0.0x1",
            "%31%32%37.0.0.1",
            "127.0.0.1.",
            "１２７.0.0.1",
            "127。0。0。1",
            "①②⑦.⓪.⓪.①",
            "0",
            "0.0.0.0",
            "10.1",
            "012.0.0.1",
            "167772161",
            "192.168.257",
            "3232235777",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:a9fe:a9fe]",
            "[::7f00:1]",
            "[64:ff9b::169.254.169.254]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ] {
            let url = Url::parse(&format!("https://{host}/rest/1/c0de/")).unwrap();
            let ip = literal(&url).unwrap_or_else(|| panic!("{host} is {url}"));
            assert!(!may_connect(ip, false), "{host} is {ip}");
        }
        for host in ["[fe80::1%25eth0]", "127.0.0.1:99999", "[::1", "256.1.1.1", "0x1ffffffff", "1.2.3.4.5"] {
            assert!(Url::parse(&format!("https://{host}/")).is_err(), "{host} is an address");
        }
    }

    #[test]
    fn a_name_may_lead_outside_and_inside_and_only_outside_is_gone_to() {
        let addresses = |ips: &[&str]| -> Vec<SocketAddr> {
            ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect()
        };
        for (found, kept) in [
            (["8.8.8.8", "10.0.0.1"].as_slice(), ["8.8.8.8"].as_slice()),
            (&["::1", "127.0.0.1", "1.1.1.1"], &["1.1.1.1"]),
            (&["169.254.169.254", "2600::1"], &["2600::1"]),
        ] {
            assert_eq!(usable(addresses(found).into_iter(), false).unwrap(), addresses(kept), "{found:?}");
        }
        for found in [["127.0.0.1", "::1"], ["10.0.0.1", "fd00::1"], ["169.254.169.254", "::ffff:169.254.169.254"]] {
            assert!(usable(addresses(&found).into_iter(), false).is_err(), "{found:?}");
        }
        assert_eq!(usable(addresses(&["127.0.0.1", "10.0.0.1"]).into_iter(), true).unwrap(), addresses(&["127.0.0.1"]));
        assert!(usable(std::iter::empty(), true).is_err());
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
