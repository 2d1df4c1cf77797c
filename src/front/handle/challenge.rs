//! Challenges that wait for their answer: 20 seconds, for one answer, in bounded memory.
//!
//! A challenge stands under the session of its message: a session of ours, an id made for it alone, or, on a
//! connection, the id that its client chose. Several may wait in one session, since clients send requests side by side.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::front::listen::source::Source;

/// How long a challenge waits for its answer.
const LIFE: Duration = Duration::from_secs(20);
/// Challenges of one session that wait at most; a further one pushes the oldest out.
const OF_SESSION_MAX: usize = 8;
/// Bytes that a waiting challenge takes beside its request.
const OVERHEAD_BYTES: usize = 512;

/// Whose session id it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Ours: it means the same whichever way a message comes.
    Node,
    /// The client's: it means something on this connection only.
    Connection(u64),
}

/// Where a challenge waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChallengeKey {
    /// Whose session id it is.
    pub(super) scope: Scope,
    /// The session id.
    pub(super) session: u32,
}

/// Bounds of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChallengeBounds {
    /// Bytes kept in all.
    pub(super) bytes_max: usize,
    /// Bytes kept of one source.
    pub(super) source_bytes_max: usize,
}

//----------- Challenges -----------------------------------------------------

/// Challenges that wait, each with what was asked.
#[derive(Debug)]
pub(super) struct Challenges<T> {
    bounds: ChallengeBounds,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: HashMap<ChallengeKey, Vec<Waiting<T>>>,
    ages: BTreeMap<u64, ChallengeKey>,
    sources: HashMap<Source, usize>,
    bytes: usize,
    made: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    age: u64,
    since: Instant,
    source: Source,
    bytes: usize,
    asked: Arc<T>,
}

/// A challenge that waits, as found for an answer.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// Its number, by which it is taken.
    pub(super) number: u64,
    /// What was asked.
    pub(super) asked: Arc<T>,
}

impl<T> Challenges<T> {
    /// None wait yet.
    pub(super) fn new(bounds: ChallengeBounds) -> Self {
        let inner = Inner {
            waiting: HashMap::new(),
            ages: BTreeMap::new(),
            sources: HashMap::new(),
            bytes: 0,
            made: 0,
        };
        Self { bounds, inner: Mutex::new(inner) }
    }

    /// Lets a challenge wait; false when its source has too many.
    pub(super) fn put(
        &self,
        key: ChallengeKey,
        source: Source,
        bytes: usize,
        asked: T,
        now: Instant,
    ) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(now);
        let bytes = bytes + OVERHEAD_BYTES;
        let of_source = inner.sources.get(&source).copied().unwrap_or_default();
        if of_source + bytes > self.bounds.source_bytes_max {
            return false;
        }
        while inner.bytes + bytes > self.bounds.bytes_max {
            let Some(oldest) = inner.ages.first_key_value().map(|(age, _)| *age) else { return false };
            inner.remove(oldest);
        }
        let crowded = inner.waiting.get(&key).filter(|waiting| waiting.len() >= OF_SESSION_MAX);
        if let Some(oldest) = crowded.and_then(|waiting| waiting.first()).map(|waiting| waiting.age) {
            inner.remove(oldest);
        }
        inner.made += 1;
        let age = inner.made;
        inner.ages.insert(age, key);
        inner.bytes += bytes;
        *inner.sources.entry(source).or_default() += bytes;
        let waiting = Waiting { age, since: now, source, bytes, asked: Arc::new(asked) };
        inner.waiting.entry(key).or_default().push(waiting);
        true
    }

    /// Those that wait under a session, the newest first.
    pub(super) fn find(&self, key: &ChallengeKey, now: Instant) -> Vec<Found<T>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(now);
        let waiting = inner.waiting.get(key).map(Vec::as_slice).unwrap_or_default();
        let found = |waiting: &Waiting<T>| Found { number: waiting.age, asked: Arc::clone(&waiting.asked) };
        waiting.iter().rev().map(found).collect()
    }

    /// Takes one for its answer; false when another answer took it, or it ran out.
    pub(super) fn take(&self, number: u64) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remove(number)
    }

    /// Challenges that wait.
    pub(super) fn count(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).ages.len()
    }
}

impl<T> Inner<T> {
    fn expire(&mut self, now: Instant) {
        while let Some((age, key)) = self.ages.first_key_value() {
            let (age, key) = (*age, *key);
            let since = self.waiting.get(&key).and_then(|waiting| waiting.iter().find(|one| one.age == age));
            if since.is_some_and(|one| now.saturating_duration_since(one.since) < LIFE) {
                return;
            }
            self.remove(age);
        }
    }

    fn remove(&mut self, age: u64) -> bool {
        let Some(key) = self.ages.remove(&age) else { return false };
        let Some(waiting) = self.waiting.get_mut(&key) else { return false };
        let Some(position) = waiting.iter().position(|one| one.age == age) else { return false };
        let gone = waiting.remove(position);
        if waiting.is_empty() {
            self.waiting.remove(&key);
        }
        self.bytes -= gone.bytes;
        if let Some(of_source) = self.sources.get_mut(&gone.source) {
            *of_source -= gone.bytes;
            if *of_source == 0 {
                self.sources.remove(&gone.source);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::{
        ChallengeBounds, ChallengeKey, Challenges, LIFE, OF_SESSION_MAX, OVERHEAD_BYTES, Scope, Source,
    };

    const BOUNDS: ChallengeBounds =
        ChallengeBounds { bytes_max: 40 * OVERHEAD_BYTES, source_bytes_max: 20 * OVERHEAD_BYTES };

    fn key(session: u32) -> ChallengeKey {
        ChallengeKey { scope: Scope::Node, session }
    }

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    fn asked(challenges: &Challenges<u32>, key: ChallengeKey, now: Instant) -> Vec<u32> {
        challenges.find(&key, now).iter().map(|found| *found.asked).collect()
    }

    #[test]
    fn a_challenge_is_answered_once_and_in_time() {
        let now = Instant::now();
        let challenges = Challenges::new(BOUNDS);
        assert!(challenges.put(key(1), source(1), 0, 7, now));
        assert!(challenges.put(key(1), source(1), 0, 8, now + Duration::from_secs(1)));
        assert_eq!(asked(&challenges, key(1), now), [8, 7]);
        let on_connection = ChallengeKey { scope: Scope::Connection(1), session: 1 };
        assert_eq!(asked(&challenges, on_connection, now), [0; 0]);
        let newest = challenges.find(&key(1), now).first().expect("one").number;
        assert!(challenges.take(newest));
        assert!(!challenges.take(newest), "an answer is taken once");
        let in_time = now + LIFE - Duration::from_millis(1);
        assert_eq!(asked(&challenges, key(1), in_time), [7]);
        assert_eq!(asked(&challenges, key(1), now + LIFE), [0; 0]);
        assert_eq!(challenges.inner.lock().expect("sound").bytes, 0);
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
        assert_eq!(asked(&challenges, key(0), now), [0; 0], "the oldest went first");
        assert_eq!(asked(&challenges, key(299), now), [299]);
        for number in 0..20 {
            challenges.put(key(1_000), source(250), 0, number, now);
        }
        assert_eq!(asked(&challenges, key(1_000), now).len(), OF_SESSION_MAX);
    }
}
