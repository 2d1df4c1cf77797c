//! Ordered reading of a part of one table: range, direction, limit.

use std::ops::Bound;

/// A key and its value.
pub(super) type KeyValue = (Vec<u8>, Vec<u8>);

//----------- ScanRange -----------------------------------------------------------------------------------------------

/// The keys that a scan covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScanRange {
    /// Lower bound of the keys.
    pub(super) start: Bound<Vec<u8>>,
    /// Upper bound of the keys.
    pub(super) end: Bound<Vec<u8>>,
}

impl ScanRange {
    /// Every key of the table.
    pub(super) const fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// Every key that begins with these bytes.
    pub(super) fn starting_with(start: &[u8]) -> Self {
        let end = match start.iter().rposition(|byte| *byte != u8::MAX) {
            None => Bound::Unbounded,
            Some(position) => {
                let mut end: Vec<u8> = start.iter().take(position + 1).copied().collect();
                if let Some(last) = end.last_mut() {
                    *last += 1;
                }
                Bound::Excluded(end)
            }
        };
        Self { start: Bound::Included(start.to_vec()), end }
    }

    /// Whether no key can lie between the bounds; engines need not be asked then.
    pub(super) fn is_empty(&self) -> bool {
        let (start, end) = self.bounds();
        holds_nothing(start, end)
    }

    /// The bounds in the form that the standard library and the engines expect.
    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.start.as_ref().map(Vec::as_slice), self.end.as_ref().map(Vec::as_slice))
    }
}

/// Whether no key can lie between two bounds.
pub(super) fn holds_nothing(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// From the first key to the last.
    Forward,
    /// From the last key to the first.
    Backward,
}

/// The maximum size of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct PageLimit {
    /// Maximum number of entries.
    pub(in crate::store) entries: usize,
    /// Bytes of keys and entries after which the page ends; the entry that reaches this is still returned, so that reading
    /// always advances.
    pub(in crate::store) bytes: usize,
}

//----------- Page ----------------------------------------------------------------------------------------------------

/// The results of a scan so far, bounded by its limit.
pub(super) struct Page {
    found: Vec<KeyValue>,
    bytes: usize,
    limit: PageLimit,
}

impl Page {
    /// An empty page.
    pub(super) const fn new(limit: PageLimit) -> Self {
        Self { found: Vec::new(), bytes: 0, limit }
    }

    /// Whether the limit is reached.
    pub(super) const fn is_full(&self) -> bool {
        self.found.len() >= self.limit.entries || (self.bytes >= self.limit.bytes && !self.found.is_empty())
    }

    /// Adds a key, unless the page is full.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        if !self.is_full() {
            self.bytes += key.len() + value.len();
            self.found.push((key.to_vec(), value.to_vec()));
        }
    }

    /// The results, in the order of the scan.
    pub(super) fn into_found(self) -> Vec<KeyValue> {
        self.found
    }
}
