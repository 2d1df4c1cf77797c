//! Probe: finds out from the first byte that a server sends whether it speaks gRPC in plain text.
//!
//! A request in plain text to a TLS listener, or to another protocol, fails late and with an HTTP/2 error that helps
//! no user. A gRPC server begins with its settings, a frame whose length begins with 0 (RFC 9113 section 3.4).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tonic::transport::Uri;

/// The beginning of an HTTP/2 connection preface. A gRPC server answers it with its settings; an HTTP/1.1 server would
/// close the connection without an answer if it received all of the preface.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM";
/// The first byte of a gRPC server's settings.
const SETTINGS: u8 = 0;
/// The first byte of a TLS alert (RFC 8446 section 5.1).
const TLS_ALERT: u8 = 0x15;
/// Time limit for the first byte.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(5);

/// A server that does not speak the protocol that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Responder {
    /// It expects TLS.
    Tls,
    /// It does not speak TLS.
    PlainText,
    /// It speaks another protocol than gRPC.
    OtherProtocol,
}

/// Probes a node in plain text. None when a gRPC server answers, and when nothing does: the call itself reports more.
pub(super) async fn probe(node: &Uri) -> Option<Responder> {
    let first = time::timeout(FIRST_BYTE_MAX, first_byte(node)).await.ok()??;
    match first {
        SETTINGS => None,
        TLS_ALERT => Some(Responder::Tls),
        _ => Some(Responder::OtherProtocol),
    }
}

async fn first_byte(node: &Uri) -> Option<u8> {
    let host = node.host()?.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((host, node.port_u16().unwrap_or(80))).await.ok()?;
    stream.write_all(GREETING).await.ok()?;
    stream.read_u8().await.ok()
}
