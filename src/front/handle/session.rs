//! Sessions: keys that clients have agreed on with this server, and the identities that they have proved since.
//!
//! ```text
//!   setup ─▶ anonymous ─ a challenge answered in it ─▶ proved ─▶ ended: terminated, idle for too long, or evicted
//!                ▲─────── the key that proved it is withdrawn ──┘
//! ```
//! The messages of a session carry a code of its key and a count. Each count is accepted once, and not if it is far behind
//! the latest. Sessions are bounded in total and per source. When there are too many, anonymous ones are evicted before
//! proved ones, the longest idle first. A session belongs to the server, not to a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::authority::caller::Caller;
use crate::front::listen::expiring::Expiring;
use crate::front::listen::quota::{Exceeded, Quota, QuotaBounds};
use crate::front::listen::source::Source;
use crate::key::session::SessionKey;

/// Distance by which a count may be behind the latest, as other servers have it.
const WINDOW: u32 = 200;
/// The shortest and the longest time that a session may be idle, whatever the client asks for.
const IDLE_SECONDS_MIN: u32 = 60;
const IDLE_SECONDS_MAX: u32 = 86_400;

/// This fraction of the anonymous sessions is evicted at a time: a sixteenth.
const EVICTED_SHARE: usize = 16;

//----------- Session --------------------------------------------------------

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    /// Id of the session.
    pub(super) id: u32,
    source: Source,
    idle_max: Duration,
    state: Mutex<State>,
}

/// The session has its key already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HasKey;

#[derive(Debug)]
struct State {
    key: Option<Arc<SessionKey>>,
    caller: Option<Caller>,
    window: Window,
    sent: u32,
    used: Instant,
}

impl Session {
    /// The source that set it up.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Key of the session, once both sides have it.
    pub(super) fn key(&self) -> Option<Arc<SessionKey>> {
        self.state().key.clone()
    }

    /// Sets the key that the client made.
    pub(super) fn set_key(&self, key: SessionKey) -> Result<(), HasKey> {
        let mut state = self.state();
        if state.key.is_some() {
            return Err(HasKey);
        }
        state.key = Some(Arc::new(key));
        Ok(())
    }

    /// The caller of its messages, once proved.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.state().caller.clone()
    }

    /// Makes this caller the one of all further messages.
    pub(super) fn prove(&self, caller: Caller) {
        self.state().caller = Some(caller);
    }

    /// Makes further messages anonymous, until a caller is proved again.
    pub(super) fn disprove(&self) {
        self.state().caller = None;
    }

    /// Accepts the count of a message; false if it was used before or is too far behind.
    pub(super) fn take_count(&self, count: u32) -> bool {
        self.state().window.take(count)
    }

    /// The count of the next message that this server sends.
    pub(super) fn next_count(&self) -> u32 {
        let mut state = self.state();
        state.sent = state.sent.wrapping_add(1);
        state.sent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Order of eviction: anonymous before proved, then the longest idle.
    fn worth(&self) -> (bool, Instant) {
        let state = self.state();
        (state.caller.is_some(), state.used)
    }
}

//----------- Window ---------------------------------------------------------

/// Counts that were used: the latest, and which of those shortly before it.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    latest: u32,
    /// Bit `n` stands for the count `latest - n`.
    taken: [u64; 4],
}

impl Window {
    fn take(&mut self, count: u32) -> bool {
        if count > self.latest {
            self.advance(count - self.latest);
            self.latest = count;
            return self.mark(0);
        }
        let behind = self.latest - count;
        behind < WINDOW && self.mark(behind)
    }

    /// Moves every bit to a higher position.
    fn advance(&mut self, distance: u32) {
        let mut moved = [0_u64; 4];
        for (word, bits) in (0_u32..).zip(self.taken) {
            for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
                let position = distance.saturating_add(word * 64 + bit);
                let target = usize::try_from(position / 64).ok().and_then(|word| moved.get_mut(word));
                if let Some(target) = target {
                    *target |= 1 << (position % 64);
                }
            }
        }
        self.taken = moved;
    }

    /// Sets a bit; false if it was set before.
    fn mark(&mut self, position: u32) -> bool {
        let word = usize::try_from(position / 64).ok().and_then(|word| self.taken.get_mut(word));
        let Some(word) = word else { return false };
        let bit = 1 << (position % 64);
        let is_free = *word & bit == 0;
        *word |= bit;
        is_free
    }
}

//----------- Sessions -------------------------------------------------------

/// Every session of this server.
#[derive(Debug)]
pub(super) struct Sessions {
    quota: Arc<Quota>,
    table: Mutex<Table>,
}

type Table = Expiring<u32, Arc<Session>>;

impl Sessions {
    /// Creates a table without sessions.
    pub(super) fn new(bounds: QuotaBounds) -> Self {
        Self { quota: Quota::new(bounds), table: Mutex::default() }
    }

    /// Opens a session that may be idle for this long. `ids` yields random numbers, one of which becomes its id. None if no
    /// other session can be evicted for it.
    pub(super) fn open(
        &self,
        source: Source,
        idle_seconds: u32,
        key: Option<SessionKey>,
        mut ids: impl FnMut() -> u32,
        now: Instant,
    ) -> Option<Arc<Session>> {
        let mut table = self.table();
        table.expire(now);
        let grant = match self.quota.take(source, 1) {
            Ok(grant) => grant,
            Err(exceeded) => {
                match exceeded {
                    Exceeded::Source => evict(&mut table, |session| session.source == source),
                    Exceeded::Total => evict(&mut table, |_| true),
                }
                self.quota.take(source, 1).ok()?
            }
        };
        // The table uses a tiny part of all ids, so that a free one is found at once.
        let id = loop {
            let id = ids();
            if id != 0 && table.get(&id).is_none() {
                break id;
            }
        };
        let seconds = idle_seconds.clamp(IDLE_SECONDS_MIN, IDLE_SECONDS_MAX);
        let idle_max = Duration::from_secs(u64::from(seconds));
        let state =
            State { key: key.map(Arc::new), caller: None, window: Window::default(), sent: 0, used: now };
        let session = Arc::new(Session { id, source, idle_max, state: Mutex::new(state) });
        table.insert(id, Arc::clone(&session), grant, now + idle_max);
        Some(session)
    }

    /// The session with an id, unless it has ended.
    pub(super) fn find(&self, id: u32, now: Instant) -> Option<Arc<Session>> {
        let mut table = self.table();
        table.expire(now);
        table.get(&id).cloned()
    }

    /// Records that the holder of its key used a session.
    pub(super) fn touch(&self, session: &Session, now: Instant) {
        session.state().used = now;
        self.table().touch(session.id, now + session.idle_max);
    }

    /// Ends a session.
    pub(super) fn end(&self, id: u32) {
        self.table().remove(&id);
    }

    /// Number of sessions.
    pub(super) fn count(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Evicts some of the sessions that `is_meant` selects: many anonymous ones at once, so that a flood of setups does not sort
/// all sessions each time, or else a single proved one.
fn evict(table: &mut Table, is_meant: impl Fn(&Session) -> bool) {
    let meant = table.values().filter(|session| is_meant(session.as_ref()));
    let mut worth: Vec<((bool, Instant), u32)> = meant.map(|session| (session.worth(), session.id)).collect();
    worth.sort_unstable();
    let unproved = worth.iter().filter(|((is_proved, _), _)| !is_proved).count();
    let count = (unproved / EVICTED_SHARE).max(1);
    for (_, id) in worth.into_iter().take(count) {
        table.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use super::{QuotaBounds, Session, Sessions, Source, WINDOW, Window};
    use crate::authority::caller::Caller;

    const BOUNDS: QuotaBounds = QuotaBounds { total: 6, per_source: 4 };

    fn open(sessions: &Sessions, last: u8, now: Instant) -> Arc<Session> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let ids = || NEXT.fetch_add(1, Ordering::SeqCst);
        sessions.open(Source::of(IpAddr::from([127, 0, 0, last])), 100, None, ids, now).expect("a session")
    }

    #[test]
    fn a_count_is_taken_once_and_not_from_far_behind() {
        let mut window = Window::default();
        for count in [1, 2, 4] {
            assert!(window.take(count), "{count}");
            assert!(!window.take(count), "{count} again");
        }
        assert!(window.take(3), "late, but within the window");
        assert!(window.take(1_000));
        assert!(window.take(1_000 - WINDOW + 1));
        assert!(!window.take(1_000 - WINDOW));
        assert!(!window.take(4));
        assert!(window.take(1_063) && window.take(1_062) && !window.take(1_000));
        assert!(!window.take(1_000 - WINDOW + 1), "fallen behind");
        assert!(window.take(u32::MAX) && !window.take(u32::MAX));
    }

    #[test]
    fn a_session_is_over_when_nothing_came_for_its_time() {
        let now = Instant::now();
        let sessions = Sessions::new(BOUNDS);
        let session = open(&sessions, 1, now);
        let later = now + Duration::from_secs(99);
        assert!(sessions.find(session.id, later).is_some());
        sessions.touch(&session, later);
        assert!(sessions.find(session.id, later + Duration::from_secs(99)).is_some());
        assert!(sessions.find(session.id, later + Duration::from_secs(100)).is_none());
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn anonymous_and_idle_sessions_are_evicted_in_their_source_and_in_all() {
        let now = Instant::now();
        let sessions = Sessions::new(BOUNDS);
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        let proved = open(&sessions, 1, at(0));
        proved.prove(Caller::Anonymous);
        let idle = open(&sessions, 1, at(1));
        for seconds in 2..5 {
            open(&sessions, 1, at(seconds));
        }
        // The source has four: the unproved one that was idle for longest went.
        assert_eq!(sessions.count(), 4);
        assert!(sessions.find(idle.id, at(5)).is_none());
        assert!(sessions.find(proved.id, at(5)).is_some());
        for last in 2..9 {
            open(&sessions, last, at(6));
        }
        assert_eq!(sessions.count(), 6);
        assert!(sessions.find(proved.id, at(6)).is_some());
        sessions.end(proved.id);
        assert!(sessions.find(proved.id, at(6)).is_none());
    }
}
