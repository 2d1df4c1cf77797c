//! Reading entries: each whole, verified, and from durable commits only.
//!
//! An entry and its pieces are read one after the other. Where a commit has replaced the pieces in between, the entry is read
//! again.

use super::Tables;
use super::envelope::{self, Opened, StoredAs};
use super::error::EngineError;
use super::scan::{Order, PageLimit};
use super::span::Span;
use super::table::Table;
use crate::store::entry::journaled::JournalKey;
use crate::store::entry::meta::Fact;
use crate::store::entry::{EntryKey, EntryKind, Readable};
use crate::store::error::{Error, Unreadable};

/// Maximum number of attempts at a read whose pieces concurrent commits replace.
const ATTEMPTS_MAX: usize = 5;
/// The smallest page.
const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };

/// A body as read, and how the engine stores it.
pub(super) struct Joined {
    pub(super) body: Vec<u8>,
    pub(super) stored: StoredAs,
}

//----------- Entries by key -------------------------------------------------

impl Tables {
    /// The entries under these keys, in this order; none where there is none.
    pub(in crate::store) async fn get<R: Readable>(
        &self,
        keys: impl IntoIterator<Item = &R::Key>,
    ) -> Result<Vec<Option<R>>, Error> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(EntryKey::to_bytes).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let table = Table::from(R::KIND);
        let stored = self.backend.get_many(table, keys.clone()).await?;
        let mut found = Vec::with_capacity(keys.len());
        for (key, stored) in keys.into_iter().zip(stored) {
            let joined = match stored {
                Some(stored) => self.join(table, &key, stored).await?,
                None => None,
            };
            found.push(joined.map(|joined| self.decode(&key, &joined)).transpose()?);
        }
        Ok(found)
    }

    /// The entry under a key, if there is one.
    pub(in crate::store) async fn get_one<R: Readable>(&self, key: &R::Key) -> Result<Option<R>, Error> {
        Ok(self.get([key]).await?.pop().flatten())
    }

    /// A fact about the store, if it is there.
    pub(in crate::store) async fn fact<F: Fact>(&self) -> Result<Option<F>, Error> {
        self.get_one(&F::NAME).await
    }
}

//----------- Entries in order -----------------------------------------------

impl Tables {
    /// The next entries of a span, in the order of their keys; none at its end. What is written meanwhile may be met or not.
    pub(in crate::store) async fn next<R: Readable>(
        &self,
        span: &mut Span<R>,
        limit: PageLimit,
    ) -> Result<Vec<R>, Error> {
        let table = Table::from(R::KIND);
        loop {
            let page = self.backend.scan(table, span.range.clone(), Order::Forward, limit).await?;
            if page.is_empty() {
                return Ok(Vec::new());
            }
            let (mut found, mut bytes) = (Vec::with_capacity(page.len()), 0);
            for (key, stored) in page {
                span.pass(&key, Order::Forward);
                // An entry that has been deleted meanwhile is left out.
                let Some(joined) = self.join(table, &key, stored).await? else { continue };
                bytes += joined.body.len();
                found.push(self.decode(&key, &joined)?);
                if bytes >= limit.bytes {
                    break;
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// The last entry of the journal; `R` is its header or its body.
    pub(in crate::store) async fn last<R: Readable<Key = JournalKey>>(&self) -> Result<Option<R>, Error> {
        let table = Table::from(R::KIND);
        let page = self.backend.scan(table, Span::<R>::of_stream().range, Order::Backward, ONE).await?;
        let Some((key, stored)) = page.into_iter().next() else { return Ok(None) };
        let joined = self.join(table, &key, stored).await?;
        joined.map(|joined| self.decode(&key, &joined)).transpose()
    }

    /// The first sequence of the journal that has a header, or a body; none when there is none.
    pub(in crate::store) async fn first_sequence<R: Readable<Key = JournalKey>>(
        &self,
    ) -> Result<Option<u64>, EngineError> {
        let range = Span::<R>::all().range;
        let page = self.backend.scan(Table::from(R::KIND), range, Order::Forward, ONE).await?;
        Ok(page.first().and_then(|(key, _)| JournalKey::sequence_in(key)))
    }

    /// Whether there is no entry of a kind.
    pub(in crate::store) async fn is_empty(&self, kind: EntryKind) -> Result<bool, EngineError> {
        let range = super::scan::ScanRange::all();
        let page = self.backend.scan(Table::from(kind), range, Order::Forward, ONE).await?;
        Ok(page.is_empty())
    }

    /// A number that the entries of a kind do not exceed, where the engine knows one without reading them.
    pub(in crate::store) async fn entries_at_most(
        &self,
        kind: EntryKind,
    ) -> Result<Option<u64>, EngineError> {
        self.backend.entries_at_most(Table::from(kind)).await
    }
}

//----------- Envelopes and pieces -------------------------------------------

impl Tables {
    /// Joins the entry under a key with its pieces; none where it has been deleted meanwhile.
    pub(super) async fn join(
        &self,
        table: Table,
        key: &[u8],
        stored: Vec<u8>,
    ) -> Result<Option<Joined>, Error> {
        let mut stored = stored;
        let mut problem = Unreadable::Piece { piece: 0, pieces: 0 };
        for _ in 0..ATTEMPTS_MAX {
            let mark = match envelope::open(key, &stored) {
                Ok(Opened::Whole(body)) => return Ok(Some(Joined { body, stored: StoredAs::default() })),
                Ok(Opened::Cut(mark)) => mark,
                Err(error) => return Err(self.damaged(table, key, &error)),
            };
            let pieces = self.backend.get_many(Table::Piece, mark.cut.piece_keys(table).collect()).await?;
            match mark.join(key, &pieces) {
                Ok(body) => return Ok(Some(Joined { body, stored: StoredAs::cut(mark.cut) })),
                Err(error) => problem = error,
            }
            // A commit may have replaced the pieces between the two reads.
            let again = self.backend.get_many(table, vec![key.to_vec()]).await?;
            match again.into_iter().flatten().next() {
                Some(now) if now != stored => stored = now,
                Some(_) => break,
                None => return Ok(None),
            }
        }
        Err(self.damaged(table, key, &problem))
    }

    pub(super) fn decode<R: Readable>(&self, key: &[u8], joined: &Joined) -> Result<R, Error> {
        let decoded = R::decode(key, &joined.body, joined.stored);
        decoded.map_err(|problem| self.damaged(Table::from(R::KIND), key, &problem))
    }

    pub(super) fn damaged(&self, table: Table, key: &[u8], problem: &Unreadable) -> Error {
        let key = key.escape_ascii().to_string();
        let directory = self.directory.to_path_buf();
        Error::Damaged { directory, table: table.name(), key, detail: problem.to_string() }
    }
}
