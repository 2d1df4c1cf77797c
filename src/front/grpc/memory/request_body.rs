//! The messages of a request: whole, uncompressed, and measured before tonic decodes them.
//!
//! Messages of a call without streams are passed on once the client has ended its side: until then they are held as
//! they came, compressed perhaps. Messages of a stream are passed on one by one as tonic asks for them.
//!
//! A message is inflated and measured piece by piece, and is refused at the first piece that exceeds a bound. Other tasks
//! have their turn between two pieces.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::buf::Reader;
use bytes::{Buf, Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body::{Body as HttpBody, Frame};
use tokio::task;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use super::{CallMemory, spent};
use crate::front::grpc::reply::{self, FrontRefusal};
use crate::model::limits::{BATCH_ITEMS_MAX, MESSAGE_BYTES_MAX, MESSAGE_MEMORY_MAX};
use crate::model::refusal::Refusal;
use crate::wire::message_size::{Measuring, MessageMalformed, MessageSize, Method};

/// Bytes before each message: a flag and the length (gRPC over HTTP/2, "Length-Prefixed-Message").
const HEADER_BYTES: usize = 5;
/// Bytes that are inflated and measured between two looks at the bounds, and before other tasks have their turn.
const PIECE_BYTES: usize = 64 * 1024;
/// What a message may take once it is decoded.
const SIZE_MAX: MessageSize = MessageSize { bytes: MESSAGE_MEMORY_MAX, items: BATCH_ITEMS_MAX };
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
    /// A message that is not measured to its end.
    opening: Option<Box<Opening>>,
    /// A message for which there was no memory beside those before it.
    waiting: Option<(Bytes, MessageSize)>,
    /// Completes when other tasks have had their turn.
    pause: Option<BoxFuture<'static, ()>>,
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
    /// Being inflated or measured; other tasks have their turn.
    Opening,
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
            opening: None,
            waiting: None,
            pause: None,
            trailers: None,
            is_ended: false,
            is_foreign: false,
            time_max: REQUEST_MAX,
            deadline: None,
        }
    }

    fn next(&mut self) -> Result<Next, Status> {
        if let Some((message, size)) = self.waiting.take() {
            return self.pass_on(message, size);
        }
        if let Some(opening) = self.opening.take() {
            return self.open(*opening);
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
        let shape = self.method.request;
        self.open(Opening {
            measuring: Measuring::new(shape, (!is_gzip).then_some(length), SIZE_MAX),
            content: if is_gzip { Content::inflate(&message) } else { Content::Plain { message, known: 0 } },
        })
    }

    /// Inflates and measures one more piece of a message.
    fn open(&mut self, mut opening: Opening) -> Result<Next, Status> {
        let is_complete = opening.step()?;
        let size = opening.measuring.size();
        check(size)?;
        if !is_complete {
            // What it will take is held from here on, except where the messages before it may give that back first.
            let decoded = if self.memory.has_decoded() { 0 } else { size.bytes };
            let held = self.received.len() + opening.content.bytes_held() + decoded;
            self.memory.set_received(held).map_err(spent)?;
            self.opening = Some(Box::new(opening));
            return Ok(Next::Opening);
        }
        let message = opening.content.into_message();
        let encoded = message.len().saturating_sub(HEADER_BYTES);
        let size = opening.measuring.finish(encoded).map_err(malformed)?;
        self.pass_on(message, size)
    }

    /// Passes a message on, or keeps it until those before it are answered.
    fn pass_on(&mut self, message: Bytes, size: MessageSize) -> Result<Next, Status> {
        match self.memory.take_message(message.len(), size, self.received.len()) {
            Ok(()) => Ok(Next::Message(message)),
            // Only who reads a stream answers the messages before it in the meantime.
            Err(_) if self.method.has_request_stream && self.memory.has_decoded() => {
                self.waiting = Some((message, size));
                Ok(Next::Later)
            }
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
            if let Some(pause) = &mut this.pause {
                ready!(pause.poll_unpin(context));
                this.pause = None;
            }
            match this.next() {
                Ok(Next::Message(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(Next::Incomplete) => {}
                Ok(Next::Opening | Next::Later) => {
                    // The runtime looks at its sockets before it comes back, which it does not for a task that wakes itself.
                    this.pause = Some(task::yield_now().boxed());
                    continue;
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

//----------- Opening --------------------------------------------------------

/// A message on its way to an uncompressed one whose size is known.
struct Opening {
    content: Content,
    measuring: Measuring,
}

enum Content {
    /// The message, and how many bytes of it were looked at.
    Plain { message: Bytes, known: usize },
    /// What is not inflated yet, and what is, behind the header of an uncompressed message.
    Gzip { decoder: Box<GzDecoder<Reader<Bytes>>>, compressed: usize, message: BytesMut },
}

impl Opening {
    /// Inflates and measures one more piece. True when that was the last.
    fn step(&mut self) -> Result<bool, Status> {
        let is_complete = self.content.step()?;
        self.measuring.advance(self.content.known()).map_err(malformed)?;
        Ok(is_complete)
    }
}

impl Content {
    fn inflate(message: &Bytes) -> Self {
        let compressed = message.len();
        let decoder = GzDecoder::new(message.slice(HEADER_BYTES.min(compressed)..).reader());
        Self::Gzip { decoder: Box::new(decoder), compressed, message: BytesMut::zeroed(HEADER_BYTES) }
    }

    /// Makes one more piece known. True when that was the last.
    fn step(&mut self) -> Result<bool, Status> {
        match self {
            Self::Plain { message, known } => {
                let length = message.len().saturating_sub(HEADER_BYTES);
                *known = length.min(*known + PIECE_BYTES);
                Ok(*known == length)
            }
            Self::Gzip { decoder, message, .. } => {
                let is_complete = inflate_piece(decoder, message)?;
                if message.len() > HEADER_BYTES + MESSAGE_BYTES_MAX {
                    return Err(reply::inflated_too_large(MESSAGE_BYTES_MAX));
                }
                Ok(is_complete)
            }
        }
    }

    /// The encoded bytes that are known.
    fn known(&self) -> &[u8] {
        let known = match self {
            Self::Plain { message, known } => message.get(HEADER_BYTES..HEADER_BYTES + known),
            Self::Gzip { message, .. } => message.get(HEADER_BYTES..),
        };
        known.unwrap_or_default()
    }

    fn bytes_held(&self) -> usize {
        match self {
            Self::Plain { message, .. } => message.len(),
            Self::Gzip { compressed, message, .. } => compressed + message.capacity(),
        }
    }

    /// The message with the header of an uncompressed one.
    fn into_message(self) -> Bytes {
        let mut message = match self {
            Self::Plain { message, .. } => return message,
            Self::Gzip { message, .. } => message,
        };
        let length = u32::try_from(message.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
        if let Some(field) = message.get_mut(1..HEADER_BYTES) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        message.freeze()
    }
}

/// Appends one piece to a message. True when that was the last.
fn inflate_piece(decoder: &mut GzDecoder<Reader<Bytes>>, message: &mut BytesMut) -> Result<bool, Status> {
    let mut end = message.len();
    let piece_end = end + PIECE_BYTES;
    message.resize(piece_end, 0);
    while end < piece_end {
        let count = decoder.read(message.get_mut(end..).unwrap_or_default()).map_err(|error| {
            reply::undecodable(format!("Error decompressing: {error}, while sending request"))
        })?;
        if count == 0 {
            message.truncate(end);
            return Ok(true);
        }
        end += count;
    }
    Ok(false)
}

/// Refuses a message that is beyond a bound.
fn check(size: MessageSize) -> Result<(), Status> {
    if size.items > SIZE_MAX.items {
        return Err(reply::refused(&Refusal::TooManyItems { count: size.items }, None));
    }
    if size.bytes > SIZE_MAX.bytes {
        return Err(reply::refused_here(&FrontRefusal::MessageTooLarge));
    }
    Ok(())
}

fn malformed(malformed: MessageMalformed) -> Status {
    reply::undecodable(malformed.to_string())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use bytes::Bytes;
    use flate2::write::GzEncoder;
    use http_body::{Body as HttpBody, Frame};
    use tokio::time::timeout;
    use tonic::body::Body;
    use tonic::{Code, Status};

    use super::super::CallMemory;
    use super::{Compression, Method, PIECE_BYTES, RequestBody};
    use crate::front::listen::bounds::GRPC_MEMORY;
    use crate::front::listen::budget::{Holder, MemoryBudget};

    /// A body that yields a message and ends.
    fn whole(flag: u8, content: &[u8]) -> Body {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        Body::new(Whole(Some(Bytes::from([&[flag], &length[..], content].concat()))))
    }

    struct Whole(Option<Bytes>);

    impl HttpBody for Whole {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    /// The next frame of a body, and how often other tasks had their turn before it came.
    async fn frame_of(body: &mut RequestBody) -> (usize, Option<Result<Frame<Bytes>, Status>>) {
        let mut pauses = 0;
        let frame = poll_fn(|context| {
            let polled = Pin::new(&mut *body).poll_frame(context);
            pauses += usize::from(polled.is_pending());
            polled
        });
        let frame = frame.await;
        (pauses, frame)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).expect("in memory");
        encoder.finish().expect("in memory")
    }

    /// No poll looks at more than a piece of a message, inflated or not, and the message is passed on as it was.
    #[tokio::test]
    async fn other_tasks_have_their_turn_between_the_pieces_of_a_message() {
        let method = Method::of("/idnode.v1.RegistrationService/Register").expect("a method");
        let account = MemoryBudget::new(GRPC_MEMORY).account(Holder::of(([127, 0, 0, 1], 80).into()));
        // A field that says nothing, again and again.
        let content = [0x12, 0].repeat(20 * PIECE_BYTES / 2);
        let expected = [&[0, 0, 20, 0, 0], &content[..]].concat();
        let plain = (whole(0, &content), Compression::None, 19);
        let inflated = (whole(1, &gzip(&content)), Compression::Gzip, 20);
        for (body, compression, pauses_min) in [plain, inflated] {
            let memory = Arc::new(CallMemory::new(account.take(0).expect("free"), None));
            let mut body = RequestBody::new(body, method, compression, memory);
            let (pauses, frame) = frame_of(&mut body).await;
            let message = frame.expect("a frame").expect("a message").into_data().expect("data");
            assert_eq!(message, expected, "{compression:?}");
            assert!(pauses >= pauses_min, "{compression:?}: {pauses} pauses");
        }
    }

    /// What is behind the bound is not inflated: it could not be, as it never came.
    #[tokio::test]
    async fn a_message_beyond_a_bound_is_refused_before_it_is_inflated() {
        let account = MemoryBudget::new(GRPC_MEMORY).account(Holder::of(([127, 0, 0, 1], 80).into()));
        for (name, content, code) in [
            ("ApplyBatch", [0x12, 0].repeat(2_000_000), Code::InvalidArgument),
            (
                "Register",
                [&[0x12, 0x80, 0x92, 0xf4, 0x01], &[0x1a, 0].repeat(2_000_000)[..]].concat(),
                Code::ResourceExhausted,
            ),
            ("Register", [&[0x12, 0, 0x10, 5], &[0x1a, 0].repeat(2_000_000)[..]].concat(), Code::Internal),
        ] {
            let method = Method::of(&format!("/idnode.v1.RegistrationService/{name}")).expect("a method");
            let mut content = gzip(&content);
            content.truncate(content.len() / 2);
            let memory = Arc::new(CallMemory::new(account.take(0).expect("free"), None));
            let mut body = RequestBody::new(whole(1, &content), method, Compression::Gzip, memory);
            let (_, frame) = frame_of(&mut body).await;
            let status = frame.expect("an end").expect_err("no message");
            assert_eq!(status.code(), code, "{status:?}");
            assert!(!status.message().contains("decompressing"), "{status:?}");
        }
    }

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
