//! The entries of one commit. The last write to a key counts, so that one commit may hold several changes of an entry.

use std::collections::BTreeMap;

use super::Tables;
use super::batch::WriteBatch;
use super::envelope::{self, StoredAs};
use super::error::EngineError;
use super::scan::{Order, PageLimit};
use super::span::Span;
use super::table::Table;
use crate::store::entry::meta::Fact;
use crate::store::entry::{Entry, EntryKey, EntryKind, Readable};

//----------- WriteId --------------------------------------------------------

/// A number that distinguishes the pieces of one write of a long entry from those of any other write to the same table. A body of
/// the journal and the state that it leads to have the same one, in different tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct WriteId(pub(in crate::store) u64);

impl WriteId {
    /// For entries that are small enough to be stored in one piece.
    pub(in crate::store) const SMALL: Self = Self(0);
}

//----------- Writes ---------------------------------------------------------

/// Entries that are written and deleted together.
#[derive(Default)]
pub(in crate::store) struct Writes(BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>);

impl Writes {
    /// Puts an entry. Pieces of one that it replaces stay. Returns how it is stored.
    pub(in crate::store) fn put<E: Entry>(&mut self, key: &E::Key, entry: &E, id: WriteId) -> StoredAs {
        self.put_body(E::KIND, key.to_bytes(), &entry.encode(), id)
    }

    /// Puts an entry, and deletes the pieces of the one that it replaces. Returns how it is stored.
    pub(in crate::store) fn replace<E: Entry>(
        &mut self,
        key: &E::Key,
        entry: &E,
        replaced: StoredAs,
        id: WriteId,
    ) -> StoredAs {
        for piece in replaced.piece_keys(Table::from(E::KIND)) {
            self.0.insert((Table::Piece, piece), None);
        }
        self.put(key, entry, id)
    }

    /// Puts a fact about the store.
    pub(in crate::store) fn put_fact<F: Fact>(&mut self, fact: &F) {
        self.put(&F::NAME, fact, WriteId::SMALL);
    }

    /// Puts an entry that is encoded already.
    pub(in crate::store) fn put_body(
        &mut self,
        kind: EntryKind,
        key: Vec<u8>,
        body: &[u8],
        id: WriteId,
    ) -> StoredAs {
        let table = Table::from(kind);
        let closed = envelope::close(table, &key, body, id.0);
        for (key, piece) in closed.pieces {
            self.0.insert((Table::Piece, key), Some(piece));
        }
        self.0.insert((table, key), Some(closed.stored));
        closed.stored_as
    }

    /// Deletes an entry that cannot be read, so that its pieces are not known; they stay.
    pub(in crate::store) fn delete<R: Readable>(&mut self, key: &R::Key) {
        self.0.insert((Table::from(R::KIND), key.to_bytes()), None);
    }
}

/// Writes in the form in which they are committed. Preparing those of thousands of entries is work that does not belong on the
/// reactor.
pub(in crate::store) struct PreparedWrites(WriteBatch);

impl From<Writes> for PreparedWrites {
    fn from(writes: Writes) -> Self {
        let mut batch = WriteBatch::new();
        for ((table, key), value) in writes.0 {
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.delete(table, key),
            }
        }
        Self(batch)
    }
}

//----------- Commit ---------------------------------------------------------

impl Tables {
    /// Commits entries together: all of them are on disk when this returns. Entries that exceed a bound are not
    /// written, and the store takes that for a failed write. After any other failure the outcome is unknown, and later commits fail
    /// with [`EngineError::Poisoned`].
    pub(in crate::store) async fn commit(
        &self,
        writes: impl Into<PreparedWrites>,
    ) -> Result<(), EngineError> {
        let PreparedWrites(batch) = writes.into();
        self.backend.commit(batch).await
    }

    /// Deletions of the next entries of a span, and their number; none at its end. The entries are not decoded, so that damaged
    /// ones are deleted too.
    pub(in crate::store) async fn deletions<R: Readable>(
        &self,
        span: &mut Span<R>,
        limit: PageLimit,
    ) -> Result<Option<(Writes, u64)>, EngineError> {
        let table = Table::from(R::KIND);
        let page = self.backend.scan(table, span.range.clone(), Order::Forward, limit).await?;
        if page.is_empty() {
            return Ok(None);
        }
        let count = page.len() as u64;
        let mut writes = Writes::default();
        for (key, stored) in page {
            span.pass(&key, Order::Forward);
            if let Ok(envelope::Opened::Cut(mark)) = envelope::open(&key, &stored) {
                for piece in mark.cut.piece_keys(table) {
                    writes.0.insert((Table::Piece, piece), None);
                }
            }
            writes.0.insert((table, key), None);
        }
        Ok(Some((writes, count)))
    }
}
