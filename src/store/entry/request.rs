//! The memory of requests: the outcome of each item that was asked for under a request id. The key begins with the time in the
//! id, so that expired ones are adjacent.
//!
//! ```text
//!   key    request id (16) · digest of the caller's name (16) · item (4)
//!   body   digest of the command (16) · operation · version · sequence [· identifier]
//! ```

use super::identifier::{read_identifier, write_identifier};
use super::{Entry, EntryKey, EntryKind, Operation, Readable};
use crate::model::identifier::Identifier;
use crate::model::request::RequestId;
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::wire::cursor::{DecodeError, Reader, Writer};

//----------- RequestMemory --------------------------------------------------

/// The key of a remembered request item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The caller's id of the request.
    pub request: RequestId,
    /// Truncated SHA-256 of the caller's name: ids are scoped to the caller.
    pub caller: [u8; 16],
    /// The item of the request.
    pub item: u32,
}

/// The outcome of an item, so that its repetition gets the same receipt. About 80 bytes on disk with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMemory {
    /// Truncated SHA-256 of the command: the same id with other content is refused.
    pub content: [u8; 16],
    /// The operation; none when the command changed nothing.
    pub operation: Option<Operation>,
    /// The resulting version.
    pub version: u64,
    /// Sequence of the journal entry, in the stream of what the command is about.
    pub sequence: u64,
    /// The identifier, where the command does not tell it: minted, or registered with another spelling.
    pub identifier: Option<Identifier>,
}

impl EntryKey for RequestKey {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.request.as_bytes().to_vec();
        bytes.extend_from_slice(&self.caller);
        bytes.extend_from_slice(&self.item.to_be_bytes());
        bytes
    }
}

impl Readable for RequestMemory {
    type Key = RequestKey;
    const KIND: EntryKind = EntryKind::Request;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        Ok(read_memory(&mut Reader::new(body))?)
    }
}

impl Entry for RequestMemory {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        write_memory(&mut writer, self);
        writer.into_vec()
    }
}

/// The first key of the requests whose ids were made at a time or later, in milliseconds since 1970.
pub(in crate::store) struct MadeAt(pub(in crate::store) u64);

impl EntryKey for MadeAt {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().split_at(2).1.to_vec()
    }
}

//----------- Version 1 ------------------------------------------------------

/// Writes the memory of a request item.
pub(in crate::store) fn write_memory(writer: &mut Writer, memory: &RequestMemory) {
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
pub(in crate::store) fn read_memory(reader: &mut Reader<'_>) -> Result<RequestMemory, DecodeError> {
    let content = reader.array("content digest")?;
    let code = reader.u8("operation")?;
    let operation = (code != 0).then(|| Operation::from_code(code).ok_or_else(|| reader.refuse("operation")));
    let operation = operation.transpose()?;
    let version = reader.u64("version")?;
    let sequence = reader.u64("sequence")?;
    let identifier = (reader.remaining() > 0).then(|| read_identifier(reader)).transpose()?;
    Ok(RequestMemory { content, operation, version, sequence, identifier })
}
