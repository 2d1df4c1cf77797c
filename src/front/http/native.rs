//! Messages of the Handle protocol, carried over HTTP: POST to any path, with their own content type.
//!
//! The body is one envelope and its message, as it would stand on TCP; the path says nothing. Every reply of the Handle
//! door comes back with status 200, also one that refuses.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;

use super::connection::Peer;
use super::denial::Denial;
use super::reply;
use super::{Ends, HttpDoor};
use crate::model::limits::HANDLE_MESSAGE_BYTES_MAX;
use crate::wire::handle::envelope::ENVELOPE_BYTES;

/// The content type of a native message.
pub(super) const CONTENT_TYPE: &str = "application/x-hdl-message";
/// Bytes of line ends that some clients put before the envelope.
const LINE_ENDS_MAX: usize = 16;

/// Whether a request carries a native message.
pub(super) fn is_native(parts: &Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|text| text.to_str().ok());
    parts.method == Method::POST && content_type.is_some_and(|text| text.trim().starts_with(CONTENT_TYPE))
}

/// What is said to a POST of anything else.
pub(super) fn refuse() -> Denial {
    Denial::malformed(&format!(
        "what is posted here is a message of the Handle protocol; send it with Content-Type: {CONTENT_TYPE}"
    ))
}

/// Carries a native message to the Handle door, and its reply back.
#[utoipa::path(post, path = "/{handle}", tag = "native", operation_id = "native",
    params(("handle" = String, Path, description = "Any handle; the message says what it is about.",
        example = "88.118.8/SN000123")),
    request_body(content = String, content_type = "application/x-hdl-message",
        description = "One envelope and its message, as on TCP."),
    responses(
        (status = 200, description = "The reply message.", body = String, content_type = "application/x-hdl-message"),
        (status = 400, description = "The body broke off, or is no message, or its content type is another."),
        (status = 408, description = "The body did not come in time."),
        (status = 413, description = "The body is larger than any message."),
        (status = 501, description = "The node has no Handle door.")))]
pub(super) async fn carry(door: &HttpDoor, peer: &Peer, body: Body) -> Response {
    let Some(tunnel) = &door.shared.tunnel else {
        return reply::text(StatusCode::NOT_IMPLEMENTED, "this node has no Handle door");
    };
    let bytes_max = ENVELOPE_BYTES + HANDLE_MESSAGE_BYTES_MAX + LINE_ENDS_MAX;
    let (bytes, _held) = match door.shared.bodies.read(peer, body, bytes_max).await {
        Ok(read) => read,
        Err(denial) => return reply::unread(&denial),
    };
    let blank = bytes.iter().take(LINE_ENDS_MAX).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let message = bytes.get(blank..).unwrap_or_default().to_vec();
    let ends = Ends { asker: peer.address, own: peer.own, channel: peer.channel };
    let answer = tunnel(message, ends).await;
    if answer.is_empty() {
        return reply::text(StatusCode::BAD_REQUEST, "the body is no message of the Handle protocol");
    }
    reply::respond(StatusCode::OK, CONTENT_TYPE, answer)
}
