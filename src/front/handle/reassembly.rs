//! Reassembly of messages that arrive in several datagrams, in bounded memory.
//!
//! ```text
//!   piece k has offset 492 * k ─▶ whole: the message
//!                               ├▶ waiting, for at most 5 seconds
//!                               └▶ dropped: a piece that contradicts an earlier one drops the whole message
//! ```
//! Memory is taken for received pieces only, not for the stated length. When it is used up, the oldest message is evicted:
//! a flood of first pieces costs its sender as many bytes as it occupies here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::front::listen::expiring::Expiring;
use crate::front::listen::quota::{Exceeded, Quota, QuotaBounds, QuotaGrant};
use crate::front::listen::source::Source;
use crate::wire::handle::envelope::Envelope;
use crate::wire::handle::packet::{Piece, packets_of};

/// Time within which all pieces of a message have to arrive.
const LIFE: Duration = Duration::from_secs(5);
/// Bytes of a stored piece beside its contents, and of a message beside its pieces.
const OVERHEAD_BYTES: usize = 128;

//----------- MessageKey -----------------------------------------------------

/// What identifies a message while its pieces arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct MessageKey {
    /// The address of the client.
    client: SocketAddr,
    /// The session.
    session: u32,
    /// The request id.
    request: u32,
}

/// The result of adding a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The message is complete.
    Whole(Vec<u8>),
    /// Some pieces of the message are missing.
    Waiting,
    /// The piece contradicts earlier ones, or there is no memory; the message is dropped.
    Dropped,
}

//----------- Reassembly -----------------------------------------------------

/// Messages of which pieces are missing.
#[derive(Debug)]
pub(super) struct Reassembly {
    quota: Arc<Quota>,
    messages: Expiring<MessageKey, Partial>,
    /// Messages given up: expired, inconsistent, or evicted.
    lost: u64,
}

#[derive(Debug)]
struct Partial {
    /// The envelope of every piece, without its number.
    envelope: Envelope,
    pieces: BTreeMap<u32, Box<[u8]>>,
}

impl Reassembly {
    /// Without messages; the bounds are in bytes.
    pub(super) fn new(bounds: QuotaBounds) -> Self {
        Self { quota: Quota::new(bounds), messages: Expiring::default(), lost: 0 }
    }

    /// Adds a piece.
    pub(super) fn take(
        &mut self,
        client: SocketAddr,
        source: Source,
        piece: &Piece<'_>,
        now: Instant,
    ) -> Taken {
        let expired = self.messages.expire(now).len();
        self.lost += u64::try_from(expired).unwrap_or_default();
        let Envelope { session, request, sequence, .. } = piece.envelope;
        let key = MessageKey { client, session, request };
        if let Some(partial) = self.messages.get(&key) {
            let same = partial.envelope == Envelope { sequence: 0, ..piece.envelope };
            match partial.pieces.get(&sequence) {
                Some(stored) if same && **stored == *piece.bytes => return Taken::Waiting,
                None if same => {}
                Some(_) | None => {
                    self.forget(&key);
                    return Taken::Dropped;
                }
            }
            return self.add(&key, piece);
        }
        self.begin(key, source, piece, now)
    }

    /// Messages given up so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Stores the first piece that arrived of a message.
    fn begin(&mut self, key: MessageKey, source: Source, piece: &Piece<'_>, now: Instant) -> Taken {
        let cost = piece.bytes.len() + 2 * OVERHEAD_BYTES;
        let Some(grant) = self.take_evicting(source, cost) else {
            self.lost += 1;
            return Taken::Dropped;
        };
        let envelope = Envelope { sequence: 0, ..piece.envelope };
        let pieces = BTreeMap::from([(piece.envelope.sequence, piece.bytes.into())]);
        self.messages.insert(key, Partial { envelope, pieces }, grant, now + LIFE);
        self.whole(&key)
    }

    /// Adds a piece to a stored message.
    fn add(&mut self, key: &MessageKey, piece: &Piece<'_>) -> Taken {
        loop {
            // The message itself may be the one that was evicted.
            let Some((partial, grant)) = self.messages.get_mut(key) else { return Taken::Dropped };
            match grant.grow(piece.bytes.len() + OVERHEAD_BYTES) {
                Ok(()) => {
                    partial.pieces.insert(piece.envelope.sequence, piece.bytes.into());
                    return self.whole(key);
                }
                Err(Exceeded::Source) => {
                    self.forget(key);
                    return Taken::Dropped;
                }
                Err(Exceeded::Total) => self.evict(),
            }
        }
    }

    /// The message, if it is complete.
    fn whole(&mut self, key: &MessageKey) -> Taken {
        let is_whole = self
            .messages
            .get(key)
            .is_some_and(|partial| partial.pieces.len() >= packets_of(partial.envelope.message_length()));
        // Every piece has the length of its position, so that all of them are the message.
        match is_whole.then(|| self.messages.remove(key)).flatten() {
            Some(partial) => Taken::Whole(partial.pieces.into_values().flatten().collect()),
            None => Taken::Waiting,
        }
    }

    /// Takes bytes for a source, and evicts the oldest messages for them; none if the share of the source is used up.
    fn take_evicting(&mut self, source: Source, cost: usize) -> Option<QuotaGrant> {
        loop {
            match self.quota.take(source, cost) {
                Ok(grant) => return Some(grant),
                Err(Exceeded::Total) if self.messages.len() > 0 => self.evict(),
                Err(Exceeded::Total | Exceeded::Source) => return None,
            }
        }
    }

    fn evict(&mut self) {
        self.lost += u64::from(self.messages.evict().is_some());
    }

    fn forget(&mut self, key: &MessageKey) {
        self.lost += u64::from(self.messages.remove(key).is_some());
    }
}

#[cfg(test)]
mod tests;
