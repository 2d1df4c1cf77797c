//! Threads that receive datagrams and answer them, apart from the workers of the runtime.
//!
//! ```text
//!   socket ─ thread: receive a batch ─ answer it ─┬─ ready at once ─▶ sent by the thread
//!                                                 └─ has to wait ───▶ a task of the runtime, a bounded number at a time
//! ```
//! A sender of datagrams can keep these threads busy and nothing else: the system divides the processor between them and
//! the workers that serve connections. An answer is computed on the thread as far as it needs no waiting, which is the
//! whole way while the store answers from memory. When too many batches wait, their thread waits too, and the system
//! drops what its receive buffer cannot hold.

use std::io::{self, PipeReader, PipeWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Handle;

use super::{Datagram, DatagramSocket};
use crate::front::listen::drain::Draining;

/// Threads of one socket at most, where there are as many processors.
const THREADS_MAX: usize = 4;
/// Datagrams that are answered as one batch at most.
const BATCH_MAX: usize = 256;
/// Batches of one socket that wait at a time: at most 32 buffers of 64 KiB each.
const WAITING_MAX: usize = 16;
/// How long a thread pauses after the system reported an error of the socket.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

//----------- DatagramThreads --------------------------------------------------

/// The threads of one socket. Dropping them ends them: each finishes the batch that it works on.
#[derive(Debug)]
pub(in crate::front) struct DatagramThreads {
    shared: Arc<Shared>,
    /// Open while the threads are to run: closing it wakes those that wait for a datagram.
    wake: Option<PipeWriter>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads of one socket share.
#[derive(Debug)]
struct Shared {
    socket: Arc<DatagramSocket>,
    stop: AtomicBool,
    woken: PipeReader,
    waiting: Mutex<usize>,
    fewer_wait: Condvar,
    runtime: Handle,
}

impl DatagramThreads {
    /// Starts the threads of a socket, one for each processor up to four. `answer` answers a batch; `draining` is held
    /// until the threads have ended and everything they received has been answered. Called within a runtime.
    pub(in crate::front) fn start<A, F>(
        name: &str,
        socket: Arc<DatagramSocket>,
        draining: &Draining,
        answer: A,
    ) -> io::Result<Self>
    where
        A: Fn(Vec<Datagram>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (woken, wake) = io::pipe()?;
        let shared = Arc::new(Shared {
            socket,
            stop: AtomicBool::new(false),
            woken,
            waiting: Mutex::new(0),
            fewer_wait: Condvar::new(),
            runtime: Handle::current(),
        });
        let mut started = Self { shared, wake: Some(wake), threads: Vec::new() };
        let count = thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
        for _ in 0..count {
            let (shared, draining, answer) = (Arc::clone(&started.shared), draining.clone(), answer.clone());
            let thread = thread::Builder::new().name(name.to_owned());
            started.threads.push(thread.spawn(move || shared.run(&draining, &answer))?);
        }
        Ok(started)
    }
}

impl Drop for DatagramThreads {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        drop(self.wake.take());
        self.shared.fewer_wait.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that answers datagrams ended abnormally");
            }
        }
    }
}

impl Shared {
    fn run<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        draining: &Draining,
        answer: &impl Fn(Vec<Datagram>) -> F,
    ) {
        // Answers that have to wait start tasks, timers and blocking work of the runtime.
        let _runtime = self.runtime.enter();
        let mut buffers = DatagramSocket::buffers();
        while !self.stop.load(Ordering::Acquire) {
            match self.socket.receive(&mut buffers) {
                Ok(mut datagrams) => {
                    while !datagrams.is_empty() {
                        let rest = datagrams.split_off(datagrams.len().min(BATCH_MAX));
                        self.answer(draining, answer(datagrams));
                        datagrams = rest;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_datagrams(),
                // A client that went away can show up as an error of the socket; the next read is unharmed.
                Err(error) => {
                    tracing::debug!(%error, "receiving datagrams failed");
                    thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }

    /// Answers a batch here as far as that needs no waiting, and hands the rest to the runtime.
    fn answer(self: &Arc<Self>, draining: &Draining, answer: impl Future<Output = ()> + Send + 'static) {
        let mut answer: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(answer);
        let mut context = Context::from_waker(Waker::noop());
        // A panic costs its batch, as it would in a task: the thread serves everybody else.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(&mut context))) {
            Ok(Poll::Ready(())) => {}
            Ok(Poll::Pending) => {
                let Some(slot) = WaitingSlot::take(self) else { return };
                let draining = draining.clone();
                self.runtime.spawn(async move {
                    answer.await;
                    drop((slot, draining));
                });
            }
            Err(_) => tracing::error!("answering datagrams failed abnormally; the batch is dropped"),
        }
    }

    /// Waits for a datagram or the end.
    fn wait_for_datagrams(&self) {
        let mut descriptors = [
            PollFd::new(std::os::fd::AsFd::as_fd(&*self.socket), PollFlags::POLLIN),
            PollFd::new(std::os::fd::AsFd::as_fd(&self.woken), PollFlags::POLLIN),
        ];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::debug!(%error, "waiting for datagrams failed");
                thread::sleep(ERROR_PAUSE);
            }
        }
    }
}

//----------- WaitingSlot ------------------------------------------------------

/// The right of one batch to wait in the runtime; given back when dropped.
struct WaitingSlot(Arc<Shared>);

impl WaitingSlot {
    /// Takes a slot, waiting for one as long as the threads run; none when they are to end.
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while *waiting >= WAITING_MAX {
            if shared.stop.load(Ordering::Acquire) {
                return None;
            }
            // The deadline covers an end that is announced between the check and the wait.
            let (guard, _) =
                shared.fewer_wait.wait_timeout(waiting, ERROR_PAUSE).unwrap_or_else(PoisonError::into_inner);
            waiting = guard;
        }
        *waiting += 1;
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for WaitingSlot {
    fn drop(&mut self) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer_wait.notify_one();
    }
}

#[cfg(test)]
mod tests;
