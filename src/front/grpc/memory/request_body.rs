//! The messages of a request: whole, uncompressed, and measured before tonic decodes them.
//!
//! Messages of a call without streams are passed on once the client has ended its side: until then they are held as
//! they came, compressed perhaps. Messages of a stream are passed on one by one as tonic asks for them.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::buf::Reader;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use super::{CallMemory, spent};
use crate::front::grpc::reply::{self, FrontRefusal};
use crate::model::limits::{BATCH_ITEMS_MAX, MESSAGE_BYTES_MAX, MESSAGE_MEMORY_MAX};
use crate::model::refusal::Refusal;
use crate::wire::message_size::{Method, measure};

/// Bytes before each message: a flag and the length (gRPC over HTTP/2, "Length-Prefixed-Message").
const HEADER_BYTES: usize = 5;
/// Bytes that are inflated between two looks at the budget, and before other tasks have their turn.
const INFLATE_STEP: usize = 128 * 1024;
/// How long the message of a call without streams may take to come, after the headers of the call.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// How the messages of a call are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// No compression, or one that tonic refuses.
    None,
    /// Messages with the compressed flag are compressed by gzip.
    Gzip,
}

//----------- RequestBody ----------------------------------------------------

/// The body of a request.
pub(super) struct RequestBody {
    body: Body,
    method: &'static Method,
    compression: Compression,
    memory: Arc<CallMemory>,
    received: Received,
    inflating: Option<Inflating>,
    /// A message for which there was no memory beside those before it.
    waiting: Option<Bytes>,
    /// What comes after the last message.
    trailers: Option<HeaderMap>,
    is_ended: bool,
    /// Whether what is left is passed on as it is, for tonic to refuse.
    is_foreign: bool,
    /// How long the message may take to come.
    time_max: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// The next message of the bytes received.
enum Next {
    /// Not there yet.
    Incomplete,
    /// Passed on.
    Message(Bytes),
    /// Being inflated; other tasks have their turn.
    Inflating,
    /// There is no memory for the message beside those that are not answered yet.
    Later,
}

impl RequestBody {
    /// Reads the messages of a method from a body.
    pub(super) fn new(
        body: Body,
        method: &'static Method,
        compression: Compression,
        memory: Arc<CallMemory>,
    ) -> Self {
        Self {
            body,
            method,
            compression,
            memory,
            received: Received::default(),
            inflating: None,
            waiting: None,
            trailers: None,
            is_ended: false,
            is_foreign: false,
            time_max: REQUEST_MAX,
            deadline: None,
        }
    }

    fn next(&mut self) -> Result<Next, Status> {
        if let Some(message) = self.waiting.take() {
            return self.pass_on(message);
        }
        if let Some(inflating) = self.inflating.take() {
            return self.inflate(inflating);
        }
        if self.is_foreign {
            let rest = self.received.take_all();
            return Ok(if rest.is_empty() { Next::Incomplete } else { Next::Message(rest) });
        }
        let Some((flag, length)) = self.received.header() else {
            return Ok(Next::Incomplete);
        };
        let is_gzip = flag == 1 && self.compression == Compression::Gzip;
        if length > MESSAGE_BYTES_MAX || (flag != 0 && !is_gzip) {
            self.is_foreign = true;
            return self.next();
        }
        if self.received.len() < HEADER_BYTES + length {
            return Ok(Next::Incomplete);
        }
        if !self.method.has_request_stream && !self.is_ended {
            return Ok(Next::Incomplete);
        }
        let message = self.received.take(HEADER_BYTES + length);
        if is_gzip { self.inflate(Inflating::new(&message)) } else { self.pass_on(message) }
    }

    /// Inflates a little more of a message.
    fn inflate(&mut self, mut inflating: Inflating) -> Result<Next, Status> {
        let is_complete = inflating.step()?;
        self.memory.set_received(self.received.len() + inflating.bytes()).map_err(spent)?;
        if is_complete {
            return self.pass_on(inflating.into_message());
        }
        self.inflating = Some(inflating);
        Ok(Next::Inflating)
    }

    /// Passes a message on, or keeps it until those before it are answered.
    fn pass_on(&mut self, message: Bytes) -> Result<Next, Status> {
        if self.admit(&message)? {
            return Ok(Next::Message(message));
        }
        self.waiting = Some(message);
        Ok(Next::Later)
    }

    /// Takes the memory of a message before it is decoded. False when it has to wait until the messages before it are
    /// answered.
    fn admit(&self, message: &Bytes) -> Result<bool, Status> {
        let encoded = message.get(HEADER_BYTES..).unwrap_or_default();
        let size = measure(encoded, self.method.request, MESSAGE_MEMORY_MAX)
            .map_err(|malformed| reply::undecodable(malformed.to_string()))?;
        if size.items > BATCH_ITEMS_MAX {
            return Err(reply::refused(&Refusal::TooManyItems { count: size.items }, None));
        }
        if size.bytes > MESSAGE_MEMORY_MAX {
            return Err(reply::refused_here(&FrontRefusal::MessageTooLarge));
        }
        match self.memory.take_message(message.len(), size, self.received.len()) {
            Ok(()) => Ok(true),
            // Only who reads a stream answers the messages before it in the meantime.
            Err(_) if self.method.has_request_stream && self.memory.has_decoded() => Ok(false),
            Err(refused) => Err(spent(refused)),
        }
    }

    /// Polls for more bytes. Ready when there are some, or none will come.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                match frame.into_data() {
                    Ok(data) => {
                        self.received.put(data);
                        self.memory.set_received(self.received.len()).map_err(spent)?;
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                }
                self.is_ended |= self.body.is_end_stream();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Some(Err(status))) => Poll::Ready(Err(status)),
            Poll::Ready(None) => {
                self.is_ended = true;
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.poll_deadline(context),
        }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.method.has_request_stream {
            return Poll::Pending;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.time_max)));
        deadline.as_mut().poll(context).map(|()| Err(reply::refused_here(&FrontRefusal::RequestTooSlow)))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            match this.next() {
                Ok(Next::Message(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(Next::Incomplete) => {}
                Ok(Next::Inflating | Next::Later) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            if this.is_ended {
                let rest = this.received.take_all();
                if !rest.is_empty() {
                    // A message that was cut off: tonic says so.
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match this.poll_receive(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(status)) => return Poll::Ready(Some(Err(status))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

//----------- Received -------------------------------------------------------

/// Bytes received and not passed on. What comes in one piece, as most messages do, is not copied.
#[derive(Debug, Default)]
struct Received {
    piece: Bytes,
    gathered: BytesMut,
}

impl Received {
    fn len(&self) -> usize {
        self.piece.len() + self.gathered.len()
    }

    fn put(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.piece = data;
            return;
        }
        if !self.piece.is_empty() {
            self.gathered.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
        }
        self.gathered.extend_from_slice(&data);
    }

    /// The flag and the length of the message that comes next.
    fn header(&self) -> Option<(u8, usize)> {
        let bytes = if self.piece.is_empty() { self.gathered.as_ref() } else { self.piece.as_ref() };
        let (flag, rest) = bytes.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk::<4>()?);
        Some((*flag, usize::try_from(length).unwrap_or(usize::MAX)))
    }

    /// The first so many bytes; there are as many.
    fn take(&mut self, count: usize) -> Bytes {
        if !self.gathered.is_empty() {
            self.piece = std::mem::take(&mut self.gathered).freeze();
        }
        self.piece.split_to(count.min(self.piece.len()))
    }

    fn take_all(&mut self) -> Bytes {
        self.take(self.len())
    }
}

//----------- Inflating ------------------------------------------------------

/// A gzip message on its way to an uncompressed one.
struct Inflating {
    decoder: GzDecoder<Reader<Bytes>>,
    compressed: usize,
    message: BytesMut,
    step: Box<[u8]>,
}

impl Inflating {
    fn new(message: &Bytes) -> Self {
        let compressed = message.len();
        let decoder = GzDecoder::new(message.slice(HEADER_BYTES.min(compressed)..).reader());
        let step = vec![0; INFLATE_STEP].into_boxed_slice();
        Self { decoder, compressed, message: BytesMut::zeroed(HEADER_BYTES), step }
    }

    fn bytes(&self) -> usize {
        self.compressed + self.message.capacity() + INFLATE_STEP
    }

    /// Inflates a little more. True when that was all.
    fn step(&mut self) -> Result<bool, Status> {
        let count = self.decoder.read(&mut self.step).map_err(|error| {
            reply::undecodable(format!("Error decompressing: {error}, while sending request"))
        })?;
        if self.message.len() + count > HEADER_BYTES + MESSAGE_BYTES_MAX {
            return Err(reply::inflated_too_large(MESSAGE_BYTES_MAX));
        }
        self.message.put_slice(self.step.get(..count).unwrap_or_default());
        Ok(count == 0)
    }

    /// The message with the header of an uncompressed one.
    fn into_message(mut self) -> Bytes {
        let length = u32::try_from(self.message.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
        if let Some(field) = self.message.get_mut(1..HEADER_BYTES) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        self.message.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body::{Body as HttpBody, Frame};
    use tokio::time::timeout;
    use tonic::body::Body;
    use tonic::{Code, Status};

    use super::super::CallMemory;
    use super::{Compression, Method, RequestBody};
    use crate::front::listen::bounds::GRPC_MEMORY;
    use crate::front::listen::budget::{Holder, MemoryBudget};

    /// A body that yields these frames and then stays open without another.
    struct Stalled(Vec<Bytes>);

    impl HttpBody for Stalled {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.pop().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
        }
    }

    #[tokio::test]
    async fn a_message_that_does_not_come_whole_is_refused_in_time() {
        let method = Method::of("/idnode.v1.ResolutionService/Resolve").expect("a method");
        let account = MemoryBudget::new(GRPC_MEMORY).account(Holder::of(([127, 0, 0, 1], 80).into()));
        for sent in [&b""[..], b"\0\0\0", b"\0\0\0\0\x02\x0a", b"\0\0\0\0\0"] {
            let frames = if sent.is_empty() { Vec::new() } else { vec![Bytes::from_static(sent)] };
            let memory = Arc::new(CallMemory::new(account.take(0).expect("free"), None));
            let mut body = RequestBody::new(Body::new(Stalled(frames)), method, Compression::None, memory);
            body.time_max = Duration::from_millis(1);
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            let frame = timeout(Duration::from_secs(60), frame).await.expect("refused in time");
            let status = frame.expect("an end").expect_err("no message");
            assert_eq!(status.code(), Code::DeadlineExceeded, "{sent:?}");
        }
    }
}
