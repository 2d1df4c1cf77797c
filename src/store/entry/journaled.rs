//! The journal as it is stored: a header and, unless that was pruned, a body for each sequence.

use super::{Entry, EntryKey, EntryKind, Readable};
use crate::model::position::{Position, Stream};
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::store::journal::Header;

/// The key of a journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct JournalKey {
    /// The stream.
    pub(in crate::store) stream: Stream,
    /// The sequence within it.
    pub(in crate::store) sequence: u64,
}

impl JournalKey {
    /// The key of a sequence of the only stream.
    pub(in crate::store) fn of(sequence: u64) -> Self {
        Self { stream: Stream::ONLY, sequence }
    }

    /// The key of a position.
    pub(in crate::store) fn at(position: Position) -> Self {
        Self { stream: position.stream, sequence: position.sequence }
    }

    /// The key of an entry's header and body.
    pub(in crate::store) fn of_header(header: &Header) -> Self {
        Self::at(header.position)
    }

    /// The sequence in a key; none when it is no journal key.
    pub(in crate::store) fn sequence_in(key: &[u8]) -> Option<u64> {
        let (_, sequence) = key.split_at_checked(2)?;
        sequence.try_into().ok().map(u64::from_be_bytes)
    }
}

impl EntryKey for JournalKey {
    fn to_bytes(&self) -> Vec<u8> {
        let mut key = self.stream.0.to_be_bytes().to_vec();
        key.extend_from_slice(&self.sequence.to_be_bytes());
        key
    }
}

impl Readable for Header {
    type Key = JournalKey;
    const KIND: EntryKind = EntryKind::Header;

    fn decode(key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let header = Self::decode_stored(body)?;
        if JournalKey::sequence_in(key) == Some(header.position.sequence) {
            return Ok(header);
        }
        let detail = format!("holds the header of entry {}", header.position.sequence);
        Err(Unreadable::Contradiction(detail))
    }
}

impl Entry for Header {
    fn encode(&self) -> Vec<u8> {
        self.encode_stored()
    }
}

/// The body of a journal entry as it is stored. Its header's digest covers these bytes.
pub(in crate::store) struct EncodedBody {
    /// The sequence of the entry.
    pub(in crate::store) sequence: u64,
    /// The bytes.
    pub(in crate::store) bytes: Vec<u8>,
}

impl Readable for EncodedBody {
    type Key = JournalKey;
    const KIND: EntryKind = EntryKind::Body;

    fn decode(key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let sequence = JournalKey::sequence_in(key);
        let sequence = sequence.ok_or_else(|| Unreadable::Contradiction("is no journal entry".to_owned()))?;
        Ok(Self { sequence, bytes: body.to_vec() })
    }
}
