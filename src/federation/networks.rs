//! The networks in which recursion may connect to other nodes.
//!
//! A lower node chooses the addresses of its site, and anybody may ask about its prefix. Without a bound, it could make this
//! node connect to services that only this node reaches, and the answers would show which ports are open there. So only
//! addresses of the public Internet are contacted, and the networks that the configuration adds.
//!
//! [`AllowedNetworks::connect`] makes every connection of recursion, so that what is checked is the very address that is
//! connected to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::net::TcpStream;

/// IPv4 networks that are not part of the public Internet (IANA IPv4 special-purpose address registry, RFC 6890).
const SPECIAL_V4: [Ipv4Net; 15] = [
    // This network, with the unspecified address (RFC 791).
    v4([0, 0, 0, 0], 8),
    // Private use (RFC 1918).
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    // Shared by customers of a provider (RFC 6598).
    v4([100, 64, 0, 0], 10),
    // Loopback (RFC 1122).
    v4([127, 0, 0, 0], 8),
    // Link-local (RFC 3927), with the metadata services of clouds.
    v4([169, 254, 0, 0], 16),
    // Protocol assignments (RFC 6890), and relays to IPv6 (RFC 7526).
    v4([192, 0, 0, 0], 24),
    v4([192, 88, 99, 0], 24),
    // Documentation (RFC 5737).
    v4([192, 0, 2, 0], 24),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Benchmarks (RFC 2544).
    v4([198, 18, 0, 0], 15),
    // Multicast (RFC 5771); reserved, with the limited broadcast address (RFC 1112).
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// Global unicast, the only part of IPv6 that is assigned to the public Internet (RFC 4291 section 2.4). Loopback,
/// unspecified, unique-local, link-local, multicast and translated addresses are outside.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0], 3);

/// Networks within global unicast that are not hosts of the public Internet (IANA IPv6 special-purpose address registry).
const SPECIAL_V6: [Ipv6Net; 4] = [
    // Protocol assignments, with Teredo, which carries IPv4 addresses (RFC 2928, RFC 4380).
    v6([0x2001, 0], 23),
    // Documentation (RFC 3849, RFC 9637).
    v6([0x2001, 0xdb8], 32),
    v6([0x3fff, 0], 20),
    // 6to4, which carries IPv4 addresses (RFC 3056).
    v6([0x2002, 0], 16),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([first, second]: [u16; 2], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), length)
}

//----------- AllowedNetworks ------------------------------------------------

/// Whether a node may contact itself and other programs on its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoopbackUse {
    /// Loopback addresses are not contacted.
    #[default]
    Refused,
    /// Loopback addresses are contacted: nobody on another machine can ask this node to do so.
    Allowed,
}

/// The networks in which recursion may connect to other nodes. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct AllowedNetworks {
    added: Arc<[IpNet]>,
    loopback: LoopbackUse,
}

impl AllowedNetworks {
    /// The public Internet, these networks, and loopback addresses as stated.
    pub fn new(added: &[IpNet], loopback: LoopbackUse) -> Self {
        Self { added: added.iter().map(canonical).collect(), loopback }
    }

    /// Whether an address may be connected to. An IPv4 address in the form of IPv6 counts as the IPv4 address.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.added.iter().any(|network| network.contains(&address))
            || (self.loopback == LoopbackUse::Allowed && address.is_loopback())
            || is_public(address)
    }

    /// Connects to an address that may be connected to. Safe to drop.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        if !self.allow(address.ip()) {
            let problem = format!(
                "{} is not an address of the public Internet; to have this node contact it, add its network to \
                 recursion.networks",
                address.ip()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// A network of IPv4 addresses in the form of IPv6, as the IPv4 network.
fn canonical(network: &IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(network) if network.prefix_len() >= 96 => network.addr().to_ipv4_mapped(),
        IpNet::V4(_) | IpNet::V6(_) => None,
    };
    let mapped = mapped.and_then(|address| Ipv4Net::new(address, network.prefix_len() - 96).ok());
    mapped.map_or(*network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{AllowedNetworks, LoopbackUse};

    fn allowed(networks: &AllowedNetworks, texts: &[&str]) -> Vec<bool> {
        let address = |text: &&str| text.parse::<IpAddr>().expect("an address");
        texts.iter().map(|text| networks.allow(address(text))).collect()
    }

    const PUBLIC: [&str; 6] =
        ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2400:3200::1", "2606:4700::1", "::ffff:1.1.1.1"];
    const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "::ffff:127.1.2.3"];
    const SPECIAL: [&str; 33] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fd00::1",
        "fe80::1",
        "ff02::1",
    ];

    #[test]
    fn only_the_public_internet_is_contacted_by_default() {
        let networks = AllowedNetworks::default();
        assert_eq!(allowed(&networks, &PUBLIC), [true; 6]);
        assert_eq!(allowed(&networks, &LOOPBACK), [false; 3]);
        for special in SPECIAL {
            assert_eq!(allowed(&networks, &[special]), [false], "{special}");
        }
    }

    #[test]
    fn configured_networks_are_added_however_their_addresses_are_written() {
        let added = ["10.2.0.0/16", "fd00:1::/32", "::ffff:192.168.7.0/120", "192.0.2.9/32"];
        let added = added.map(|text| text.parse().expect("a network"));
        let networks = AllowedNetworks::new(&added, LoopbackUse::Refused);
        let inside = ["10.2.3.4", "::ffff:10.2.3.4", "fd00:1::9", "192.168.7.7", "192.0.2.9"];
        assert_eq!(allowed(&networks, &inside), [true; 5]);
        assert_eq!(allowed(&networks, &PUBLIC), [true; 6]);
        let outside = ["10.3.0.1", "fd00:2::9", "192.168.8.1", "192.0.2.8", "127.0.0.1"];
        assert_eq!(allowed(&networks, &outside), [false; 5]);
    }

    #[test]
    fn loopback_is_contacted_where_that_is_stated_and_nothing_else_is() {
        let networks = AllowedNetworks::new(&[], LoopbackUse::Allowed);
        assert_eq!(allowed(&networks, &LOOPBACK), [true; 3]);
        for special in SPECIAL {
            assert_eq!(allowed(&networks, &[special]), [false], "{special}");
        }
    }

    /// The connection itself is refused, so that no way around the list is left.
    #[tokio::test]
    async fn a_connection_outside_of_the_networks_is_not_made() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let error = AllowedNetworks::default().connect(address).await.expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("recursion.networks"), "{error}");
        let networks = AllowedNetworks::new(&[], LoopbackUse::Allowed);
        assert!(networks.connect(address).await.is_ok());
    }
}
