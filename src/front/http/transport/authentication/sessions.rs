//! Challenges, and the sessions that follow from an answer.
//!
//! ```text
//!   challenge: time (8) · nonce (16) · seal (16), as text the session's id ─ answered ─▶ proved ─ ended or idle ─▶ over
//! ```
//! An id carries its own nonce under a seal that only this node can make, so that challenges that nobody answers take no
//! memory. Stored are the sessions whose caller is proved, and those that were ended before their time. They are bounded in
//! total and per source; beyond a bound one is evicted: an ended one, or else the one that was idle longest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::authority::caller::KeyHolder;
use crate::front::listen::expiring::Expiring;
use crate::front::listen::quota::{Exceeded, Quota, QuotaBounds};
use crate::front::listen::source::Source;

/// Milliseconds within which a challenge may be answered, and a session may be idle.
const IDLE_MAX_MS: u64 = 30 * 60 * 1_000;
/// Milliseconds after which a session is over in any case.
const LIFE_MAX_MS: u64 = 24 * 3_600 * 1_000;

/// Bytes of the time, the nonce and the seal of an id.
const TIME_BYTES: usize = 8;
const NONCE_BYTES: usize = 16;
const SEAL_BYTES: usize = 16;

//----------- SessionId ------------------------------------------------------

/// The name of a session, which is its challenge, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::front::http) struct SessionId {
    made_ms: u64,
    nonce: [u8; NONCE_BYTES],
    seal: [u8; SEAL_BYTES],
}

impl SessionId {
    /// The nonce that an answer signs.
    pub(in crate::front::http) fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The nonce as clients read it.
    pub(in crate::front::http) fn nonce_text(&self) -> String {
        BASE64.encode(&self.nonce)
    }

    /// The id as text.
    pub(in crate::front::http) fn to_text(self) -> String {
        let bytes = [&self.made_ms.to_be_bytes(), self.nonce.as_slice(), self.seal.as_slice()].concat();
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// When a session is over that is used now.
    fn proved_until_ms(&self, now_ms: u64) -> u64 {
        (now_ms + IDLE_MAX_MS).min(self.made_ms + LIFE_MAX_MS) + 1
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (time, rest) = bytes.split_first_chunk::<TIME_BYTES>()?;
        let (nonce, seal) = rest.split_first_chunk::<NONCE_BYTES>()?;
        Some(Self { made_ms: u64::from_be_bytes(*time), nonce: *nonce, seal: seal.try_into().ok()? })
    }
}

//----------- Sessions -------------------------------------------------------

/// The sessions of this front end.
#[derive(Debug)]
pub(in crate::front::http) struct Sessions {
    secret: [u8; 32],
    quota: Arc<Quota>,
    table: Mutex<Table>,
}

/// Sessions by their id, in the order in which they expire, in milliseconds since 1970.
type Table = Expiring<SessionId, Session, u64>;

#[derive(Debug)]
struct Session {
    id: SessionId,
    source: Source,
    /// The authenticated identity with its key; none once the session was ended.
    holder: Option<KeyHolder>,
    used_ms: u64,
}

/// The state of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum SessionState {
    /// The challenge is not answered yet.
    Challenged,
    /// The session belongs to this identity, proved by this key.
    Proved(KeyHolder),
}

impl Sessions {
    /// No sessions; ids are sealed with a secret that only this node knows.
    pub(in crate::front::http) fn new(bounds: QuotaBounds, secret: [u8; 32]) -> Self {
        Self { secret, quota: Quota::new(bounds), table: Mutex::default() }
    }

    /// A new challenge, of a random nonce.
    pub(in crate::front::http) fn challenge(&self, nonce: [u8; NONCE_BYTES], now_ms: u64) -> SessionId {
        SessionId { made_ms: now_ms, nonce, seal: self.seal(now_ms, &nonce) }
    }

    /// The session of this name and how it stands; none when it is none of ours, or over.
    pub(in crate::front::http) fn find(&self, text: &str, now_ms: u64) -> Option<(SessionId, SessionState)> {
        let id = SessionId::parse(text)?;
        let ours: bool = self.seal(id.made_ms, &id.nonce).ct_eq(&id.seal).into();
        let age_ms = now_ms.saturating_sub(id.made_ms);
        if !ours || age_ms > LIFE_MAX_MS {
            return None;
        }
        let mut table = self.table();
        table.expire(now_ms);
        let Some((session, _)) = table.get_mut(&id) else {
            return (age_ms <= IDLE_MAX_MS).then_some((id, SessionState::Challenged));
        };
        let holder = session.holder.clone()?;
        session.used_ms = now_ms;
        table.touch(id, id.proved_until_ms(now_ms));
        Some((id, SessionState::Proved(holder)))
    }

    /// Records the identity of a session, for the source that proved it.
    pub(in crate::front::http) fn prove(
        &self,
        id: SessionId,
        holder: KeyHolder,
        source: Source,
        now_ms: u64,
    ) {
        let session = Session { id, source, holder: Some(holder), used_ms: now_ms };
        self.insert(session, id.proved_until_ms(now_ms));
    }

    /// Ends a session for a source. Its id is remembered as long as its challenge could be answered.
    pub(in crate::front::http) fn end(&self, id: SessionId, source: Source, now_ms: u64) {
        let session = Session { id, source, holder: None, used_ms: now_ms };
        self.insert(session, id.made_ms.saturating_add(IDLE_MAX_MS + 1));
    }

    /// Number of sessions that are stored.
    pub(in crate::front::http) fn count(&self) -> usize {
        self.table().len()
    }

    fn insert(&self, session: Session, until_ms: u64) {
        let (now_ms, source) = (session.used_ms, session.source);
        let mut table = self.table();
        table.remove(&session.id);
        table.expire(now_ms);
        let taken = self.quota.take(source, 1).or_else(|exceeded| {
            match exceeded {
                Exceeded::Source => evict(&mut table, |other| other.source == source),
                Exceeded::Total => evict(&mut table, |_| true),
            }
            self.quota.take(source, 1)
        });
        // One of those sessions was evicted, so that this one is within the quota.
        let Ok(grant) = taken else { return };
        if until_ms > now_ms {
            table.insert(session.id, session, grant, until_ms);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while the lock is held; if it did, every entry would still be complete.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All parts have fixed lengths and the digest is cut, so that nothing can be appended.
    fn seal(&self, made_ms: u64, nonce: &[u8; NONCE_BYTES]) -> [u8; SEAL_BYTES] {
        let mut digest = Sha256::new();
        digest.update(self.secret);
        digest.update(made_ms.to_be_bytes());
        digest.update(nonce);
        let mut seal = [0; SEAL_BYTES];
        seal.iter_mut().zip(digest.finalize()).for_each(|(sealed, byte)| *sealed = byte);
        seal
    }
}

/// Evicts one of the sessions that `is_meant` selects: one that was ended, or else the one that was idle longest. What is
/// lost with an ended one is the memory that it ended early.
fn evict(table: &mut Table, is_meant: impl Fn(&Session) -> bool) {
    let meant = table.values().filter(|session| is_meant(session));
    let worst = meant.min_by_key(|session| (session.holder.is_some(), session.used_ms)).map(|worst| worst.id);
    if let Some(worst) = worst {
        table.remove(&worst);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{IDLE_MAX_MS, LIFE_MAX_MS, QuotaBounds, SessionState, Sessions, Source};
    use crate::authority::caller::KeyHolder;
    use crate::model::identity::Identity;

    const BOUNDS: QuotaBounds = QuotaBounds { total: 6, per_source: 4 };

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    fn holder() -> KeyHolder {
        KeyHolder::supposed(Identity::parse("300:0.NA/88.118.8").expect("an identity"))
    }

    #[test]
    fn a_session_is_proved_and_ends() {
        let sessions = Sessions::new(BOUNDS, [7; 32]);
        let id = sessions.challenge([1; 16], 1_000);
        let text = id.to_text();
        let state = |now_ms| sessions.find(&text, now_ms).map(|(_, state)| state);
        assert_eq!(state(2_000), Some(SessionState::Challenged));
        assert_eq!(state(1_001 + IDLE_MAX_MS), None, "nobody answered in time");
        sessions.prove(id, holder(), source(1), 3_000);
        assert_eq!(state(3_000 + IDLE_MAX_MS), Some(SessionState::Proved(holder())));
        assert_eq!(state(3_000 + 2 * IDLE_MAX_MS), Some(SessionState::Proved(holder())), "used meanwhile");
        assert_eq!(state(3_001 + 3 * IDLE_MAX_MS), None, "idle for too long");
        assert_eq!(state(1_001 + LIFE_MAX_MS), None);
        sessions.end(id, source(1), 4_000);
        assert_eq!(state(4_001), None, "its challenge is not answered again");
        assert_eq!((state(1_001 + IDLE_MAX_MS), sessions.count()), (None, 0), "nothing is left to remember");
    }

    #[test]
    fn an_id_of_nobodys_making_opens_nothing() {
        let sessions = Sessions::new(BOUNDS, [7; 32]);
        let id = sessions.challenge([1; 16], 1_000);
        let other = Sessions::new(BOUNDS, [8; 32]).challenge([1; 16], 1_000);
        assert!(sessions.find(&id.to_text(), 1_000).is_some());
        assert_eq!(sessions.find(&other.to_text(), 1_000), None);
        let changed = super::SessionId { made_ms: 1_001, ..id };
        for text in [changed.to_text(), String::new(), "AAAA".into(), id.to_text() + "AA"] {
            assert_eq!(sessions.find(&text, 1_000), None, "{text}");
        }
    }

    #[test]
    fn sessions_are_bounded_in_total_and_by_source() {
        let sessions = Sessions::new(BOUNDS, [7; 32]);
        let id = |number: u64| sessions.challenge([0; 16], number);
        let state = |number: u64| sessions.find(&id(number).to_text(), 100).map(|(_, state)| state);
        for number in 1..=4 {
            sessions.prove(id(number), holder(), source(1), number);
        }
        sessions.end(id(3), source(1), 5);
        assert_eq!(state(3), None);
        sessions.prove(id(6), holder(), source(1), 6);
        assert_eq!(state(3), Some(SessionState::Challenged), "the ended one went first");
        sessions.prove(id(7), holder(), source(1), 7);
        assert_eq!(sessions.count(), 4);
        // Four of one source are left: the one that was idle longest went.
        for (number, last) in [(8, 2), (9, 3)] {
            sessions.prove(id(number), holder(), source(last), number);
        }
        assert_eq!(sessions.count(), 6);
        sessions.prove(id(10), holder(), source(4), 10);
        assert_eq!((sessions.count(), sessions.quota.used()), (6, 6));
        assert_eq!(state(10), Some(SessionState::Proved(holder())));
        assert_eq!(state(9), Some(SessionState::Proved(holder())), "not the last of another source");
    }
}
