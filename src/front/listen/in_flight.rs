//! What is in flight on one connection, which decides when it may be closed in order.
//!
//! ```text
//!   head ── body ──▶ request whole ── answer made, sent ──▶ nothing in flight ──▶ next head
//!   nothing in flight     in flight until the last byte of the answer was taken
//! ```
//!
//! A connection without anything in flight can be closed at any moment: it is idle, or has received half a request.
//! Each answer counts as use of the connection's slot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time;

use super::slots::SlotUse;

/// How long an HTTP/2 connection must be quiet before it is closed in order: the time for its client to acknowledge GOAWAY.
const GOAWAY_GRACE: Duration = Duration::from_secs(1);
/// How often that time begins anew because the client has sent something. One that goes on without a call is not waited for.
const GOAWAY_GRACES_MAX: usize = 5;

//----------- InFlight -------------------------------------------------------

/// What one connection has in flight. Clones mean the same connection.
#[derive(Clone, Debug)]
pub(in crate::front) struct InFlight {
    counts: Arc<watch::Sender<Counts>>,
    slot: SlotUse,
}

#[derive(Debug, Default)]
struct Counts {
    /// Answers that are made or sent.
    answers: usize,
    /// Requests among them whose body has not come whole.
    awaited: usize,
    /// Whether bytes wait for the client to take them.
    is_stalled: bool,
    /// How often bytes were received.
    received: usize,
    /// How often nothing was in flight after a change.
    settled: usize,
}

impl Counts {
    fn is_settled(&self) -> bool {
        self.answers <= self.awaited && !self.is_stalled
    }
}

impl InFlight {
    /// Nothing is in flight on the connection of this slot.
    pub(in crate::front) fn new(slot: SlotUse) -> Self {
        Self { counts: Arc::default(), slot }
    }

    /// Counts an answer as in flight until the mark is dropped.
    pub(in crate::front) fn begin_answer(&self) -> AnswerMark {
        self.update(|counts| counts.answers += 1);
        AnswerMark(self.clone())
    }

    /// Takes the present request out of the count until the mark is dropped: it has not come whole.
    pub(in crate::front) fn await_body(&self) -> BodyMark {
        self.update(|counts| counts.awaited += 1);
        BodyMark(self.clone())
    }

    /// Notes whether bytes wait for the client to take them.
    pub(in crate::front) fn note_stalled(&self, is_stalled: bool) {
        self.update(|counts| counts.is_stalled = is_stalled);
    }

    /// Changes the counts. Waiters are woken when nothing is in flight. None exists before the
    /// connection is to be closed, and a new one looks at the counts first.
    fn update(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_if_modified(|counts| {
            change(counts);
            if counts.is_settled() {
                counts.settled = counts.settled.wrapping_add(1);
            }
            self.counts.receiver_count() > 0 && counts.is_settled()
        });
    }

    /// Notes that bytes were received.
    pub(in crate::front) fn note_received(&self) {
        // Nobody waits for this count: it is looked at when a time is over.
        self.counts.send_if_modified(|counts| {
            counts.received = counts.received.wrapping_add(1);
            false
        });
        // The stream of a known client is in use while it sends; an unknown client must have been answered.
        if self.slot.is_authenticated() {
            self.slot.touch(Instant::now());
        }
    }

    /// Waits until nothing is in flight. Safe to drop.
    pub(in crate::front) async fn settled(&self) {
        let mut counts = self.counts.subscribe();
        // An error cannot be: this holds the sender.
        let _settled = counts.wait_for(Counts::is_settled).await;
    }

    /// Waits until nothing is in flight, or was for a moment since. A client that sends without pause is answered without pause, and
    /// bytes wait for it whenever one looks. Safe to drop.
    async fn settled_once(&self) {
        let mut counts = self.counts.subscribe();
        let before = counts.borrow().settled;
        let _settled = counts.wait_for(|counts| counts.is_settled() || counts.settled != before).await;
    }

    /// Waits until nothing is in flight and nothing was received for a while. Over HTTP/2 an answer that was made is sent by
    /// another task, and the client acknowledges what it has heard (RFC 9113 section 6.8). Safe to drop.
    pub(in crate::front) async fn quiet(&self) {
        let mut is_sending = true;
        for _ in 0..GOAWAY_GRACES_MAX {
            self.settled_once().await;
            let before = self.counts.borrow().received;
            time::sleep(GOAWAY_GRACE).await;
            let counts = self.counts.borrow();
            if counts.received == before && counts.is_settled() {
                return;
            }
            is_sending &= counts.received != before;
        }
        // The bytes that wait for a client which goes on sending acknowledge what it sends.
        if is_sending { self.settled_once().await } else { self.settled().await }
    }

    /// The slot of the connection.
    pub(in crate::front) fn slot(&self) -> &SlotUse {
        &self.slot
    }
}

//----------- Marks ----------------------------------------------------------

/// One answer that is in flight.
#[derive(Debug)]
pub(in crate::front) struct AnswerMark(InFlight);

impl Drop for AnswerMark {
    fn drop(&mut self) {
        self.0.update(|counts| counts.answers -= 1);
        self.0.slot.touch(Instant::now());
    }
}

/// One body that has not come whole.
#[derive(Debug)]
pub(in crate::front) struct BodyMark(InFlight);

impl Drop for BodyMark {
    fn drop(&mut self) {
        self.0.update(|counts| counts.awaited -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::InFlight;
    use crate::front::listen::slots::SlotUse;

    #[test]
    fn an_answer_is_in_flight_once_the_request_is_whole_and_until_it_is_sent() {
        let in_flight = InFlight::new(SlotUse::detached());
        let is_settled = || in_flight.settled().now_or_never().is_some();
        assert!(is_settled(), "nothing was asked");
        let answer = in_flight.begin_answer();
        assert!(!is_settled(), "a request without a body is whole");
        let body = in_flight.await_body();
        assert!(is_settled(), "its body has not come");
        drop(body);
        assert!(!is_settled(), "it is whole");
        in_flight.note_stalled(true);
        drop(answer);
        assert!(!is_settled(), "its last bytes are not taken");
        in_flight.note_stalled(false);
        assert!(is_settled());
    }

    /// Bytes wait again before anybody looks.
    #[tokio::test]
    async fn a_moment_without_anything_in_flight_is_not_missed() {
        let in_flight = InFlight::new(SlotUse::detached());
        in_flight.note_stalled(true);
        let mut once = core::pin::pin!(in_flight.settled_once());
        assert!(once.as_mut().now_or_never().is_none(), "bytes wait");
        in_flight.note_stalled(false);
        in_flight.note_stalled(true);
        assert!(once.as_mut().now_or_never().is_some(), "for a moment none did");
        assert!(in_flight.settled().now_or_never().is_none(), "they wait now");
    }
}
