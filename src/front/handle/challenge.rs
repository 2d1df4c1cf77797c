//! Challenges that wait for their answer: for 20 seconds, for one answer, in bounded memory.
//!
//! A challenge is found by the session id of its message: that of a session, an id made for the challenge alone, or, on a
//! connection, an id that the client chose. Several may wait in one session, since clients send requests in parallel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::front::listen::expiring::Expiring;
use crate::front::listen::quota::{Exceeded, Quota, QuotaBounds};
use crate::front::listen::source::Source;

/// Time for which a challenge waits for its answer.
const LIFE: Duration = Duration::from_secs(20);
/// Challenges that may wait in one session; a further one evicts the oldest.
const OF_SESSION_MAX: usize = 8;
/// Bytes of a waiting challenge beside its request.
const OVERHEAD_BYTES: usize = 512;

/// The scope of a session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Chosen by this node: valid over all transports.
    Node,
    /// Chosen by the client: valid on this connection only.
    Connection(u64),
}

/// What identifies the challenges of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChallengeKey {
    /// The scope of the session id.
    pub(super) scope: Scope,
    /// The session id.
    pub(super) session: u32,
}

//----------- Challenges -----------------------------------------------------

/// Challenges that wait, each with its request.
#[derive(Debug)]
pub(super) struct Challenges<T> {
    quota: Arc<Quota>,
    table: Mutex<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    /// Challenges by number, in the order in which they were made.
    waiting: Expiring<u64, Waiting<T>>,
    /// The challenges of each session, the oldest first.
    sessions: HashMap<ChallengeKey, Vec<u64>>,
    made: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    key: ChallengeKey,
    pending: Arc<T>,
}

/// A challenge that waits, as found for an answer.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// Number of the challenge, with which it is taken.
    pub(super) number: u64,
    /// The request that waits.
    pub(super) pending: Arc<T>,
}

impl<T> Challenges<T> {
    /// Creates a table without challenges; the bounds are in bytes.
    pub(super) fn new(bounds: QuotaBounds) -> Self {
        let table = Table { waiting: Expiring::default(), sessions: HashMap::new(), made: 0 };
        Self { quota: Quota::new(bounds), table: Mutex::new(table) }
    }

    /// Adds a challenge; false if its source has too many.
    pub(super) fn put(
        &self,
        key: ChallengeKey,
        source: Source,
        bytes: usize,
        pending: T,
        now: Instant,
    ) -> bool {
        let mut table = self.table();
        table.expire(now);
        let grant = loop {
            match self.quota.take(source, bytes + OVERHEAD_BYTES) {
                Ok(grant) => break grant,
                Err(Exceeded::Source) => return false,
                Err(Exceeded::Total) => {
                    let Some((number, evicted)) = table.waiting.evict() else { return false };
                    table.forget(&evicted.key, number);
                }
            }
        };
        let crowded = table.sessions.get(&key).filter(|numbers| numbers.len() >= OF_SESSION_MAX);
        if let Some(oldest) = crowded.and_then(|numbers| numbers.first()).copied() {
            table.remove(oldest);
        }
        table.made += 1;
        let number = table.made;
        table.waiting.insert(number, Waiting { key, pending: Arc::new(pending) }, grant, now + LIFE);
        table.sessions.entry(key).or_default().push(number);
        true
    }

    /// The challenges of a session, the newest first.
    pub(super) fn find(&self, key: &ChallengeKey, now: Instant) -> Vec<Found<T>> {
        let mut table = self.table();
        table.expire(now);
        let numbers = table.sessions.get(key).map(Vec::as_slice).unwrap_or_default();
        let found = |number: &u64| {
            let waiting = table.waiting.get(number)?;
            Some(Found { number: *number, pending: Arc::clone(&waiting.pending) })
        };
        numbers.iter().rev().filter_map(found).collect()
    }

    /// Takes a challenge for its answer; false if it was taken before or has expired.
    pub(super) fn take(&self, number: u64) -> bool {
        self.table().remove(number)
    }

    /// Number of challenges that wait.
    pub(super) fn count(&self) -> usize {
        self.table().waiting.len()
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Table<T> {
    fn expire(&mut self, now: Instant) {
        for (number, expired) in self.waiting.expire(now) {
            self.forget(&expired.key, number);
        }
    }

    fn remove(&mut self, number: u64) -> bool {
        let Some(removed) = self.waiting.remove(&number) else { return false };
        self.forget(&removed.key, number);
        true
    }

    fn forget(&mut self, key: &ChallengeKey, number: u64) {
        let Some(numbers) = self.sessions.get_mut(key) else { return };
        numbers.retain(|other| *other != number);
        if numbers.is_empty() {
            self.sessions.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::{ChallengeKey, Challenges, LIFE, OF_SESSION_MAX, OVERHEAD_BYTES, QuotaBounds, Scope, Source};

    const BOUNDS: QuotaBounds = QuotaBounds { total: 40 * OVERHEAD_BYTES, per_source: 20 * OVERHEAD_BYTES };

    fn key(session: u32) -> ChallengeKey {
        ChallengeKey { scope: Scope::Node, session }
    }

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    fn pending(challenges: &Challenges<u32>, key: ChallengeKey, now: Instant) -> Vec<u32> {
        challenges.find(&key, now).iter().map(|found| *found.pending).collect()
    }

    #[test]
    fn a_challenge_is_answered_once_and_in_time() {
        let now = Instant::now();
        let challenges = Challenges::new(BOUNDS);
        assert!(challenges.put(key(1), source(1), 0, 7, now));
        assert!(challenges.put(key(1), source(1), 0, 8, now + Duration::from_secs(1)));
        assert_eq!(pending(&challenges, key(1), now), [8, 7]);
        let on_connection = ChallengeKey { scope: Scope::Connection(1), session: 1 };
        assert_eq!(pending(&challenges, on_connection, now), [0; 0]);
        let newest = challenges.find(&key(1), now).first().expect("one").number;
        assert!(challenges.take(newest));
        assert!(!challenges.take(newest), "a challenge is taken once");
        let in_time = now + LIFE - Duration::from_millis(1);
        assert_eq!(pending(&challenges, key(1), in_time), [7]);
        assert_eq!(pending(&challenges, key(1), now + LIFE), [0; 0]);
        assert_eq!(challenges.quota.used(), 0);
    }

    #[test]
    fn memory_is_bounded_in_all_by_source_and_by_session() {
        let now = Instant::now();
        let challenges = Challenges::new(BOUNDS);
        let put = |session: u32, last: u8| challenges.put(key(session), source(last), 0, session, now);
        assert_eq!((0..30).filter(|session| put(*session, 1)).count(), 20);
        assert!(put(100, 2), "another source has its own share");
        for session in 200..300 {
            put(session, u8::try_from(session % 100).expect("small") + 3);
        }
        assert_eq!(challenges.count(), 40);
        assert_eq!(pending(&challenges, key(0), now), [0; 0], "the oldest went first");
        assert_eq!(pending(&challenges, key(299), now), [299]);
        for number in 0..20 {
            challenges.put(key(1_000), source(250), 0, number, now);
        }
        assert_eq!(pending(&challenges, key(1_000), now).len(), OF_SESSION_MAX);
    }
}
