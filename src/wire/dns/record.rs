//! Values as records: NAPTR and URI for values that are URIs, TXT and the machine form for every value.
//!
//! - **URI** (RFC 7553, type 256): what a value refers to (see [`crate::model::uri`]): the URI of a value of type `URL` or
//!   `URI`, or of a type below them such as `URL.MIRROR`, and the locations of a `10320/loc`. Data that is no URI has
//!   neither a URI nor a NAPTR record, only TXT and TYPE65416. The priority is the value's index, so that the lowest
//!   index is preferred; locations come first, with priority 0 and their weights.
//! - **NAPTR** (RFC 3403): the same URIs; order 100, the same number as preference, flag `U`, service `ID+` and the type,
//!   and `!^.*$!…!` as the expression. A URI that does not fit the expression's 255 octets gets flag `P`, service
//!   `ID+STUB` and the name of its URI record.
//! - **TXT**: `index type data`, cut into strings of 255 octets; a blank, control character or `\` of the type is
//!   written `\DDD`, so that the second blank ends the type.
//! - **TYPE65416**: see [`super::machine`].
//!
//! The name of a prefix whose site has no DNS also has the site, as TXT (`site`, addresses, ports) and TYPE65416.
//!
//! A record set that fits no message is replaced completely by one stub record of its type; the stub of the machine form
//! lists index, size and digest of each value, and the other stubs point to it.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use hickory_proto::rr::rdata::{NAPTR, NULL, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use sha2::{Digest, Sha256};

use super::machine::{MACHINE_TYPE, encode_site, encode_stub, encode_value};
use crate::model::site::{Ports, Site};
use crate::model::uri::{WeightedUri, preference_of, uris_of};
use crate::model::value::{Index, Value};

/// The number of the URI record type (RFC 7553 section 4).
pub const URI_TYPE: u16 = 256;
/// Bytes that the records of one set may take: a message of 64 KiB less its header, question and OPT record.
pub const SET_BYTES_MAX: usize = 65_535 - HEADER_BYTES - QUESTION_BYTES_MAX - OPT_BYTES_MAX - SITE_BYTES_MAX;

const HEADER_BYTES: usize = 12;
const QUESTION_BYTES_MAX: usize = 255 + 4;
const OPT_BYTES_MAX: usize = 11 + 256;
/// Space for the site of a prefix: 16 addresses, a host name and four ports as text.
const SITE_BYTES_MAX: usize = 1_280;
/// A record's pointer to its name, type, class, TTL and length.
const RECORD_BYTES: usize = 12;
/// Octets of a character string (RFC 1035 section 3.3).
const STRING_BYTES_MAX: usize = 255;
const NAPTR_ORDER: u16 = 100;
const NAPTR_SERVICE: &str = "ID+";
const NAPTR_STUB_SERVICE: &str = "ID+STUB";
const STUB_WEIGHT: u16 = 1;

//----------- RecordKind -----------------------------------------------------

/// A record type that represents values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// NAPTR, for values that are URIs.
    Naptr,
    /// URI, for values that are URIs.
    Uri,
    /// TXT, for every value.
    Text,
    /// The machine form, for every value.
    Machine,
}

impl RecordKind {
    /// The kind that a queried record type selects.
    pub fn asked_by(record_type: RecordType) -> Option<Self> {
        match u16::from(record_type) {
            URI_TYPE => Some(Self::Uri),
            MACHINE_TYPE => Some(Self::Machine),
            _ => match record_type {
                RecordType::NAPTR => Some(Self::Naptr),
                RecordType::TXT => Some(Self::Text),
                _ => None,
            },
        }
    }
}

//----------- RecordSet ------------------------------------------------------

/// The records of one name and type.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSet {
    /// TTL of the record set in seconds: the least TTL of its values.
    pub ttl: u32,
    /// The data of each record.
    pub data: Vec<RData>,
}

/// The names that stubs point to.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The queried name.
    pub asked: &'a Name,
    /// Name of one value of the identifier, when it has one.
    pub of_value: &'a dyn Fn(Index) -> Option<Name>,
}

/// The records of one kind for values; none when no value has a record.
pub fn record_set(
    kind: RecordKind,
    values: &[Value],
    names: Names<'_>,
    now_seconds: u64,
) -> Option<RecordSet> {
    let mut gathered = Gathered::new(values.len(), now_seconds);
    let fits = match kind {
        RecordKind::Naptr => targets(values).all(|(value, target)| {
            naptr(value, &target, names).is_none_or(|shown| gathered.add(value, shown))
        }),
        RecordKind::Uri => targets(values).all(|(value, target)| {
            let rdata = uri(preference_of(value), target.weight, target.uri.as_str());
            gathered.add(value, opaque(URI_TYPE, rdata))
        }),
        RecordKind::Text => values.iter().all(|value| gathered.add(value, text(&text_of(value)))),
        RecordKind::Machine => {
            values.iter().all(|value| gathered.add(value, opaque(MACHINE_TYPE, encode_value(value))))
        }
    };
    if !fits {
        let ttl = values.iter().map(|value| value.ttl.remaining_seconds(now_seconds)).min();
        return ttl.map(|ttl| RecordSet { ttl, data: vec![stub(kind, values, names)] });
    }
    (!gathered.set.data.is_empty()).then_some(gathered.set)
}

/// The site of a prefix as a record, in the kinds that can show one.
pub fn site_data(kind: RecordKind, site: &Site) -> Option<RData> {
    match kind {
        RecordKind::Naptr | RecordKind::Uri => None,
        RecordKind::Text => {
            let mut line = "site".to_owned();
            for address in site.addresses() {
                line.push_str(&format!(" {address}"));
            }
            let Ports { grpc, dns, handle, http } = site.ports();
            for (name, port) in [("grpc", grpc), ("dns", dns), ("handle", handle), ("http", http)] {
                line.push_str(&port.map(|port| format!(" {name}={port}")).unwrap_or_default());
            }
            line.push_str(&site.host_name().map(|name| format!(" host={name}")).unwrap_or_default());
            Some(text(line.as_bytes()).data)
        }
        RecordKind::Machine => Some(opaque(MACHINE_TYPE, encode_site(site)).data),
    }
}

/// One record and its bytes.
struct Shown {
    data: RData,
    bytes: usize,
}

/// The records of a set so far.
struct Gathered {
    set: RecordSet,
    bytes: usize,
    /// The records that may come again.
    seen: BTreeSet<RData>,
    now_seconds: u64,
}

impl Gathered {
    fn new(capacity: usize, now_seconds: u64) -> Self {
        let set = RecordSet { ttl: u32::MAX, data: Vec::with_capacity(capacity) };
        Self { set, bytes: 0, seen: BTreeSet::new(), now_seconds }
    }

    /// Adds a record of a value. False when the set is too large with it: then nothing more is to be added.
    fn add(&mut self, value: &Value, shown: Shown) -> bool {
        self.bytes += RECORD_BYTES + shown.bytes;
        if self.bytes > SET_BYTES_MAX {
            return false;
        }
        self.set.ttl = self.set.ttl.min(value.ttl.remaining_seconds(self.now_seconds));
        // Only locations and indexes from 65,535 on can share a preference, and so a record.
        let may_repeat = !(1..u16::MAX).contains(&preference_of(value));
        if !may_repeat || self.seen.insert(shown.data.clone()) {
            self.set.data.push(shown.data);
        }
        true
    }
}

/// What values refer to, each with its value.
fn targets(values: &[Value]) -> impl Iterator<Item = (&Value, WeightedUri)> {
    uris_of(values).flat_map(|(value, uris)| uris.into_iter().map(move |uri| (value, uri)))
}

fn stub(kind: RecordKind, values: &[Value], names: Names<'_>) -> RData {
    match kind {
        RecordKind::Naptr => RData::NAPTR(naptr_stub(0, names.asked.clone())),
        RecordKind::Uri => {
            let name = names.asked.to_ascii();
            let target = format!("dns:{}?type=TYPE{MACHINE_TYPE}", name.trim_end_matches('.'));
            opaque(URI_TYPE, uri(0, STUB_WEIGHT, &target)).data
        }
        RecordKind::Text => {
            let mut line = format!("stub sha256={}", HEXLOWER.encode(&Sha256::digest(encode_stub(values))));
            for value in values {
                line.push_str(&format!(" {}:{}", value.index, value.data.len()));
            }
            text(line.as_bytes()).data
        }
        RecordKind::Machine => opaque(MACHINE_TYPE, encode_stub(values)).data,
    }
}

/// RDATA of a type that the codec has no structure for: byte-exact.
fn opaque(code: u16, bytes: Vec<u8>) -> Shown {
    let length = bytes.len();
    let data = RData::Unknown { code: RecordType::from(code), rdata: NULL::with(bytes) };
    Shown { data, bytes: length }
}

//----------- URI and NAPTR --------------------------------------------------

/// Priority, weight, target (RFC 7553 section 4.5).
fn uri(priority: u16, weight: u16, target: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + target.len());
    bytes.extend_from_slice(&priority.to_be_bytes());
    bytes.extend_from_slice(&weight.to_be_bytes());
    bytes.extend_from_slice(target.as_bytes());
    bytes
}

fn naptr(value: &Value, target: &WeightedUri, names: Names<'_>) -> Option<Shown> {
    let preference = preference_of(value);
    // Within the expression, its delimiter is escaped (RFC 3402 section 3.2); a URI has no backslash.
    let escaped = target.uri.as_str().replace('!', "\\!");
    let expression = format!("!^.*$!{escaped}!");
    let data = if expression.len() > STRING_BYTES_MAX {
        naptr_stub(preference, (names.of_value)(value.index)?)
    } else {
        let service = format!("{NAPTR_SERVICE}{}", value.value_type);
        let service = if service.len() > STRING_BYTES_MAX { "ID".to_owned() } else { service };
        NAPTR::new(
            NAPTR_ORDER,
            preference,
            Box::from(*b"U"),
            service.into_bytes().into(),
            expression.into_bytes().into(),
            Name::root(),
        )
    };
    let bytes = 7 + data.services.len() + data.regexp.len() + data.replacement.len() + 2;
    Some(Shown { data: RData::NAPTR(data), bytes })
}

fn naptr_stub(preference: u16, name: Name) -> NAPTR {
    let service = NAPTR_STUB_SERVICE.as_bytes().into();
    NAPTR::new(NAPTR_ORDER, preference, Box::from(*b"P"), service, Box::default(), name)
}

//----------- TXT ------------------------------------------------------------

fn text(line: &[u8]) -> Shown {
    let strings: Vec<&[u8]> = line.chunks(STRING_BYTES_MAX).collect();
    Shown { bytes: line.len() + strings.len(), data: RData::TXT(TXT::from_bytes(strings)) }
}

fn text_of(value: &Value) -> Vec<u8> {
    let mut line = format!("{} ", value.index);
    for c in value.value_type.as_str().chars() {
        if c == ' ' || c == '\\' || c.is_ascii_control() {
            line.push_str(&format!("\\{:03}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    line.push(' ');
    let mut line = line.into_bytes();
    line.extend_from_slice(&value.data);
    line
}

#[cfg(test)]
mod tests;
