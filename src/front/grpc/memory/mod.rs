//! The memory of calls: taken from the front end's budget before a message is decoded, given back when the answer has
//! left or the client has.
//!
//! ```text
//!   h2 ─▶ Budgeted ─▶ RequestBody ─▶ tonic decodes ─▶ service ─▶ tonic encodes ─▶ ResponseBody ─▶ h2
//!            │        collects, inflates,              takes what its           frames that hold
//!            │        measures, takes                  answer will need         their bytes until sent
//!            └──────────────────────── CallMemory ──────────────────────────────────────┘
//! ```
//!
//! A message reaches the decoder whole and uncompressed, after the memory of what it decodes into was taken: neither
//! gzip nor empty sub-messages multiply. The message of a call without streams waits until the client has ended its
//! side, as bytes. The memory of an answer is held by the very bytes that wait in the HTTP/2 connection, so that it is
//! free as soon as they are sent, the call is reset or the connection ends.

mod request_body;
mod response_body;
mod windows;

use std::future::{self, Ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

pub(super) use self::windows::Windows;

use self::request_body::{Compression, RequestBody};
use self::response_body::{Content, ResponseBody};
use self::windows::Window;
use super::connection::Client;
use super::reply::{self, FrontRefusal};
use super::unread::Answer;
use crate::front::listen::budget::{BudgetSpent, MemoryGrant};
use crate::model::limits::{BATCH_WARNINGS_MAX, RECEIPT_WARNINGS_MAX, WARNING_BYTES_MAX};
use crate::wire::message_size::{MessageSize, Method};

/// Bytes that a call takes whatever it asks: its task, its headers, and the buffers that tonic makes for it.
const CALL_BYTES: usize = 16 * 1024;
/// Bytes of messages that are within [`CALL_BYTES`]: most calls take nothing more.
const SMALL_BYTES: usize = 8 * 1024;
/// Bytes that one item of an answer takes beside its encoded form, and one value of it.
const ITEM_BYTES: usize = 512;
const VALUE_BYTES: usize = 192;

//----------- Budgeted -------------------------------------------------------

/// A service whose calls take their memory from a budget.
#[derive(Clone)]
pub(super) struct Budgeted<S> {
    service: S,
}

impl<S> Budgeted<S> {
    /// Puts the budget before a service.
    pub(super) fn new(service: S) -> Self {
        Self { service }
    }
}

/// Takes what a call needs before anything of it is read. None where no connection carries it.
fn admit(request: &Request<Body>, method: Option<&'static Method>) -> Result<Option<Admitted>, BudgetSpent> {
    let Some(client) = request.extensions().get::<Arc<Client>>() else {
        return Ok(None);
    };
    // What a client may send on a stream before it is read, while nothing of its answers is taken.
    let has_window = method.is_none_or(|method| method.has_request_stream);
    let window = has_window.then(|| client.windows.open()).transpose()?;
    let grant = client.memory.take(CALL_BYTES)?;
    let memory = Arc::new(CallMemory::new(grant, window));
    let has_answer_stream = method.is_none_or(|method| method.has_answer_stream);
    let content = content(request.uri().path());
    Ok(Some(Admitted { memory, answer: client.unread.begin(), has_answer_stream, content }))
}

impl<S> Service<Request<Body>> for Budgeted<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Self::Response, S::Error>>, Answering<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = Method::of(request.uri().path());
        let admitted = match admit(&request, method) {
            Ok(admitted) => admitted,
            Err(spent) => return future::ready(Ok(refused(spent))).left_future(),
        };
        let request = match &admitted {
            Some(Admitted { memory, .. }) => prepare(request, method, memory),
            None => request,
        };
        Answering { answered: self.service.call(request), admitted }.right_future()
    }
}

/// The answer to a call that there is no memory for.
fn refused(refused: BudgetSpent) -> Response<ResponseBody> {
    spent(refused).into_http::<Body>().map(ResponseBody::plain)
}

/// What calls of this path report.
fn content(path: &str) -> Content {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_question = ["Resolve", "List", "Get"].iter().any(|verb| name.starts_with(verb));
    if is_question { Content::Answers } else { Content::Outcomes }
}

/// Lets the service have the call's memory, and only messages whose memory was taken.
fn prepare(
    mut request: Request<Body>,
    method: Option<&'static Method>,
    memory: &Arc<CallMemory>,
) -> Request<Body> {
    request.extensions_mut().insert(Arc::clone(memory));
    let Some(method) = method else {
        return request;
    };
    let compression = take_compression(request.headers_mut());
    request.map(|body| Body::new(RequestBody::new(body, method, compression, Arc::clone(memory))))
}

/// How the messages of a call are compressed. gzip is undone before tonic sees the messages.
fn take_compression(headers: &mut HeaderMap) -> Compression {
    static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
    match headers.get(&ENCODING).map(HeaderValue::as_bytes) {
        Some(b"gzip") => {
            headers.remove(&ENCODING);
            Compression::Gzip
        }
        _ => Compression::None,
    }
}

//----------- Answering ------------------------------------------------------

/// The answer of a service on its way to a body that holds its memory.
pub(super) struct Answering<F> {
    answered: F,
    admitted: Option<Admitted>,
}

/// What a call that may begin takes, and how its answer is followed.
struct Admitted {
    memory: Arc<CallMemory>,
    answer: Answer,
    has_answer_stream: bool,
    content: Content,
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = Result<Response<ResponseBody>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answered = ready!(Pin::new(&mut this.answered).poll(context))?;
        Poll::Ready(Ok(match this.admitted.take() {
            Some(admitted) => admitted.follow(answered),
            None => answered.map(ResponseBody::plain),
        }))
    }
}

impl Admitted {
    /// Lets an answer hold its memory until it has left.
    fn follow(self, answered: Response<Body>) -> Response<ResponseBody> {
        let Self { memory, answer, has_answer_stream, content } = self;
        if has_answer_stream {
            return answered.map(|body| ResponseBody::stream(body, memory, content, answer));
        }
        let (head, body) = answered.into_parts();
        match ResponseBody::settle(body, memory, content, answer) {
            Ok(body) => Response::from_parts(head, body),
            Err(spent) => refused(spent),
        }
    }
}

//----------- CallMemory -----------------------------------------------------

/// The memory of one call.
#[derive(Debug)]
pub(super) struct CallMemory {
    parts: Mutex<Parts>,
    /// What the client may send unread; none where it sends one message, which is read as it comes.
    _window: Option<Window>,
}

#[derive(Debug)]
struct Parts {
    grant: MemoryGrant,
    sizes: Sizes,
}

/// What a call holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    /// The largest message so far: buffers keep their size while a stream lasts.
    buffer: usize,
    /// Bytes received that are no whole message yet.
    received: usize,
    /// What the decoded messages take.
    decoded: usize,
    /// Items of the messages that are not answered.
    items: usize,
    /// What the answers take that have not left.
    answer: usize,
}

impl Sizes {
    fn needed(self) -> usize {
        let messages = self.buffer + self.received + self.decoded + self.answer;
        CALL_BYTES + messages.saturating_sub(SMALL_BYTES)
    }
}

impl CallMemory {
    fn new(grant: MemoryGrant, window: Option<Window>) -> Self {
        Self { parts: Mutex::new(Parts { grant, sizes: Sizes::default() }), _window: window }
    }

    /// Holds so many bytes more for the answer; refused, the answer must not be produced.
    pub(super) fn add_answer(&self, bytes: usize) -> Result<(), BudgetSpent> {
        self.change(|sizes| sizes.answer += bytes)
    }

    /// Holds so many bytes more for an answer that can also do without; false where they are not to spare.
    pub(super) fn add_spare_answer(&self, bytes: usize) -> bool {
        let mut parts = self.parts();
        let mut sizes = parts.sizes;
        sizes.answer += bytes;
        let has_spare = parts.grant.resize_with_spare(sizes.needed());
        if has_spare {
            parts.sizes = sizes;
        }
        has_spare
    }

    /// Holds bytes for the outcome of a change, which is reported even beyond the budget.
    pub(super) fn force_answer(&self, bytes: usize) {
        let mut parts = self.parts();
        parts.sizes = Sizes { items: 0, answer: bytes, ..parts.sizes };
        let needed = parts.sizes.needed();
        parts.grant.force(needed);
    }

    /// Gives back what a stream's messages and answers took: they are done with.
    pub(super) fn release(&self) {
        // Fewer bytes are never refused.
        let _never = self.change(|sizes| *sizes = Sizes { decoded: 0, items: 0, answer: 0, ..*sizes });
    }

    /// Exchanges what the request took for the encoded answer.
    fn settle(&self, answer: usize) -> Result<(), BudgetSpent> {
        self.change(|sizes| *sizes = Sizes { answer, ..Sizes::default() })
    }

    /// Holds the bytes that were received and are no whole message yet.
    fn set_received(&self, bytes: usize) -> Result<(), BudgetSpent> {
        self.change(|sizes| sizes.received = bytes)
    }

    /// Holds what a whole message takes from here to its outcomes, where so many bytes are received beside it.
    fn take_message(&self, encoded: usize, size: MessageSize, received: usize) -> Result<(), BudgetSpent> {
        self.change(|sizes| {
            // The bytes are there twice while they are decoded: here and in tonic's buffer.
            sizes.buffer = sizes.buffer.max(2 * encoded);
            sizes.received = received;
            sizes.decoded += size.bytes;
            let reported = reported_bytes(sizes.items);
            sizes.items += size.items;
            sizes.answer += reported_bytes(sizes.items) - reported;
        })
    }

    /// Whether messages of this call are decoded and not answered.
    fn has_decoded(&self) -> bool {
        self.parts().sizes.decoded > 0
    }

    /// Memory beside that of the call itself, for what outlives it.
    fn beside(&self, bytes: usize) -> Result<MemoryGrant, BudgetSpent> {
        self.parts().grant.beside(bytes)
    }

    /// The same for outcomes of changes, even beyond the budget.
    fn beside_forced(&self, bytes: usize) -> MemoryGrant {
        self.parts().grant.beside_forced(bytes)
    }

    /// Changes what is held, or nothing where that is refused.
    fn change(&self, change: impl FnOnce(&mut Sizes)) -> Result<(), BudgetSpent> {
        let mut parts = self.parts();
        let mut sizes = parts.sizes;
        change(&mut sizes);
        parts.grant.resize(sizes.needed())?;
        parts.sizes = sizes;
        Ok(())
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one item of an answer takes until it is encoded, given its encoded length and the values in it.
pub(super) fn item_bytes(encoded: usize, values: usize) -> usize {
    ITEM_BYTES + encoded + values * VALUE_BYTES
}

/// What the outcomes of a batch take at least. Taken with the request, so that a change that was made can be reported.
pub(super) fn outcomes_bytes(items: usize) -> usize {
    items * ITEM_BYTES
}

/// The same with their warnings, of which a receipt has a few and a batch has not many.
pub(super) fn reported_bytes(items: usize) -> usize {
    let warnings = items.saturating_mul(RECEIPT_WARNINGS_MAX).min(BATCH_WARNINGS_MAX);
    outcomes_bytes(items) + warnings * WARNING_BYTES_MAX
}

// The receipt of one command is within what most calls take.
const _: () = assert!(ITEM_BYTES + RECEIPT_WARNINGS_MAX * WARNING_BYTES_MAX <= SMALL_BYTES);

/// The refusal of a call for want of memory.
pub(super) fn spent(spent: BudgetSpent) -> Status {
    reply::refused_here(&FrontRefusal::MemorySpent(spent))
}
