//! Pace: whether short reads come from memory, as far as the last ones tell.
//!
//! Changing threads costs more than reading a few keys from memory. While short reads are quick they are done where
//! they are asked; the first that waits for the disk sends those after it to threads for blocking work, for a while. So
//! at most one read a second holds up each thread that others wait for, for as long as the disk takes once: reads that
//! were under way on other threads when the first one ended are not sent away any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a read may take that still counts as quick: longer than memory and a fast disk, shorter than a slow disk.
const QUICK_MAX: Duration = Duration::from_millis(2);
/// How long reads are sent away after one that was not.
const AWAY: Duration = Duration::from_secs(1);

/// What the last short reads took.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    /// In microseconds after `since`.
    away_until: AtomicU64,
}

impl Pace {
    /// Nothing is known yet: reads count as quick.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, away_until: AtomicU64::new(0) }
    }

    /// Whether a short read may be done at once.
    pub(super) fn is_quick(&self, now: Instant) -> bool {
        self.micros(now) >= self.away_until.load(Ordering::Relaxed)
    }

    /// Notes a read that was done at once.
    pub(super) fn note(&self, begun: Instant, ended: Instant) {
        if ended.saturating_duration_since(begun) > QUICK_MAX {
            self.away_until.store(self.micros(ended + AWAY), Ordering::Relaxed);
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{AWAY, Duration, Instant, Pace, QUICK_MAX};

    #[test]
    fn one_read_that_waits_for_the_disk_sends_the_next_away() {
        let start = Instant::now();
        let pace = Pace::new(start);
        assert!(pace.is_quick(start));
        pace.note(start, start + QUICK_MAX);
        assert!(pace.is_quick(start + QUICK_MAX), "a quick read changes nothing");
        let slow_end = start + Duration::from_millis(30);
        pace.note(start, slow_end);
        assert!(!pace.is_quick(slow_end));
        assert!(!pace.is_quick(slow_end + AWAY - Duration::from_millis(1)));
        assert!(pace.is_quick(slow_end + AWAY));
    }
}
