//! Calls that are running, so that one that does not return is noticed.
//!
//! A call is counted until its work ends, not until its caller stops waiting: the thread that runs it is held that long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A write that has been running for longer than this may block reads.
const SLOW: Duration = Duration::from_millis(500);
/// No call is running.
const NONE: u64 = u64::MAX;

//----------- Calls ----------------------------------------------------------

/// The calls of one kind that are running.
#[derive(Debug, Clone)]
pub(super) struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    since: Instant,
    begun: Mutex<Begun>,
    /// When the oldest running call began, in microseconds after `since`; readable without the lock.
    oldest: AtomicU64,
}

#[derive(Debug, Default)]
struct Begun {
    next: u64,
    running: BTreeMap<u64, u64>,
}

/// A running call; dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    calls: Calls,
    number: u64,
}

impl Calls {
    /// None is running.
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Inner { since: now, begun: Mutex::default(), oldest: AtomicU64::new(NONE) }))
    }

    /// Begins a call.
    pub(super) fn begin(&self, now: Instant) -> Running {
        let at = self.micros(now);
        let mut begun = self.lock();
        let number = begun.next;
        begun.next += 1;
        begun.running.insert(number, at);
        self.publish(&begun);
        Running { calls: self.clone(), number }
    }

    /// How long the oldest running call has been running.
    pub(super) fn oldest(&self, now: Instant) -> Option<Duration> {
        let oldest = self.0.oldest.load(Ordering::Acquire);
        (oldest != NONE).then(|| Duration::from_micros(self.micros(now).saturating_sub(oldest)))
    }

    /// Whether a call has been running for so long that it may block others.
    pub(super) fn any_slow(&self, now: Instant) -> bool {
        self.oldest(now).is_some_and(|running| running > SLOW)
    }

    fn publish(&self, begun: &Begun) {
        // Numbers rise with time, so that the first one is the oldest.
        let oldest = begun.running.values().next().copied().unwrap_or(NONE);
        self.0.oldest.store(oldest, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Begun> {
        self.0.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.0.since).as_micros()).unwrap_or(NONE - 1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut begun = self.calls.lock();
        begun.running.remove(&self.number);
        self.calls.publish(&begun);
    }
}

//----------- Call -----------------------------------------------------------

/// A call that is counted only once it is beyond its deadline, and until it ends.
#[derive(Debug, Clone)]
pub(super) struct Call(Arc<Stall>);

#[derive(Debug)]
struct Stall {
    count: Arc<AtomicUsize>,
    is_counted: AtomicBool,
}

impl Call {
    /// A call whose stall would be counted here.
    pub(super) fn new(count: Arc<AtomicUsize>) -> Self {
        Self(Arc::new(Stall { count, is_counted: AtomicBool::new(false) }))
    }

    /// The call is beyond its deadline.
    pub(super) fn stall(&self) {
        if !self.0.is_counted.swap(true, Ordering::AcqRel) {
            self.0.count.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        if self.is_counted.load(Ordering::Acquire) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, AtomicUsize, Call, Calls, Duration, Instant, Ordering, SLOW};

    #[test]
    fn the_oldest_running_call_counts_until_it_ends() {
        let start = Instant::now();
        let calls = Calls::new(start);
        assert_eq!(calls.oldest(start), None);
        let first = calls.begin(start);
        let second = calls.begin(start + SLOW);
        let now = start + SLOW + Duration::from_millis(1);
        assert_eq!((calls.oldest(now), calls.any_slow(now)), (Some(now - start), true));
        drop(first);
        assert_eq!((calls.oldest(now), calls.any_slow(now)), (Some(Duration::from_millis(1)), false));
        drop(second);
        assert_eq!(calls.oldest(now), None);
    }

    #[test]
    fn a_stalled_call_counts_until_its_work_ends() {
        let count = Arc::new(AtomicUsize::new(0));
        let waiting = Call::new(Arc::clone(&count));
        let work = waiting.clone();
        waiting.stall();
        waiting.stall();
        drop(waiting);
        assert_eq!(count.load(Ordering::Acquire), 1);
        drop(work);
        assert_eq!(count.load(Ordering::Acquire), 0);
    }
}
