//! Places of connections: bounded in all and for each source. When all are taken, the connection that was idle for
//! longest makes room for a new one, nobody logged in before somebody; without one that is idle, the new one is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::front::listen::source::Source;

use super::exchange::ConnectionState;

/// How long a connection must have been idle to make room.
const IDLE_MIN: Duration = Duration::from_secs(10);
/// Of so many connections, one may be on its way out while others take its place.
const LEAVING_SHARE: usize = 8;

/// Bounds of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceBounds {
    /// Connections in all.
    pub(super) max: usize,
    /// Connections of one source.
    pub(super) of_source_max: usize,
}

//----------- Places ---------------------------------------------------------

/// The places of a door's connections.
#[derive(Debug)]
pub(super) struct Places {
    bounds: PlaceBounds,
    since: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    taken: HashMap<u64, Arc<Presence>>,
    leaving: HashMap<u64, Arc<Presence>>,
    of_source: HashMap<Source, usize>,
    accepted: u64,
    /// Before this time no connection can have been idle for long enough.
    busy_until_ms: u64,
}

#[derive(Debug)]
struct Presence {
    source: Source,
    /// When it last said something, in milliseconds since the places were made.
    used_ms: AtomicU64,
    leave: Notify,
    state: Arc<ConnectionState>,
}

/// A connection's place; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    presence: Arc<Presence>,
}

impl Places {
    /// All are free.
    pub(super) fn new(bounds: PlaceBounds, now: Instant) -> Arc<Self> {
        Arc::new(Self { bounds, since: now, inner: Mutex::default() })
    }

    /// Takes a place for a connection from an address; none when there is none to be had.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Place> {
        let now_ms = self.ms(now);
        let source = Source::of(address);
        let mut inner = self.inner();
        let of_source = inner.of_source.get(&source).copied().unwrap_or_default();
        if of_source >= self.bounds.of_source_max {
            return None;
        }
        if inner.taken.len() >= self.bounds.max {
            if inner.leaving.len() >= self.bounds.max / LEAVING_SHARE {
                return None;
            }
            inner.push_out(now_ms)?;
        }
        inner.accepted += 1;
        let state = Arc::new(ConnectionState::new(inner.accepted));
        let presence =
            Arc::new(Presence { source, used_ms: AtomicU64::new(now_ms), leave: Notify::new(), state });
        inner.taken.insert(presence.state.number, Arc::clone(&presence));
        *inner.of_source.entry(source).or_default() += 1;
        Some(Place { places: Arc::clone(self), presence })
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Asks the connection that is worth least to leave; none when all are busy.
    fn push_out(&mut self, now_ms: u64) -> Option<()> {
        if now_ms < self.busy_until_ms {
            return None;
        }
        let idle_min_ms = u64::try_from(IDLE_MIN.as_millis()).unwrap_or(u64::MAX);
        let used = |presence: &Arc<Presence>| presence.used_ms.load(Ordering::Relaxed);
        let is_idle = |presence: &&Arc<Presence>| now_ms.saturating_sub(used(presence)) >= idle_min_ms;
        let worth = |presence: &&Arc<Presence>| (presence.state.is_logged_in(), used(presence));
        let Some(least) = self.taken.values().filter(is_idle).min_by_key(worth) else {
            let first = self.taken.values().map(used).min().unwrap_or_default();
            self.busy_until_ms = first.saturating_add(idle_min_ms);
            return None;
        };
        let number = least.state.number;
        let presence = self.taken.remove(&number)?;
        presence.leave.notify_one();
        self.leaving.insert(number, presence);
        Some(())
    }
}

impl Place {
    /// What is remembered of the connection.
    pub(super) fn state(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.presence.state)
    }

    /// Notes that the connection was used.
    pub(super) fn touch(&self, now: Instant) {
        self.presence.used_ms.store(self.places.ms(now), Ordering::Relaxed);
    }

    /// Resolves when another connection needs the place.
    pub(super) async fn is_needed(&self) {
        self.presence.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.places.inner();
        let number = self.presence.state.number;
        if inner.taken.remove(&number).is_none() {
            inner.leaving.remove(&number);
        }
        if let Some(of_source) = inner.of_source.get_mut(&self.presence.source) {
            *of_source -= 1;
            if *of_source == 0 {
                inner.of_source.remove(&self.presence.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{IDLE_MIN, Place, PlaceBounds, Places};
    use crate::registry::caller::Caller;

    const BOUNDS: PlaceBounds = PlaceBounds { max: 16, of_source_max: 8 };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn fill(places: &Arc<Places>, now: Instant) -> Vec<Place> {
        (1..=2)
            .flat_map(|last| (0..8).map(move |_| last))
            .map(|last| places.take(address(last), now).expect("a place"))
            .collect()
    }

    #[test]
    fn no_source_takes_every_place() {
        let now = Instant::now();
        let places = Places::new(BOUNDS, now);
        let mut greedy: Vec<Place> = (0..9).map_while(|_| places.take(address(1), now)).collect();
        assert_eq!(greedy.len(), 8);
        assert!(places.take(address(2), now).is_some());
        drop(greedy.pop());
        assert!(places.take(address(1), now).is_some());
        drop(greedy);
        let neighbor = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        let network: Vec<Place> = (0..9).map_while(|last| places.take(neighbor(last), now)).collect();
        assert_eq!(network.len(), 8, "the addresses of one network are one source");
        drop(network);
        assert!(places.inner().of_source.is_empty() && places.inner().taken.is_empty());
    }

    #[tokio::test]
    async fn the_longest_idle_makes_room_and_the_busy_stay() {
        let now = Instant::now();
        let places = Places::new(BOUNDS, now);
        let taken = fill(&places, now);
        assert!(places.take(address(3), now).is_none(), "all are busy");
        let later = now + IDLE_MIN;
        let [first, second, rest @ ..] = taken.as_slice() else { panic!("sixteen") };
        first.state().log_in(7, Caller::Anonymous);
        rest.iter().for_each(|place| place.touch(later));
        let third = places.take(address(3), later).expect("the second is idle and not logged in");
        second.is_needed().await;
        let fourth = places.take(address(3), later).expect("the first is idle");
        first.is_needed().await;
        assert!(places.take(address(3), later + IDLE_MIN).is_none(), "two of sixteen may be leaving");
        drop((third, fourth, taken));
        assert!(places.inner().leaving.is_empty() && places.inner().of_source.is_empty());
        let much_later = later + Duration::from_secs(60);
        assert_eq!(fill(&places, much_later).len(), 16);
    }
}
