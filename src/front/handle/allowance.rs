//! How much a source of datagrams may be answered, so that answers are no amplifier of forged addresses.
//!
//! An answer of one datagram is always sent. Larger ones are paid for: by the bytes that the source sent, and by a
//! share a second that every source has. What is not paid for is dropped and counted: the asker repeats, and then takes
//! a connection, where its address is proved.
//!
//! The table has a fixed size; sources that fall on one place share it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::front::listen::source::Source;

/// Bytes of an answer that are always sent: one datagram of the protocol.
pub(super) const ALWAYS_BYTES: usize = 512;
/// Bytes a second that every source may be answered beyond what it sent.
const BYTES_PER_SECOND: u64 = 64 * 1024;
/// Bytes that a source which was quiet may be answered at once.
const BURST_BYTES: u64 = 512 * 1024;
/// Places of the table.
const PLACES: usize = 16_384;

//----------- Allowances -----------------------------------------------------

/// What each source may still be answered.
#[derive(Debug)]
pub(super) struct Allowances {
    places: Box<[Mutex<Place>]>,
    hasher: RandomState,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bytes: u64,
    /// When it was last filled, in milliseconds since the table was made.
    filled_ms: u64,
}

impl Allowances {
    /// Every source begins with a full share.
    pub(super) fn new(now: Instant) -> Self {
        let full = || Mutex::new(Place { bytes: BURST_BYTES, filled_ms: 0 });
        Self {
            places: std::iter::repeat_with(full).take(PLACES).collect(),
            hasher: RandomState::new(),
            since: now,
        }
    }

    /// Whether a source that sent so many bytes may be answered with so many.
    pub(super) fn allows(&self, source: Source, sent: usize, answer: usize, now: Instant) -> bool {
        if answer <= ALWAYS_BYTES {
            return true;
        }
        let hash = self.hasher.hash_one(source);
        let position = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        let Some(place) = self.places.get(position) else { return false };
        let elapsed = now.saturating_duration_since(self.since).as_millis();
        let now_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        place.lock().unwrap_or_else(PoisonError::into_inner).pays(sent, answer, now_ms)
    }
}

impl Place {
    fn pays(&mut self, sent: usize, answer: usize, now_ms: u64) -> bool {
        let idle_ms = now_ms.saturating_sub(self.filled_ms);
        let earned = idle_ms.saturating_mul(BYTES_PER_SECOND) / 1_000;
        if earned > 0 {
            self.filled_ms = now_ms;
            self.bytes = self.bytes.saturating_add(earned).min(BURST_BYTES);
        }
        let beyond = u64::try_from(answer.saturating_sub(sent)).unwrap_or(u64::MAX);
        match self.bytes.checked_sub(beyond) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::{ALWAYS_BYTES, Allowances, BURST_BYTES, BYTES_PER_SECOND};
    use crate::front::listen::source::Source;

    #[test]
    fn a_source_is_answered_its_share_and_no_more() {
        let start = Instant::now();
        let allowances = Allowances::new(start);
        let source = Source::of(IpAddr::from([192, 0, 2, 1]));
        let large = 60_000;
        let sent = (0..1_000).filter(|_| allowances.allows(source, 100, large, start)).count();
        assert_eq!(sent, usize::try_from(BURST_BYTES).expect("fits") / (large - 100));
        assert!(allowances.allows(source, 100, ALWAYS_BYTES, start), "small answers are always sent");
        assert!(allowances.allows(source, large, large, start), "what was sent may come back");
        let later = start + Duration::from_secs(10);
        let sent = (0..1_000).filter(|_| allowances.allows(source, 100, large, later)).count();
        let share = usize::try_from(10 * BYTES_PER_SECOND).expect("fits").min(524_288);
        assert!(sent <= share / (large - 100) + 1 && sent >= share / large - 1, "{sent}");
    }
}
