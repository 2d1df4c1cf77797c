//! The end of a door. Whoever listens, or answers on a connection, holds a [`Draining`]: it tells when the end has
//! begun, and the end is over when the last one is gone.

use tokio::sync::watch;

/// The end of a door, not begun yet. When dropped, it begins and nobody waits for it.
#[derive(Debug)]
pub(in crate::front) struct Drain(watch::Sender<bool>);

/// Somebody who has to come to an end when the door does.
#[derive(Clone, Debug)]
pub(in crate::front) struct Draining(watch::Receiver<bool>);

impl Drain {
    /// For a door that opens.
    pub(in crate::front) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// One more to wait for.
    pub(in crate::front) fn draining(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Begins, and waits until everybody is gone.
    pub(in crate::front) async fn run(self) {
        self.0.send_replace(true);
        self.0.closed().await;
    }
}

impl Draining {
    /// Waits until the end begins.
    pub(in crate::front) async fn begins(&mut self) {
        // An error means that the door itself is gone.
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
    async fn the_end_is_over_when_the_last_is_gone() {
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
    async fn without_its_door_the_end_has_begun() {
        let drain = Drain::new();
        let mut draining = drain.draining();
        drop(drain);
        draining.begins().await;
    }
}
