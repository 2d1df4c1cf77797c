//! The preface of an HTTP/2 connection (RFC 9113 section 3.4), which has to be complete in time.
//!
//! The listener waits for the first byte, and HTTP/2 pings a silent client once the preface is complete. In between,
//! this limit applies.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Bytes of the preface.
const PREFACE_BYTES: usize = 24;

/// What is missing of the preface of a connection.
pub(super) struct Preface {
    missing: usize,
    /// None once the preface is complete.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Preface {
    /// Waits so long for a preface.
    pub(super) fn within(time: Duration) -> Self {
        Self { missing: PREFACE_BYTES, deadline: Some(Box::pin(sleep(time))) }
    }

    /// Notes bytes that were received on the connection.
    pub(super) fn note_received(&mut self, bytes: usize) {
        self.missing = self.missing.saturating_sub(bytes);
        if self.missing == 0 {
            self.deadline = None;
        }
    }

    /// Ready when the preface is not complete in time.
    pub(super) fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.deadline.as_mut().map_or(Poll::Pending, |deadline| deadline.as_mut().poll(context))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::{PREFACE_BYTES, Preface};

    #[tokio::test]
    async fn a_preface_that_stops_is_overdue_and_a_whole_one_never() {
        let mut preface = Preface::within(Duration::from_millis(1));
        preface.note_received(PREFACE_BYTES - 1);
        poll_fn(|context| preface.poll_overdue(context)).await;
        preface.note_received(1);
        assert_eq!(poll_fn(|context| preface.poll_overdue(context)).now_or_never(), None);
    }
}
