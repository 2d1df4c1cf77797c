//! The stored form of entries, version 1. It is frozen once released; a new form gets its own file.
//!
//! ```text
//!   envelope   crc32c of all that follows and of the key (4) · format = 1 (1) · body kind (1) · body
//!   body       kind 0: the bytes themselves
//!              kind 1: cut: pieces (2) · cut name (8) · the bytes are in the piece table
//! ```
//! The checksum covers the uncut bytes, so that a missing or exchanged piece is detected. Integers are big-endian.

use crate::model::identifier::{Identifier, Prefix};
use crate::model::limits::{
    IDENTIFIER_BYTES_MAX, PREFIX_BYTES_MAX, REFERENCES_MAX, SCOPE_PREFIXES_MAX, SCOPES_MAX,
    SITE_ADDRESSES_MAX, TEXT_BYTES_MAX, VALUE_TYPE_BYTES_MAX, VALUES_BYTES_MAX, VALUES_MAX,
};
use crate::model::position::{Bookmark, Incarnation, Position, Stream};
use crate::model::prefix::{CreditCode, FilingMark, Homing, PrefixEntry, PrefixStatus, Registrant};
use crate::model::site::{Ports, Site};
use crate::model::token::{Scope, TokenEntry, TokenId};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueType, Values};
use crate::wire::cursor::{DecodeError, Reader, Writer};

use super::entry::{IdentifierEntry, Operation, RequestMemory};
use super::entry_v2;
use super::entry_v3;
use super::envelope::Cut;

//----------- Identifiers ----------------------------------------------------

/// Encodes an identifier's state.
pub(super) fn encode_identifier(entry: &IdentifierEntry) -> Vec<u8> {
    let mut writer = Writer::with_capacity(256);
    writer.u64(entry.version).u64(entry.created_ms).u64(entry.changed_ms).u64(entry.sequence);
    write_identifier(&mut writer, &entry.identifier);
    write_values(&mut writer, entry.values.as_ref());
    writer.into_vec()
}

/// Decodes an identifier's state; `cut` describes how its stored form was cut.
pub(super) fn decode_identifier(bytes: &[u8], cut: Option<Cut>) -> Result<IdentifierEntry, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.u64("version")?;
    let created_ms = reader.u64("created")?;
    let changed_ms = reader.u64("changed")?;
    let sequence = reader.u64("sequence")?;
    let identifier = read_identifier(&mut reader)?;
    let values = read_values(&mut reader)?;
    reader.finish("identifier entry")?;
    Ok(IdentifierEntry { identifier, version, values, created_ms, changed_ms, sequence, cut })
}

/// Reads the name at the beginning of an identifier's state, as spelled; none for a tombstone.
pub(super) fn read_live_name<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, DecodeError> {
    for what in ["version", "created", "changed", "sequence"] {
        reader.u64(what)?;
    }
    let spelled = reader.text("identifier", IDENTIFIER_BYTES_MAX)?;
    Ok(read_liveness(reader)?.then_some(spelled))
}

pub(super) fn write_identifier(writer: &mut Writer, identifier: &Identifier) {
    writer.text(&identifier.to_string());
}

pub(super) fn read_identifier(reader: &mut Reader<'_>) -> Result<Identifier, DecodeError> {
    let text = reader.text("identifier", IDENTIFIER_BYTES_MAX)?;
    Identifier::parse(text).map_err(|_| reader.refuse("identifier"))
}

/// Writes values, or a tombstone.
pub(super) fn write_values(writer: &mut Writer, values: Option<&Values>) {
    let Some(values) = values else {
        writer.u8(0);
        return;
    };
    writer.u8(1).count(values.as_slice().len());
    for value in values.as_slice() {
        write_value(writer, value);
    }
}

fn write_value(writer: &mut Writer, value: &Value) {
    let (absolute, ttl) = match value.ttl {
        Ttl::Relative(seconds) => (0, seconds),
        Ttl::Absolute(until) => (1, until),
    };
    writer.u32(value.index.get()).u32(value.timestamp).u8(absolute).u32(ttl).u8(value.permissions.bits());
    writer.text(value.value_type.as_str()).bytes(&value.data).count(value.references.len());
    for reference in &value.references {
        write_identifier(writer, &reference.identifier);
        writer.u32(reference.index);
    }
}

pub(super) fn read_values(reader: &mut Reader<'_>) -> Result<Option<Values>, DecodeError> {
    if !read_liveness(reader)? {
        return Ok(None);
    }
    let count = reader.count("values", VALUES_MAX, 26)?;
    let values = (0..count).map(|_| read_value(reader)).collect::<Result<Vec<_>, _>>()?;
    Values::new(values).map(Some).map_err(|_| reader.refuse("values"))
}

/// Reads whether values follow; otherwise the entry is a tombstone.
fn read_liveness(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8("state")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.refuse("state")),
    }
}

fn read_value(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    let index = Index::new(reader.u32("index")?).map_err(|_| reader.refuse("index"))?;
    let timestamp = reader.u32("timestamp")?;
    let absolute = reader.u8("TTL kind")?;
    let ttl = reader.u32("TTL")?;
    let ttl = if absolute == 1 { Ttl::Absolute(ttl) } else { Ttl::Relative(ttl) };
    let permissions = Permissions::from_bits(reader.u8("permissions")?);
    let value_type = reader.text("type", VALUE_TYPE_BYTES_MAX)?;
    let value_type = ValueType::new(value_type).map_err(|_| reader.refuse("type"))?;
    let data = reader.bytes("data", VALUES_BYTES_MAX)?.to_vec();
    let count = reader.count("references", REFERENCES_MAX, 8)?;
    let reference = |reader: &mut Reader<'_>| {
        Ok(Reference { identifier: read_identifier(reader)?, index: reader.u32("reference index")? })
    };
    let references = (0..count).map(|_| reference(reader)).collect::<Result<Vec<_>, DecodeError>>()?;
    Ok(Value { index, value_type, data, ttl, permissions, references, timestamp })
}

//----------- Prefixes -------------------------------------------------------

/// Writes a prefix entry.
pub(super) fn write_prefix(writer: &mut Writer, entry: &PrefixEntry) {
    writer.u64(entry.version).u64(entry.changed_ms).text(entry.prefix.as_str());
    writer.u8(match entry.status {
        PrefixStatus::Suspended if entry.filing.is_some_and(|mark| mark.is_overruled) => entry_v3::STATUS,
        PrefixStatus::Active => 0,
        PrefixStatus::Suspended => 1,
        PrefixStatus::Revoked => 2,
    });
    match &entry.homing {
        Homing::Here => writer.u8(0),
        Homing::Delegated(site) => match site.public_key() {
            None => write_site(writer.u8(1), site),
            Some(key) => entry_v2::write_site(writer.u8(entry_v2::HOMING), site, key),
        },
    };
    match &entry.registrant {
        None => writer.u8(0),
        Some(registrant) => {
            let code = registrant.credit_code().map_or("", CreditCode::as_str);
            writer.u8(1).text(registrant.name()).text(code).text(registrant.contact())
        }
    };
    match &entry.filing {
        None => writer.u8(0),
        Some(mark) => write_position(writer.u8(1).raw(&mark.peer.0), mark.position),
    };
}

/// Reads a prefix's state: its entry, and the position of its last change.
pub(super) fn read_prefix_state(reader: &mut Reader<'_>) -> Result<(PrefixEntry, u64), DecodeError> {
    let state = (read_prefix(reader)?, reader.u64("sequence")?);
    reader.finish("prefix state")?;
    Ok(state)
}

/// Reads a prefix entry.
pub(super) fn read_prefix(reader: &mut Reader<'_>) -> Result<PrefixEntry, DecodeError> {
    let version = reader.u64("version")?;
    let changed_ms = reader.u64("changed")?;
    let prefix = read_prefix_name(reader)?;
    let status = reader.u8("status")?;
    let is_overruled = status == entry_v3::STATUS;
    let status = match status {
        0 => PrefixStatus::Active,
        1 | entry_v3::STATUS => PrefixStatus::Suspended,
        2 => PrefixStatus::Revoked,
        _ => return Err(reader.refuse("status")),
    };
    let homing = match reader.u8("homing")? {
        0 => Homing::Here,
        1 => Homing::Delegated(read_site(reader)?),
        entry_v2::HOMING => Homing::Delegated(entry_v2::read_site(reader)?),
        _ => return Err(reader.refuse("homing")),
    };
    let registrant = (reader.u8("registrant")? == 1).then(|| read_registrant(reader)).transpose()?;
    let filed = reader.u8("filing")? == 1;
    if is_overruled && !filed {
        return Err(reader.refuse("filing"));
    }
    let filing = filed.then(|| read_filing(reader)).transpose()?;
    let filing = filing.map(|mark| FilingMark { is_overruled, ..mark });
    Ok(PrefixEntry { prefix, homing, status, registrant, filing, version, changed_ms })
}

fn read_prefix_name(reader: &mut Reader<'_>) -> Result<Prefix, DecodeError> {
    let text = reader.text("prefix", PREFIX_BYTES_MAX)?;
    Prefix::parse(text).map_err(|_| reader.refuse("prefix"))
}

fn read_registrant(reader: &mut Reader<'_>) -> Result<Registrant, DecodeError> {
    let name = reader.text("registrant name", TEXT_BYTES_MAX)?;
    let code = reader.text("credit code", 18)?;
    let contact = reader.text("registrant contact", TEXT_BYTES_MAX)?;
    let code = (!code.is_empty()).then(|| CreditCode::parse(code)).transpose();
    let code = code.map_err(|_| reader.refuse("credit code"))?;
    Registrant::new(name, code, contact).map_err(|_| reader.refuse("registrant"))
}

fn read_filing(reader: &mut Reader<'_>) -> Result<FilingMark, DecodeError> {
    let peer = TokenId(reader.array("peer")?);
    Ok(FilingMark { peer, position: read_position(reader)?, is_overruled: false })
}

/// Writes a site without its key.
pub(super) fn write_site<'w>(writer: &'w mut Writer, site: &Site) -> &'w mut Writer {
    writer.count(site.addresses().len());
    for address in site.addresses() {
        writer.text(&address.to_string());
    }
    writer.text(site.host_name().unwrap_or(""));
    let ports = site.ports();
    for port in [ports.grpc, ports.dns, ports.handle, ports.http] {
        writer.u16(port.unwrap_or(0));
    }
    writer
}

/// Reads a site without a key.
pub(super) fn read_site(reader: &mut Reader<'_>) -> Result<Site, DecodeError> {
    let count = reader.count("addresses", SITE_ADDRESSES_MAX, 4)?;
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let text = reader.text("address", 64)?;
        addresses.push(text.parse().map_err(|_| reader.refuse("address"))?);
    }
    let host_name = reader.text("host name", 253)?;
    let mut port = || reader.u16("port").map(|port| (port != 0).then_some(port));
    let ports = Ports { grpc: port()?, dns: port()?, handle: port()?, http: port()? };
    let host_name = (!host_name.is_empty()).then_some(host_name);
    Site::new(addresses, host_name, ports).map_err(|_| reader.refuse("site"))
}

//----------- Tokens ---------------------------------------------------------

/// Writes a token entry.
pub(super) fn write_token(writer: &mut Writer, entry: &TokenEntry) {
    writer.u64(entry.version).raw(&entry.id.0).raw(&entry.secret_hash).text(&entry.label);
    writer.u64(entry.created_ms).u64(entry.expires_ms.unwrap_or(0)).u64(entry.revoked_ms.unwrap_or(0));
    writer.count(entry.scopes.len());
    for scope in &entry.scopes {
        let (code, prefixes): (u8, &[Prefix]) = match scope {
            Scope::Admin => (0, &[]),
            Scope::Registrar(prefixes) => (1, prefixes),
            Scope::Reader(prefixes) => (2, prefixes),
            Scope::Peer(prefixes) => (3, prefixes),
        };
        writer.u8(code).count(prefixes.len());
        for prefix in prefixes {
            writer.text(prefix.as_str());
        }
    }
}

/// Reads a token's state: its entry, and the position of its last change.
pub(super) fn read_token_state(reader: &mut Reader<'_>) -> Result<(TokenEntry, u64), DecodeError> {
    let state = (read_token(reader)?, reader.u64("sequence")?);
    reader.finish("token state")?;
    Ok(state)
}

/// Reads a token entry.
pub(super) fn read_token(reader: &mut Reader<'_>) -> Result<TokenEntry, DecodeError> {
    let version = reader.u64("version")?;
    let id = TokenId(reader.array("token id")?);
    let secret_hash = reader.array("secret hash")?;
    let label = reader.text("label", TEXT_BYTES_MAX)?.to_owned();
    let created_ms = reader.u64("created")?;
    let mut time = |what| reader.u64(what).map(|ms| (ms != 0).then_some(ms));
    let expires_ms = time("expires")?;
    let revoked_ms = time("revoked")?;
    let count = reader.count("scopes", SCOPES_MAX, 5)?;
    let scopes = (0..count).map(|_| read_scope(reader)).collect::<Result<Vec<_>, _>>()?;
    Ok(TokenEntry { id, secret_hash, label, scopes, created_ms, expires_ms, revoked_ms, version })
}

fn read_scope(reader: &mut Reader<'_>) -> Result<Scope, DecodeError> {
    let code = reader.u8("scope")?;
    let count = reader.count("scope prefixes", SCOPE_PREFIXES_MAX, 4)?;
    let prefixes = (0..count).map(|_| read_prefix_name(reader)).collect::<Result<Vec<_>, _>>()?;
    match code {
        0 => Ok(Scope::Admin),
        1 => Ok(Scope::Registrar(prefixes)),
        2 => Ok(Scope::Reader(prefixes)),
        3 => Ok(Scope::Peer(prefixes)),
        _ => Err(reader.refuse("scope")),
    }
}

//----------- Requests and positions -----------------------------------------

/// Writes the memory of a request item.
pub(super) fn write_memory(writer: &mut Writer, memory: &RequestMemory) {
    writer
        .raw(&memory.content)
        .u8(memory.operation.map_or(0, Operation::code))
        .u64(memory.version)
        .u64(memory.sequence);
    if let Some(identifier) = &memory.identifier {
        write_identifier(writer, identifier);
    }
}

/// Reads the memory of a request item, which extends to the end.
pub(super) fn read_memory(reader: &mut Reader<'_>) -> Result<RequestMemory, DecodeError> {
    let content = reader.array("content digest")?;
    let code = reader.u8("operation")?;
    let operation = (code != 0).then(|| Operation::from_code(code).ok_or_else(|| reader.refuse("operation")));
    let operation = operation.transpose()?;
    let version = reader.u64("version")?;
    let sequence = reader.u64("sequence")?;
    let identifier = (reader.remaining() > 0).then(|| read_identifier(reader)).transpose()?;
    Ok(RequestMemory { content, operation, version, sequence, identifier })
}

/// Reads the positions that a follower confirmed.
pub(super) fn read_bookmark(reader: &mut Reader<'_>) -> Result<Bookmark, DecodeError> {
    let count = reader.count("positions", 65_536, 26)?;
    (0..count).map(|_| read_position(reader)).collect()
}

pub(super) fn read_operation(reader: &mut Reader<'_>) -> Result<Operation, DecodeError> {
    let code = reader.u8("operation")?;
    Operation::from_code(code).ok_or_else(|| reader.refuse("operation"))
}

pub(super) fn write_position(writer: &mut Writer, position: Position) -> &mut Writer {
    writer.raw(&position.incarnation.0).u16(position.stream.0).u64(position.sequence)
}

pub(super) fn read_position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    Ok(Position {
        incarnation: Incarnation(reader.array("incarnation")?),
        stream: Stream(reader.u16("stream")?),
        sequence: reader.u64("sequence")?,
    })
}
