//! Bytes that a client does not read. A connection on which some make no progress for too long is closed.
//!
//! ```text
//!   part of an answer ─▶ HTTP/2: waits for the window of the client ─▶ socket: waits for the client to read
//!         └───────────────────────── waits for the client ──────────────────────────┘
//! ```
//! HTTP/2 takes a part of an answer as soon as the window of the client is open by a single byte, and drops it when all of it
//! is written. So a part that is not dropped waits for its client. An answer makes progress whenever one of its parts is
//! dropped. A single stream cannot be reset from here; the connection can be closed, which resets all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

//----------- Unread ---------------------------------------------------------

/// What waits for the client of one connection.
#[derive(Debug, Default)]
pub(super) struct Unread(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    begun: u64,
    /// The answers with parts that wait. There are at most a few hundred on a connection, and mostly a few.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The number of the answer.
    number: u64,
    parts: usize,
    /// The last progress, or the beginning.
    since: Instant,
}

impl Unread {
    /// Follows another answer.
    pub(super) fn begin(self: &Arc<Self>) -> Answer {
        let mut answers = self.answers();
        answers.begun += 1;
        Answer { unread: Arc::clone(self), number: answers.begun }
    }

    /// Returns when an answer has waited for the client this long without progress.
    pub(super) async fn lasts(&self, max: Duration) {
        loop {
            let now = Instant::now();
            let oldest = self.answers().waiting.iter().map(|waiting| waiting.since).min();
            let until = oldest.unwrap_or(now) + max;
            if oldest.is_some() && until <= now {
                return;
            }
            sleep_until(until.max(now + Duration::from_millis(1))).await;
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//----------- Answer ---------------------------------------------------------

/// One answer, or whatever else is sent part by part.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    unread: Arc<Unread>,
    number: u64,
}

impl Answer {
    /// A part of the answer, which waits for the client until it is dropped.
    pub(super) fn part(&self) -> Part {
        let mut answers = self.unread.answers();
        match answers.waiting.iter_mut().find(|waiting| waiting.number == self.number) {
            Some(waiting) => waiting.parts += 1,
            None => answers.waiting.push(Waiting { number: self.number, parts: 1, since: Instant::now() }),
        }
        drop(answers);
        Part(self.clone())
    }
}

/// A part of an answer that waits for the client.
#[derive(Debug)]
pub(super) struct Part(Answer);

impl Drop for Part {
    fn drop(&mut self) {
        let Answer { unread, number } = &self.0;
        let mut answers = unread.answers();
        let Some(position) = answers.waiting.iter().position(|waiting| waiting.number == *number) else {
            return;
        };
        match answers.waiting.get_mut(position) {
            Some(waiting) if waiting.parts > 1 => {
                waiting.parts -= 1;
                waiting.since = Instant::now();
            }
            _ => drop(answers.waiting.swap_remove(position)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::Unread;

    #[tokio::test]
    async fn an_answer_waits_for_its_client_while_one_of_its_parts_does() {
        let unread = Arc::new(Unread::default());
        let lasts = || unread.lasts(Duration::ZERO).now_or_never().is_some();
        let (first, second) = (unread.begin(), unread.begin());
        assert!(!lasts(), "no part is ready");
        let parts = [first.part(), first.part(), second.part()];
        assert!(lasts());
        assert!(unread.lasts(Duration::from_secs(60)).now_or_never().is_none(), "not for so long");
        let [one, two, three] = parts;
        drop(three);
        drop(one);
        assert!(lasts(), "a part of the first waits");
        drop(two);
        assert!(!lasts());
    }

    #[tokio::test]
    async fn an_answer_makes_progress_when_one_of_its_parts_is_read() {
        let unread = Arc::new(Unread::default());
        let answer = unread.begin();
        let (read, _unread) = (answer.part(), answer.part());
        let before = Instant::now();
        while Instant::now() == before {}
        drop(read);
        let since = unread.answers().waiting.iter().map(|waiting| waiting.since).min();
        assert!(since.expect("one waits") > before);
    }
}
