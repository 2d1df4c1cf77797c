//! The machine form: a private record type that carries a value exactly.
//!
//! TYPE65416 (0xff88, of the range for private use, RFC 6895 section 3.1). Integers are big-endian:
//!
//! ```text
//!   value: 1 · index u32 · permissions u8 · TTL kind u8 (0 relative, 1 absolute) · TTL u32 · timestamp u32
//!          · type length u8, type · references u8, each: index u32, identifier length u16, identifier · data (the rest)
//!   stub:  2 · for each value: index u32 · bytes of data u32 · SHA-256 of data, its first 20 bytes
//!   site:  3 · ports u16: gRPC, DNS, Handle, HTTP, each 0 where not offered · host name length u8, host name
//!          · addresses u8, each: 4 or 6 u8, its 4 or 16 bytes
//! ```
//!
//! A site record is at the name of a prefix that is delegated to a site without DNS: it holds the addresses to ask
//! instead. A stub replaces values that fit no message: it lists them, so that nothing is cut silently. A reader ignores
//! a record whose first byte is unknown to it.

use core::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::model::identifier::Identifier;
use crate::model::limits::{IDENTIFIER_BYTES_MAX, REFERENCES_MAX, VALUE_TYPE_BYTES_MAX, VALUES_MAX};
use crate::model::site::{Ports, Site};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueType};
use crate::wire::cursor::{DecodeError, DecodeProblem, Reader, Writer};

/// The number of the machine form's record type.
pub const MACHINE_TYPE: u16 = 0xff88;

const FORM_VALUE: u8 = 1;
const FORM_STUB: u8 = 2;
const FORM_SITE: u8 = 3;
const TTL_RELATIVE: u8 = 0;
const TTL_ABSOLUTE: u8 = 1;
/// Bytes of a value's machine form without its type, references and data.
const VALUE_BYTES: usize = 1 + 4 + 1 + 1 + 4 + 4 + 1 + 1;
/// Bytes of one entry of a stub.
const STUB_LINE_BYTES: usize = 4 + 4 + STUB_DIGEST_BYTES;
/// Bytes of a digest in a stub.
const STUB_DIGEST_BYTES: usize = 20;

const _: () = {
    assert!(VALUE_TYPE_BYTES_MAX <= 0xff && REFERENCES_MAX <= 0xff && IDENTIFIER_BYTES_MAX <= 0xffff);
    // The stub of the fullest identifier fits one message of 64 KiB, with a name and header around it.
    assert!(1 + VALUES_MAX * STUB_LINE_BYTES + 1_024 < 0xffff);
};

//----------- Machine --------------------------------------------------------

/// The contents of a record of the machine form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A complete value.
    Value(Value),
    /// A list of the values that fit no message.
    Stub(Vec<StubLine>),
    /// The site to ask for a prefix.
    Site(Site),
}

/// One value in a stub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StubLine {
    /// Index of the value.
    pub index: Index,
    /// Number of bytes of the value's data.
    pub data_bytes: u32,
    /// First 20 bytes of the SHA-256 of the value's data.
    pub digest: [u8; STUB_DIGEST_BYTES],
}

impl StubLine {
    /// Describes a value in a stub.
    pub fn of(value: &Value) -> Self {
        let mut digest = [0; STUB_DIGEST_BYTES];
        for (byte, own) in digest.iter_mut().zip(Sha256::digest(&value.data).iter()) {
            *byte = *own;
        }
        Self {
            index: value.index,
            // A value's data is bounded far below 4 GiB (limits::VALUES_BYTES_MAX).
            data_bytes: u32::try_from(value.data.len()).unwrap_or(u32::MAX),
            digest,
        }
    }
}

/// Encodes a value.
pub fn encode_value(value: &Value) -> Vec<u8> {
    let mut writer = Writer::with_capacity(encoded_bytes(value));
    let (kind, seconds) = match value.ttl {
        Ttl::Relative(seconds) => (TTL_RELATIVE, seconds),
        Ttl::Absolute(until) => (TTL_ABSOLUTE, until),
    };
    writer.u8(FORM_VALUE).u32(value.index.get()).u8(value.permissions.bits());
    writer.u8(kind).u32(seconds).u32(value.timestamp);
    let value_type = value.value_type.as_str();
    // Types, references and identifiers are bounded by the model; the relations are asserted above.
    writer.u8(u8::try_from(value_type.len()).unwrap_or(u8::MAX)).raw(value_type.as_bytes());
    writer.u8(u8::try_from(value.references.len()).unwrap_or(u8::MAX));
    for reference in &value.references {
        let text = reference.identifier.to_string();
        writer.u32(reference.index).u16(u16::try_from(text.len()).unwrap_or(u16::MAX)).raw(text.as_bytes());
    }
    writer.raw(&value.data);
    writer.into_vec()
}

/// Encodes the stub of values.
pub fn encode_stub(values: &[Value]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(1 + values.len() * STUB_LINE_BYTES);
    writer.u8(FORM_STUB);
    for line in values.iter().map(StubLine::of) {
        writer.u32(line.index.get()).u32(line.data_bytes).raw(&line.digest);
    }
    writer.into_vec()
}

/// Encodes a site.
pub fn encode_site(site: &Site) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    let Ports { grpc, dns, handle, http } = site.ports();
    writer.u8(FORM_SITE);
    for port in [grpc, dns, handle, http] {
        writer.u16(port.unwrap_or(0));
    }
    // A host name has at most 253 bytes, a site at most 16 addresses (see the model).
    let host_name = site.host_name().unwrap_or_default();
    writer.u8(u8::try_from(host_name.len()).unwrap_or(u8::MAX)).raw(host_name.as_bytes());
    writer.u8(u8::try_from(site.addresses().len()).unwrap_or(u8::MAX));
    for address in site.addresses() {
        match address {
            IpAddr::V4(address) => writer.u8(4).raw(&address.octets()),
            IpAddr::V6(address) => writer.u8(6).raw(&address.octets()),
        };
    }
    writer.into_vec()
}

/// Bytes of a value's machine form.
pub fn encoded_bytes(value: &Value) -> usize {
    let references: usize = value
        .references
        .iter()
        .map(|reference| {
            let identifier = &reference.identifier;
            6 + identifier.prefix().as_str().len() + 1 + identifier.suffix().len()
        })
        .sum();
    VALUE_BYTES + value.value_type.as_str().len() + references + value.data.len()
}

/// Decodes the output of [`encode_value`], [`encode_stub`] or [`encode_site`].
pub fn decode(bytes: &[u8]) -> Result<Machine, DecodeError> {
    let mut reader = Reader::new(bytes);
    match reader.u8("form")? {
        FORM_VALUE => decode_value(&mut reader).map(Machine::Value),
        FORM_STUB => decode_stub(&mut reader).map(Machine::Stub),
        FORM_SITE => decode_site(&mut reader).map(Machine::Site),
        _ => Err(reader.refuse("form")),
    }
}

fn decode_value(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    let index = decode_index(reader)?;
    let permissions = reader.u8("permissions")?;
    if permissions > 0xf {
        return Err(reader.refuse("permissions"));
    }
    let kind = reader.u8("TTL kind")?;
    let seconds = reader.u32("TTL")?;
    let ttl = match kind {
        TTL_RELATIVE => Ttl::Relative(seconds),
        TTL_ABSOLUTE => Ttl::Absolute(seconds),
        _ => return Err(reader.refuse("TTL kind")),
    };
    let timestamp = reader.u32("timestamp")?;
    let type_bytes = usize::from(reader.u8("type length")?);
    let value_type = decode_text(reader, "type", type_bytes)?;
    let value_type = ValueType::new(value_type).map_err(|_| reader.refuse("type"))?;
    let mut references = Vec::new();
    for _ in 0..reader.u8("references")? {
        let index = reader.u32("reference index")?;
        let bytes = usize::from(reader.u16("reference length")?);
        let text = decode_text(reader, "reference", bytes)?;
        let identifier = Identifier::parse(text).map_err(|_| reader.refuse("reference"))?;
        references.push(Reference { identifier, index });
    }
    let data = reader.rest().to_vec();
    Ok(Value {
        index,
        value_type,
        data,
        ttl,
        permissions: Permissions::from_bits(permissions),
        references,
        timestamp,
    })
}

fn decode_stub(reader: &mut Reader<'_>) -> Result<Vec<StubLine>, DecodeError> {
    let mut lines = Vec::new();
    while reader.remaining() > 0 {
        lines.push(StubLine {
            index: decode_index(reader)?,
            data_bytes: reader.u32("bytes")?,
            digest: reader.array("digest")?,
        });
    }
    Ok(lines)
}

fn decode_site(reader: &mut Reader<'_>) -> Result<Site, DecodeError> {
    let mut port = |what| reader.u16(what).map(|port| Some(port).filter(|port| *port > 0));
    let ports = Ports {
        grpc: port("gRPC port")?,
        dns: port("DNS port")?,
        handle: port("Handle port")?,
        http: port("HTTP port")?,
    };
    let host_name_bytes = usize::from(reader.u8("host name length")?);
    let host_name = decode_text(reader, "host name", host_name_bytes)?;
    let mut addresses = Vec::new();
    for _ in 0..reader.u8("addresses")? {
        addresses.push(match reader.u8("address kind")? {
            4 => IpAddr::from(reader.array::<4>("address")?),
            6 => IpAddr::from(reader.array::<16>("address")?),
            _ => return Err(reader.refuse("address kind")),
        });
    }
    reader.finish("site")?;
    let host_name = Some(host_name).filter(|name| !name.is_empty());
    Site::new(addresses, host_name, ports).map_err(|_| reader.refuse("site"))
}

fn decode_index(reader: &mut Reader<'_>) -> Result<Index, DecodeError> {
    let number = reader.u32("index")?;
    Index::new(number).map_err(|_| reader.refuse("index"))
}

fn decode_text<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
    bytes: usize,
) -> Result<&'a str, DecodeError> {
    let at = reader.position();
    core::str::from_utf8(reader.take(what, bytes)?).map_err(|error| DecodeError {
        what,
        at: at + error.valid_up_to(),
        problem: DecodeProblem::NotUtf8,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{Machine, StubLine, decode, encode_site, encode_stub, encode_value, encoded_bytes};
    use crate::model::identifier::Identifier;
    use crate::model::site::{Ports, Site};
    use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueType};

    fn values() -> impl Strategy<Value = Value> {
        let reference = (any::<u32>(), "[0-9]{1,4}/\\PC{1,8}").prop_map(|(index, text)| Reference {
            identifier: Identifier::parse(&text).expect("an identifier"),
            index,
        });
        let ttl = (any::<bool>(), any::<u32>())
            .prop_map(|(absolute, n)| if absolute { Ttl::Absolute(n) } else { Ttl::Relative(n) });
        let parts =
            (1_u32..0x8000_0000, "\\PC{1,12}", prop::collection::vec(any::<u8>(), 0..600), ttl, 0_u8..16);
        (parts, prop::collection::vec(reference, 0..4), any::<u32>()).prop_map(
            |((index, value_type, data, ttl, bits), references, timestamp)| Value {
                index: Index::new(index).expect("an index"),
                value_type: ValueType::new(&value_type).expect("a type"),
                data,
                ttl,
                permissions: Permissions::from_bits(bits),
                references,
                timestamp,
            },
        )
    }

    #[test]
    fn a_value_is_laid_out_as_documented() {
        let value = Value {
            index: Index::new(7).expect("an index"),
            value_type: ValueType::new("URL").expect("a type"),
            data: b"x:y".to_vec(),
            ttl: Ttl::Relative(86_400),
            permissions: Permissions::DEFAULT,
            references: vec![Reference {
                identifier: Identifier::parse("88/a").expect("an identifier"),
                index: 2,
            }],
            timestamp: 0x0102_0304,
        };
        let expected =
            b"\x01\0\0\0\x07\x0e\0\0\x01\x51\x80\x01\x02\x03\x04\x03URL\x01\0\0\0\x02\0\x0488/ax:y";
        assert_eq!(encode_value(&value), expected);
    }

    #[test]
    fn forms_of_later_versions_are_refused() {
        assert_eq!(decode(&[4, 0]).map_err(|error| error.what), Err("form"));
        assert_eq!(decode(&[]).map_err(|error| error.what), Err("form"));
    }

    #[test]
    fn a_site_decodes_as_it_was_encoded() {
        let addresses =
            vec!["192.0.2.9".parse().expect("an address"), "2001:db8::9".parse().expect("an address")];
        let ports = Ports { grpc: Some(7_373), http: Some(80), ..Ports::default() };
        let site = Site::new(addresses, Some("node.example"), ports).expect("a site");
        let bytes = encode_site(&site);
        assert!(bytes.starts_with(b"\x03\x1c\xcd\0\0\0\0\0\x50\x0cnode.example\x02\x04\xc0\0\x02\x09\x06"));
        assert_eq!(decode(&bytes), Ok(Machine::Site(site)));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_value_decodes_as_it_was_encoded(value in values()) {
            let bytes = encode_value(&value);
            prop_assert_eq!(bytes.len(), encoded_bytes(&value));
            let found = decode(&bytes);
            // Types compare without case; the spelling is preserved too.
            let Ok(Machine::Value(found)) = found else { return Err(proptest::test_runner::TestCaseError::fail("no value")) };
            prop_assert_eq!(found.value_type.as_str(), value.value_type.as_str());
            prop_assert_eq!(found, value);
        }

        #[test]
        fn a_stub_names_every_value(values in prop::collection::vec(values(), 0..5)) {
            let lines = values.iter().map(StubLine::of).collect();
            prop_assert_eq!(decode(&encode_stub(&values)), Ok(Machine::Stub(lines)));
        }

        #[test]
        fn cut_or_flipped_bytes_never_panic(value in values(), cut in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
            let mut bytes = encode_value(&value);
            let at = bit.index(bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            let length = cut.index(bytes.len());
            if let Ok(Machine::Value(found)) = decode(&bytes[..length]) {
                prop_assert!(encoded_bytes(&found) == length);
            }
        }
    }
}
