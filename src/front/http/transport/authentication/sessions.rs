//! Challenges, and the sessions that follow from an answer.
//!
//! ```text
//!   challenge: time (8) · nonce (16) · seal (16), as text the session's id ─ answered ─▶ proved ─ ended or idle ─▶ over
//! ```
//! An id carries its own nonce under a seal that only this node can make, so that challenges that nobody answers take no
//! memory. Stored are the sessions whose caller is proved, and those that were ended before their time; both are few.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::authority::caller::KeyHolder;

/// Milliseconds within which a challenge may be answered, and a session may be idle.
const IDLE_MAX_MS: u64 = 30 * 60 * 1_000;
/// Milliseconds after which a session is over in any case.
const LIFE_MAX_MS: u64 = 24 * 3_600 * 1_000;
/// Sessions that are stored; a further one displaces the one that was idle longest.
const SESSIONS_MAX: usize = 10_000;

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

    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (time, rest) = bytes.split_first_chunk::<TIME_BYTES>()?;
        let (nonce, seal) = rest.split_first_chunk::<NONCE_BYTES>()?;
        Some(Self { made_ms: u64::from_be_bytes(*time), nonce: *nonce, seal: seal.try_into().ok()? })
    }
}

//----------- Sessions -------------------------------------------------------

/// The sessions of this front end.
pub(in crate::front::http) struct Sessions {
    secret: [u8; 32],
    held: Mutex<HashMap<SessionId, Held>>,
}

struct Held {
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
    /// An empty table; ids are sealed with a secret that only this node knows.
    pub(in crate::front::http) fn new(secret: [u8; 32]) -> Self {
        Self { secret, held: Mutex::default() }
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
        let mut held = self.held();
        let Some(session) = held.get_mut(&id) else {
            return (age_ms <= IDLE_MAX_MS).then_some((id, SessionState::Challenged));
        };
        let idle_ms = now_ms.saturating_sub(session.used_ms);
        let holder = session.holder.clone().filter(|_| idle_ms <= IDLE_MAX_MS)?;
        session.used_ms = now_ms;
        Some((id, SessionState::Proved(holder)))
    }

    /// Records the identity of the session.
    pub(in crate::front::http) fn prove(&self, id: SessionId, holder: KeyHolder, now_ms: u64) {
        self.hold(id, Some(holder), now_ms);
    }

    /// Ends a session.
    pub(in crate::front::http) fn end(&self, id: SessionId, now_ms: u64) {
        self.hold(id, None, now_ms);
    }

    fn hold(&self, id: SessionId, holder: Option<KeyHolder>, now_ms: u64) {
        let mut held = self.held();
        if held.len() >= SESSIONS_MAX && !held.contains_key(&id) {
            held.retain(|id, session| {
                let idle_ms = now_ms.saturating_sub(session.used_ms);
                idle_ms <= IDLE_MAX_MS && now_ms.saturating_sub(id.made_ms) <= LIFE_MAX_MS
            });
            // Ended ones go first: nothing is lost but the memory that they ended early.
            let idlest = held.iter().min_by_key(|(_, session)| (session.holder.is_some(), session.used_ms));
            if let Some(idlest) = idlest.map(|(id, _)| *id).filter(|_| held.len() >= SESSIONS_MAX) {
                held.remove(&idlest);
            }
        }
        held.insert(id, Held { holder, used_ms: now_ms });
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SessionId, Held>> {
        // Nothing panics while the lock is held; if it did, every entry would still be complete.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::{IDLE_MAX_MS, LIFE_MAX_MS, SESSIONS_MAX, SessionState, Sessions};
    use crate::authority::caller::KeyHolder;
    use crate::model::identity::Identity;

    fn holder() -> KeyHolder {
        KeyHolder::supposed(Identity::parse("300:0.NA/88.118.8").expect("an identity"))
    }

    #[test]
    fn a_session_is_proved_and_ends() {
        let sessions = Sessions::new([7; 32]);
        let id = sessions.challenge([1; 16], 1_000);
        let text = id.to_text();
        let state = |now_ms| sessions.find(&text, now_ms).map(|(_, state)| state);
        assert_eq!(state(2_000), Some(SessionState::Challenged));
        assert_eq!(state(1_001 + IDLE_MAX_MS), None, "nobody answered in time");
        sessions.prove(id, holder(), 3_000);
        assert_eq!(state(3_000 + IDLE_MAX_MS), Some(SessionState::Proved(holder())));
        assert_eq!(state(3_000 + 2 * IDLE_MAX_MS), Some(SessionState::Proved(holder())), "used meanwhile");
        assert_eq!(state(3_001 + 3 * IDLE_MAX_MS), None, "idle for too long");
        assert_eq!(state(1_001 + LIFE_MAX_MS), None);
        sessions.end(id, 4_000);
        assert_eq!(state(4_001), None, "its challenge is not answered again");
    }

    #[test]
    fn an_id_of_nobodys_making_opens_nothing() {
        let sessions = Sessions::new([7; 32]);
        let id = sessions.challenge([1; 16], 1_000);
        let other = Sessions::new([8; 32]).challenge([1; 16], 1_000);
        assert!(sessions.find(&id.to_text(), 1_000).is_some());
        assert_eq!(sessions.find(&other.to_text(), 1_000), None);
        let changed = super::SessionId { made_ms: 1_001, ..id };
        for text in [changed.to_text(), String::new(), "AAAA".into(), id.to_text() + "AA"] {
            assert_eq!(sessions.find(&text, 1_000), None, "{text}");
        }
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::new([7; 32]);
        let id = |number: u64| sessions.challenge([0; 16], number);
        let count = u64::try_from(SESSIONS_MAX).expect("a count");
        for number in 0..=count {
            sessions.prove(id(number), holder(), number);
        }
        assert_eq!(sessions.held().len(), SESSIONS_MAX);
        let state = |number: u64| sessions.find(&id(number).to_text(), count).map(|(_, state)| state);
        assert_eq!(state(0), Some(SessionState::Challenged), "displaced: it has to be proved again");
        assert_eq!(state(1), Some(SessionState::Proved(holder())));
    }
}
