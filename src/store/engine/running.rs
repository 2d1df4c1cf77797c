//! One open engine, and how its work is run: off the reactor, after a panic, after a failed write, after closing.
//!
//! Calls run on threads for blocking work, short reads where they are asked while they come from memory (see `read_offload`).
//! A call holds the engine open while it runs; closing waits for the running calls. A call whose future is dropped
//! still runs to its end.
//!
//! ```text
//! open ──▶ running ──failed write──▶ poisoned (reads continue) ──▶ closed
//!             └─────panic inside the engine──▶ broken (every call returns Damaged; the process must be restarted)
//! ```

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::task::spawn_blocking;

use super::error::EngineError;
use super::read_offload::{ReadOffload, TimedRead};

/// An open engine `T`, shared by readers and writers.
pub(in crate::store) struct Running<T> {
    directory: PathBuf,
    engine: RwLock<Option<T>>,
    poisoned: AtomicBool,
    broken: OnceLock<String>,
    read_offload: ReadOffload,
}

impl<T: Send + Sync + 'static> Running<T> {
    /// Opens an engine; a panic inside it is damage.
    pub(super) async fn open(
        directory: &Path,
        open: impl FnOnce(&Path) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<Arc<Self>, EngineError> {
        let directory = directory.to_path_buf();
        let inside = directory.clone();
        let engine = match spawn_blocking(move || open(&inside)).await {
            Ok(opened) => opened.map_err(EngineError::while_opening)?,
            Err(failed) => return Err(explain_join(&directory, failed)),
        };
        Ok(Arc::new(Self {
            directory,
            engine: RwLock::new(Some(engine)),
            poisoned: AtomicBool::new(false),
            broken: OnceLock::new(),
            read_offload: ReadOffload::new(Instant::now()),
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
        if let Some(detail) = self.broken.get() {
            return Err(EngineError::damaged(&self.directory, detail));
        }
        let running = Arc::clone(self);
        let work = move || {
            let engine = running.engine.read().unwrap_or_else(PoisonError::into_inner);
            work(engine.as_ref().ok_or(EngineError::Stopped)?)
        };
        match spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(failed) => Err(self.take_out_of_use(explain_join(&self.directory, failed))),
        }
    }

    /// Runs reading work that is short when it comes from memory: here, as long as such work does.
    pub(super) async fn read_shortly<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&T) -> Result<R, EngineError> + Send + 'static,
    ) -> Result<R, EngineError> {
        // The lock is held while the engine is being closed.
        if self.broken.get().is_none()
            && let Some(read) = self.read_offload.begin(Instant::now())
            && let Ok(engine) = self.engine.try_read()
        {
            return self.read_here(&read, engine.as_ref().ok_or(EngineError::Stopped)?, work);
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

    /// Runs writing work; after one failure every later one is refused.
    pub(super) async fn write(
        self: &Arc<Self>,
        work: impl FnOnce(&T) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        let running = Arc::clone(self);
        self.read(move |engine| {
            if running.poisoned.load(Ordering::Acquire) {
                return Err(EngineError::Poisoned);
            }
            work(engine).inspect_err(|_| running.poisoned.store(true, Ordering::Release))
        })
        .await
    }

    /// Waits for the running calls, then releases the files.
    pub(super) async fn close(
        self: &Arc<Self>,
        close: impl FnOnce(T) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        if let Some(detail) = self.broken.get() {
            return Err(EngineError::damaged(&self.directory, detail));
        }
        let running = Arc::clone(self);
        let work = move || {
            let engine = running.engine.write().unwrap_or_else(PoisonError::into_inner).take();
            engine.map_or(Err(EngineError::Stopped), close)
        };
        match spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(failed) => Err(self.take_out_of_use(explain_join(&self.directory, failed))),
        }
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
fn explain_join(directory: &Path, failed: tokio::task::JoinError) -> EngineError {
    match failed.try_into_panic() {
        Ok(panic) => explain_panic(directory, panic.as_ref()),
        Err(_) => EngineError::Stopped,
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
