//! What the store prunes: journal segments, bodies before headers, and expired requests.
//!
//! A segment of 65,536 entries is sealed when its last entry is committed; the seal keeps position and hash, and has a
//! field for a Merkle root. Only whole sealed segments are pruned. The new bound is recorded before anything is deleted,
//! so that history never claims more than there is.

use std::ops::Bound;

use crate::model::limits::SEGMENT_ENTRIES;
use crate::model::position::Stream;
use crate::wire::cursor::{DecodeError, Reader, Writer};

use super::Store;
use super::commit::End;
use super::engine::batch::WriteBatch;
use super::engine::scan::{Order, ScanLimit, ScanRange};
use super::engine::table::Table;
use super::error::Error;
use super::journal::Hash;
use super::writes::Writes;
use super::{entry_v1, envelope, key};

/// Entries deleted by one write.
const PRUNE_STEP: usize = 4_096;

//----------- RetainedFrom ---------------------------------------------------

/// The part of the journal that is retained: headers and bodies from a sequence on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedFrom {
    /// The first retained header.
    pub headers_from: u64,
    /// The first retained body.
    pub bodies_from: u64,
}

impl Default for RetainedFrom {
    fn default() -> Self {
        Self { headers_from: 1, bodies_from: 1 }
    }
}

impl RetainedFrom {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.headers_from).u64(self.bodies_from);
        writer.into_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        Ok(Self { headers_from: reader.u64("headers from")?, bodies_from: reader.u64("bodies from")? })
    }
}

/// The seal that a journal ending here has earned: its key and its body.
pub(super) fn seal_at(end: End) -> Option<(Vec<u8>, Vec<u8>)> {
    if !end.sequence.is_multiple_of(SEGMENT_ENTRIES) {
        return None;
    }
    let mut writer = Writer::default();
    entry_v1::write_position(&mut writer, end.position()).raw(&end.chain).u64(end.time_ms);
    // The field for a Merkle root: empty so far.
    writer.u8(0);
    Some((key::meta::seal(end.sequence + 1), writer.into_vec()))
}

//----------- Pruning --------------------------------------------------------

/// What to let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bodies of segments that ended before this time go, in milliseconds since 1970.
    pub bodies_before_ms: u64,
    /// Headers of segments that ended before this time go; never later than the bodies.
    pub headers_before_ms: u64,
}

impl Store {
    /// Prunes whole sealed segments. Returns what it retains; while a backup copies the journal, nothing moves.
    pub async fn prune(&self, retention: Retention) -> Result<RetainedFrom, Error> {
        self.check_not_stopped()?;
        let retained = self.retained();
        let Ok(_alone) = self.inner.held.try_write() else {
            return Ok(retained);
        };
        let bodies = self.sealed_before(retention.bodies_before_ms).await?.max(retained.bodies_from);
        let headers = retention.headers_before_ms.min(retention.bodies_before_ms);
        let headers = self.sealed_before(headers).await?.max(retained.headers_from);
        let target = RetainedFrom { headers_from: headers, bodies_from: bodies };
        if target == retained {
            return Ok(retained);
        }
        let mut writes = Writes::default();
        writes.put_retained(target);
        self.write(writes.into_batch()).await?;
        self.inner.retained.store(target.into());
        self.delete_journal(Table::Body, target.bodies_from).await?;
        self.delete_journal(Table::Header, target.headers_from).await?;
        Ok(target)
    }

    /// The first sequence after the last segment that was sealed before a time. The segment that holds the journal's end
    /// stays, sealed or not: the next entry is chained to it.
    async fn sealed_before(&self, time_ms: u64) -> Result<u64, Error> {
        let range = ScanRange::starting_with(key::meta::SEALS);
        let limit = ScanLimit { entries: 1_000_000, bytes: 64 * 1024 * 1024 };
        let seals = self.inner.engine.scan(Table::Meta, range, Order::Forward, limit).await?;
        let end = self.end().sequence;
        let mut next = 1;
        for (key, _) in &seals {
            let loaded = self.load(Table::Meta, vec![key.clone()]).await?;
            let Some(loaded) = loaded.into_iter().flatten().next() else {
                continue;
            };
            let (sequence, sealed_ms) =
                read_seal(&loaded.body).map_err(|error| self.damaged(Table::Meta, key, &error.into()))?;
            if sealed_ms < time_ms && sequence < end {
                next = next.max(sequence + 1);
            }
        }
        Ok(next)
    }

    /// Deletes journal entries below a sequence, with their pieces, a step at a time.
    async fn delete_journal(&self, table: Table, below: u64) -> Result<(), Error> {
        loop {
            let range = ScanRange {
                start: Bound::Unbounded,
                end: Bound::Excluded(key::journal(Stream::ONLY, below)),
            };
            let limit = ScanLimit { entries: PRUNE_STEP, bytes: 4 * 1024 * 1024 };
            let page = self.inner.engine.scan(table, range, Order::Forward, limit).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut batch = WriteBatch::new();
            for (key, stored) in page {
                if let Ok(envelope::Opened::Cut(mark)) = envelope::open(&key, &stored) {
                    mark.cut.piece_keys(table).for_each(|piece| batch.delete(Table::Piece, piece));
                }
                batch.delete(table, key);
            }
            self.write(batch).await?;
        }
    }

    /// Forgets requests whose ids were made before a time, in milliseconds since 1970. Returns how many.
    pub async fn forget_requests(&self, made_before_ms: u64) -> Result<u64, Error> {
        self.check_not_stopped()?;
        let mut forgotten = 0;
        loop {
            let range =
                ScanRange { start: Bound::Unbounded, end: Bound::Excluded(key::request_at(made_before_ms)) };
            let limit = ScanLimit { entries: PRUNE_STEP, bytes: 4 * 1024 * 1024 };
            let page = self.inner.engine.scan(Table::Request, range, Order::Forward, limit).await?;
            if page.is_empty() {
                return Ok(forgotten);
            }
            let mut batch = WriteBatch::new();
            for (key, _) in page {
                forgotten += 1;
                batch.delete(Table::Request, key);
            }
            self.write(batch).await?;
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

/// The chained hash at the end of a sealed segment.
pub(super) fn chain_of_seal(body: &[u8]) -> Result<Hash, DecodeError> {
    let mut reader = Reader::new(body);
    entry_v1::read_position(&mut reader)?;
    reader.array("chain")
}

/// Reads a seal: the last sequence of its segment, and that entry's time.
pub(super) fn read_seal(body: &[u8]) -> Result<(u64, u64), DecodeError> {
    let mut reader = Reader::new(body);
    let position = entry_v1::read_position(&mut reader)?;
    let _chain: [u8; 32] = reader.array("chain")?;
    Ok((position.sequence, reader.u64("time")?))
}
