//! One open engine, and how its work is run: off the reactor, after a panic, after a failed write, after closing.
//!
//! Calls run on threads for blocking work, short reads where they are asked while they come from memory (see `read_offload`).
//! A call holds the engine open while it runs; closing waits for the running calls. A call whose future is dropped
//! still runs to its end.
//!
//! Each call has a deadline, because a disk or an engine may never return. A call beyond it has failed for those who wait;
//! its thread stays with the engine. A write beyond it poisons the engine as a failed one does.
//!
//! ```text
//! open ──▶ running ──failed or stalled write──▶ poisoned (reads continue) ──▶ closed
//!           ▲ └────panic inside the engine──▶ broken (every call returns Damaged; the process must be restarted)
//!           └──────────opened again───────────┘ poisoned only
//! ```
//! While the files are closed to be opened again, calls wait, each up to its deadline. When opening fails, every call fails with
//! [`EngineError::NotOpen`] until another attempt succeeds. *Poisoned* means: no write is accepted after a failed one.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::{JoinError, spawn_blocking};

use super::error::EngineError;
use super::read_offload::{ReadOffload, TimedRead};
use super::renew;
use super::stall::{Call, Calls};
use crate::model::limits::{CLOSE_SECONDS_MAX, READ_SECONDS_MAX, WRITE_SECONDS_MAX};
use crate::store::engine::EngineKind;
use crate::telemetry::Chain;

/// An open engine `T`, shared by readers and writers.
pub(super) struct Running<T> {
    directory: PathBuf,
    engine: RwLock<Option<T>>,
    opener: Opener<T>,
    /// How often the files have been opened again.
    reopened: AtomicU64,
    poisoned: AtomicBool,
    broken: OnceLock<String>,
    read_offload: ReadOffload,
    writes: Calls,
    /// Reads beyond their deadline that have not returned.
    stalled_reads: Arc<AtomicUsize>,
    deadlines: Deadlines,
    #[cfg(test)]
    held: super::tests::Held,
}

/// Opens the engine in its directory.
type Opener<T> = Box<dyn Fn(&Path) -> Result<T, EngineError> + Send + Sync>;

/// How long calls may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// A write, to its end on disk.
    pub(super) write: Duration,
    /// A read.
    pub(super) read: Duration,
    /// Closing.
    pub(super) close: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            write: seconds(WRITE_SECONDS_MAX),
            read: seconds(READ_SECONDS_MAX),
            close: seconds(CLOSE_SECONDS_MAX),
        }
    }
}

/// How often it is looked whether no call uses the engine.
const ALONE_EVERY: Duration = Duration::from_millis(2);

/// Stalled reads beyond which no other read is begun: each holds a thread.
const STALLED_READS_MAX: usize = 32;

impl<T: Send + Sync + 'static> Running<T> {
    /// Opens an engine; a panic inside it is damage.
    pub(super) async fn open(
        directory: &Path,
        open: impl Fn(&Path) -> Result<T, EngineError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, EngineError> {
        let directory = directory.to_path_buf();
        let inside = directory.clone();
        let opener: Opener<T> = Box::new(open);
        let (opener, engine) = match spawn_blocking(move || (opener(&inside), opener)).await {
            Ok((opened, opener)) => (opener, opened.map_err(EngineError::while_opening)?),
            Err(failed) => return Err(explain_join(&directory, failed)),
        };
        Ok(Arc::new(Self {
            directory,
            engine: RwLock::new(Some(engine)),
            opener,
            reopened: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
            broken: OnceLock::new(),
            read_offload: ReadOffload::new(Instant::now()),
            writes: Calls::new(Instant::now()),
            stalled_reads: Arc::default(),
            deadlines: Deadlines::default(),
            #[cfg(test)]
            held: super::tests::Held::default(),
        }))
    }

    /// The directory of the engine's files.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs reading work.
    pub(super) async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&T) -> Result<R, EngineError> + Send + 'static,
    ) -> Result<R, EngineError> {
        if self.stalled_reads.load(Ordering::Acquire) >= STALLED_READS_MAX {
            return Err(self.stalled("earlier reads", self.deadlines.read));
        }
        let call = Call::new(Arc::clone(&self.stalled_reads));
        let watched = call.clone();
        let work = move |engine: &T| {
            // Dropped when the work ends, however late that is.
            let _call = call;
            work(engine)
        };
        match self.run(work, self.deadlines.read).await {
            Some(outcome) => outcome,
            None => {
                watched.stall();
                Err(self.stalled("a read", self.deadlines.read))
            }
        }
    }

    /// Runs work off the reactor; none when it has not ended by its deadline.
    async fn run<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&T) -> Result<R, EngineError> + Send + 'static,
        deadline: Duration,
    ) -> Option<Result<R, EngineError>> {
        if let Err(broken) = self.check_unbroken() {
            return Some(Err(broken));
        }
        let running = Arc::clone(self);
        let work = move || {
            let engine = running.engine.read().unwrap_or_else(PoisonError::into_inner);
            work(engine.as_ref().ok_or(EngineError::NotOpen)?)
        };
        let ended = tokio::time::timeout(deadline, spawn_blocking(work)).await.ok()?;
        Some(self.outcome(ended))
    }

    fn outcome<R>(
        self: &Arc<Self>,
        ended: Result<Result<R, EngineError>, JoinError>,
    ) -> Result<R, EngineError> {
        ended.unwrap_or_else(|failed| Err(self.take_out_of_use(explain_join(&self.directory, failed))))
    }

    fn stalled(&self, what: &'static str, after: Duration) -> EngineError {
        EngineError::Stalled { what, path: self.directory.clone(), seconds: after.as_secs() }
    }

    /// Runs reading work that is short when it comes from memory: here, as long as such work does.
    pub(super) async fn read_shortly<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&T) -> Result<R, EngineError> + Send + 'static,
    ) -> Result<R, EngineError> {
        // The lock is held while the engine is being closed. A write that takes long may block reads inside the engine.
        let now = Instant::now();
        if self.broken.get().is_none()
            && !self.writes.any_slow(now)
            && let Some(read) = self.read_offload.begin(now)
            && let Ok(engine) = self.engine.try_read()
        {
            return self.read_here(&read, engine.as_ref().ok_or(EngineError::NotOpen)?, work);
        }
        self.read(work).await
    }

    fn read_here<R>(
        self: &Arc<Self>,
        read: &TimedRead,
        engine: &T,
        work: impl FnOnce(&T) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(engine)));
        self.read_offload.end(read, Instant::now());
        outcome
            .unwrap_or_else(|panic| Err(self.take_out_of_use(explain_panic(&self.directory, panic.as_ref()))))
    }

    /// Runs writing work; after one failure, or one beyond its deadline, every later one is refused.
    pub(super) async fn write(
        self: &Arc<Self>,
        work: impl FnOnce(&T) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        let (running, write) = (Arc::clone(self), self.writes.begin(Instant::now()));
        let work = move |engine: &T| {
            // Dropped when the work ends, however late that is.
            let _write = write;
            #[cfg(test)]
            running.held.wait();
            if running.poisoned.load(Ordering::Acquire) {
                return Err(EngineError::Poisoned);
            }
            work(engine).inspect_err(|_| running.poisoned.store(true, Ordering::Release))
        };
        let deadline = self.write_deadline();
        let ended = self.run(work, deadline).await;
        ended.unwrap_or_else(|| {
            self.poisoned.store(true, Ordering::Release);
            Err(self.stalled("a change", deadline))
        })
    }

    fn write_deadline(&self) -> Duration {
        #[cfg(test)]
        if self.held.is_set() {
            return super::tests::HELD_DEADLINE;
        }
        self.deadlines.write
    }

    /// How long the oldest write that has not ended has been running; none when there is none.
    pub(super) fn write_in_flight(&self) -> Option<Duration> {
        self.writes.oldest(Instant::now())
    }

    /// Waits for the running calls, then releases the files.
    pub(super) async fn close(
        self: &Arc<Self>,
        close: impl FnOnce(T) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        self.check_unbroken()?;
        let running = Arc::clone(self);
        let work = move || {
            let engine = running.engine.write().unwrap_or_else(PoisonError::into_inner).take();
            engine.map_or(Err(EngineError::NotOpen), close)
        };
        match tokio::time::timeout(self.deadlines.close, spawn_blocking(work)).await {
            Ok(ended) => self.outcome(ended),
            Err(_) => Err(self.stalled("closing", self.deadlines.close)),
        }
    }

    /// Returns the damage after which the engine is used no more; nothing before there was one.
    fn check_unbroken(&self) -> Result<(), EngineError> {
        self.broken.get().map_or(Ok(()), |detail| Err(EngineError::damaged(&self.directory, detail)))
    }

    /// How often the files have been opened again. While a call holds the engine, this does not change.
    pub(super) fn times_reopened(&self) -> u64 {
        self.reopened.load(Ordering::Acquire)
    }

    /// Closes the files after a failed write, writes them anew, opens them, and accepts writes again. Waits for the running calls, and
    /// takes as long as reading and writing the files.
    pub(super) async fn reopen(
        self: &Arc<Self>,
        kind: EngineKind,
        close: impl FnOnce(T) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        self.check_unbroken()?;
        let running = Arc::clone(self);
        let work = move || {
            renew::check_space(kind, &running.directory)?;
            let mut engine = running.alone()?;
            if let Some(Err(error)) = engine.take().map(|failed| running.close_failed(failed, close)) {
                tracing::debug!(error = %Chain(&error), "the files of a failed engine were closed");
            }
            renew::renew(kind, &running.directory)?;
            *engine = Some((running.opener)(&running.directory).map_err(EngineError::while_opening)?);
            running.reopened.fetch_add(1, Ordering::AcqRel);
            running.poisoned.store(false, Ordering::Release);
            Ok(())
        };
        self.outcome(spawn_blocking(work).await)
    }

    /// The engine when no call uses it. Calls go on until that is so: a lock that waits would hold up those that come later.
    fn alone(&self) -> Result<RwLockWriteGuard<'_, Option<T>>, EngineError> {
        let deadline = Instant::now() + self.deadlines.close;
        loop {
            match self.engine.try_write() {
                Ok(engine) => return Ok(engine),
                Err(TryLockError::Poisoned(engine)) => return Ok(engine.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(ALONE_EVERY);
                }
                Err(TryLockError::WouldBlock) => return Err(self.stalled("a call", self.deadlines.close)),
            }
        }
    }

    /// Closes a failed engine. A panic in it is an error: sled panics when its log cannot be synced at the end.
    fn close_failed(
        &self,
        failed: T,
        close: impl FnOnce(T) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let closed = catch_unwind(AssertUnwindSafe(|| close(failed)));
        closed.unwrap_or_else(|panic| Err(explain_panic(&self.directory, panic.as_ref())))
    }

    /// Holds every write that begins from now on, until it is released.
    #[cfg(test)]
    pub(super) fn held(&self) -> &super::tests::Held {
        &self.held
    }

    /// Modifies the open engine.
    #[cfg(test)]
    pub(super) fn exchange(&self, change: impl FnMut(&mut T)) {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        engine.as_mut().into_iter().for_each(change);
    }

    /// State after a panic inside the engine: no call uses it again, and it is never dropped, because the effect of its
    /// destructor is unknown.
    fn take_out_of_use(self: &Arc<Self>, error: EngineError) -> EngineError {
        if let EngineError::Damaged { detail, .. } = &error
            && self.broken.set(detail.clone()).is_ok()
        {
            std::mem::forget(Arc::clone(self));
        }
        error
    }
}

/// A panic is reported as damage with its message; anything else means that the runtime is shutting down.
fn explain_join(directory: &Path, failed: JoinError) -> EngineError {
    match failed.try_into_panic() {
        Ok(panic) => explain_panic(directory, panic.as_ref()),
        Err(_) => EngineError::NotOpen,
    }
}

fn explain_panic(directory: &Path, panic: &(dyn Any + Send)) -> EngineError {
    EngineError::damaged(directory, format!("the engine has stopped: {}", panic_text(panic)))
}

/// The message of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}
