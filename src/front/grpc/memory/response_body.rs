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
    /// The end of an answer without a message, which was read when the message was looked for.
    ahead: Option<Result<Frame<Bytes>, Status>>,
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
            ahead: None,
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
        let message = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(message))) => message,
            Some(Ok(Err(trailers))) => return Ok(Self { ahead: Some(Ok(trailers)), ..Self::plain(body) }),
            Some(Err(status)) => return Ok(Self { ahead: Some(Err(status)), ..Self::plain(body) }),
            None => return Ok(Self::plain(body)),
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
        if let Some(ahead) = this.ahead.take() {
            return Poll::Ready(Some(ahead));
        }
        if this.encoded.is_empty() {
            match ready!(this.poll_body(context)) {
                Some(Ok(frame)) if frame.is_data() => this.encoded = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.next_part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.encoded.is_empty() && self.ahead.is_none() && self.body.is_end_stream()
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use http_body::{Body as HttpBody, Frame};
    use tonic::Status;
    use tonic::body::Body;
    use tonic::codegen::http::HeaderMap;

    use super::super::CallMemory;
    use super::{Content, ResponseBody};
    use crate::front::grpc::unread::Unread;
    use crate::front::listen::bounds::GRPC_MEMORY;
    use crate::front::listen::budget::{Holder, MemoryBudget};

    /// The body of an answer which could not be encoded: a status in its trailers, and no message.
    struct Failed(Option<Status>);

    impl HttpBody for Failed {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|status| {
                let mut trailers = HeaderMap::new();
                status.add_header(&mut trailers)?;
                Ok(Frame::trailers(trailers))
            }))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }
    }

    #[test]
    fn the_status_of_an_answer_without_a_message_is_passed_on() {
        let account = MemoryBudget::new(GRPC_MEMORY).account(Holder::of(([127, 0, 0, 1], 80).into()));
        let memory = Arc::new(CallMemory::new(account.take(0).expect("free"), None));
        let body = Body::new(Failed(Some(Status::out_of_range("too large"))));
        let answer = Arc::new(Unread::default()).begin();
        let mut body = ResponseBody::settle(body, memory, Content::Outcomes, answer).expect("settled");
        assert!(!body.is_end_stream());
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else {
            panic!("a frame is there");
        };
        let trailers = frame.into_trailers().expect("trailers");
        assert_eq!(trailers.get("grpc-status").map(|status| status.as_bytes()), Some(&b"11"[..]));
        assert!(body.is_end_stream());
    }
}
