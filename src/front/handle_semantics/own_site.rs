//! The HS_SITE of this node, by which clients find it again: the announced one, else the address that was asked.

use std::net::SocketAddr;

use crate::model::site::{Ports, Site};
use crate::resolver::Resolver;
use crate::wire::handle::site::encode_site;

/// The serial of this node's HS_SITE: always the first, so that no client looks for a newer one. The site changes only
/// with the configuration.
pub(in crate::front) const SITE_SERIAL: u16 = 1;

/// The address at which this node was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum AskedAt {
    /// Over the Handle protocol.
    Handle(SocketAddr),
    /// Over HTTP, also for a Handle message that HTTP carries.
    Http(SocketAddr),
}

impl AskedAt {
    fn site(self) -> Option<Site> {
        let (address, ports) = match self {
            Self::Handle(address) => (address, Ports { handle: Some(address.port()), ..Ports::default() }),
            Self::Http(address) => (address, Ports { http: Some(address.port()), ..Ports::default() }),
        };
        Site::new(vec![address.ip()], None, ports).ok()
    }
}

/// The data of this node's HS_SITE; none when no site is announced and the address is not known.
pub(in crate::front) fn encode_own_site(
    resolver: &Resolver,
    public_key: &[u8],
    asked_at: Option<AskedAt>,
) -> Option<Vec<u8>> {
    let encode = |site: &Site| encode_site(site, SITE_SERIAL, public_key);
    resolver.site().and_then(encode).or_else(|| encode(&asked_at?.site()?))
}
