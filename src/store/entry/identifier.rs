//! Identifiers: their present states, tombstones included. The key is the canonical identifier.
//!
//! ```text
//!   body   version · created · changed · sequence · identifier as spelled · 0 (tombstone), or 1 · values
//! ```

use super::change::Recorded;
use super::digest::put_digest;
use super::state::State;
use super::{Change, Entry, EntryKey, EntryKind, Readable};
use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::limits::{
    IDENTIFIER_BYTES_MAX, REFERENCES_MAX, VALUE_TYPE_BYTES_MAX, VALUES_BYTES_MAX, VALUES_MAX,
};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueType, Values};
use crate::store::engine::{StoredAs, Writes};
use crate::store::error::Unreadable;
use crate::store::journal::{Header, Subject};
use crate::store::writer::view::Unsettled;
use crate::wire::cursor::{DecodeError, Reader, Writer};

//----------- IdentifierEntry ------------------------------------------------

/// The present state of one identifier, tombstones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierEntry {
    /// The identifier as spelled when it was registered.
    pub identifier: Identifier,
    /// Version of the identifier: the count of its changes; never decreases, not even by a removal.
    pub version: u64,
    /// Values of the identifier; none for a tombstone, after a removal.
    pub values: Option<Values>,
    /// Time of the last registration of the identifier, in milliseconds since 1970.
    pub created_ms: u64,
    /// Time of the last change of the identifier, in milliseconds since 1970.
    pub changed_ms: u64,
    /// Sequence of the last change of the identifier, in the stream of the identifier.
    pub sequence: u64,
    /// How the engine stores it.
    pub(in crate::store) stored: StoredAs,
}

impl IdentifierEntry {
    /// Whether questions, lists and counts include it.
    pub fn is_live(&self) -> bool {
        self.values.is_some()
    }

    /// The properties of this state that a later commit needs.
    pub fn mark(&self) -> Mark {
        Mark { version: self.version, sequence: self.sequence, stored: self.stored, live: self.is_live() }
    }
}

/// The properties of a replaced state that a commit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version read.
    pub version: u64,
    /// Sequence of the change that wrote the entry, in the stream of the identifier.
    pub sequence: u64,
    /// How the engine stores it.
    pub(in crate::store) stored: StoredAs,
    /// Whether the entry was live, not a tombstone.
    pub live: bool,
}

impl EntryKey for CanonicalIdentifier {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Readable for IdentifierEntry {
    type Key = CanonicalIdentifier;
    const KIND: EntryKind = EntryKind::Identifier;

    fn decode(_key: &[u8], body: &[u8], stored: StoredAs) -> Result<Self, Unreadable> {
        Ok(decode(body, stored)?)
    }
}

impl Entry for IdentifierEntry {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

//----------- IdentifierChange -----------------------------------------------

/// A change of an identifier: its new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierChange {
    /// The identifier as spelled.
    pub identifier: Identifier,
    /// The state after the change; none for a removal.
    pub values: Option<Values>,
    /// Time of registration of the identifier, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Recorded for IdentifierChange {
    const CODE: u8 = 1;

    fn write(&self, writer: &mut Writer) {
        write_identifier(writer, &self.identifier);
        writer.u64(self.created_ms);
        write_values(writer, self.values.as_ref());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let identifier = read_identifier(reader)?;
        let created_ms = reader.u64("created")?;
        Ok(Self { identifier, values: read_values(reader)?, created_ms })
    }

    fn subject(&self, folding: Folding) -> Subject {
        Subject::Identifier(self.identifier.canonical(folding))
    }
}

impl State for IdentifierEntry {
    const IS_HELD: bool = false;

    fn after(header: &Header, change: Change) -> Result<Self, Change> {
        let Change::Identifier(IdentifierChange { identifier, values, created_ms }) = change else {
            return Err(change);
        };
        Ok(Self {
            identifier,
            version: header.version,
            values,
            created_ms,
            changed_ms: header.time_ms,
            sequence: header.position.sequence,
            stored: StoredAs::default(),
        })
    }

    fn record_again(self) -> Change {
        let Self { identifier, values, created_ms, .. } = self;
        Change::Identifier(IdentifierChange { identifier, values, created_ms })
    }

    fn key(&self, folding: Folding) -> CanonicalIdentifier {
        self.identifier.canonical(folding)
    }

    fn key_of(subject: &Subject) -> Option<CanonicalIdentifier> {
        subject.identifier()
    }

    fn subject(&self, folding: Folding) -> Subject {
        Subject::Identifier(self.key(folding))
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn replaceable(&self) -> Option<Mark> {
        Some(self.mark())
    }

    fn counted(&self) -> Option<(&Prefix, bool)> {
        Some((self.identifier.prefix(), self.is_live()))
    }

    fn put_derived(&self, canonical: &CanonicalIdentifier, writes: &mut Writes) {
        put_digest(writes, &self.identifier, canonical);
    }

    fn note_unsettled(self, subject: Subject, stored: StoredAs, unsettled: &mut Unsettled) {
        if let Subject::Identifier(canonical) = subject {
            unsettled.identifiers.insert(canonical, Self { stored, ..self });
        }
    }
}

//----------- LiveName -------------------------------------------------------

/// The name of an identifier, as spelled; none for a tombstone. The values are not decoded.
pub(in crate::store) struct LiveName(pub(in crate::store) Option<Identifier>);

impl Readable for LiveName {
    type Key = CanonicalIdentifier;
    const KIND: EntryKind = EntryKind::Identifier;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let Some(spelled) = read_live_name(&mut reader)? else { return Ok(Self(None)) };
        let name = Identifier::parse(spelled).map_err(|_| reader.refuse("identifier"))?;
        Ok(Self(Some(name)))
    }
}

//----------- Version 1 ------------------------------------------------------

fn encode(entry: &IdentifierEntry) -> Vec<u8> {
    let mut writer = Writer::with_capacity(256);
    writer.u64(entry.version).u64(entry.created_ms).u64(entry.changed_ms).u64(entry.sequence);
    write_identifier(&mut writer, &entry.identifier);
    write_values(&mut writer, entry.values.as_ref());
    writer.into_vec()
}

fn decode(bytes: &[u8], stored: StoredAs) -> Result<IdentifierEntry, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.u64("version")?;
    let created_ms = reader.u64("created")?;
    let changed_ms = reader.u64("changed")?;
    let sequence = reader.u64("sequence")?;
    let identifier = read_identifier(&mut reader)?;
    let values = read_values(&mut reader)?;
    reader.finish("identifier entry")?;
    Ok(IdentifierEntry { identifier, version, values, created_ms, changed_ms, sequence, stored })
}

/// Reads the name at the beginning of an identifier's state, as spelled; none for a tombstone.
fn read_live_name<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, DecodeError> {
    for what in ["version", "created", "changed", "sequence"] {
        reader.u64(what)?;
    }
    let spelled = reader.text("identifier", IDENTIFIER_BYTES_MAX)?;
    Ok(read_liveness(reader)?.then_some(spelled))
}

/// Writes an identifier as spelled.
pub(in crate::store) fn write_identifier(writer: &mut Writer, identifier: &Identifier) {
    writer.text(&identifier.to_string());
}

/// Reads an identifier.
pub(in crate::store) fn read_identifier(reader: &mut Reader<'_>) -> Result<Identifier, DecodeError> {
    let text = reader.text("identifier", IDENTIFIER_BYTES_MAX)?;
    Identifier::parse(text).map_err(|_| reader.refuse("identifier"))
}

/// Writes values, or a tombstone.
fn write_values(writer: &mut Writer, values: Option<&Values>) {
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

/// Reads values; none for a tombstone.
fn read_values(reader: &mut Reader<'_>) -> Result<Option<Values>, DecodeError> {
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
