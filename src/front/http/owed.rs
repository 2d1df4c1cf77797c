//! What a connection owes its other end when the node stops: the answer to each request that came in whole.
//!
//! ```text
//!   head ── body ──▶ whole ── answer made, sent ──▶ nothing owed ──▶ next head
//!   nothing is owed before      owed until its last byte is gone
//! ```
//!
//! A connection that owes nothing can be closed at any moment: it is idle, or has heard half a request.

use std::sync::Arc;

use tokio::sync::watch;

//----------- Owed -----------------------------------------------------------

/// What one connection owes.
#[derive(Debug, Default)]
pub(super) struct Owed(watch::Sender<Debts>);

#[derive(Debug, Default)]
struct Debts {
    /// Answers that are made or sent.
    answers: usize,
    /// Requests among them whose body is still awaited.
    awaited: usize,
    /// Whether bytes wait for the other end to take them.
    stalled: bool,
}

impl Owed {
    /// Owes an answer until the mark is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> AnswerMark {
        self.0.send_modify(|debts| debts.answers += 1);
        AnswerMark(Arc::clone(self))
    }

    /// Owes no answer to the present request until the mark is dropped: it has not come in whole.
    pub(super) fn await_body(self: &Arc<Self>) -> BodyMark {
        self.0.send_modify(|debts| debts.awaited += 1);
        BodyMark(Arc::clone(self))
    }

    /// Notes whether bytes wait for the other end to take them.
    pub(super) fn note_stalled(&self, stalled: bool) {
        self.0.send_if_modified(|debts| core::mem::replace(&mut debts.stalled, stalled) != stalled);
    }

    /// Waits until nothing is owed.
    pub(super) async fn settled(&self) {
        let mut debts = self.0.subscribe();
        let settled = debts.wait_for(|debts| debts.answers <= debts.awaited && !debts.stalled).await;
        if settled.is_err() {
            // Who owes is gone, and with it what was owed.
            tracing::trace!("the HTTP connection is gone");
        }
    }
}

//----------- Marks ----------------------------------------------------------

/// One answer that is owed.
#[derive(Debug)]
pub(super) struct AnswerMark(Arc<Owed>);

impl Drop for AnswerMark {
    fn drop(&mut self) {
        self.0.0.send_modify(|debts| debts.answers -= 1);
    }
}

/// One body that is awaited.
#[derive(Debug)]
pub(super) struct BodyMark(Arc<Owed>);

impl Drop for BodyMark {
    fn drop(&mut self) {
        self.0.0.send_modify(|debts| debts.awaited -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::Owed;

    #[test]
    fn an_answer_is_owed_once_the_request_is_whole_and_until_it_is_sent() {
        let owed = Arc::new(Owed::default());
        let is_settled = || owed.settled().now_or_never().is_some();
        assert!(is_settled(), "nothing was asked");
        let answer = owed.answer();
        assert!(!is_settled(), "a request without a body is whole");
        let body = owed.await_body();
        assert!(is_settled(), "its body has not come");
        drop(body);
        assert!(!is_settled(), "it is whole");
        owed.note_stalled(true);
        drop(answer);
        assert!(!is_settled(), "its last bytes are not taken");
        owed.note_stalled(false);
        assert!(is_settled());
    }
}
