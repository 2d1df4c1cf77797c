//! Bodies of requests: of the content type that an operation takes, whole, within bounds of size, time and memory.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, Method, header};
use futures_util::StreamExt;
use serde_json::Value as Json;
use tokio::time::timeout_at;

use super::deadline::Deadline;
use super::json::UniqueJson;
use super::rejection::Rejection;
use crate::front::http::transport::connection::Client;
use crate::front::listen::budget::{MemoryBudget, MemoryGrant};

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

/// Reads bodies into memory of a budget: whoever sends one is not known yet.
#[derive(Debug)]
pub(in crate::front::http) struct Bodies {
    budget: Arc<MemoryBudget>,
}

impl Bodies {
    /// Takes the memory for bodies from a budget.
    pub(in crate::front::http) fn new(budget: Arc<MemoryBudget>) -> Self {
        Self { budget }
    }

    /// Reads a body that must be JSON.
    pub(super) async fn read_json(
        &self,
        from: (&Client, &Deadline),
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Json, Rejection> {
        check_type(headers, JSON)?;
        let (bytes, mut held) = self.read(from, body, JSON_BYTES_MAX).await?;
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
        &self,
        from: (&Client, &Deadline),
        (method, headers): (&Method, &HeaderMap),
        body: Body,
    ) -> Result<Option<Json>, Rejection> {
        if method == Method::GET || method == Method::HEAD || body.is_end_stream() {
            return Ok(None);
        }
        self.read_json(from, headers, body).await.map(Some)
    }

    /// Reads a whole body within its bounds of size and time. Its memory counts until what is returned beside it goes.
    pub(in crate::front::http) async fn read(
        &self,
        (client, deadline): (&Client, &Deadline),
        body: Body,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, MemoryGrant), Rejection> {
        let _awaited = client.in_flight.await_body();
        let mut held = self.budget.take(client.holder(), 0)?;
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

    use super::{Bodies, Deadline, MemoryBudget, Rejection, check_encoding};
    use crate::front::http::transport::connection::Client;
    use crate::front::listen::budget::{Bound, BudgetSpent, MemoryLimits};
    use crate::front::listen::channel::Channel;
    use crate::front::listen::in_flight::InFlight;
    use crate::front::listen::slots::SlotUse;

    fn deadline() -> Deadline {
        Deadline::from(tokio::time::Instant::now())
    }

    fn client() -> Client {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let in_flight = InFlight::new(SlotUse::detached());
        Client {
            address,
            own: address,
            channel: Channel::Plain,
            certificate: None,
            in_flight,
            is_multiplexed: Arc::default(),
        }
    }

    #[tokio::test]
    async fn bodies_are_read_into_the_memory_of_their_client() {
        let limits = MemoryLimits { total: 4_000, source: 3_000, connection: 2_000 };
        let (budget, client) = (MemoryBudget::new(limits), client());
        let bodies = Bodies::new(Arc::clone(&budget));
        let body = |bytes: usize| Body::from(vec![b' '; bytes]);
        let (read, held) =
            bodies.read((&client, &deadline()), body(1_500), 9_000).await.expect("there is memory");
        assert_eq!((read.len(), budget.bytes_in_use()), (1_500, 1_500));
        let refused = bodies.read((&client, &deadline()), body(600), 9_000).await;
        let spent = Rejection::MemorySpent(BudgetSpent { bound: Bound::Connection });
        assert_eq!(refused.expect_err("beyond"), spent);
        assert!(
            bodies.read((&client, &deadline()), body(500), 9_000).await.is_ok(),
            "a small one still fits"
        );
        drop(held);
        assert!(bodies.read((&client, &deadline()), body(2_000), 9_000).await.is_ok());
        let large = bodies.read((&client, &deadline()), body(100), 99).await;
        assert!(matches!(large, Err(Rejection::TooLarge { max: 99 })), "{large:?}");
        assert_eq!(budget.bytes_in_use(), 0);
    }

    /// The time of a body is part of its request's, whenever it begins to be read.
    #[tokio::test]
    async fn a_body_has_to_come_in_the_time_of_its_request() {
        let limits = MemoryLimits { total: 4_000, source: 4_000, connection: 4_000 };
        let (bodies, client) = (Bodies::new(MemoryBudget::new(limits)), client());
        let now = tokio::time::Instant::now();
        let over =
            Deadline::from(now.checked_sub(deadline().of_body() - now).expect("the machine runs longer"));
        let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let read = bodies.read((&client, &over), never, 100).await;
        assert!(matches!(read, Err(Rejection::TooSlow)), "{read:?}");
    }

    /// Reading must not multiply: 1,000 bytes of commas are 500 members.
    #[tokio::test]
    async fn members_of_json_are_paid_for_before_they_are_read() {
        let limits = MemoryLimits { total: 40_000, source: 40_000, connection: 40_000 };
        let (bodies, client) = (Bodies::new(MemoryBudget::new(limits)), client());
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let list = |count: usize| Body::from(format!("[0{}]", ",0".repeat(count)));
        assert!(bodies.read_json((&client, &deadline()), &headers, list(100)).await.is_ok());
        let refused = bodies.read_json((&client, &deadline()), &headers, list(500)).await;
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
