//! Streams: messages that have arrived are answered together, in groups.
//!
//! A group commit costs one sync whatever its size, so waiting messages are grouped, within bounds. No further message is
//! read until the answers to a group have been sent, which bounds the unacknowledged messages to one group. No task is
//! spawned: a group is processed while the connection waits for the next answer, and ends with the connection.
//!
//! ```text
//!   client ──▶ [ HTTP/2 window ] ── gather ──▶ group ── answer ──▶ ready ── one at a time ──▶ client
//!                     ▲                                              │
//!                     └────────────── empty: gather again ◀──────────┘
//! ```

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use super::call::closed;
use super::reply;
use crate::model::refusal::Failure;

//----------- Conversation ---------------------------------------------------

/// Answers groups of messages, in order: usually one answer for each message; federation answers each group once.
pub(super) trait Converse: Send + 'static {
    /// Messages of the client.
    type Asked: Message + Default + 'static;
    /// Answers to the client.
    type Answered: Send + 'static;

    /// Answers a group.
    fn answer(&mut self, group: Vec<Self::Asked>) -> BoxFuture<'_, Answers<Self::Answered>>;

    /// Called when all answers to a group have been sent, before the next group is read.
    fn release(&mut self) {}
}

/// The answers to a group.
pub(super) struct Answers<A> {
    /// Answers, in order.
    pub(super) ready: Vec<A>,
    /// The status that ends the stream after them.
    pub(super) end: Option<Status>,
}

impl<A> From<Result<Vec<A>, Status>> for Answers<A> {
    fn from(answered: Result<Vec<A>, Status>) -> Self {
        match answered {
            Ok(ready) => Self { ready, end: None },
            Err(status) => Self { ready: Vec::new(), end: Some(status) },
        }
    }
}

/// Bounds of one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupBounds {
    /// Messages.
    pub(super) messages: usize,
    /// Bytes after which no further message is taken.
    pub(super) bytes: usize,
}

/// The answers to a stream of messages, in their order. Ends when the client's stream ends; when `closing` becomes true,
/// it ends with a status that says so.
pub(super) fn converse<C: Converse>(
    messages: impl Stream<Item = Result<C::Asked, Status>> + Send + 'static,
    converser: C,
    bounds: GroupBounds,
    closing: watch::Receiver<bool>,
) -> BoxStream<'static, Result<C::Answered, Status>> {
    let messages = messages.boxed();
    let conversation =
        Conversation { messages, converser, bounds, closing, ready: VecDeque::new(), end: None };
    stream::unfold(conversation, |mut conversation| async move {
        let next = conversation.next().await?;
        Some((next, conversation))
    })
    .boxed()
}

struct Conversation<C: Converse> {
    messages: BoxStream<'static, Result<C::Asked, Status>>,
    converser: C,
    bounds: GroupBounds,
    closing: watch::Receiver<bool>,
    ready: VecDeque<C::Answered>,
    end: Option<End>,
}

/// How a stream ends.
enum End {
    /// The client ended the stream.
    Complete,
    /// An error, which is reported once.
    Broken(Status),
}

impl<C: Converse> Conversation<C> {
    async fn next(&mut self) -> Option<Result<C::Answered, Status>> {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return Some(Ok(answer));
            }
            match self.end.take() {
                Some(End::Complete) => {
                    self.end = Some(End::Complete);
                    return None;
                }
                Some(End::Broken(status)) => {
                    self.end = Some(End::Complete);
                    return Some(Err(status));
                }
                None => self.answer_group().await,
            }
        }
    }

    async fn answer_group(&mut self) {
        self.converser.release();
        let group = self.gather().await;
        if group.is_empty() {
            return;
        }
        let answers = self.converser.answer(group).await;
        self.ready.extend(answers.ready);
        if let Some(status) = answers.end {
            self.end = Some(End::Broken(status));
        }
    }

    /// Waits for one message, then adds those that have arrived. Empty only at the end.
    async fn gather(&mut self) -> Vec<C::Asked> {
        let mut group = Vec::new();
        let first = tokio::select! {
            biased;
            // Checked first, so that a busy stream ends too.
            () = closed(&mut self.closing) => Some(Err(reply::failed(&Failure::Stopping, None))),
            first = self.messages.next() => first,
        };
        let mut bytes = self.keep(first, &mut group);
        while self.end.is_none() && group.len() < self.bounds.messages && bytes < self.bounds.bytes {
            match self.messages.next().now_or_never() {
                Some(next) => bytes += self.keep(next, &mut group),
                None => break,
            }
        }
        group
    }

    /// Adds a message to the group, or records the end; returns the bytes of the group.
    fn keep(&mut self, next: Option<Result<C::Asked, Status>>, group: &mut Vec<C::Asked>) -> usize {
        match next {
            Some(Ok(message)) => {
                let bytes = message.encoded_len();
                group.push(message);
                bytes
            }
            None => {
                self.end = Some(End::Complete);
                0
            }
            Some(Err(status)) => {
                self.end = Some(End::Broken(status));
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::BoxFuture;
    use futures_util::{FutureExt, StreamExt, stream};
    use tokio::sync::watch;
    use tonic::Status;

    use super::{Answers, Converse, GroupBounds, converse};
    use crate::wire::proto::Item;

    /// Answers each message with its number and the size of its group, up to one that it cannot answer.
    struct Echo;

    impl Converse for Echo {
        type Asked = Item;
        type Answered = (u32, usize);

        fn answer(&mut self, group: Vec<Item>) -> BoxFuture<'_, Answers<(u32, usize)>> {
            let size = group.len();
            let good: Vec<_> = group.iter().take_while(|item| item.number != 666).collect();
            let end = (good.len() < size).then(|| Status::internal("broken"));
            let ready = good.into_iter().map(|item| (item.number, size)).collect();
            async move { Answers { ready, end } }.boxed()
        }
    }

    const BOUNDS: GroupBounds = GroupBounds { messages: 3, bytes: 1_000 };

    fn item(number: u32) -> Result<Item, Status> {
        Ok(Item { number, command: None })
    }

    #[tokio::test]
    async fn what_has_arrived_is_answered_together_in_order() {
        let (_close, closing) = watch::channel(false);
        let answers: Vec<_> =
            converse(stream::iter((1..=7).map(item)), Echo, BOUNDS, closing).collect().await;
        let answers: Vec<(u32, usize)> =
            answers.into_iter().map(|answer| answer.expect("answered")).collect();
        assert_eq!(answers, [(1, 3), (2, 3), (3, 3), (4, 3), (5, 3), (6, 3), (7, 1)]);
    }

    #[tokio::test]
    async fn nothing_is_read_until_a_group_is_answered() {
        let (_close, closing) = watch::channel(false);
        let read = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&read);
        let messages = stream::iter(1..=100).map(move |number| {
            counted.store(number, Ordering::Relaxed);
            item(number)
        });
        let mut answers = converse(messages, Echo, BOUNDS, closing);
        for taken in 1..=9 {
            let (number, _) = answers.next().await.expect("more").expect("answered");
            assert_eq!(number, taken);
            let groups_begun = (taken - 1) / 3 + 1;
            assert_eq!(read.load(Ordering::Relaxed), groups_begun * 3, "after {taken} answers");
        }
    }

    #[tokio::test]
    async fn a_group_is_bounded_by_bytes() {
        let (_close, closing) = watch::channel(false);
        let bounds = GroupBounds { messages: 100, bytes: 3 };
        let answers: Vec<_> =
            converse(stream::iter((1..=4).map(item)), Echo, bounds, closing).collect().await;
        let sizes: Vec<usize> = answers.into_iter().map(|answer| answer.expect("answered").1).collect();
        assert_eq!(sizes, [2, 2, 2, 2], "two bytes each: the second passes the bound");
    }

    #[tokio::test]
    async fn a_broken_group_ends_the_stream_once_after_the_answers_that_it_has() {
        let (_close, closing) = watch::channel(false);
        let messages = stream::iter([1, 2, 3, 4, 666, 5].map(item));
        let answers: Vec<_> = converse(messages, Echo, BOUNDS, closing).collect().await;
        let codes: Vec<Option<tonic::Code>> =
            answers.iter().map(|answer| answer.as_ref().err().map(Status::code)).collect();
        assert_eq!(codes, [None, None, None, None, Some(tonic::Code::Internal)]);
    }

    #[tokio::test]
    async fn a_stopping_server_ends_a_waiting_stream() {
        let (close, closing) = watch::channel(false);
        let messages = stream::iter([item(1)]).chain(stream::pending());
        let mut answers = converse(messages, Echo, BOUNDS, closing);
        assert_eq!(answers.next().await.expect("more").expect("answered"), (1, 1));
        close.send_replace(true);
        let status = answers.next().await.expect("more").expect_err("the server stops");
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stopping_server_ends_a_busy_stream() {
        let (close, closing) = watch::channel(false);
        let mut answers = converse(stream::iter((1..).map(item)), Echo, BOUNDS, closing);
        assert_eq!(answers.next().await.expect("more").expect("answered"), (1, 3));
        close.send_replace(true);
        let mut numbers = Vec::new();
        let status = loop {
            match answers.next().await.expect("more") {
                Ok((number, _)) => numbers.push(number),
                Err(status) => break status,
            }
        };
        assert_eq!(numbers, [2, 3], "what was taken is answered");
        assert_eq!(status.code(), tonic::Code::Unavailable);
    }
}
