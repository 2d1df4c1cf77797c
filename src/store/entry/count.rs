//! Counts: the number of live identifiers of a prefix. The key is the canonical prefix.

use super::prefix::CanonicalPrefix;
use super::{Entry, EntryKind, Readable};
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::wire::cursor::Reader;

/// The number of live identifiers with exactly this prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct PrefixCount {
    /// The prefix.
    pub(in crate::store) prefix: CanonicalPrefix,
    /// Number of live identifiers.
    pub(in crate::store) count: u64,
}

impl Readable for PrefixCount {
    type Key = CanonicalPrefix;
    const KIND: EntryKind = EntryKind::Count;

    fn decode(key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let prefix = CanonicalPrefix(String::from_utf8_lossy(key).into_owned());
        Ok(Self { prefix, count: Reader::new(body).u64("count")? })
    }
}

impl Entry for PrefixCount {
    fn encode(&self) -> Vec<u8> {
        self.count.to_be_bytes().to_vec()
    }
}
