//! Replies to datagrams that may come again: what was done once is told again, never done again.
//!
//! ```text
//!   first ─ run ─▶ finish: kept for some seconds ─▶ again: the kept reply
//!     └─ again while it runs: silence, the reply is on its way
//! ```
//! Kept are replies of everything but plain questions. What changed something is never evicted within its life: when
//! there is no room for more, in total or for one source, requests are told that the node is too busy, before anything is
//! done.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::front::listen::expiring::Expiring;
use crate::front::listen::quota::{Exceeded, Grant, Quota, QuotaBounds};
use crate::front::listen::source::Source;

/// How long a reply is kept: clients repeat within three seconds.
const LIFE: Duration = Duration::from_secs(10);
/// Bytes that a kept reply takes beside its own.
const OVERHEAD_BYTES: usize = 256;
/// Of so many bytes, one may be of one source.
const SOURCE_SHARE: usize = 4;

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
    quota: Arc<Quota>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    running: HashMap<KeptKey, Grant>,
    light: Expiring<KeptKey, Arc<[u8]>>,
    changed: Expiring<KeptKey, Arc<[u8]>>,
}

/// The duty to finish a request; dropping it forgets the request.
#[derive(Debug)]
pub(super) struct Ticket {
    replies: Arc<KeptReplies>,
    key: KeptKey,
}

impl KeptReplies {
    /// Keeps replies of so many bytes at most.
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        let bounds = QuotaBounds { total: bytes_max, per_source: bytes_max / SOURCE_SHARE };
        Arc::new(Self { quota: Quota::new(bounds), table: Mutex::default() })
    }

    /// Takes a request in.
    pub(super) fn begin(self: &Arc<Self>, key: KeptKey, now: Instant) -> Begun {
        let mut table = self.table();
        table.light.expire(now);
        table.changed.expire(now);
        if table.running.contains_key(&key) {
            return Begun::Running;
        }
        if let Some(reply) = table.light.get(&key).or_else(|| table.changed.get(&key)) {
            return Begun::Again(Arc::clone(reply));
        }
        let source = Source::of(key.asker.ip());
        let Some(grant) = table.make_room(|| self.quota.take(source, OVERHEAD_BYTES)) else {
            return Begun::Full;
        };
        table.running.insert(key, grant);
        Begun::First(Ticket { replies: Arc::clone(self), key })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Keeps the reply.
    pub(super) fn finish(self, reply: Arc<[u8]>, weight: Weight, now: Instant) {
        let mut table = self.replies.table();
        let Some(mut grant) = table.running.remove(&self.key) else { return };
        let until = now + LIFE;
        match weight {
            Weight::Light => {
                if table.make_room(|| grant.grow(reply.len())).is_some() {
                    table.light.insert(self.key, reply, grant, until);
                }
            }
            // A reply that changed something is kept even beyond the bound; the next request then finds no room.
            Weight::Changed => {
                grant.grow_beyond(reply.len());
                table.changed.insert(self.key, reply, grant, until);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.replies.table().running.remove(&self.key);
    }
}

impl Table {
    /// Tries to take bytes, and evicts light replies, the oldest first, until it succeeds.
    fn make_room<T>(&mut self, mut take: impl FnMut() -> Result<T, Exceeded>) -> Option<T> {
        loop {
            match take() {
                Ok(taken) => return Some(taken),
                Err(Exceeded::Source) => return None,
                Err(Exceeded::Total) => self.light.evict()?,
            };
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
        let last = u8::try_from(request % 256).expect("a byte");
        let asker = SocketAddr::from(([127, 0, 0, last], 4_000));
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
        assert_eq!(replies.quota.used(), 0);
    }

    #[test]
    fn what_was_given_up_may_be_run() {
        let now = Instant::now();
        let replies = KeptReplies::new(10_000);
        drop(first(replies.begin(key(1), now)));
        first(replies.begin(key(1), now));
    }

    #[test]
    fn light_replies_are_evicted_and_changes_are_not() {
        let now = Instant::now();
        let replies = KeptReplies::new(8 * (OVERHEAD_BYTES + 4));
        let reply = || Arc::from(&b"done"[..]);
        for request in 1..=8 {
            let weight = if request == 7 { Weight::Light } else { Weight::Changed };
            first(replies.begin(key(request), now)).finish(reply(), weight, now);
        }
        first(replies.begin(key(9), now)).finish(reply(), Weight::Changed, now);
        assert!(matches!(replies.begin(key(1), now), Begun::Again(_)));
        assert!(matches!(replies.begin(key(7), now), Begun::Full), "it was evicted");
        assert!(matches!(replies.begin(key(10), now), Begun::Full));
        let late = now + LIFE + Duration::from_millis(1);
        first(replies.begin(key(10), late));
    }

    #[test]
    fn no_source_takes_all_the_room() {
        let now = Instant::now();
        let replies = KeptReplies::new(8 * (OVERHEAD_BYTES + 4));
        let of_one_source = |session| KeptKey { session, ..key(1) };
        for session in 1..=2 {
            let ticket = first(replies.begin(of_one_source(session), now));
            ticket.finish(Arc::from(&b"done"[..]), Weight::Changed, now);
        }
        assert!(matches!(replies.begin(of_one_source(3), now), Begun::Full));
        first(replies.begin(key(2), now));
    }
}
