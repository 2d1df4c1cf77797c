//! Messages of many datagrams, put together again in bounded memory.
//!
//! ```text
//!   piece k lies at 492 * k ─▶ whole: the message
//!                            ├▶ waiting, for at most 5 seconds
//!                            └▶ dropped: what does not fit what came before drops the whole message
//! ```
//! Only what was received takes memory, never what a length promises. When there is no room left, the oldest message
//! goes: a flood of beginnings costs its sender as many bytes as it occupies here.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::front::listen::source::Source;
use crate::wire::handle::envelope::Envelope;
use crate::wire::handle::packet::{Piece, packets_of};

/// How long the rest of a message may take to come.
const LIFE: Duration = Duration::from_secs(5);
/// Bytes that a kept piece takes beside its own, and a begun message beside its pieces.
const OVERHEAD_BYTES: usize = 128;

//----------- MessageKey -----------------------------------------------------

/// What names a message while its pieces come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct MessageKey {
    /// Whence it comes.
    asker: SocketAddr,
    /// Its session.
    session: u32,
    /// Its request id.
    request: u32,
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was the last that was missing: this is the message.
    Whole(Vec<u8>),
    /// Others are missing.
    Waiting,
    /// It does not fit; what came of the message before is forgotten.
    Dropped,
}

//----------- Reassembly -----------------------------------------------------

/// Bounds of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReassemblyBounds {
    /// Bytes kept in all.
    pub(super) bytes_max: usize,
    /// Bytes kept of one source.
    pub(super) source_bytes_max: usize,
}

/// Messages of which pieces are missing.
#[derive(Debug)]
pub(super) struct Reassembly {
    bounds: ReassemblyBounds,
    messages: HashMap<MessageKey, Partial>,
    /// The keys by the order of their beginning, the oldest first.
    ages: BTreeMap<u64, MessageKey>,
    sources: HashMap<Source, usize>,
    bytes: usize,
    begun: u64,
    /// Messages given up: too old, inconsistent, or for want of room.
    lost: u64,
}

#[derive(Debug)]
struct Partial {
    age: u64,
    since: Instant,
    /// The envelope of every piece, but for its number.
    envelope: Envelope,
    pieces: BTreeMap<u32, Box<[u8]>>,
    bytes: usize,
}

impl Reassembly {
    /// Keeps nothing yet.
    pub(super) fn new(bounds: ReassemblyBounds) -> Self {
        Self {
            bounds,
            messages: HashMap::new(),
            ages: BTreeMap::new(),
            sources: HashMap::new(),
            bytes: 0,
            begun: 0,
            lost: 0,
        }
    }

    /// Takes a piece.
    pub(super) fn take(&mut self, asker: SocketAddr, piece: &Piece<'_>, now: Instant) -> Taken {
        self.expire(now);
        let Envelope { session, request, sequence, .. } = piece.envelope;
        let key = MessageKey { asker, session, request };
        if let Some(partial) = self.messages.get(&key) {
            let same = partial.envelope == Envelope { sequence: 0, ..piece.envelope };
            match partial.pieces.get(&sequence) {
                Some(kept) if same && **kept == *piece.bytes => return Taken::Waiting,
                None if same => {}
                Some(_) | None => {
                    self.forget(&key);
                    return Taken::Dropped;
                }
            }
        }
        self.keep(key, piece, now)
    }

    /// Messages given up so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    fn keep(&mut self, key: MessageKey, piece: &Piece<'_>, now: Instant) -> Taken {
        let is_new = !self.messages.contains_key(&key);
        let cost = piece.bytes.len() + OVERHEAD_BYTES * if is_new { 2 } else { 1 };
        if !self.make_room(cost, &key) {
            self.forget(&key);
            self.lost += u64::from(is_new);
            return Taken::Dropped;
        }
        if is_new {
            self.begun += 1;
            self.ages.insert(self.begun, key);
        }
        let age = self.begun;
        let partial = self.messages.entry(key).or_insert_with(|| Partial {
            age,
            since: now,
            envelope: Envelope { sequence: 0, ..piece.envelope },
            pieces: BTreeMap::new(),
            bytes: 0,
        });
        partial.pieces.insert(piece.envelope.sequence, piece.bytes.into());
        partial.bytes += cost;
        self.bytes += cost;
        *self.sources.entry(Source::of(key.asker.ip())).or_default() += cost;
        if partial.pieces.len() < packets_of(partial.envelope.message_length()) {
            return Taken::Waiting;
        }
        // Every piece has the length of its place, so that all of them are the message.
        match self.remove(&key) {
            Some(partial) => Taken::Whole(partial.pieces.into_values().flatten().collect()),
            None => Taken::Dropped,
        }
    }

    /// Makes room for so many bytes of a source; false when its own share is used up.
    fn make_room(&mut self, cost: usize, key: &MessageKey) -> bool {
        let of_source = self.sources.get(&Source::of(key.asker.ip())).copied().unwrap_or_default();
        if of_source + cost > self.bounds.source_bytes_max {
            return false;
        }
        while self.bytes + cost > self.bounds.bytes_max {
            let Some(oldest) = self.ages.first_key_value().map(|(_, oldest)| *oldest) else { return false };
            self.forget(&oldest);
            if oldest == *key {
                return false;
            }
        }
        true
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, oldest)) = self.ages.first_key_value() {
            let oldest = *oldest;
            let over = |partial: &Partial| now.saturating_duration_since(partial.since) >= LIFE;
            if !self.messages.get(&oldest).is_some_and(over) {
                return;
            }
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &MessageKey) {
        self.lost += u64::from(self.remove(key).is_some());
    }

    fn remove(&mut self, key: &MessageKey) -> Option<Partial> {
        let partial = self.messages.remove(key)?;
        self.ages.remove(&partial.age);
        self.bytes -= partial.bytes;
        let source = Source::of(key.asker.ip());
        if let Some(of_source) = self.sources.get_mut(&source) {
            *of_source -= partial.bytes;
            if *of_source == 0 {
                self.sources.remove(&source);
            }
        }
        Some(partial)
    }
}

#[cfg(test)]
mod tests;
