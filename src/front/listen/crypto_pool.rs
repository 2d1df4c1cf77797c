//! Work that takes a processor for long: a few pieces at a time, off the reactor, no endless queue before them, and no
//! source that fills it alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task;

use crate::front::listen::source::Source;

/// Pieces of work done at a time.
const AT_ONCE: usize = 2;
/// Pieces of work that are done or wait.
const WAITING_MAX: usize = 256;
/// The same, for one source.
const OF_SOURCE_MAX: usize = 64;

//----------- CryptoPool -------------------------------------------------------

/// Where signatures and keys are made.
#[derive(Debug)]
pub(in crate::front) struct CryptoPool {
    benches: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    sources: HashMap<Source, usize>,
}

impl CryptoPool {
    /// Nothing to be done yet.
    pub(in crate::front) fn new() -> Self {
        Self { benches: Arc::new(Semaphore::new(AT_ONCE)), waiting: Mutex::default() }
    }

    /// Does a piece of work for a source; none when too much is waiting.
    pub(in crate::front) async fn run<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.queue(source)?;
        let bench = Arc::clone(&self.benches).acquire_owned().await.ok()?;
        let done = task::spawn_blocking(move || {
            // The bench is free when the work is done, even when nobody waits for it any more.
            let _bench = bench;
            work()
        });
        done.await.ok()
    }

    fn queue(&self, source: Source) -> Option<Turn<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = waiting.sources.get(&source).copied().unwrap_or_default();
        if waiting.count >= WAITING_MAX || of_source >= OF_SOURCE_MAX {
            return None;
        }
        waiting.count += 1;
        waiting.sources.insert(source, of_source + 1);
        Some(Turn { crypto_pool: self, source })
    }
}

/// A place in the queue; given up when dropped.
struct Turn<'w> {
    crypto_pool: &'w CryptoPool,
    source: Source,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.crypto_pool.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.count -= 1;
        if let Some(of_source) = waiting.sources.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                waiting.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{CryptoPool, OF_SOURCE_MAX, Source, WAITING_MAX};

    #[tokio::test]
    async fn work_is_done_and_no_source_fills_the_queue() {
        let crypto_pool = CryptoPool::new();
        let source = |last: u8| Source::of(IpAddr::from([127, 0, 0, last]));
        assert_eq!(crypto_pool.run(source(1), || 6 * 7).await, Some(42));
        let mut turns: Vec<_> =
            (0..OF_SOURCE_MAX).map(|_| crypto_pool.queue(source(1)).expect("a turn")).collect();
        assert!(crypto_pool.queue(source(1)).is_none());
        assert_eq!(crypto_pool.run(source(1), || 1).await, None);
        assert_eq!(crypto_pool.run(source(2), || 2).await, Some(2));
        for last in 2..=4 {
            turns.extend((0..OF_SOURCE_MAX).map_while(|_| crypto_pool.queue(source(last))));
        }
        assert_eq!(turns.len(), WAITING_MAX);
        assert!(crypto_pool.queue(source(9)).is_none());
        turns.clear();
        assert!(crypto_pool.waiting.lock().expect("sound").sources.is_empty());
    }
}
