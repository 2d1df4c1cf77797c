//! Site: the addresses and ports that serve a prefix, and the key by which its answers are verified.

use core::fmt;
use std::net::IpAddr;

use super::limits::{SITE_ADDRESSES_MAX, SITE_KEY_BYTES_MAX};

//----------- Site -----------------------------------------------------------

/// The addresses and ports at which a node answers for its prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    addresses: Vec<IpAddr>,
    host_name: Option<Box<str>>,
    ports: Ports,
    public_key: Option<Box<[u8]>>,
}

/// The port of each protocol; none where it is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// gRPC.
    pub grpc: Option<u16>,
    /// DNS over UDP and TCP; a zone cut is made only for port 53.
    pub dns: Option<u16>,
    /// The Handle protocol over UDP and TCP.
    pub handle: Option<u16>,
    /// HTTP.
    pub http: Option<u16>,
}

impl Site {
    /// Checks a site: 1 to 16 addresses, at least one port, and a well-formed host name when there is one.
    pub fn new(addresses: Vec<IpAddr>, host_name: Option<&str>, ports: Ports) -> Result<Self, SiteError> {
        if addresses.is_empty() || addresses.len() > SITE_ADDRESSES_MAX {
            return Err(SiteError::Addresses { count: addresses.len() });
        }
        if let Some(address) =
            addresses.iter().find(|address| address.is_unspecified() || address.is_multicast())
        {
            return Err(SiteError::Address { found: *address });
        }
        if let Some(name) = host_name.filter(|name| !is_host_name(name)) {
            return Err(SiteError::HostName { found: name.chars().take(64).collect() });
        }
        let offered = [ports.grpc, ports.dns, ports.handle, ports.http];
        if offered.iter().all(Option::is_none) || offered.contains(&Some(0)) {
            return Err(SiteError::Ports);
        }
        Ok(Self { addresses, host_name: host_name.map(Into::into), ports, public_key: None })
    }

    /// The same site with the public key of its Handle server, as HS_PUBKEY data; only its length is checked here.
    pub fn with_public_key(self, key: &[u8]) -> Result<Self, SiteError> {
        if key.is_empty() || key.len() > SITE_KEY_BYTES_MAX {
            let reason = format!("it has {} bytes; 1 to {SITE_KEY_BYTES_MAX} are allowed", key.len());
            return Err(SiteError::PublicKey { reason });
        }
        Ok(Self { public_key: Some(key.into()), ..self })
    }

    /// IPv4 and IPv6 addresses, the preferred first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The name in its TLS certificate; none where it speaks plain text.
    pub fn host_name(&self) -> Option<&str> {
        self.host_name.as_deref()
    }

    /// The port of each protocol.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The public key of its Handle server, as HS_PUBKEY data; none where it is not known.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

//----------- SiteError ------------------------------------------------------

/// Why a site is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteError {
    /// No address, or too many.
    Addresses {
        /// Addresses found.
        count: usize,
    },
    /// An address that cannot be reached.
    Address {
        /// The address.
        found: IpAddr,
    },
    /// A host name that DNS and TLS do not allow.
    HostName {
        /// The beginning of what was found.
        found: String,
    },
    /// No port at all, or port 0.
    Ports,
    /// A public key that is too long, or no key.
    PublicKey {
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses { count } => {
                write!(f, "site has {count} addresses; 1 to {SITE_ADDRESSES_MAX} are allowed")
            }
            Self::Address { found } => {
                write!(f, "site address {found} is not the address of a host; name a unicast address")
            }
            Self::HostName { found } => {
                write!(
                    f,
                    "{found:?} is not a host name; write labels of letters, digits and '-' such as node.example"
                )
            }
            Self::Ports => f.write_str(
                "site offers no port from 1 to 65535; name at least one of grpc, dns, handle, http",
            ),
            Self::PublicKey { reason } => write!(
                f,
                "public key of the site cannot be used: {reason}; name the RSA, DSA or SM2 key of its Handle server"
            ),
        }
    }
}

impl core::error::Error for SiteError {}

#[cfg(test)]
mod tests {
    use super::{Ports, Site, SiteError};

    #[test]
    fn a_site_has_an_address_and_a_port() {
        let ports = Ports { grpc: Some(7000), ..Ports::default() };
        assert_eq!(Site::new(Vec::new(), None, ports), Err(SiteError::Addresses { count: 0 }));
        let here = vec!["127.0.0.1".parse().expect("an address")];
        assert_eq!(Site::new(here.clone(), None, Ports::default()), Err(SiteError::Ports));
        let named = Site::new(here.clone(), Some("node.example"), ports).expect("a site");
        assert_eq!(named.host_name(), Some("node.example"));
        let found = "a b".to_owned();
        assert_eq!(Site::new(here, Some("a b"), ports), Err(SiteError::HostName { found }));
        assert_eq!(named.public_key(), None);
        let keyed = named.clone().with_public_key(b"key").expect("a key");
        assert_eq!((keyed.public_key(), keyed == named), (Some(&b"key"[..]), false));
        for bytes in [0, 4_097] {
            let refused = named.clone().with_public_key(&vec![1; bytes]).expect_err("no key");
            assert!(matches!(refused, SiteError::PublicKey { .. }), "{refused}");
        }
    }
}
