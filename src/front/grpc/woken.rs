//! A future that a busy task polls along with everything else, which costs nearly nothing until it has something to do.
//!
//! ```text
//!   task polls ─▶ Woken: was the future woken since? no ─▶ pending, at once
//!                                                    yes ─▶ the future is polled
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;

/// Polls a future at first, and from then on when it was woken.
pub(super) struct Woken<T> {
    future: BoxFuture<'static, T>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Notes that the future was woken, and passes that on to the task.
struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl<T> Woken<T> {
    /// The future was not polled yet.
    pub(super) fn new(future: BoxFuture<'static, T>) -> Self {
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&bell));
        Self { future, bell, waker }
    }
}

impl<T> Future for Woken<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // First the task, then the look: a bell that rings in between wakes the task.
        self.bell.task.register(context.waker());
        if !self.bell.has_rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let this = &mut *self;
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::Woken;

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_future_is_polled_only_when_it_was_woken_and_by_the_last_task() {
        let (send, mut receive) = oneshot::channel::<u8>();
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polls);
        let future = poll_fn(move |context| {
            counted.fetch_add(1, Ordering::Relaxed);
            receive.poll_unpin(context)
        });
        let mut woken = Woken::new(future.boxed());
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        for task in tasks.iter().cycle().take(6) {
            let waker = Waker::from(Arc::clone(task));
            assert_eq!(woken.poll_unpin(&mut Context::from_waker(&waker)), Poll::Pending);
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        send.send(7).expect("received");
        let woke = tasks.each_ref().map(|task| task.0.load(Ordering::Relaxed));
        assert_eq!(woke, [0, 1], "the task that polled last");
        let ended = woken.poll_unpin(&mut Context::from_waker(Waker::noop()));
        assert_eq!((ended, polls.load(Ordering::Relaxed)), (Poll::Ready(Ok(7)), 2));
    }
}
