//! The journal: the ordered, durable sequence of all committed changes, from which filing and backup proceed.
//!
//! # What it is
//!
//! A store has one or more *streams*; an embedded engine has exactly one. Within a stream, entries are dense from 1
//! and chained. One group commit appends one *block* of entries, in the same atomic write as the resulting
//! states, so that a crash leaves both or neither. A damaged log of sled, or a disk fault in the middle of its commit, may leave a
//! part: opening finds it in the last 20,000 entries, the check everywhere.
//!
//! ```text
//!   header  position · time · operation · subject · version · previous · caller · body digest     ─┐ SHA-256
//!   chain   SHA-256(0x02 ‖ chain of the entry before ‖ header)   ◀───────────────────────────────┘
//!   body    salt · the whole change · request memory
//! ```
//!
//! The chain covers headers only. A header holds the salted digest of its body, so that a body can be erased, by law
//! or by policy, without breaking the chain and without leaving a digest from which short data could be guessed.
//! The byte 0x02 distinguishes chain hashes from the leaves (0x00) and nodes (0x01) of a Merkle tree (RFC 6962
//! section 2.1). A seal has a field for the root of such a tree; it is empty.
//!
//! # Order and time
//!
//! Positions define the order; times are for people. Journal time never goes backwards: an entry's time is at least its
//! predecessor's, even when the clock was set back.
//!
//! # Incarnations
//!
//! An *incarnation* names one history of a store. Creation, restore and accepted loss begin a new one; except at the creation, its
//! first entry names the position and hash that it continues. Sequence numbers go on, so that `previous` links hold across
//! incarnations; positions of different incarnations are never compared: a follower that meets a new
//! incarnation takes the present state instead.
//!
//! # Pruning
//!
//! Segments of 65,536 entries are sealed. Whole sealed segments are pruned, bodies before headers; the seals stay.
//! A history reports the position from which it is complete.

pub mod check;
pub mod lineage;
pub mod retention;

use sha2::{Digest as _, Sha256};

use crate::model::caller::CallerName;
use crate::model::identifier::CanonicalIdentifier;
use crate::model::identity::Identity;
use crate::model::limits::{IDENTIFIER_BYTES_MAX, PREFIX_BYTES_MAX};
use crate::model::position::Position;
use crate::model::request::RequestId;
use crate::model::token::TokenId;
use crate::store::engine::WriteId;
use crate::store::entry::change::read_operation;
use crate::store::entry::identifier::read_identifier;
use crate::store::entry::position::{read_position, write_position};
use crate::store::entry::request::{read_memory, write_memory};
use crate::store::entry::{Change, Operation, RequestKey, RequestMemory};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The format of headers and bodies written today.
const FORMAT: u8 = 1;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

//----------- JournalEntry ---------------------------------------------------

/// A journal entry: its header, and its body unless that was pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The chained part.
    pub header: Header,
    /// The complete change; none once pruned or erased.
    pub body: Option<Body>,
}

/// The canonical, chained part of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Position of the entry.
    pub position: Position,
    /// Time of the commit, in milliseconds since 1970.
    pub time_ms: u64,
    /// The operation.
    pub operation: Operation,
    /// The subject of the change.
    pub subject: Subject,
    /// The resulting version.
    pub version: u64,
    /// Sequence of the previous change of the same subject, in the stream of that subject; [`lineage::Lineage::position_of`] has its
    /// position.
    pub previous: Option<u64>,
    /// The caller.
    pub caller: CallerName,
    /// SHA-256 of the encoded body, which begins with a salt.
    pub body_digest: Hash,
    /// The chained hash up to and including this header.
    pub chain: Hash,
}

/// The subject of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An identifier, in canonical form.
    Identifier(CanonicalIdentifier),
    /// A prefix, in canonical form.
    Prefix(String),
    /// A token.
    Token(TokenId),
    /// The store itself.
    Store,
    /// The note on a prefix, in canonical form.
    Note(String),
}

impl Subject {
    /// The identifier, if it is one.
    pub fn identifier(&self) -> Option<CanonicalIdentifier> {
        let Self::Identifier(name) = self else { return None };
        Some(name.clone())
    }
}

/// A complete change, and the memory of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Random bytes, so that the digest reveals nothing about short data.
    pub salt: [u8; 16],
    /// The change.
    pub change: Change,
    /// Request that the change was made for.
    pub request: Option<(RequestKey, RequestMemory)>,
}

//----------- Header codec ---------------------------------------------------

impl Header {
    /// The canonical bytes that the chain covers.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(192);
        write_position(writer.u8(FORMAT), self.position);
        writer.u64(self.time_ms).u8(self.operation.code());
        match &self.subject {
            Subject::Identifier(identifier) => writer.u8(1).text(identifier.as_str()),
            Subject::Prefix(prefix) => writer.u8(2).text(prefix),
            Subject::Token(id) => writer.u8(3).raw(&id.0),
            Subject::Store => writer.u8(4),
            Subject::Note(prefix) => writer.u8(5).text(prefix),
        };
        writer.u64(self.version).u64(self.previous.unwrap_or(0));
        write_caller(&mut writer, &self.caller);
        writer.raw(&self.body_digest);
        writer.into_vec()
    }

    /// The hash that chains this header to its predecessor.
    pub fn chain_after(&self, before: &Hash) -> Hash {
        chain(before, &self.encode())
    }

    /// The stored form: canonical bytes, then the chain hash.
    pub(in crate::store) fn encode_stored(&self) -> Vec<u8> {
        let mut bytes = self.encode();
        bytes.extend_from_slice(&self.chain);
        bytes
    }

    /// Decodes the stored form.
    pub fn decode_stored(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("header format")? != FORMAT {
            return Err(reader.refuse("header format"));
        }
        let position = read_position(&mut reader)?;
        let time_ms = reader.u64("time")?;
        let operation = read_operation(&mut reader)?;
        let subject = read_subject(&mut reader)?;
        let version = reader.u64("version")?;
        let previous = Some(reader.u64("previous")?).filter(|sequence| *sequence != 0);
        let caller = read_caller(&mut reader)?;
        let body_digest = reader.array("body digest")?;
        let chain = reader.array("chain")?;
        reader.finish("header")?;
        Ok(Self { position, time_ms, operation, subject, version, previous, caller, body_digest, chain })
    }
}

/// Chains canonical header bytes to the hash before them.
fn chain(before: &Hash, header: &[u8]) -> Hash {
    Sha256::new().chain_update([2]).chain_update(before).chain_update(header).finalize().into()
}

fn read_subject(reader: &mut Reader<'_>) -> Result<Subject, DecodeError> {
    match reader.u8("subject")? {
        1 => {
            let text = reader.text("subject identifier", IDENTIFIER_BYTES_MAX)?;
            let identifier =
                CanonicalIdentifier::restore(text).map_err(|_| reader.refuse("subject identifier"))?;
            Ok(Subject::Identifier(identifier))
        }
        2 => Ok(Subject::Prefix(reader.text("subject prefix", PREFIX_BYTES_MAX)?.to_owned())),
        3 => Ok(Subject::Token(TokenId(reader.array("subject token")?))),
        4 => Ok(Subject::Store),
        5 => Ok(Subject::Note(reader.text("subject note", PREFIX_BYTES_MAX)?.to_owned())),
        _ => Err(reader.refuse("subject")),
    }
}

/// Writes a caller's name.
pub(in crate::store) fn write_caller(writer: &mut Writer, caller: &CallerName) {
    match caller {
        CallerName::Node => writer.u8(0),
        CallerName::Token(id) => writer.u8(1).raw(&id.0),
        CallerName::Identity(Identity { index, identifier }) => {
            writer.u8(2).u32(*index).text(&identifier.to_string())
        }
        CallerName::Anonymous => writer.u8(3),
    };
}

fn read_caller(reader: &mut Reader<'_>) -> Result<CallerName, DecodeError> {
    match reader.u8("caller")? {
        0 => Ok(CallerName::Node),
        1 => Ok(CallerName::Token(TokenId(reader.array("caller token")?))),
        2 => Ok(CallerName::Identity(Identity {
            index: reader.u32("caller index")?,
            identifier: read_identifier(reader)?,
        })),
        3 => Ok(CallerName::Anonymous),
        _ => Err(reader.refuse("caller")),
    }
}

//----------- Body codec -----------------------------------------------------

impl Body {
    /// The stored form, which the header's digest covers.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(256);
        writer.u8(FORMAT).raw(&self.salt);
        self.change.write(&mut writer);
        match &self.request {
            None => writer.u8(0),
            Some((key, memory)) => {
                writer.u8(1).raw(key.request.as_bytes()).raw(&key.caller).u32(key.item);
                write_memory(&mut writer, memory);
                &mut writer
            }
        };
        writer.into_vec()
    }

    /// Decodes the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("body format")? != FORMAT {
            return Err(reader.refuse("body format"));
        }
        let salt = reader.array("salt")?;
        let change = Change::read(&mut reader)?;
        let has_request = reader.u8("request")? == 1;
        let request = has_request.then(|| read_request(&mut reader)).transpose()?;
        reader.finish("body")?;
        Ok(Self { salt, change, request })
    }

    /// Bytes of the values it carries, in Handle encoding.
    pub(in crate::store) fn bytes(&self) -> usize {
        match &self.change {
            Change::Identifier(change) => change.values.as_ref().map_or(0, |values| values.encoded_bytes()),
            Change::Prefix(_) | Change::Token(_) | Change::Note(_) | Change::Incarnation(_) => 0,
        }
    }

    /// The write of this entry and of the state it leads to: a part of the salt.
    pub(in crate::store) fn write_id(&self) -> WriteId {
        let [a, b, c, d, e, f, g, h, ..] = self.salt;
        WriteId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The digest of an encoded body.
    pub fn digest(encoded: &[u8]) -> Hash {
        Sha256::digest(encoded).into()
    }
}

fn read_request(reader: &mut Reader<'_>) -> Result<(RequestKey, RequestMemory), DecodeError> {
    let request =
        RequestId::from_bytes(reader.array("request id")?).ok_or_else(|| reader.refuse("request id"))?;
    let key = RequestKey { request, caller: reader.array("request caller")?, item: reader.u32("item")? };
    Ok((key, read_memory(reader)?))
}
