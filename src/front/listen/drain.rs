//! Draining a front end: it stops accepting, finishes what it has in flight, and returns.
//!
//! Each task that listens or answers holds a [`Draining`], which tells when the drain begins. The drain is over when the
//! last of them is dropped.

use tokio::sync::watch;

/// The drain of a front end, before it begins. Dropping it begins the drain, and nothing waits for its end.
#[derive(Debug)]
pub(in crate::front) struct Drain(watch::Sender<bool>);

/// Held by a task that has to end when the front end drains.
#[derive(Clone, Debug)]
pub(in crate::front) struct Draining(watch::Receiver<bool>);

impl Drain {
    /// A drain that has not begun.
    pub(in crate::front) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// A handle for one more task to wait for.
    pub(in crate::front) fn draining(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Begins the drain, and waits until every task has ended.
    pub(in crate::front) async fn run(self) {
        self.0.send_replace(true);
        self.0.closed().await;
    }
}

impl Draining {
    /// Waits until the drain begins. Safe to drop.
    pub(in crate::front) async fn begins(&mut self) {
        // An error means that the front end itself was dropped.
        let _begun = self.0.wait_for(|begun| *begun).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::Drain;

    #[tokio::test]
    async fn the_drain_is_over_when_the_last_task_has_ended() {
        let drain = Drain::new();
        let mut first = drain.draining();
        let second = first.clone();
        let mut run = pin!(drain.run());
        assert!(poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await.is_pending());
        first.begins().await;
        drop(first);
        assert!(poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await.is_pending());
        drop(second);
        run.await;
    }

    #[tokio::test]
    async fn without_its_front_end_the_drain_has_begun() {
        let drain = Drain::new();
        let mut draining = drain.draining();
        drop(drain);
        draining.begins().await;
    }
}
