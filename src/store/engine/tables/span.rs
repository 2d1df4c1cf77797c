//! Ranges of keys of one kind of entry, and how far they have been read.

use std::marker::PhantomData;
use std::ops::Bound;

use super::scan::{Order, ScanRange};
use crate::model::identifier::{CanonicalIdentifier, Prefix};
use crate::model::position::Stream;
use crate::store::entry::journaled::JournalKey;
use crate::store::entry::meta::SealKey;
use crate::store::entry::request::MadeAt;
use crate::store::entry::{EntryKey, Readable, RequestMemory};
use crate::store::journal::retention::Seal;

/// The part of a range that has not been read yet.
pub(in crate::store) struct Span<R> {
    pub(super) range: ScanRange,
    _read: PhantomData<fn() -> R>,
}

impl<R: Readable> Span<R> {
    /// Every entry of the kind.
    pub(in crate::store) fn all() -> Self {
        Self::of(ScanRange::all())
    }

    fn of(range: ScanRange) -> Self {
        Self { range, _read: PhantomData }
    }

    /// Leaves out all entries up to this key.
    pub(super) fn pass(&mut self, key: &[u8], order: Order) {
        match order {
            Order::Forward => self.range.start = Bound::Excluded(key.to_vec()),
            Order::Backward => self.range.end = Bound::Excluded(key.to_vec()),
        }
    }
}

impl<R: Readable<Key = CanonicalIdentifier>> Span<R> {
    /// Identifiers whose own prefix is exactly this one, from behind one of them or from the first.
    pub(super) fn of_prefix(prefix: &Prefix, after: Option<&CanonicalIdentifier>) -> Self {
        let mut from = prefix.canonical().into_bytes();
        let mut to = from.clone();
        from.push(b'/');
        to.push(b'/' + 1);
        let after = after.map(|identifier| identifier.as_bytes().to_vec()).filter(|after| *after >= from);
        let start = after.map_or(Bound::Included(from), Bound::Excluded);
        Self::of(ScanRange { start, end: Bound::Excluded(to) })
    }
}

impl<R: Readable<Key = JournalKey>> Span<R> {
    /// Journal entries of these sequences, the last included.
    pub(in crate::store) fn sequences(first: u64, last: u64) -> Self {
        Self::of(ScanRange {
            start: Bound::Included(JournalKey::of(first).to_bytes()),
            end: Bound::Included(JournalKey::of(last).to_bytes()),
        })
    }

    /// Journal entries before a sequence.
    pub(in crate::store) fn before(sequence: u64) -> Self {
        Self::of(ScanRange {
            start: Bound::Unbounded,
            end: Bound::Excluded(JournalKey::of(sequence).to_bytes()),
        })
    }

    /// Journal entries of the only stream.
    pub(super) fn of_stream() -> Self {
        Self::of(ScanRange::starting_with(&Stream::ONLY.0.to_be_bytes()))
    }
}

impl Span<RequestMemory> {
    /// Requests whose ids were made before a time, in milliseconds since 1970.
    pub(in crate::store) fn made_before(time_ms: u64) -> Self {
        Self::of(ScanRange { start: Bound::Unbounded, end: Bound::Excluded(MadeAt(time_ms).to_bytes()) })
    }
}

impl Span<Seal> {
    /// Every seal.
    pub(in crate::store) fn seals() -> Self {
        Self::of(ScanRange::starting_with(SealKey::BEGINS))
    }
}
