//! Decides whether short reads run on the calling thread or are offloaded to threads for blocking work.
//!
//! Changing threads costs more than reading a few keys from memory. While short reads are quick they run on the calling
//! thread. A read that waits for the disk causes the following reads to be offloaded, for fifty times as long as it took
//! itself. After the first such wait, at most a fiftieth of the time of a thread that others wait for is therefore spent
//! waiting for the disk.
//!
//! On a busy machine a read also takes long when the system gives its core, or the core of a lock holder, to others. More
//! threads would make that worse. The two cases are distinguished by whether the thread read blocks from a disk. Asking
//! the system for that costs two calls, so it is asked only for a while after a read that took long.

use std::ffi::c_long;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// How long a read may take that still counts as quick: longer than memory and a fast disk, shorter than a slow disk.
const QUICK_MAX: Duration = Duration::from_millis(2);
/// Reads are offloaded for this many times as long as a read waited for the disk.
const AWAY_FACTOR: u32 = 50;
/// How long reads are watched after one that took long, and after reads were offloaded.
const WATCH: Duration = Duration::from_secs(10);

/// Decides by the duration of recent reads.
#[derive(Debug)]
pub(super) struct ReadOffload {
    since: Instant,
    /// In microseconds after `since`.
    away_until: AtomicU64,
    /// In microseconds after `since`.
    watched_until: AtomicU64,
}

/// A short read that is running.
#[derive(Debug)]
pub(super) struct TimedRead {
    at: Instant,
    /// The blocks that this thread had read from disks before, if reads are watched.
    blocks: Option<c_long>,
}

impl ReadOffload {
    /// Reads count as quick at first.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, away_until: AtomicU64::new(0), watched_until: AtomicU64::new(0) }
    }

    /// Begins a short read on this thread; none when it has to be offloaded.
    pub(super) fn begin(&self, now: Instant) -> Option<TimedRead> {
        self.begin_after(now, blocks_of_this_thread)
    }

    /// Records the end of a read, on the thread that began it.
    pub(super) fn end(&self, read: &TimedRead, now: Instant) {
        self.end_after(read, now, blocks_of_this_thread);
    }

    fn begin_after(&self, now: Instant, blocks: impl FnOnce() -> Option<c_long>) -> Option<TimedRead> {
        let micros = self.micros(now);
        if micros < self.away_until.load(Ordering::Relaxed) {
            return None;
        }
        let is_watched = micros < self.watched_until.load(Ordering::Relaxed);
        Some(TimedRead { at: now, blocks: if is_watched { blocks() } else { None } })
    }

    fn end_after(&self, read: &TimedRead, now: Instant, blocks: impl FnOnce() -> Option<c_long>) {
        let took = now.saturating_duration_since(read.at);
        if took <= QUICK_MAX {
            return;
        }
        let waited = read.blocks.is_some_and(|before| blocks() > Some(before));
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
    use super::{AWAY_FACTOR, Duration, Instant, QUICK_MAX, ReadOffload, WATCH, c_long};

    const SLOW: Duration = Duration::from_millis(30);
    const MOMENT: Duration = Duration::from_millis(1);

    /// A read that takes so long, and so many blocks of the disk.
    fn read(offload: &ReadOffload, at: Instant, takes: Duration, blocks: c_long) -> Instant {
        let read = offload.begin_after(at, || Some(5)).expect("reads are done here");
        offload.end_after(&read, at + takes, || Some(5 + blocks));
        at + takes
    }

    #[test]
    fn reads_that_wait_for_the_disk_send_the_next_away() {
        let start = Instant::now();
        let offload = ReadOffload::new(start);
        let quick = read(&offload, start, QUICK_MAX, 1);
        let first = read(&offload, quick, SLOW, 1);
        assert!(offload.begin(first).is_some(), "it is not known why the first took long");
        let second = read(&offload, first, SLOW, 1);
        assert!(offload.begin(second).is_none());
        let away = SLOW * AWAY_FACTOR;
        assert!(offload.begin(second + away - MOMENT).is_none());
        let third = read(&offload, second + away, SLOW, 1);
        assert!(offload.begin(third).is_none(), "it is still watched");
    }

    #[test]
    fn reads_that_lost_their_core_send_nothing_away() {
        let start = Instant::now();
        let offload = ReadOffload::new(start);
        let mut now = start;
        for _ in 0..10 {
            now = read(&offload, now, SLOW, 0);
        }
        let later = read(&offload, now + WATCH, SLOW, 1);
        assert!(offload.begin(later).is_some(), "it was no longer watched");
    }
}
