//! Answers on their way out: their memory counts until the client has taken them.
//!
//! A client that does not read what it asked for holds the answer, however many of them it asks for at once. Some bytes are
//! taken from the budget before a request is answered: without them it is refused with 503 and nothing is done for it. The
//! rest is taken when the answer is made; without it the answer is dropped and 503 sent in its stead. The outcome of a
//! command takes less than was taken before, so that it is always reported. Answers leave in pieces, so that the connection
//! buffers little beside what is counted.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::listener::RESERVED_PATHS;
use super::rejection::Rejection;
use crate::front::http::transport::connection::Client;
use crate::front::listen::bounds::HTTP_STATUS_MEMORY;
use crate::front::listen::budget::{BudgetSpent, MemoryBudget, MemoryGrant};
use crate::front::listen::in_flight::AnswerMark;
use crate::model::limits::{IDENTIFIER_BYTES_MAX, RECEIPT_WARNINGS_MAX, WARNING_BYTES_MAX};

/// Bytes of one piece of an answer.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes of an answer that is sent at once where a connection has one answer at a time, and is never refused: no more than
/// the buffers of a connection hold.
const SMALL_BYTES: usize = 8 * 1024;
/// Bytes that are taken before a request is answered: most answers take no more, and no outcome of a command does.
const RESERVED_BYTES: usize = 20 * 1024;
/// Bytes that count for an answer whose length is not known, which is made while it is taken.
const STREAMED_BYTES: usize = 256 * 1024;

// A handle is at most this long when each of its bytes is escaped; beside it and its warnings an outcome has a few hundred bytes.
const _: () =
    assert!(6 * IDENTIFIER_BYTES_MAX + RECEIPT_WARNINGS_MAX * WARNING_BYTES_MAX + 1_024 <= RESERVED_BYTES);

/// The memory of answers: that of their client, and another of what says how the node is, which is served while the first is
/// spent.
#[derive(Debug)]
pub(in crate::front::http) struct AnswerMemory {
    status: Arc<MemoryBudget>,
}

impl AnswerMemory {
    /// Nothing is held.
    pub(in crate::front::http) fn new() -> Self {
        Self { status: MemoryBudget::new(HTTP_STATUS_MEMORY) }
    }

    /// Takes memory before a request is answered.
    pub(super) fn reserve(&self, client: &Client, path: &str) -> Result<MemoryGrant, BudgetSpent> {
        if RESERVED_PATHS.contains(&path) {
            return self.status.take(client.holder(), 0);
        }
        client.memory.take(RESERVED_BYTES)
    }
}

/// An answer to HEAD: what GET would be answered, without its body (RFC 9110 section 9.3.2). The routes do so themselves; the
/// renderer of a face and the HTTP/2 library do not.
pub(super) fn head_only(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact() {
        let length = HeaderValue::from(length);
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length);
    }
    response.map(|_| Body::empty())
}

/// An answer whose memory counts, and which is in flight, until it has left.
pub(super) fn hold(
    response: Response,
    reserved: Option<MemoryGrant>,
    version: Version,
    in_flight: AnswerMark,
) -> Response {
    let exact = response.body().size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let small_bytes = if version == Version::HTTP_2 { 0 } else { SMALL_BYTES };
    if exact.is_some_and(|bytes| bytes <= small_bytes) {
        return response;
    }
    let bytes = exact.unwrap_or(STREAMED_BYTES);
    // Nothing was reserved for a request that was refused for want of memory.
    let Some(mut held) = reserved else { return response };
    match held.resize(bytes) {
        Ok(()) => {}
        Err(_) if bytes <= SMALL_BYTES => return response,
        Err(spent) => return Rejection::MemorySpent(spent).into_response(),
    }
    let (mut parts, body) = response.into_parts();
    if let Some(length) = exact {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let held = (held, in_flight);
    let pieces = body
        .into_data_stream()
        .map_ok(|data| stream::iter(split(data)).map(Ok::<_, axum::Error>))
        .try_flatten();
    let pieces = pieces.inspect(move |_| {
        // Dropped with the stream: when the last piece is taken, or the client is gone.
        let _held = &held;
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Pieces that share the memory of the whole.
fn split(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    core::iter::from_fn(move || {
        let piece = data.split_to(data.len().min(PIECE_BYTES));
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Bytes, HttpBody as _};
    use axum::http::header;
    use axum::response::IntoResponse;

    use super::{PIECE_BYTES, head_only, split};

    #[test]
    fn an_answer_to_head_has_the_length_of_its_body_and_no_body() {
        let head = head_only("seven b".into_response());
        assert_eq!(
            head.headers().get(header::CONTENT_LENGTH).map(|length| length.as_bytes()),
            Some(&b"7"[..])
        );
        assert!(head.body().is_end_stream());
        let cut = head_only(head);
        assert_eq!(
            cut.headers().get(header::CONTENT_LENGTH).map(|length| length.as_bytes()),
            Some(&b"7"[..])
        );
    }

    #[test]
    fn an_answer_leaves_in_pieces_and_whole() {
        let data = Bytes::from(vec![7; 2 * PIECE_BYTES + 1]);
        let pieces: Vec<usize> = split(data).map(|piece| piece.len()).collect();
        assert_eq!(pieces, [PIECE_BYTES, PIECE_BYTES, 1]);
        assert_eq!(split(Bytes::new()).count(), 0);
    }
}
