//! Sites as JSON.
//!
//! Fields that have their usual value are left out: `hashOption` 2, an empty `hashFilter`. A site whose bytes contain
//! what this form cannot express is shown as bytes.

use core::net::{IpAddr, Ipv4Addr};

use data_encoding::BASE64;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::plain::{Given, jwk, parse_given};
use super::shape::{Wrong, check_members, integer, text};
use crate::wire::handle::code::Version;
use crate::wire::handle::site::{SiteAttribute, SiteInterface, SiteRecord, SiteServer};

/// Servers of one site, interfaces of a server, and attributes at most.
const MEMBERS_MAX: usize = 256;

//----------- SiteJson -------------------------------------------------------

/// A site.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::front::http) struct SiteJson {
    /// The layout's version.
    #[schema(example = 1)]
    version: u16,
    /// Version of the protocol that the servers of the site speak.
    #[schema(example = "2.11")]
    protocol_version: String,
    /// Serial number, which counts the changes of the site.
    serial_number: u16,
    /// Whether the site accepts changes.
    primary_site: bool,
    /// Whether other sites accept changes too.
    multi_primary: bool,
    /// By which part of a handle its server is chosen: 0 prefix, 1 suffix; left out for 2, the whole handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_option: Option<u8>,
    /// Unused by the protocol.
    #[serde(skip_serializing_if = "String::is_empty")]
    hash_filter: String,
    /// Names and texts, such as `desc` and `alt_addr`.
    attributes: Vec<AttributeJson>,
    /// The servers.
    servers: Vec<ServerJson>,
}

/// A named text about a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::front::http) struct AttributeJson {
    /// The name.
    name: String,
    /// The text.
    value: String,
}

/// One server of a site.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::front::http) struct ServerJson {
    /// Number of the server within the site.
    server_id: u32,
    /// IP address of the server.
    #[schema(example = "192.0.2.7")]
    address: String,
    /// Public key of the server.
    public_key: KeyJson,
    /// Interfaces at which the server listens.
    interfaces: Vec<InterfaceJson>,
}

/// A public key: as JSON Web Key where clients know its kind, else its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "format", content = "value", rename_all = "lowercase")]
pub(in crate::front::http) enum KeyJson {
    /// RSA or DSA, as JSON Web Key.
    Key(Json),
    /// Bytes of the key in base64.
    Base64(String),
}

/// Where a server listens, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::front::http) struct InterfaceJson {
    /// Whether the interface answers questions.
    query: bool,
    /// Whether the interface accepts commands.
    admin: bool,
    /// Transport protocol of the interface.
    protocol: ProtocolJson,
    /// The port.
    #[schema(example = 2641)]
    port: u32,
}

/// What an interface speaks: TCP, UDP, HTTP or HTTPS, or a number that is none of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::front::http) enum ProtocolJson {
    /// A transport that has a name.
    Name(String),
    /// A number without a name.
    Number(u8),
}

const PROTOCOLS: [(u8, &str); 4] = [
    (SiteInterface::UDP, "UDP"),
    (SiteInterface::TCP, "TCP"),
    (SiteInterface::HTTP, "HTTP"),
    (SiteInterface::HTTPS, "HTTPS"),
];

impl SiteJson {
    /// The site in the data of an HS_SITE value; none when it cannot be said in full.
    pub(in crate::front::http) fn decode(data: &[u8]) -> Option<Self> {
        let record = SiteRecord::decode(data).ok()?;
        let site = Self::of(&record)?;
        let written = serde_json::to_value(&site).ok()?;
        (parse_site(&written).ok()? == record.encode()).then_some(site)
    }

    fn of(record: &SiteRecord) -> Option<Self> {
        let text = |bytes: &[u8]| core::str::from_utf8(bytes).ok().map(str::to_owned);
        let attribute = |attribute: &SiteAttribute| {
            Some(AttributeJson { name: text(&attribute.name)?, value: text(&attribute.value)? })
        };
        Some(Self {
            version: record.version,
            protocol_version: format!("{}.{}", record.protocol.major, record.protocol.minor),
            serial_number: record.serial,
            primary_site: record.primary & SiteRecord::PRIMARY != 0,
            multi_primary: record.primary & SiteRecord::MULTI_PRIMARY != 0,
            hash_option: (record.hash_option != SiteRecord::HASH_BY_HANDLE).then_some(record.hash_option),
            hash_filter: text(&record.hash_filter)?,
            attributes: record.attributes.iter().map(attribute).collect::<Option<_>>()?,
            servers: record.servers.iter().map(ServerJson::of).collect(),
        })
    }
}

impl ServerJson {
    fn of(server: &SiteServer) -> Self {
        let interface = |interface: &SiteInterface| InterfaceJson {
            query: interface.role & SiteInterface::QUERY != 0,
            admin: interface.role & SiteInterface::ADMIN != 0,
            protocol: ProtocolJson::of(interface.protocol),
            port: interface.port,
        };
        Self {
            server_id: server.id,
            address: server.ip_address().to_string(),
            public_key: KeyJson::of(&server.public_key),
            interfaces: server.interfaces.iter().map(interface).collect(),
        }
    }
}

impl ProtocolJson {
    fn of(number: u8) -> Self {
        let named = PROTOCOLS.iter().find(|(known, _)| *known == number);
        named.map_or(Self::Number(number), |(_, name)| Self::Name((*name).to_owned()))
    }
}

impl KeyJson {
    fn of(data: &[u8]) -> Self {
        jwk(data).map_or_else(|| Self::Base64(BASE64.encode(data)), Self::Key)
    }
}

//----------- Parsing --------------------------------------------------------

const SITE_MEMBERS: [&str; 9] = [
    "version",
    "protocolVersion",
    "serialNumber",
    "primarySite",
    "multiPrimary",
    "hashOption",
    "hashFilter",
    "attributes",
    "servers",
];

/// The HS_SITE data of a site.
pub(super) fn parse_site(json: &Json) -> Result<Vec<u8>, Wrong> {
    let Json::Object(members) = json else {
        return Err(Wrong::shape("data of format site is not an object"));
    };
    check_members("a site", members, &SITE_MEMBERS)?;
    let primary = |name, bit| if flag(members, name) { bit } else { 0 };
    let record = SiteRecord {
        version: small(members, "version")?.unwrap_or(1),
        protocol: parse_version(members)?,
        serial: small(members, "serialNumber")?.unwrap_or(0),
        primary: primary("primarySite", SiteRecord::PRIMARY)
            | primary("multiPrimary", SiteRecord::MULTI_PRIMARY),
        hash_option: small(members, "hashOption")?.unwrap_or(SiteRecord::HASH_BY_HANDLE),
        hash_filter: members.get("hashFilter").and_then(Json::as_str).unwrap_or_default().into(),
        attributes: parse_attributes(members.get("attributes"))?,
        servers: items(members.get("servers"), "servers")?
            .iter()
            .map(parse_server)
            .collect::<Result<_, _>>()?,
    };
    Ok(record.encode())
}

fn parse_version(members: &Map<String, Json>) -> Result<Version, Wrong> {
    let Some(version) = members.get("protocolVersion") else { return Ok(Version::OURS) };
    let numbers = version.as_str().and_then(|text| {
        let (major, minor) = text.split_once('.')?;
        Some(Version::new(major.parse().ok()?, minor.parse().ok()?))
    });
    numbers.ok_or_else(|| Wrong::shape("\"protocolVersion\" is not text such as \"2.11\""))
}

/// Attributes come as an array, or as an object of names and texts.
fn parse_attributes(json: Option<&Json>) -> Result<Vec<SiteAttribute>, Wrong> {
    let attribute = |name: &str, value: &str| SiteAttribute { name: name.into(), value: value.into() };
    if let Some(Json::Object(members)) = json {
        let named = members.iter().take(MEMBERS_MAX);
        let texts = named.map(|(name, value)| Ok(attribute(name, value.as_str().ok_or_else(no_text)?)));
        return texts.collect();
    }
    let parse = |item: &Json| {
        let members = item.as_object().ok_or_else(no_text)?;
        check_members("an attribute", members, &["name", "value"])?;
        Ok(attribute(text(members, "name")?, text(members, "value")?))
    };
    items(json, "attributes")?.iter().map(parse).collect()
}

fn no_text() -> Wrong {
    Wrong::shape("an attribute of a site has no text for its name and value")
}

fn parse_server(json: &Json) -> Result<SiteServer, Wrong> {
    let members = json.as_object().ok_or_else(|| Wrong::shape("a server of a site is not an object"))?;
    check_members("a server", members, &["serverId", "address", "publicKey", "interfaces"])?;
    let address = text(members, "address")?.parse::<IpAddr>();
    let address = address.map_err(|_| Wrong::shape("\"address\" of a server is not an IP address"))?;
    let public_key = match members.get("publicKey") {
        None | Some(Json::Null) => Vec::new(),
        Some(key) => match parse_given(key)? {
            Given::Bytes(key) => key,
            Given::Structured { .. } => {
                return Err(Wrong::shape("\"publicKey\" of a server is neither a key nor bytes"));
            }
        },
    };
    let interfaces = items(members.get("interfaces"), "interfaces")?;
    Ok(SiteServer {
        id: small(members, "serverId")?.unwrap_or(1),
        address: match address {
            IpAddr::V4(address) => sixteen_bytes(address),
            IpAddr::V6(address) => address.octets(),
        },
        public_key,
        interfaces: interfaces.iter().map(parse_interface).collect::<Result<_, _>>()?,
    })
}

/// An IPv4 address is in the last four bytes, after zeros.
fn sixteen_bytes(address: Ipv4Addr) -> [u8; 16] {
    let [a, b, c, d] = address.octets();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

fn parse_interface(json: &Json) -> Result<SiteInterface, Wrong> {
    let members =
        json.as_object().ok_or_else(|| Wrong::shape("an interface of a server is not an object"))?;
    check_members("an interface", members, &["query", "admin", "protocol", "port"])?;
    let role = |name, bit| if flag(members, name) { bit } else { 0 };
    let named = members.get("protocol").and_then(Json::as_str);
    let known = named.and_then(|named| PROTOCOLS.iter().find(|(_, name)| named.eq_ignore_ascii_case(name)));
    let protocol = match known {
        Some((number, _)) => *number,
        None => {
            small(members, "protocol")?.ok_or_else(|| Wrong::shape("an interface has no \"protocol\""))?
        }
    };
    Ok(SiteInterface {
        role: role("query", SiteInterface::QUERY) | role("admin", SiteInterface::ADMIN),
        protocol,
        port: small(members, "port")?.ok_or_else(|| Wrong::shape("an interface has no \"port\""))?,
    })
}

fn items<'j>(json: Option<&'j Json>, name: &str) -> Result<&'j [Json], Wrong> {
    match json {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(items)) if items.len() <= MEMBERS_MAX => Ok(items),
        Some(_) => Err(Wrong::shape(format!("{name:?} of a site is not an array of at most {MEMBERS_MAX}"))),
    }
}

fn flag(members: &Map<String, Json>, name: &str) -> bool {
    members.get(name).and_then(Json::as_bool).unwrap_or(false)
}

fn small<T: TryFrom<i64>>(members: &Map<String, Json>, name: &str) -> Result<Option<T>, Wrong> {
    let fits =
        |number| T::try_from(number).map_err(|_| Wrong::shape(format!("{name:?} {number} does not fit")));
    integer(members, name)?.map(fits).transpose()
}
