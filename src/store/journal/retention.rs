//! What the store prunes: journal segments, bodies before headers, and expired requests.
//!
//! A segment of 65,536 entries is sealed when its last entry is committed; the seal keeps position and hash, and has a
//! field for a Merkle root. Only whole sealed segments are pruned. The new bound is recorded before anything is deleted,
//! so that history never claims more than there is.

use crate::model::limits::SEGMENT_ENTRIES;
use crate::model::position::Position;
use crate::store::Store;
use crate::store::engine::{PageLimit, Span, StoredAs, Writes};
use crate::store::entry::journaled::EncodedBody;
use crate::store::entry::meta::{Fact, FactName, SealKey};
use crate::store::entry::position::{read_position, write_position};
use crate::store::entry::{Entry, EntryKind, Readable};
use crate::store::error::{Error, Unreadable};
use crate::store::journal::{Hash, Header};
use crate::store::writer::{End, UpkeepWriter};
use crate::wire::cursor::{Reader, Writer};

/// Size of one step; of the entries deleted by one write.
const PRUNE_STEP: PageLimit = PageLimit { entries: 4_096, bytes: 4 * 1024 * 1024 };

//----------- RetainedFrom ---------------------------------------------------

/// The part of the journal that is retained: headers and bodies from a sequence of the only stream on. Above the store, ask
/// [`Store::complete_from`] and [`Store::retains_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedFrom {
    /// The first retained header.
    pub(in crate::store) headers_from: u64,
    /// The first retained body.
    pub(in crate::store) bodies_from: u64,
}

impl Default for RetainedFrom {
    fn default() -> Self {
        Self { headers_from: 1, bodies_from: 1 }
    }
}

impl Readable for RetainedFrom {
    type Key = FactName;
    const KIND: EntryKind = EntryKind::Meta;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        Ok(Self { headers_from: reader.u64("headers from")?, bodies_from: reader.u64("bodies from")? })
    }
}

impl Entry for RetainedFrom {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.headers_from).u64(self.bodies_from);
        writer.into_vec()
    }
}

impl Fact for RetainedFrom {
    const NAME: FactName = FactName::Retained;
}

//----------- Seal -----------------------------------------------------------

/// What stays of a segment when it is pruned: position, hash and time of its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Seal {
    /// Position of the entry.
    pub(in crate::store) position: Position,
    /// The chained hash there.
    pub(in crate::store) chain: Hash,
    /// Time of the entry, in milliseconds since 1970.
    pub(in crate::store) time_ms: u64,
}

impl Seal {
    /// The seal of a journal that ends here, if it ends with a segment.
    pub(in crate::store) fn at(end: End) -> Option<Self> {
        let is_last = end.sequence.is_multiple_of(SEGMENT_ENTRIES);
        is_last.then_some(Self { position: end.position(), chain: end.chain, time_ms: end.time_ms })
    }

    /// The key of its entry.
    pub(in crate::store) fn key(&self) -> SealKey {
        SealKey(self.position.sequence + 1)
    }
}

impl Readable for Seal {
    type Key = SealKey;
    const KIND: EntryKind = EntryKind::Meta;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let position = read_position(&mut reader)?;
        Ok(Self { position, chain: reader.array("chain")?, time_ms: reader.u64("time")? })
    }
}

impl Entry for Seal {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        write_position(&mut writer, self.position).raw(&self.chain).u64(self.time_ms);
        // The field for a Merkle root: empty so far.
        writer.u8(0);
        writer.into_vec()
    }
}

//----------- Pruning --------------------------------------------------------

/// What to prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bodies of segments that ended before this time go, in milliseconds since 1970.
    pub bodies_before_ms: u64,
    /// Headers of segments that ended before this time go; never later than the bodies.
    pub headers_before_ms: u64,
}

impl UpkeepWriter {
    /// Prunes whole sealed segments. Returns what it retains; while a backup copies the journal, nothing is pruned. When this returns,
    /// the new bounds and the deletions are on disk; after a crash some pruned entries stay until the next time.
    ///
    /// Allowed while the store is paused; [`Error::ReadOnly`](crate::store::error::Error::ReadOnly) while it is unsure or stopped.
    pub async fn prune(&self, retention: Retention) -> Result<RetainedFrom, Error> {
        let store = &self.store;
        store.check_not_stopped()?;
        let retained = store.retained();
        let Ok(_alone) = store.inner.held.try_write() else {
            return Ok(retained);
        };
        let bodies = store.sealed_before(retention.bodies_before_ms).await?.max(retained.bodies_from);
        let headers = retention.headers_before_ms.min(retention.bodies_before_ms);
        let headers = store.sealed_before(headers).await?.max(retained.headers_from);
        let target = RetainedFrom { headers_from: headers, bodies_from: bodies };
        if target == retained {
            return Ok(retained);
        }
        let mut writes = Writes::default();
        writes.put_fact(&target);
        self.store.write(writes).await?;
        store.inner.retained.store(target.into());
        self.delete(Span::<EncodedBody>::before(target.bodies_from)).await?;
        self.delete(Span::<Header>::before(target.headers_from)).await?;
        Ok(target)
    }

    /// Deletes the entries of a span, a step at a time. Returns how many.
    async fn delete<R: Readable>(&self, mut span: Span<R>) -> Result<u64, Error> {
        let mut deleted = 0;
        while let Some((writes, count)) = self.store.inner.engine.deletions(&mut span, PRUNE_STEP).await? {
            self.store.write(writes).await?;
            deleted += count;
        }
        Ok(deleted)
    }

    /// Forgets requests whose ids were made before a time, in milliseconds since 1970. Returns how many; on disk then. Allowed as pruning
    /// is.
    pub async fn forget_requests(&self, made_before_ms: u64) -> Result<u64, Error> {
        self.store.check_not_stopped()?;
        self.delete(Span::made_before(made_before_ms)).await
    }
}

impl Store {
    /// The first sequence after the last segment that was sealed before a time. The segment that holds the journal's end
    /// stays, sealed or not: the next entry is chained to it.
    async fn sealed_before(&self, time_ms: u64) -> Result<u64, Error> {
        let end = self.end().sequence;
        let (mut next, mut span) = (1, Span::<Seal>::seals());
        loop {
            let seals = self.inner.engine.next(&mut span, PRUNE_STEP).await?;
            if seals.is_empty() {
                return Ok(next);
            }
            for Seal { position, time_ms: sealed_ms, .. } in seals {
                if sealed_ms < time_ms && position.sequence < end {
                    next = next.max(position.sequence + 1);
                }
            }
        }
    }
}

//----------- Density --------------------------------------------------------

impl Store {
    /// Whether the last entry was made less than `gap_ms` after the one before, that one after the one before it, and so on
    /// for `span_ms` back from the last entry. Reads a few hundred headers, however long the journal is.
    pub async fn is_dense(&self, span_ms: u64, gap_ms: u64) -> Result<bool, Error> {
        let end = self.end();
        let Some(since_ms) = end.time_ms.checked_sub(span_ms) else { return Ok(false) };
        // The first entry of the span, by halving.
        let (mut before, mut within) = (self.retained().headers_from.saturating_sub(1), end.sequence);
        while within - before > 1 {
            let middle = before + (within - before) / 2;
            match self.time_of(middle).await? {
                Some(time_ms) if time_ms > since_ms => within = middle,
                _ => before = middle,
            }
        }
        let Some(before_ms) = self.time_of(before).await? else { return Ok(false) };
        // Times only rise: where two entries are near, all between them are.
        let mut waiting = vec![((before, before_ms), (end.sequence, end.time_ms))];
        while let Some((earlier, later)) = waiting.pop() {
            if later.1 - earlier.1 <= gap_ms {
                continue;
            }
            let middle = earlier.0 + (later.0 - earlier.0) / 2;
            let time_ms = self.time_of(middle).await?;
            let Some(time_ms) = time_ms.filter(|_| middle != earlier.0) else { return Ok(false) };
            waiting.extend([(earlier, (middle, time_ms)), ((middle, time_ms), later)]);
        }
        Ok(true)
    }

    /// The time of a journal entry, in milliseconds since 1970; none when it is not retained.
    async fn time_of(&self, sequence: u64) -> Result<Option<u64>, Error> {
        let header = self.headers_at(&[sequence]).await?.into_iter().flatten().next();
        Ok(header.map(|header| header.time_ms))
    }
}
