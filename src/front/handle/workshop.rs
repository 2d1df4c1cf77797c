//! Work that takes a processor for long: a few pieces at a time, off the reactor, and no endless queue before them.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task;

/// Pieces of work done at a time.
const AT_ONCE: usize = 2;
/// Pieces of work that are done or wait.
const WAITING_MAX: usize = 256;

/// Where signatures and keys are made.
#[derive(Debug)]
pub(super) struct Workshop {
    benches: Arc<Semaphore>,
    places: Semaphore,
}

impl Workshop {
    /// Nothing to be done yet.
    pub(super) fn new() -> Self {
        Self { benches: Arc::new(Semaphore::new(AT_ONCE)), places: Semaphore::new(WAITING_MAX) }
    }

    /// Does a piece of work; none when too much is waiting.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _place = self.places.try_acquire().ok()?;
        let bench = Arc::clone(&self.benches).acquire_owned().await.ok()?;
        let done = task::spawn_blocking(move || {
            // The bench is free when the work is done, even when nobody waits for it any more.
            let _bench = bench;
            work()
        });
        done.await.ok()
    }
}
