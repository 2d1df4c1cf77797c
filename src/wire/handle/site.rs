//! HS_SITE: the site that serves a prefix, as Handle clients read it (RFC 3651 section 3.2.2).
//!
//! ```text
//!   version 1 (2) · protocol (2) · serial (2) · primary (1) · hash option (1) · hash filter (string)
//!   attributes (count; name, value) · servers (count; id (4) · address (16) · key (string) · interfaces)
//!   interface: role (1) · protocol (1) · port (4)
//! ```
//!
//! A [`SiteRecord`] holds all fields; [`encode_site`] encodes a site of the model.

use core::net::{IpAddr, Ipv6Addr};

use crate::model::limits::VALUES_BYTES_MAX;
use crate::model::site::{Ports, Site};
use crate::wire::cursor::{DecodeError, Reader, Writer};
use crate::wire::handle::code::Version;

/// Bytes of the shortest server: no key, no interface.
const SERVER_BYTES_MIN: usize = 28;
/// Bytes of an interface.
const INTERFACE_BYTES: usize = 6;
/// Bytes of the shortest attribute: two lengths.
const ATTRIBUTE_BYTES_MIN: usize = 8;

//----------- SiteRecord -----------------------------------------------------

/// A site in the data of an HS_SITE value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    /// The layout's version: 1.
    pub version: u16,
    /// Version of the protocol that the servers of the site speak.
    pub protocol: Version,
    /// Serial number, which counts the changes of the site.
    pub serial: u16,
    /// Whether the site accepts changes: [`SiteRecord::PRIMARY`], [`SiteRecord::MULTI_PRIMARY`].
    pub primary: u8,
    /// The part of a handle that selects the server: [`SiteRecord::HASH_BY_HANDLE`] and others.
    pub hash_option: u8,
    /// Hash filter; empty in practice.
    pub hash_filter: Vec<u8>,
    /// Names and values, such as `desc` and `alt_addr`.
    pub attributes: Vec<SiteAttribute>,
    /// The servers.
    pub servers: Vec<SiteServer>,
}

/// A named text about a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAttribute {
    /// The name.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// One server of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteServer {
    /// Number of the server within the site.
    pub id: u32,
    /// Address of the server: IPv6, or IPv4 after twelve zero bytes.
    pub address: [u8; 16],
    /// Public key of the server as in HS_PUBKEY; may be empty, or a PEM text.
    pub public_key: Vec<u8>,
    /// Interfaces of the server.
    pub interfaces: Vec<SiteInterface>,
}

/// An interface: what a server listens on, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteInterface {
    /// The role: [`SiteInterface::ADMIN`], [`SiteInterface::QUERY`], both, or nothing.
    pub role: u8,
    /// The protocol: [`SiteInterface::UDP`] and others.
    pub protocol: u8,
    /// The port.
    pub port: u32,
}

impl SiteRecord {
    /// The bit of a site that accepts changes.
    pub const PRIMARY: u8 = 0x80;
    /// The bit of a site with other sites that accept changes.
    pub const MULTI_PRIMARY: u8 = 0x40;
    /// The server is chosen by the prefix.
    pub const HASH_BY_PREFIX: u8 = 0;
    /// The server is chosen by the suffix.
    pub const HASH_BY_SUFFIX: u8 = 1;
    /// The server is chosen by the whole handle.
    pub const HASH_BY_HANDLE: u8 = 2;

    /// Decodes the data of an HS_SITE value; trailing bytes are refused, as other readers do.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(data);
        let version = reader.u16("site version")?;
        let [major, minor] = reader.array("site protocol")?;
        let serial = reader.u16("site serial")?;
        let [primary, hash_option] = reader.array("site hash option")?;
        let hash_filter = reader.bytes("site hash filter", VALUES_BYTES_MAX)?.to_vec();
        let count = reader.count("site attributes", VALUES_BYTES_MAX, ATTRIBUTE_BYTES_MIN)?;
        let attributes =
            (0..count).map(|_| SiteAttribute::decode(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        let count = reader.count("site servers", VALUES_BYTES_MAX, SERVER_BYTES_MIN)?;
        let servers = (0..count).map(|_| SiteServer::decode(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.finish("site")?;
        let protocol = Version::new(major, minor);
        Ok(Self { version, protocol, serial, primary, hash_option, hash_filter, attributes, servers })
    }

    /// The site of the model; none when several servers divide the handles among them, or when the record names no address
    /// or port that a site can have.
    pub fn to_site(&self) -> Option<Site> {
        let [server] = self.servers.as_slice() else {
            return None;
        };
        let port = |protocol: u8| {
            let answers =
                |one: &&SiteInterface| one.protocol == protocol && one.role & SiteInterface::QUERY != 0;
            server.interfaces.iter().find(answers).and_then(|one| u16::try_from(one.port).ok())
        };
        let ports =
            Ports { handle: port(SiteInterface::TCP), http: port(SiteInterface::HTTP), ..Ports::default() };
        let alternative = |one: &SiteAttribute| {
            let text = core::str::from_utf8(&one.value).ok().filter(|_| one.name.starts_with(b"alt_addr"));
            text.and_then(|text| text.parse().ok())
        };
        let others = self.attributes.iter().filter_map(alternative);
        let addresses = core::iter::once(server.ip_address()).chain(others).collect();
        let site = Site::new(addresses, None, ports).ok()?;
        match server.public_key.as_slice() {
            [] => Some(site),
            key => site.with_public_key(key).ok(),
        }
    }

    /// Encodes the data of an HS_SITE value.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(96);
        writer.u16(self.version).u8(self.protocol.major).u8(self.protocol.minor).u16(self.serial);
        writer.u8(self.primary).u8(self.hash_option).bytes(&self.hash_filter);
        writer.count(self.attributes.len());
        for attribute in &self.attributes {
            writer.bytes(&attribute.name).bytes(&attribute.value);
        }
        writer.count(self.servers.len());
        self.servers.iter().for_each(|server| server.encode(&mut writer));
        writer.into_vec()
    }
}

impl SiteAttribute {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.bytes("site attribute", VALUES_BYTES_MAX)?.to_vec();
        Ok(Self { name, value: reader.bytes("site attribute", VALUES_BYTES_MAX)?.to_vec() })
    }
}

impl SiteServer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = reader.u32("server id")?;
        let address = reader.array("server address")?;
        let public_key = reader.bytes("server key", VALUES_BYTES_MAX)?.to_vec();
        let count = reader.count("server interfaces", VALUES_BYTES_MAX, INTERFACE_BYTES)?;
        let interfaces = (0..count).map(|_| SiteInterface::decode(reader)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { id, address, public_key, interfaces })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.id).raw(&self.address).bytes(&self.public_key).count(self.interfaces.len());
        for interface in &self.interfaces {
            writer.u8(interface.role).u8(interface.protocol).u32(interface.port);
        }
    }

    /// Address of the server; IPv4 after zeros, except `::1`, which is an IPv6 address.
    pub fn ip_address(&self) -> IpAddr {
        match self.address {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, rest @ ..] if rest != [0, 0, 0, 1] => IpAddr::from(rest),
            address => Ipv6Addr::from(address).to_canonical(),
        }
    }
}

impl SiteInterface {
    /// The bit of an interface for changes.
    pub const ADMIN: u8 = 1;
    /// The bit of an interface for questions.
    pub const QUERY: u8 = 2;
    /// UDP.
    pub const UDP: u8 = 0;
    /// TCP.
    pub const TCP: u8 = 1;
    /// Messages in HTTP.
    pub const HTTP: u8 = 2;
    /// Messages in HTTPS.
    pub const HTTPS: u8 = 3;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [role, protocol] = reader.array("interface")?;
        Ok(Self { role, protocol, port: reader.u32("interface port")? })
    }
}

//----------- encode_site ----------------------------------------------------

/// Encodes a site, or none when it offers neither Handle nor HTTP, so that no Handle client could use it. The public
/// key is that of the server, as in HS_PUBKEY; empty where none is known.
///
/// The first address is the server's; the others are `alt_addr` attributes. TCP comes first: some clients use the
/// first interface.
pub fn encode_site(site: &Site, serial: u16, public_key: &[u8]) -> Option<Vec<u8>> {
    let ports = site.ports();
    let handle = ports.handle.map(|port| [(SiteInterface::TCP, port), (SiteInterface::UDP, port)]);
    let http = ports.http.map(|port| (SiteInterface::HTTP, port));
    let interfaces: Vec<SiteInterface> = handle.into_iter().flatten().chain(http).map(interface).collect();
    let (first, others) = site.addresses().split_first()?;
    if interfaces.is_empty() {
        return None;
    }
    let address = sixteen_bytes(*first);
    let server = SiteServer { id: 1, address, public_key: public_key.to_vec(), interfaces };
    let record = SiteRecord {
        version: 1,
        protocol: Version::OURS,
        serial,
        primary: SiteRecord::PRIMARY,
        hash_option: SiteRecord::HASH_BY_HANDLE,
        hash_filter: Vec::new(),
        attributes: others.iter().enumerate().map(alternative).collect(),
        servers: vec![server],
    };
    Some(record.encode())
}

fn interface((protocol, port): (u8, u16)) -> SiteInterface {
    SiteInterface { role: SiteInterface::ADMIN | SiteInterface::QUERY, protocol, port: port.into() }
}

fn alternative((number, address): (usize, &IpAddr)) -> SiteAttribute {
    let name = if number == 0 { "alt_addr".to_owned() } else { format!("alt_addr.{number}") };
    SiteAttribute { name: name.into_bytes(), value: address.to_string().into_bytes() }
}

/// IPv4 is in the last four bytes, after zeros.
fn sixteen_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::{SiteAttribute, SiteInterface, SiteRecord, encode_site};
    use crate::model::site::{Ports, Site};
    use crate::wire::cursor::DecodeProblem;

    fn site(addresses: &[&str], ports: Ports) -> Site {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Site::new(addresses, None, ports).expect("a site")
    }

    #[test]
    fn a_site_is_laid_out_as_clients_read_it() {
        let ports = Ports { handle: Some(2641), ..Ports::default() };
        let expected = "0001020b000780020000000000000000000000010000000100000000000000000000\
                        00007f000009000000036b657900000002030100000a51030000000a51";
        let encoded = encode_site(&site(&["127.0.0.9"], ports), 7, b"key");
        let encoded = encoded.map(|bytes| data_encoding::HEXLOWER.encode(&bytes));
        assert_eq!(encoded.as_deref(), Some(expected));
        let grpc_only = Ports { grpc: Some(1), ..Ports::default() };
        assert_eq!(encode_site(&site(&["127.0.0.9"], grpc_only), 7, b""), None);
    }

    #[test]
    fn a_site_reads_back() {
        let ports = Ports { handle: Some(2641), http: Some(8000), ..Ports::default() };
        let bytes = encode_site(&site(&["::1", "127.0.0.9", "fe80::2"], ports), 3, b"key").expect("a site");
        let record = SiteRecord::decode(&bytes).expect("it decodes");
        assert_eq!(record.encode(), bytes);
        let second = SiteAttribute { name: b"alt_addr.1".to_vec(), value: b"fe80::2".to_vec() };
        assert_eq!((record.serial, record.attributes.get(1)), (3, Some(&second)));
        let [server] = record.servers.as_slice() else { panic!("one server") };
        assert_eq!(
            (server.ip_address().to_string().as_str(), server.public_key.as_slice()),
            ("::1", &b"key"[..])
        );
        let offered: Vec<u8> = server.interfaces.iter().map(|interface| interface.protocol).collect();
        assert_eq!(offered, [SiteInterface::TCP, SiteInterface::UDP, SiteInterface::HTTP]);
        assert_eq!(server.interfaces.iter().map(|interface| interface.port).max(), Some(8000));
    }

    #[test]
    fn bytes_behind_a_site_are_refused_and_counts_are_no_promises() {
        let ports = Ports { handle: Some(2641), ..Ports::default() };
        let bytes = encode_site(&site(&["127.0.0.9"], ports), 7, b"").expect("a site");
        let longer = [bytes.as_slice(), &[0]].concat();
        let error = SiteRecord::decode(&longer).expect_err("a byte too many");
        assert_eq!(error.problem, DecodeProblem::Trailing { found: 1 });
        let blown = [&bytes[..12], &[0x7f; 4]].concat();
        let error = SiteRecord::decode(&blown).expect_err("too many attributes");
        assert_eq!(error.what, "site attributes");
        let address = SiteRecord::decode(&bytes).expect("it decodes").servers[0].ip_address();
        assert_eq!(address.to_string(), "127.0.0.9");
    }
}
