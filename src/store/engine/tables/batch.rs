//! The changes of one commit, across tables.

use std::io;

use super::table::Table;

/// Bytes of a key. An identifier of 2,048 bytes with what a table puts before and after it; sled's index pages stay
/// inside its log up to this bound (see `sled.rs`).
pub(in crate::store) const KEY_BYTES_MAX: usize = 3_072;
/// Bytes of a value: one piece of a large state and what frames it. Sled's leaves stay inside its log up to this
/// bound (see `sled.rs`).
pub(super) const VALUE_BYTES_MAX: usize = 24 * 1_024;

//----------- WriteBatch ----------------------------------------------------------------------------------------------

/// Changes that are committed atomically.
///
/// When a key is named more than once, the last change counts.
#[derive(Debug, Default, Clone)]
pub(super) struct WriteBatch {
    changes: Vec<Change>,
}

/// One change of one key.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) table: Table,
    pub(super) key: Vec<u8>,
    /// The new value; none removes the key.
    pub(super) value: Option<Vec<u8>>,
}

impl WriteBatch {
    /// A batch without changes.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a key.
    pub(super) fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push(Change { table, key, value: Some(value) });
    }

    /// Removes a key; removing an absent key changes nothing.
    pub(super) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.changes.push(Change { table, key, value: None });
    }

    /// Whether the batch changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Number of changes.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// The changes in the order they were made.
    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Refuses keys and values that no engine could keep safely, before anything is written.
    pub(super) fn check(&self) -> Result<(), io::Error> {
        self.changes.iter().try_for_each(Change::check)
    }
}

impl Change {
    /// Refuses an empty key, and a key or value above its bound.
    fn check(&self) -> Result<(), io::Error> {
        let value_bytes = self.value.as_ref().map_or(0, Vec::len);
        if (1..=KEY_BYTES_MAX).contains(&self.key.len()) && value_bytes <= VALUE_BYTES_MAX {
            return Ok(());
        }
        let text = format!(
            "an entry of table {} has a key of {} bytes (1 to {KEY_BYTES_MAX} are stored) and a value of {value_bytes} \
             bytes (at most {VALUE_BYTES_MAX} are stored)",
            self.table.name(),
            self.key.len(),
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}
