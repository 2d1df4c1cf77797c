//! Cryptography that occupies a processor for long: signatures and their verification, key agreements, derived keys. A few
//! operations run at a time, off the reactor; the queue for them is bounded, in total and per source. One pool serves all
//! front ends, so that its bounds hold for the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::Semaphore;
use tokio::task;

use super::bounds::CRYPTO_WORK;
use super::quota::{Exceeded, Quota, QuotaGrant};
use super::source::Source;
use crate::model::refusal::Failure;
use crate::telemetry::bug_shown_by;

/// Pieces of work done at a time at most; half of the processors, where there are fewer.
const AT_ONCE_MAX: usize = 4;

//----------- CryptoPool -------------------------------------------------------

/// The pool in which signatures and keys are made and verified.
#[derive(Debug)]
pub struct CryptoPool {
    workers: Arc<Semaphore>,
    /// The single slot for work that unauthenticated clients ask for.
    unproven: Semaphore,
    queued: Arc<Quota>,
    counters: CryptoCounters,
}

/// What a pool has done.
#[derive(Debug, Default)]
pub struct CryptoCounters {
    /// Pieces of work that were done.
    pub done: AtomicU64,
    /// Pieces of work that were rejected because the queue was full.
    pub rejected: AtomicU64,
    /// Pieces of work that were rejected because their source had queued its share.
    pub rejected_of_source: AtomicU64,
}

impl Default for CryptoPool {
    /// An empty queue, and half of the processors for it: the others go on answering.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers: Arc::new(Semaphore::new((processors / 2).clamp(1, AT_ONCE_MAX))),
            unproven: Semaphore::new(1),
            queued: Quota::new(CRYPTO_WORK),
            counters: CryptoCounters::default(),
        }
    }
}

impl CryptoPool {
    /// Does a piece of work for a source. Fails as overloaded when too much is queued, and as a bug when the work panics.
    pub(in crate::front) async fn run<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let _turn = self.queue(source).ok_or(Failure::Overloaded)?;
        self.work(work).await
    }

    /// Does a piece of work that anybody may ask for, one at a time; fails as overloaded while another is done.
    pub(in crate::front) async fn run_unproven<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let Ok(_slot) = self.unproven.try_acquire() else {
            self.counters.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::Overloaded);
        };
        self.work(work).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let worker = Arc::clone(&self.workers).acquire_owned().await;
        let worker = worker.map_err(|error| bug_shown_by("the cryptography pool stays open", &error))?;
        let done = task::spawn_blocking(move || {
            // The permit is held until the work is done, even if its caller has stopped waiting.
            let _worker = worker;
            work()
        });
        let done = done.await;
        self.counters.done.fetch_add(1, Ordering::Relaxed);
        done.map_err(|error| {
            if error.is_panic() {
                bug_shown_by("cryptography never panics", &error)
            } else {
                // The runtime is going down.
                Failure::Stopping
            }
        })
    }

    /// What it has done.
    pub fn counters(&self) -> &CryptoCounters {
        &self.counters
    }

    /// Pieces of work that are done or queued now.
    pub fn queued(&self) -> usize {
        self.queued.used()
    }

    fn queue(&self, source: Source) -> Option<QuotaGrant> {
        let queued = self.queued.take(source, 1).inspect_err(|exceeded| {
            let rejected = match exceeded {
                Exceeded::Total => &self.counters.rejected,
                Exceeded::Source => &self.counters.rejected_of_source,
            };
            rejected.fetch_add(1, Ordering::Relaxed);
        });
        queued.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::Ordering;

    use super::{CRYPTO_WORK, CryptoPool, Failure, Source};

    #[tokio::test]
    async fn work_is_done_and_no_source_fills_the_queue() {
        let crypto_pool = CryptoPool::default();
        let source = |last: u8| Source::of(IpAddr::from([127, 0, 0, last]));
        assert_eq!(crypto_pool.run(source(1), || 6 * 7).await, Ok(42));
        let mut turns: Vec<_> =
            (0..CRYPTO_WORK.per_source).map(|_| crypto_pool.queue(source(1)).expect("a turn")).collect();
        assert!(crypto_pool.queue(source(1)).is_none());
        assert_eq!(crypto_pool.run(source(1), || 1).await, Err(Failure::Overloaded));
        assert_eq!(crypto_pool.run(source(2), || 2).await, Ok(2));
        for last in 2..=4 {
            turns.extend((0..CRYPTO_WORK.per_source).map_while(|_| crypto_pool.queue(source(last))));
        }
        assert_eq!((turns.len(), crypto_pool.queued()), (CRYPTO_WORK.total, CRYPTO_WORK.total));
        assert!(crypto_pool.queue(source(9)).is_none());
        turns.clear();
        assert_eq!(crypto_pool.queued(), 0);
        let counters = crypto_pool.counters();
        let counted = [&counters.done, &counters.rejected, &counters.rejected_of_source];
        assert_eq!(counted.map(|counter| counter.load(Ordering::Relaxed)), [2, 1, 2]);
    }

    #[tokio::test]
    async fn work_that_panics_is_a_bug_and_leaves_the_pool_usable() {
        let crypto_pool = CryptoPool::default();
        let source = Source::of(IpAddr::from([127, 0, 0, 1]));
        let expected = Failure::Bug { what: "cryptography never panics" };
        assert_eq!(crypto_pool.run(source, || -> u8 { panic!("by a test") }).await, Err(expected.clone()));
        assert_eq!(crypto_pool.run_unproven(|| -> u8 { panic!("by a test") }).await, Err(expected));
        assert_eq!((crypto_pool.run(source, || 1).await, crypto_pool.queued()), (Ok(1), 0));
        assert_eq!(crypto_pool.run_unproven(|| 2).await, Ok(2));
    }

    #[tokio::test]
    async fn work_that_anybody_may_ask_for_is_done_one_at_a_time() {
        let crypto_pool = CryptoPool::default();
        assert_eq!(crypto_pool.run_unproven(|| 1).await, Ok(1));
        let _slot = crypto_pool.unproven.try_acquire().expect("free again");
        assert_eq!(crypto_pool.run_unproven(|| 2).await, Err(Failure::Overloaded));
        assert_eq!(crypto_pool.run(Source::of(IpAddr::from([127, 0, 0, 1])), || 3).await, Ok(3));
    }
}
