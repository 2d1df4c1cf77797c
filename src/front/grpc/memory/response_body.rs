//! The bytes of an answer, which hold its memory until they are sent.
//!
//! HTTP/2 takes an answer from us as soon as the client's window is open by a single byte, and keeps it for as long as
//! the client pleases. So the memory goes with the bytes: it is free when the connection drops them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use super::{CallMemory, SMALL_BYTES, spent};
use crate::front::listen::budget::BudgetSpent;

//----------- Content --------------------------------------------------------

/// What a response reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::grpc) enum Content {
    /// Answers to questions, which may be refused for want of memory.
    Answers,
    /// Outcomes of changes, which are reported even beyond the budget.
    Outcomes,
}

//----------- ResponseBody ---------------------------------------------------

/// The body of an answer.
pub(in crate::front::grpc) struct ResponseBody {
    /// The message of a call without streams, encoded.
    message: Option<Bytes>,
    body: Body,
    memory: Option<Arc<CallMemory>>,
    content: Content,
    /// Whether a stream of answers ended for want of memory.
    is_broken: bool,
}

impl ResponseBody {
    /// A body that takes no memory worth counting.
    pub(super) fn plain(body: Body) -> Self {
        Self { message: None, body, memory: None, content: Content::Answers, is_broken: false }
    }

    /// The body of a stream of answers.
    pub(super) fn stream(body: Body, memory: Arc<CallMemory>, content: Content) -> Self {
        Self { message: None, body, memory: Some(memory), content, is_broken: false }
    }

    /// Encodes the answer to a call without streams at once, so that only its bytes are held. Only the answer to a
    /// question may still be refused: the outcome of a change must be reported.
    pub(super) async fn settle(
        mut body: Body,
        memory: Arc<CallMemory>,
        content: Content,
    ) -> Result<Self, BudgetSpent> {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let Some(Ok(Ok(message))) = frame.map(|frame| frame.map(Frame::into_data)) else {
            return Ok(Self::plain(body));
        };
        // A buffer that grew by doubling is at most half empty.
        let bytes = if message.len() > SMALL_BYTES { 2 * message.len() } else { message.len() };
        match memory.settle(bytes) {
            Ok(()) => {}
            Err(refused) if content == Content::Answers => return Err(refused),
            Err(_) => memory.force_answer(bytes),
        }
        let held = Held { bytes: message, _memory: memory };
        Ok(Self { message: Some(Bytes::from_owner(held)), body, memory: None, content, is_broken: false })
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(message) = this.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if this.is_broken {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let Some(memory) = &this.memory else {
            return polled;
        };
        let Poll::Ready(Some(Ok(frame))) = polled else {
            return polled;
        };
        let frame = match frame.into_data().map(|bytes| hold(memory, bytes, this.content)) {
            Ok(Ok(bytes)) => Frame::data(bytes),
            Err(trailers) => trailers,
            Ok(Err(refused)) => {
                this.is_broken = true;
                let mut trailers = HeaderMap::new();
                spent(refused).add_header(&mut trailers)?;
                Frame::trailers(trailers)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.message.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}

//----------- Held -----------------------------------------------------------

/// Lets a part of a stream hold its memory until it is sent. Outcomes of changes are never refused.
fn hold(memory: &CallMemory, bytes: Bytes, content: Content) -> Result<Bytes, BudgetSpent> {
    let grant = match content {
        Content::Answers => memory.beside(bytes.len())?,
        Content::Outcomes => memory.beside_forced(bytes.len()),
    };
    Ok(Bytes::from_owner(Held { bytes, _memory: grant }))
}

/// Bytes with the memory that they take.
struct Held<M> {
    bytes: Bytes,
    _memory: M,
}

impl<M> AsRef<[u8]> for Held<M> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
