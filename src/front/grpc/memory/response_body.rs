//! The bytes of an answer, which hold its memory until they are sent.
//!
//! HTTP/2 takes an answer from us as soon as the client's window is open by a single byte, and keeps it for as long as
//! the client pleases. So the memory goes with the bytes: it is free when the connection drops them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use super::{CallMemory, SMALL_BYTES, spent};
use crate::front::grpc::unread::Answer;
use crate::front::listen::budget::BudgetSpent;

/// Bytes of one part of an answer: those of a frame of HTTP/2, so that answers that are read in turn all make progress.
const PART_BYTES: usize = 16 * 1024;

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
    /// Encoded bytes that are not given to HTTP/2 yet.
    encoded: Bytes,
    body: Body,
    memory: Option<Arc<CallMemory>>,
    content: Content,
    /// What follows whether the client reads; none where nothing is worth it.
    answer: Option<Answer>,
    /// Whether a stream of answers ended for want of memory.
    is_broken: bool,
}

impl ResponseBody {
    /// A body that takes no memory worth counting.
    pub(super) fn plain(body: Body) -> Self {
        Self {
            encoded: Bytes::new(),
            body,
            memory: None,
            content: Content::Answers,
            answer: None,
            is_broken: false,
        }
    }

    /// The body of a stream of answers.
    pub(super) fn stream(body: Body, memory: Arc<CallMemory>, content: Content, answer: Answer) -> Self {
        Self { memory: Some(memory), content, answer: Some(answer), ..Self::plain(body) }
    }

    /// Encodes the answer to a call without streams at once, so that only its bytes are held. Only the answer to a
    /// question may still be refused: the outcome of a change must be reported.
    pub(super) fn settle(
        mut body: Body,
        memory: Arc<CallMemory>,
        content: Content,
        answer: Answer,
    ) -> Result<Self, BudgetSpent> {
        let mut context = Context::from_waker(Waker::noop());
        let frame = match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(frame) => frame,
            // tonic has the message of such an answer when it has the head; without it, the answer is as good as a stream.
            Poll::Pending => return Ok(Self::stream(body, memory, content, answer)),
        };
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
        if message.len() <= PART_BYTES {
            // One part, which has everything that is given back with it.
            let held = Held { bytes: message, _until_sent: (memory, answer.part()) };
            return Ok(Self { encoded: Bytes::from_owner(held), ..Self::plain(body) });
        }
        let encoded = Bytes::from_owner(Held { bytes: message, _until_sent: memory });
        Ok(Self { encoded, content, answer: Some(answer), ..Self::plain(body) })
    }

    /// The next frame of the body, which holds its memory.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_broken {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Some(memory) = &self.memory else {
            return polled;
        };
        let Poll::Ready(Some(Ok(frame))) = polled else {
            return polled;
        };
        let frame = match frame.into_data().map(|bytes| hold(memory, bytes, self.content)) {
            Ok(Ok(bytes)) => Frame::data(bytes),
            Err(trailers) => trailers,
            Ok(Err(refused)) => {
                self.is_broken = true;
                let mut trailers = HeaderMap::new();
                spent(refused).add_header(&mut trailers)?;
                Frame::trailers(trailers)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    /// The next part of what is encoded, which waits for the client until it is dropped.
    fn next_part(&mut self) -> Bytes {
        let bytes = self.encoded.split_to(self.encoded.len().min(PART_BYTES));
        match &self.answer {
            Some(answer) => Bytes::from_owner(Held { bytes, _until_sent: answer.part() }),
            None => bytes,
        }
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
        if this.encoded.is_empty() {
            match ready!(this.poll_body(context)) {
                Some(Ok(frame)) if frame.is_data() => this.encoded = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.next_part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.encoded.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.encoded.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

//----------- Held -----------------------------------------------------------

/// Lets a part of a stream hold its memory until it is sent. Outcomes of changes are never refused.
fn hold(memory: &CallMemory, bytes: Bytes, content: Content) -> Result<Bytes, BudgetSpent> {
    let grant = match content {
        Content::Answers => memory.beside(bytes.len())?,
        Content::Outcomes => memory.beside_forced(bytes.len()),
    };
    Ok(Bytes::from_owner(Held { bytes, _until_sent: grant }))
}

/// Bytes with what is given back when they are dropped.
struct Held<T> {
    bytes: Bytes,
    _until_sent: T,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
