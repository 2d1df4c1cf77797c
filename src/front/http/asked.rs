//! One request, taken apart: what is asked, how, by whom, and the body where it matters.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde_json::Value as Json;
use tokio::time::{Instant, timeout_at};

use super::connection::Peer;
use super::denial::{Denial, DoorRefusal};
use super::query::Query;
use super::reply::{Intent, Manner};
use super::route::Verb;

/// Bytes of a JSON body: the largest record, however much its text grows by escapes.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
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
        let bytes = read(body, BODY_BYTES_MAX).await?;
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

/// Reads a whole body within its bounds of size and time.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, Denial> {
    let deadline = Instant::now() + BODY_MAX;
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = timeout_at(deadline, pieces.next()).await.map_err(|_| DoorRefusal::TooSlow)? {
        let piece = piece.map_err(|_| Denial::malformed("the body broke off"))?;
        if bytes.len() + piece.len() > bytes_max {
            return Err(DoorRefusal::TooLarge { max: bytes_max }.into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
