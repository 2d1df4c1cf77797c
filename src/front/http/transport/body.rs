//! Bodies of requests: of the content type that an operation takes, whole, within bounds of size, time and memory.

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, Method, header};
use futures_util::StreamExt;
use serde_json::Value as Json;
use tokio::time::timeout_at;

use super::context::RequestContext;
use super::json::UniqueJson;
use super::rejection::Rejection;
use crate::front::listen::budget::MemoryGrant;

/// Bytes of a JSON body: the largest record, however much its text grows by escapes.
const JSON_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that one member of an array or object takes once it is read, beside its text.
const JSON_MEMBER_BYTES: usize = 96;
/// The content type of JSON.
const JSON: &str = "application/json";

//----------- Content types --------------------------------------------------

/// The media type of a body, without parameters, in lower case; none when the request does not say.
pub(in crate::front::http) fn media_type(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Refuses a body in a content coding: none is undone here (RFC 9110 section 15.5.16).
pub(in crate::front::http) fn check_encoding(headers: &HeaderMap) -> Result<(), Rejection> {
    let is_plain = |value: &header::HeaderValue| {
        value.to_str().is_ok_and(|coding| coding.split(',').all(|one| is_identity(one.trim())))
    };
    if headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    Err(Rejection::UnsupportedEncoding)
}

fn is_identity(coding: &str) -> bool {
    coding.is_empty() || coding.eq_ignore_ascii_case("identity")
}

/// Refuses a body that is not of the one content type that is taken.
fn check_type(headers: &HeaderMap, accepted: &'static str) -> Result<(), Rejection> {
    if media_type(headers).is_none_or(|given| given != accepted) {
        return Err(Rejection::UnsupportedMediaType { accepted });
    }
    check_encoding(headers)
}

//----------- Bodies ---------------------------------------------------------

/// Reads a body that must be JSON.
pub(super) async fn read_json(
    from: &RequestContext,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json, Rejection> {
    check_type(headers, JSON)?;
    let (bytes, mut held) = read(from, body, JSON_BYTES_MAX).await?;
    // A short text can stand for many members, each of which takes more memory than its text.
    held.resize(bytes.len() + members(&bytes) * JSON_MEMBER_BYTES)?;
    match serde_json::from_slice(&bytes) {
        Ok(UniqueJson(json)) => Ok(json),
        Err(error) if error.is_data() => Err(Rejection::malformed(&format!("in the body, {error}"))),
        Err(error) => Err(Rejection::malformed(&format!("the body is not JSON: {error}"))),
    }
}

/// Reads a body that may be missing; where there is one it must be JSON.
pub(super) async fn read_optional_json(
    from: &RequestContext,
    (method, headers): (&Method, &HeaderMap),
    body: Body,
) -> Result<Option<Json>, Rejection> {
    if method == Method::GET || method == Method::HEAD || body.is_end_stream() {
        return Ok(None);
    }
    read_json(from, headers, body).await.map(Some)
}

/// Reads a whole body within its bounds of size and time, into the memory of its client: who sends it is not known yet. The
/// memory counts until what is returned beside it goes.
pub(in crate::front::http) async fn read(
    RequestContext { client, deadline, .. }: &RequestContext,
    body: Body,
    bytes_max: usize,
) -> Result<(Vec<u8>, MemoryGrant), Rejection> {
    let _awaited = client.in_flight.await_body();
    let mut held = client.memory.take(0)?;
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) =
        timeout_at(deadline.of_body(), pieces.next()).await.map_err(|_| Rejection::TooSlow)?
    {
        let piece = piece.map_err(|_| Rejection::malformed("the body ended early"))?;
        let whole = bytes.len() + piece.len();
        if whole > bytes_max {
            return Err(Rejection::TooLarge { max: bytes_max });
        }
        held.resize(whole)?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, held))
}

/// How many members a JSON text has at most, by what stands between them.
fn members(text: &[u8]) -> usize {
    text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Rejection, RequestContext, check_encoding, read, read_json};
    use crate::front::http::transport::connection::Client;
    use crate::front::http::transport::deadline::Deadline;
    use crate::front::listen::budget::{Bound, BudgetSpent, MemoryBudget, MemoryLimits};

    /// A request whose head came now, of a client with memory of this budget.
    fn request(budget: &Arc<MemoryBudget>) -> RequestContext {
        let client = Client::of(SocketAddr::from(([127, 0, 0, 1], 80)), budget);
        let deadline = Deadline::from(tokio::time::Instant::now());
        RequestContext { client: Arc::new(client), deadline, memory: Ok(()) }
    }

    #[tokio::test]
    async fn bodies_are_read_into_the_memory_of_their_client() {
        let limits = MemoryLimits { total: 4_000, source: 3_000, connection: 2_000 };
        let budget = MemoryBudget::new(limits);
        let request = request(&budget);
        let body = |bytes: usize| Body::from(vec![b' '; bytes]);
        let (bytes, held) = read(&request, body(1_500), 9_000).await.expect("there is memory");
        assert_eq!((bytes.len(), budget.bytes_in_use()), (1_500, 1_500));
        let refused = read(&request, body(600), 9_000).await;
        let spent = Rejection::MemorySpent(BudgetSpent { bound: Bound::Connection });
        assert_eq!(refused.expect_err("beyond"), spent);
        assert!(read(&request, body(500), 9_000).await.is_ok(), "a small one still fits");
        drop(held);
        assert!(read(&request, body(2_000), 9_000).await.is_ok());
        let large = read(&request, body(100), 99).await;
        assert!(matches!(large, Err(Rejection::TooLarge { max: 99 })), "{large:?}");
        assert_eq!(budget.bytes_in_use(), 0);
    }

    /// The time of a body is part of its request's, whenever it begins to be read.
    #[tokio::test]
    async fn a_body_has_to_come_in_the_time_of_its_request() {
        let limits = MemoryLimits { total: 4_000, source: 4_000, connection: 4_000 };
        let request = request(&MemoryBudget::new(limits));
        let now = tokio::time::Instant::now();
        let over = Deadline::from(
            now.checked_sub(request.deadline.of_body() - now).expect("the machine runs longer"),
        );
        let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let read = read(&RequestContext { deadline: over, ..request }, never, 100).await;
        assert!(matches!(read, Err(Rejection::TooSlow)), "{read:?}");
    }

    /// Reading must not multiply: 1,000 bytes of commas are 500 members.
    #[tokio::test]
    async fn members_of_json_are_paid_for_before_they_are_read() {
        let limits = MemoryLimits { total: 40_000, source: 40_000, connection: 40_000 };
        let request = request(&MemoryBudget::new(limits));
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let list = |count: usize| Body::from(format!("[0{}]", ",0".repeat(count)));
        assert!(read_json(&request, &headers, list(100)).await.is_ok());
        let refused = read_json(&request, &headers, list(500)).await;
        assert_eq!(refused, Err(Rejection::MemorySpent(BudgetSpent { bound: Bound::Connection })));
    }

    #[test]
    fn only_a_body_without_a_coding_is_taken() {
        for (coding, expected) in [
            ("identity", Ok(())),
            ("Identity, identity", Ok(())),
            ("gzip", Err(Rejection::UnsupportedEncoding)),
            ("identity, br", Err(Rejection::UnsupportedEncoding)),
        ] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
            assert_eq!(check_encoding(&headers), expected, "{coding}");
        }
    }
}
