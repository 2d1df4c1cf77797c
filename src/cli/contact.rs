//! Probe: finds out whether a server speaks gRPC, in plain text or TLS, before a command is sent.
//!
//! A request in plain text to a TLS listener, or to another protocol, fails late and with an HTTP/2 error that helps
//! no user. An HTTP/2 server begins with its settings, a frame whose length begins with 0 (RFC 9113 section 3.4). Not
//! every HTTP/2 server speaks gRPC: the content type of its answer tells.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tonic::body::Body;
use tonic::client::GrpcService as _;
use tonic::codegen::http::{Method, Request, header};
use tonic::transport::{Channel, Uri};

/// The beginning of an HTTP/2 connection preface. An HTTP/2 server answers it with its settings; an HTTP/1.1 server would
/// close the connection without an answer if it received all of the preface.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM";
/// The first byte of an HTTP/2 server's settings.
const SETTINGS: u8 = 0;
/// The first byte of a TLS alert (RFC 8446 section 5.1).
const TLS_ALERT: u8 = 0x15;
/// Time limit for the first byte, and for the answer to the first call.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(5);
/// A call that every node answers, without a message: the answer is a refusal, and it is gRPC.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// The beginning of the content type of every gRPC answer.
const GRPC: &[u8] = b"application/grpc";

/// A server that does not speak the protocol that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Responder {
    /// The server expects TLS.
    Tls,
    /// The server does not speak TLS.
    PlainText,
    /// The server speaks another protocol than gRPC.
    OtherProtocol,
}

/// Probes a node in plain text. None when an HTTP/2 server answers, and when nothing does: the call itself reports more.
pub(super) async fn probe(node: &Uri) -> Option<Responder> {
    let first = time::timeout(FIRST_BYTE_MAX, first_byte(node)).await.ok()??;
    match first {
        SETTINGS => None,
        TLS_ALERT => Some(Responder::Tls),
        _ => Some(Responder::OtherProtocol),
    }
}

/// Whether the server behind a channel answers a call in gRPC. True when nothing answers: the call itself reports more.
pub(super) async fn speaks_grpc(channel: &Channel) -> bool {
    match time::timeout(FIRST_BYTE_MAX, content_type(channel.clone())).await {
        Ok(Some(content_type)) => content_type.starts_with(GRPC),
        Ok(None) | Err(_) => true,
    }
}

/// The content type of an answer, empty where it has none; none without an answer.
async fn content_type(mut channel: Channel) -> Option<Vec<u8>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(HEALTH_CHECK)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Body::empty());
    core::future::poll_fn(|context| channel.poll_ready(context)).await.ok()?;
    let response = channel.call(request.ok()?).await.ok()?;
    let value = response.headers().get(header::CONTENT_TYPE);
    Some(value.map(|value| value.as_bytes().to_vec()).unwrap_or_default())
}

async fn first_byte(node: &Uri) -> Option<u8> {
    let host = node.host()?.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((host, node.port_u16().unwrap_or(80))).await.ok()?;
    stream.write_all(GREETING).await.ok()?;
    stream.read_u8().await.ok()
}
