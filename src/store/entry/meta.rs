//! Keys of the facts about the store itself: its header, its incarnations, what is retained, and the seals of the journal. Their
//! types and forms are in `open/header_v1.rs`, `journal/lineage.rs` and `journal/retention.rs`.

use super::{Entry, EntryKey, Readable};

/// The name of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum FactName {
    /// What was fixed when the store was created.
    Header,
    /// The incarnations of the store.
    Lineage,
    /// The first headers and bodies that are retained.
    Retained,
}

impl FactName {
    /// Every name, with its bytes.
    const TABLE: [(Self, &'static [u8]); 3] =
        [(Self::Header, b"header"), (Self::Lineage, b"lineage"), (Self::Retained, b"floor")];

    /// The fact of a key.
    pub(in crate::store) fn from_bytes(key: &[u8]) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.1 == key).map(|row| row.0)
    }
}

impl EntryKey for FactName {
    fn to_bytes(&self) -> Vec<u8> {
        Self::TABLE.iter().find(|row| row.0 == *self).map_or(&[][..], |row| row.1).to_vec()
    }
}

/// A fact of which a store has one.
pub(in crate::store) trait Fact: Readable<Key = FactName> + Entry {
    /// Its name.
    const NAME: FactName;
}

/// The key of a seal: the first sequence after its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct SealKey(pub(in crate::store) u64);

impl SealKey {
    /// The common beginning of the keys of all seals.
    pub(in crate::store) const BEGINS: &[u8] = b"seal/";
}

impl EntryKey for SealKey {
    fn to_bytes(&self) -> Vec<u8> {
        let mut key = Self::BEGINS.to_vec();
        key.extend_from_slice(&self.0.to_be_bytes());
        key
    }
}
