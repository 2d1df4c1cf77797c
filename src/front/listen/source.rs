//! Sources: the unit by which the bounds of all front ends count clients.
//!
//! A network operator assigns at least 64 bits of IPv6 addresses to each customer (RFC 6177 section 2), who chooses freely
//! among them, so that counting single addresses would bound nothing. IPv4 addresses that a socket for both families shows as
//! IPv6 are IPv4 addresses.
//!
//! Addresses of a configured network may be exempt, such as those of a reverse proxy, behind which many clients are: what
//! they take is bounded by the totals alone. [`Exemptions`] decides it once for every bound.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

/// The part of an address that identifies a client: all of IPv4, the first 64 bits of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::front) struct Source {
    address: IpAddr,
    is_exempt: bool,
}

impl Source {
    /// Whether it is bounded by the totals alone.
    pub(in crate::front) fn is_exempt(self) -> bool {
        self.is_exempt
    }

    /// How much it may take of a resource of which one source may take so much.
    pub(in crate::front) fn share(self, per_source: usize) -> usize {
        if self.is_exempt { usize::MAX } else { per_source }
    }

    /// The same source without its exemption, for what not even exempt sources may take from others.
    pub(in crate::front) fn bounded(self) -> Self {
        Self { is_exempt: false, ..self }
    }

    /// The source of an address that is not exempt.
    #[cfg(test)]
    pub(in crate::front) fn of(address: IpAddr) -> Self {
        Exemptions::default().source_of(address)
    }
}

//----------- Exemptions -----------------------------------------------------

/// The networks whose addresses are exempt; they tell which source an address belongs to.
#[derive(Clone, Debug, Default)]
pub(in crate::front) struct Exemptions {
    exempt_networks: Arc<[IpNet]>,
}

impl Exemptions {
    /// The addresses of these networks are exempt.
    pub(in crate::front) fn new(exempt_networks: &[IpNet]) -> Self {
        Self { exempt_networks: exempt_networks.into() }
    }

    /// The source of an address.
    pub(in crate::front) fn source_of(&self, address: IpAddr) -> Source {
        let address = address.to_canonical();
        let is_exempt = self.exempt_networks.iter().any(|network| network.contains(&address));
        let address = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        };
        Source { address, is_exempt }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exemptions, Source};

    fn source(text: &str) -> Source {
        Source::of(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:0:0:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn an_ipv4_address_is_its_own_source_however_it_is_shown() {
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("::ffff:192.0.2.1"), source("::ffff:192.0.2.2"));
    }

    #[test]
    fn addresses_of_exempt_networks_have_no_share_of_their_own() {
        let networks = ["192.0.2.0/24", "2001:db8::/48"].map(|text| text.parse().expect("a network"));
        let exemptions = Exemptions::new(&networks);
        let share = |text: &str| exemptions.source_of(text.parse().expect("an address")).share(7);
        assert_eq!(["192.0.2.1", "::ffff:192.0.2.9", "2001:db8:0:7::1"].map(share), [usize::MAX; 3]);
        assert_eq!(["198.51.100.1", "2001:db8:1::1"].map(share), [7; 2]);
        let exempt = exemptions.source_of(networks[0].addr());
        assert_eq!((exempt.is_exempt(), exempt.bounded().share(7)), (true, 7));
    }
}
