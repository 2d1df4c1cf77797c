//! Sources: the unit by which the bounds of all front ends count clients.
//!
//! A network operator assigns at least 64 bits of IPv6 addresses to each customer (RFC 6177 section 2), who chooses freely
//! among them, so that counting single addresses would bound nothing. IPv4 addresses that a socket for both families shows as IPv6 are IPv4 addresses.

use std::net::{IpAddr, Ipv6Addr};

/// The part of an address that identifies a client: all of IPv4, the first 64 bits of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::front) struct Source(IpAddr);

impl Source {
    /// The source of an address.
    pub(in crate::front) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

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
}
