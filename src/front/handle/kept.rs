//! Replies to datagrams that may come again: what was done once is told again, never done again.
//!
//! ```text
//!   first ─ run ─▶ finish: kept for some seconds ─▶ again: the kept reply
//!     └─ again while it runs: silence, the reply is on its way
//! ```
//! Kept are replies of everything but plain questions. What changed something is never pushed out within its life: when
//! there is no room for more, requests are told that the node is too busy, before anything is done.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a reply is kept: clients repeat within three seconds.
const LIFE: Duration = Duration::from_secs(10);
/// Bytes that a kept reply takes beside its own.
const OVERHEAD_BYTES: usize = 256;

//----------- Key ------------------------------------------------------------

/// What names a request that may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeptKey {
    /// Whence it comes.
    pub(super) asker: SocketAddr,
    /// Its session.
    pub(super) session: u32,
    /// Its request id.
    pub(super) request: u32,
    /// A digest of its message: an id used again for something else is another request.
    pub(super) content: u64,
}

/// What a request is when it comes.
#[derive(Debug)]
pub(super) enum Begun {
    /// New: it is to be run, and finished by the ticket.
    First(Ticket),
    /// Done: this was the reply.
    Again(Arc<[u8]>),
    /// Under way.
    Running,
    /// There is no room to keep its reply.
    Full,
}

/// What a reply stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Telling it twice would do no harm.
    Light,
    /// Something was changed.
    Changed,
}

//----------- KeptReplies ----------------------------------------------------

/// Replies that are kept.
#[derive(Debug)]
pub(super) struct KeptReplies {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    replies: HashMap<KeptKey, Kept>,
    /// The finished ones by age, the oldest first.
    light: BTreeMap<u64, KeptKey>,
    changed: BTreeMap<u64, KeptKey>,
    bytes: usize,
    finished: u64,
}

#[derive(Debug)]
enum Kept {
    Running,
    Finished { reply: Arc<[u8]>, age: u64, at: Instant },
}

/// The duty to finish a request; dropping it forgets the request.
#[derive(Debug)]
pub(super) struct Ticket {
    replies: Arc<KeptReplies>,
    key: KeptKey,
    is_finished: bool,
}

impl KeptReplies {
    /// Keeps replies of so many bytes at most.
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, inner: Mutex::default() })
    }

    /// Takes a request in.
    pub(super) fn begin(self: &Arc<Self>, key: KeptKey, now: Instant) -> Begun {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(now);
        match inner.replies.get(&key) {
            Some(Kept::Running) => return Begun::Running,
            Some(Kept::Finished { reply, .. }) => return Begun::Again(Arc::clone(reply)),
            None => {}
        }
        if !inner.make_room(OVERHEAD_BYTES, self.bytes_max) {
            return Begun::Full;
        }
        inner.bytes += OVERHEAD_BYTES;
        inner.replies.insert(key, Kept::Running);
        Begun::First(Ticket { replies: Arc::clone(self), key, is_finished: false })
    }
}

impl Ticket {
    /// Keeps the reply.
    pub(super) fn finish(mut self, reply: Arc<[u8]>, weight: Weight, now: Instant) {
        self.is_finished = true;
        let mut inner = self.replies.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A reply that changed something is kept even beyond the bound; the next request then finds no room.
        if weight == Weight::Light && !inner.make_room(reply.len(), self.replies.bytes_max) {
            inner.forget(&self.key);
            return;
        }
        inner.finished += 1;
        inner.bytes += reply.len();
        let age = inner.finished;
        match weight {
            Weight::Light => inner.light.insert(age, self.key),
            Weight::Changed => inner.changed.insert(age, self.key),
        };
        inner.replies.insert(self.key, Kept::Finished { reply, age, at: now });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_finished {
            self.replies.inner.lock().unwrap_or_else(PoisonError::into_inner).forget(&self.key);
        }
    }
}

impl Inner {
    /// Makes room by forgetting light replies, the oldest first.
    fn make_room(&mut self, bytes: usize, bytes_max: usize) -> bool {
        while self.bytes + bytes > bytes_max {
            let Some(oldest) = self.light.first_key_value().map(|(_, key)| *key) else { return false };
            self.forget(&oldest);
        }
        true
    }

    fn expire(&mut self, now: Instant) {
        while let Some(key) = self.light.first_key_value().map(|(_, key)| *key) {
            if !self.is_over(&key, now) {
                break;
            }
            self.forget(&key);
        }
        while let Some(key) = self.changed.first_key_value().map(|(_, key)| *key) {
            if !self.is_over(&key, now) {
                break;
            }
            self.forget(&key);
        }
    }

    fn is_over(&self, key: &KeptKey, now: Instant) -> bool {
        match self.replies.get(key) {
            Some(Kept::Finished { at, .. }) => now.saturating_duration_since(*at) >= LIFE,
            Some(Kept::Running) | None => false,
        }
    }

    fn forget(&mut self, key: &KeptKey) {
        match self.replies.remove(key) {
            Some(Kept::Running) => self.bytes -= OVERHEAD_BYTES,
            Some(Kept::Finished { reply, age, .. }) => {
                self.bytes -= OVERHEAD_BYTES + reply.len();
                self.light.remove(&age);
                self.changed.remove(&age);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{Begun, KeptKey, KeptReplies, LIFE, OVERHEAD_BYTES, Ticket, Weight};

    fn key(request: u32) -> KeptKey {
        let asker = SocketAddr::from(([127, 0, 0, 1], 4_000));
        KeptKey { asker, session: 0, request, content: 1 }
    }

    fn first(begun: Begun) -> Ticket {
        match begun {
            Begun::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_runs_once_and_its_reply_is_told_again() {
        let now = Instant::now();
        let replies = KeptReplies::new(10_000);
        let ticket = first(replies.begin(key(1), now));
        assert!(matches!(replies.begin(key(1), now), Begun::Running));
        ticket.finish(Arc::from(&b"done"[..]), Weight::Changed, now);
        assert!(matches!(replies.begin(key(1), now), Begun::Again(reply) if *reply == *b"done"));
        // The same id with other content is another request.
        drop(first(replies.begin(KeptKey { content: 2, ..key(1) }, now)));
        drop(first(replies.begin(key(1), now + LIFE)));
        assert_eq!(replies.inner.lock().expect("sound").bytes, 0);
    }

    #[test]
    fn what_was_given_up_may_be_run() {
        let now = Instant::now();
        let replies = KeptReplies::new(10_000);
        drop(first(replies.begin(key(1), now)));
        first(replies.begin(key(1), now));
    }

    #[test]
    fn light_replies_make_room_and_changes_do_not() {
        let now = Instant::now();
        let replies = KeptReplies::new(2 * (OVERHEAD_BYTES + 4));
        let reply = || Arc::from(&b"done"[..]);
        first(replies.begin(key(1), now)).finish(reply(), Weight::Changed, now);
        first(replies.begin(key(2), now)).finish(reply(), Weight::Light, now);
        first(replies.begin(key(3), now)).finish(reply(), Weight::Changed, now);
        assert!(matches!(replies.begin(key(1), now), Begun::Again(_)));
        assert!(matches!(replies.begin(key(2), now), Begun::Full), "it was pushed out");
        assert!(matches!(replies.begin(key(4), now), Begun::Full));
        let late = now + LIFE + Duration::from_millis(1);
        first(replies.begin(key(4), late));
    }
}
