//! The reply cache: a request that arrives again over UDP gets its first reply again and is not performed twice.
//!
//! ```text
//!   first ─ in flight ─▶ finished: cached for some seconds ─▶ repeated: the cached reply
//!              └─ repeated while in flight: no reply, the first one will be sent
//! ```
//! All replies are cached except those to plain questions. A reply that reports a change is not evicted before it
//! expires: if the cache is full, in total or for one source, requests are refused as too busy before anything is done.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::front::listen::expiring::Expiring;
use crate::front::listen::quota::{Exceeded, Quota, QuotaBounds, QuotaGrant};
use crate::front::listen::source::Source;

/// Time for which a reply is cached; clients repeat within three seconds.
const LIFE: Duration = Duration::from_secs(10);
/// Bytes of a cached reply beside the reply itself.
const OVERHEAD_BYTES: usize = 256;

//----------- Key ------------------------------------------------------------

/// What identifies a request that may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReplyKey {
    /// The address of the client.
    pub(super) client: SocketAddr,
    /// The session of the request.
    pub(super) session: u32,
    /// The request id.
    pub(super) request: u32,
    /// A digest of the message: an id that is reused for another message is another request.
    pub(super) content: u64,
}

/// The state of a request when it arrives.
#[derive(Debug)]
pub(super) enum Admission {
    /// The request is new: it has to be performed, and finished with the ticket.
    First(Ticket),
    /// Performed before, with this reply and effect.
    Repeated(Arc<[u8]>, Effect),
    /// The request is in flight.
    InFlight,
    /// Refused: the cache is full.
    Full,
}

/// The effect of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The request changed nothing: performing it twice would do no harm.
    None,
    /// The request changed something.
    Changed,
}

//----------- ReplyCache -----------------------------------------------------

/// Replies to requests that may be repeated.
#[derive(Debug)]
pub(super) struct ReplyCache {
    quota: Arc<Quota>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    in_flight: HashMap<ReplyKey, QuotaGrant>,
    without_effect: Expiring<ReplyKey, Arc<[u8]>>,
    changed: Expiring<ReplyKey, Arc<[u8]>>,
}

/// Finishes a request in flight; dropping it instead forgets the request.
#[derive(Debug)]
pub(super) struct Ticket {
    replies: Arc<ReplyCache>,
    key: ReplyKey,
}

impl ReplyCache {
    /// An empty cache; the bounds are in bytes.
    pub(super) fn new(bounds: QuotaBounds) -> Arc<Self> {
        Arc::new(Self { quota: Quota::new(bounds), table: Mutex::default() })
    }

    /// Looks up a request, and admits it if it is new.
    pub(super) fn begin(self: &Arc<Self>, key: ReplyKey, source: Source, now: Instant) -> Admission {
        let mut table = self.table();
        table.without_effect.expire(now);
        table.changed.expire(now);
        if table.in_flight.contains_key(&key) {
            return Admission::InFlight;
        }
        if let Some(reply) = table.changed.get(&key) {
            return Admission::Repeated(Arc::clone(reply), Effect::Changed);
        }
        if let Some(reply) = table.without_effect.get(&key) {
            return Admission::Repeated(Arc::clone(reply), Effect::None);
        }
        let Some(grant) = table.evict_for(|| self.quota.take(source, OVERHEAD_BYTES)) else {
            return Admission::Full;
        };
        table.in_flight.insert(key, grant);
        Admission::First(Ticket { replies: Arc::clone(self), key })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Caches the reply.
    pub(super) fn finish(self, reply: Arc<[u8]>, effect: Effect, now: Instant) {
        let mut table = self.replies.table();
        let Some(mut grant) = table.in_flight.remove(&self.key) else { return };
        let until = now + LIFE;
        match effect {
            Effect::None => {
                if table.evict_for(|| grant.grow(reply.len())).is_some() {
                    table.without_effect.insert(self.key, reply, grant, until);
                }
            }
            // A reply that reports a change is cached even beyond the bound; further requests are then refused.
            Effect::Changed => {
                grant.grow_beyond(reply.len());
                table.changed.insert(self.key, reply, grant, until);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.replies.table().in_flight.remove(&self.key);
    }
}

impl Table {
    /// Tries to take bytes, and evicts replies without effect, the oldest first, until it succeeds.
    fn evict_for<T>(&mut self, mut take: impl FnMut() -> Result<T, Exceeded>) -> Option<T> {
        loop {
            match take() {
                Ok(taken) => return Some(taken),
                Err(Exceeded::Source) => return None,
                Err(Exceeded::Total) => self.without_effect.evict()?,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{Admission, Effect, LIFE, OVERHEAD_BYTES, QuotaBounds, ReplyCache, ReplyKey, Source, Ticket};

    fn key(request: u32) -> ReplyKey {
        let last = u8::try_from(request % 256).expect("a byte");
        let client = SocketAddr::from(([127, 0, 0, last], 4_000));
        ReplyKey { client, session: 0, request, content: 1 }
    }

    fn bounds(total: usize) -> QuotaBounds {
        QuotaBounds { total, per_source: total / 4 }
    }

    fn begin(replies: &Arc<ReplyCache>, key: ReplyKey, now: Instant) -> Admission {
        replies.begin(key, Source::of(key.client.ip()), now)
    }

    fn first(begun: Admission) -> Ticket {
        match begun {
            Admission::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_performed_once_and_its_reply_sent_again() {
        let now = Instant::now();
        let replies = ReplyCache::new(bounds(10_000));
        let ticket = first(begin(&replies, key(1), now));
        assert!(matches!(begin(&replies, key(1), now), Admission::InFlight));
        ticket.finish(Arc::from(&b"done"[..]), Effect::Changed, now);
        assert!(
            matches!(begin(&replies, key(1), now), Admission::Repeated(reply, Effect::Changed) if *reply == *b"done")
        );
        // The same id with other content is another request.
        drop(first(begin(&replies, ReplyKey { content: 2, ..key(1) }, now)));
        drop(first(begin(&replies, key(1), now + LIFE)));
        assert_eq!(replies.quota.used(), 0);
    }

    #[test]
    fn an_abandoned_request_may_be_performed() {
        let now = Instant::now();
        let replies = ReplyCache::new(bounds(10_000));
        drop(first(begin(&replies, key(1), now)));
        first(begin(&replies, key(1), now));
    }

    #[test]
    fn replies_without_effect_are_evicted_and_changes_are_not() {
        let now = Instant::now();
        let replies = ReplyCache::new(bounds(8 * (OVERHEAD_BYTES + 4)));
        let reply = || Arc::from(&b"done"[..]);
        for request in 1..=8 {
            let effect = if request == 7 { Effect::None } else { Effect::Changed };
            first(begin(&replies, key(request), now)).finish(reply(), effect, now);
        }
        first(begin(&replies, key(9), now)).finish(reply(), Effect::Changed, now);
        assert!(matches!(begin(&replies, key(1), now), Admission::Repeated(_, Effect::Changed)));
        assert!(matches!(begin(&replies, key(7), now), Admission::Full), "it was evicted");
        assert!(matches!(begin(&replies, key(10), now), Admission::Full));
        let late = now + LIFE + Duration::from_millis(1);
        first(begin(&replies, key(10), late));
    }

    #[test]
    fn no_source_takes_the_whole_cache() {
        let now = Instant::now();
        let replies = ReplyCache::new(bounds(8 * (OVERHEAD_BYTES + 4)));
        let of_one_source = |session| ReplyKey { session, ..key(1) };
        for session in 1..=2 {
            let ticket = first(begin(&replies, of_one_source(session), now));
            ticket.finish(Arc::from(&b"done"[..]), Effect::Changed, now);
        }
        assert!(matches!(begin(&replies, of_one_source(3), now), Admission::Full));
        first(begin(&replies, key(2), now));
    }
}
