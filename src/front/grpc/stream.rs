//! Taking from a client's stream what has arrived, and answering it together.
//!
//! One group commit costs one sync whatever it holds, so messages that wait are taken together, within bounds. Nothing
//! more is taken until the answers to a group have gone out: that is the back-pressure, and it bounds what is
//! unacknowledged to one group. No task is spawned: the group is worked off while the client's connection waits for
//! the next answer, and ends with it.
//!
//! ```text
//!   client ──▶ [ HTTP/2 window ] ── gather ──▶ group ── answer ──▶ ready ── one at a time ──▶ client
//!                     ▲                                              │
//!                     └────────────── empty: gather again ◀──────────┘
//! ```

use std::collections::VecDeque;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use prost::Message;
use tokio::sync::watch;
use tonic::{Status, Streaming};

use super::call::closed;
use super::reply;
use crate::registry::refusal::Failure;

//----------- Conversation ---------------------------------------------------

/// Answers groups of messages, in order. One answer a message is the rule; federation answers a group with one.
pub(super) trait Converse: Send + 'static {
    /// What the client sends.
    type Asked: Message + Default + 'static;
    /// What it gets.
    type Answered: Send + 'static;

    /// Answers a group. A status ends the stream.
    fn answer(&mut self, group: Vec<Self::Asked>) -> BoxFuture<'_, Result<Vec<Self::Answered>, Status>>;
}

/// How much one group holds at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupBounds {
    /// Messages.
    pub(super) messages: usize,
    /// Bytes after which no further message is taken.
    pub(super) bytes: usize,
}

/// The answers to a stream of messages, in their order. Ends when the client's stream ends, or when `closing` turns
/// true, then with a status that says so.
pub(super) fn converse<C: Converse>(
    messages: Streaming<C::Asked>,
    converser: C,
    bounds: GroupBounds,
    closing: watch::Receiver<bool>,
) -> BoxStream<'static, Result<C::Answered, Status>> {
    let conversation =
        Conversation { messages, converser, bounds, closing, ready: VecDeque::new(), end: None };
    stream::unfold(conversation, |mut conversation| async move {
        let next = conversation.next().await?;
        Some((next, conversation))
    })
    .boxed()
}

struct Conversation<C: Converse> {
    messages: Streaming<C::Asked>,
    converser: C,
    bounds: GroupBounds,
    closing: watch::Receiver<bool>,
    ready: VecDeque<C::Answered>,
    end: Option<End>,
}

/// How a stream ends.
enum End {
    /// The client said all it had to say.
    Complete,
    /// Something broke it; told once.
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
        let group = self.gather().await;
        if group.is_empty() {
            return;
        }
        match self.converser.answer(group).await {
            Ok(answers) => self.ready.extend(answers),
            Err(status) => self.end = Some(End::Broken(status)),
        }
    }

    /// Waits for one message, then takes those that have arrived. Empty only at the end.
    async fn gather(&mut self) -> Vec<C::Asked> {
        let mut group = Vec::new();
        let first = tokio::select! {
            biased;
            first = self.messages.message() => first,
            () = closed(&mut self.closing) => Err(reply::failed(&Failure::Stopping, None)),
        };
        let mut bytes = self.keep(first, &mut group);
        while self.end.is_none() && group.len() < self.bounds.messages && bytes < self.bounds.bytes {
            match self.messages.message().now_or_never() {
                Some(next) => bytes += self.keep(next, &mut group),
                None => break,
            }
        }
        group
    }

    /// Keeps a message, or notes the end; the bytes kept.
    fn keep(&mut self, next: Result<Option<C::Asked>, Status>, group: &mut Vec<C::Asked>) -> usize {
        match next {
            Ok(Some(message)) => {
                let bytes = message.encoded_len();
                group.push(message);
                bytes
            }
            Ok(None) => {
                self.end = Some(End::Complete);
                0
            }
            Err(status) => {
                self.end = Some(End::Broken(status));
                0
            }
        }
    }
}
