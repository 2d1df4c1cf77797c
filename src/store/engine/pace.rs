//! Pace: whether short reads come from memory, as far as the last ones tell.
//!
//! Changing threads costs more than reading a few keys from memory. While short reads are quick they are done where
//! they are asked; one that waits for the disk sends those after it to threads for blocking work, for fifty times as long
//! as it took itself. So waiting for the disk takes a fiftieth of the time of each thread that others wait for at most, but
//! for the first wait.
//!
//! On a busy machine a read also takes long because the system gives its core, or the core of whoever holds a lock, to
//! others meanwhile. Then more threads would make it worse. Which of the two it was is told by whether the thread had
//! blocks read from a disk. Asking that costs two system calls, so it is asked for a while after a read that took long, and
//! not otherwise.

use std::ffi::c_long;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// How long a read may take that still counts as quick: longer than memory and a fast disk, shorter than a slow disk.
const QUICK_MAX: Duration = Duration::from_millis(2);
/// For how many times as long as a read waited for the disk the next ones are sent away.
const AWAY_FACTOR: u32 = 50;
/// How long reads are watched after one that took long and after the time away, so that the next to wait is known.
const WATCH: Duration = Duration::from_secs(10);

/// What the last short reads took.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    /// In microseconds after `since`.
    away_until: AtomicU64,
    /// In microseconds after `since`.
    watched_until: AtomicU64,
}

/// A short read that was begun.
#[derive(Debug)]
pub(super) struct Begun {
    at: Instant,
    /// The blocks that this thread had read from disks before, if reads are watched.
    blocks: Option<c_long>,
}

impl Pace {
    /// Nothing is known yet: reads count as quick.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, away_until: AtomicU64::new(0), watched_until: AtomicU64::new(0) }
    }

    /// Begins a short read here and now, unless it is to be sent away.
    pub(super) fn begin(&self, now: Instant) -> Option<Begun> {
        self.begin_after(now, blocks_of_this_thread)
    }

    /// Notes the end of a read that was done at once, by the thread that began it.
    pub(super) fn end(&self, begun: &Begun, now: Instant) {
        self.end_after(begun, now, blocks_of_this_thread);
    }

    fn begin_after(&self, now: Instant, blocks: impl FnOnce() -> Option<c_long>) -> Option<Begun> {
        let micros = self.micros(now);
        if micros < self.away_until.load(Ordering::Relaxed) {
            return None;
        }
        let is_watched = micros < self.watched_until.load(Ordering::Relaxed);
        Some(Begun { at: now, blocks: if is_watched { blocks() } else { None } })
    }

    fn end_after(&self, begun: &Begun, now: Instant, blocks: impl FnOnce() -> Option<c_long>) {
        let took = now.saturating_duration_since(begun.at);
        if took <= QUICK_MAX {
            return;
        }
        let waited = begun.blocks.is_some_and(|before| blocks() > Some(before));
        let away_until = if waited { now + took * AWAY_FACTOR } else { now };
        self.away_until.fetch_max(self.micros(away_until), Ordering::Relaxed);
        self.watched_until.fetch_max(self.micros(away_until + WATCH), Ordering::Relaxed);
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Blocks that the system read from disks for this thread (getrusage(2), ru_inblock).
fn blocks_of_this_thread() -> Option<c_long> {
    getrusage(UsageWho::RUSAGE_THREAD).ok().map(|usage| usage.block_reads())
}

#[cfg(test)]
mod tests {
    use super::{AWAY_FACTOR, Duration, Instant, Pace, QUICK_MAX, WATCH, c_long};

    const SLOW: Duration = Duration::from_millis(30);
    const MOMENT: Duration = Duration::from_millis(1);

    /// A read that takes so long, and so many blocks of the disk.
    fn read(pace: &Pace, at: Instant, takes: Duration, blocks: c_long) -> Instant {
        let begun = pace.begin_after(at, || Some(5)).expect("reads are done here");
        pace.end_after(&begun, at + takes, || Some(5 + blocks));
        at + takes
    }

    #[test]
    fn reads_that_wait_for_the_disk_send_the_next_away() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let quick = read(&pace, start, QUICK_MAX, 1);
        let first = read(&pace, quick, SLOW, 1);
        assert!(pace.begin(first).is_some(), "it is not known why the first took long");
        let second = read(&pace, first, SLOW, 1);
        assert!(pace.begin(second).is_none());
        let away = SLOW * AWAY_FACTOR;
        assert!(pace.begin(second + away - MOMENT).is_none());
        let third = read(&pace, second + away, SLOW, 1);
        assert!(pace.begin(third).is_none(), "it is still watched");
    }

    #[test]
    fn reads_that_lost_their_core_send_nothing_away() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let mut now = start;
        for _ in 0..10 {
            now = read(&pace, now, SLOW, 0);
        }
        let later = read(&pace, now + WATCH, SLOW, 1);
        assert!(pace.begin(later).is_some(), "it was no longer watched");
    }
}
