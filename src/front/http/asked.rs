//! One request, taken apart: what is asked, how, by whom, and the body where it matters.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde_json::Value as Json;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::connection::Peer;
use super::denial::{Denial, DoorRefusal};
use super::query::Query;
use super::reply::{Intent, Manner};
use super::route::Verb;
use crate::registry::refusal::Failure;

/// Bytes of a JSON body: the largest record, however much its text grows by escapes.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of the bodies of all connections together.
const BODIES_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one place of that bound.
const PLACE_BYTES: usize = 1_024;
/// How long a body may take to come.
const BODY_MAX: Duration = Duration::from_secs(15);

/// One request.
pub(super) struct Asked {
    /// What is to be done.
    pub(super) verb: Verb,
    /// The query.
    pub(super) query: Query,
    /// How the reply is wished.
    pub(super) manner: Manner,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The other end.
    pub(super) peer: Peer,
    /// Memory for bodies.
    pub(super) bodies: Arc<Bodies>,
}

impl Asked {
    /// Notes that it changes something.
    pub(super) fn commands(&mut self) {
        self.manner.intent = Intent::Command;
    }

    /// A header as text.
    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; the request must say that it is.
    pub(super) async fn read_json(&self, body: Body) -> Result<Json, Denial> {
        if !self.has_json() {
            return Err(Denial::malformed(
                "the body must be JSON; send it with Content-Type: application/json",
            ));
        }
        let (bytes, _held) = self.bodies.read(&self.peer, body, BODY_BYTES_MAX).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Denial::malformed(&format!("the body is no JSON: {error}")))
    }

    /// Adds the parameters of a JSON body to those of the query, where there is one.
    pub(super) async fn read_parameters(&mut self, body: Body) -> Result<(), Denial> {
        if self.verb != Verb::Get && self.has_json() {
            let parameters = self.read_json(body).await?;
            self.query.add_json(&parameters)?;
            self.query.check_flags()?;
        }
        Ok(())
    }

    /// Whether the body is JSON.
    pub(super) fn has_json(&self) -> bool {
        let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.header(header::CONTENT_TYPE).map(essence).is_some_and(|essence| essence == "application/json")
    }
}

//----------- Bodies ---------------------------------------------------------

/// Memory for bodies of all connections: whoever sends one is not known yet.
#[derive(Debug)]
pub(super) struct Bodies(Semaphore);

impl Bodies {
    /// All of it is free.
    pub(super) fn new() -> Self {
        Self(Semaphore::new(BODIES_BYTES / PLACE_BYTES))
    }

    /// Reads a whole body within its bounds of size and time. Its memory counts until what is returned beside it goes.
    pub(super) async fn read(
        &self,
        peer: &Peer,
        body: Body,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Denial> {
        let _awaited = peer.in_flight.await_body();
        let mut held: Option<SemaphorePermit<'_>> = None;
        let deadline = Instant::now() + BODY_MAX;
        let mut pieces = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = timeout_at(deadline, pieces.next()).await.map_err(|_| DoorRefusal::TooSlow)? {
            let piece = piece.map_err(|_| Denial::malformed("the body broke off"))?;
            let whole = bytes.len() + piece.len();
            if whole > bytes_max {
                return Err(DoorRefusal::TooLarge { max: bytes_max }.into());
            }
            let places = whole.div_ceil(PLACE_BYTES) - bytes.len().div_ceil(PLACE_BYTES);
            let places = u32::try_from(places).unwrap_or(u32::MAX);
            let more = self.0.try_acquire_many(places).map_err(|_| Failure::Overloaded)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes, held))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::Body;

    use super::super::connection::Peer;
    use super::{BODIES_BYTES, Bodies, Denial, Failure};
    use crate::front::listen::channel::Channel;
    use crate::front::listen::in_flight::InFlight;
    use crate::front::listen::slots::SlotUse;

    fn peer() -> Peer {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        Peer {
            address,
            own: address,
            channel: Channel::Plain,
            certificate: None,
            in_flight: InFlight::new(SlotUse::detached()),
        }
    }

    #[tokio::test]
    async fn bodies_of_all_connections_share_one_bound() {
        let (bodies, peer) = (Bodies::new(), peer());
        let body = |bytes: usize| Body::from(vec![b' '; bytes]);
        let (read, held) =
            bodies.read(&peer, body(BODIES_BYTES - 10_000), BODIES_BYTES).await.expect("there is room");
        assert_eq!(read.len(), BODIES_BYTES - 10_000);
        let refused = bodies.read(&peer, body(20_000), BODIES_BYTES).await;
        assert!(matches!(refused, Err(Denial::Failed(Failure::Overloaded))));
        assert!(bodies.read(&peer, body(5_000), BODIES_BYTES).await.is_ok(), "a small one still fits");
        drop(held);
        assert!(bodies.read(&peer, body(20_000), BODIES_BYTES).await.is_ok());
    }
}
