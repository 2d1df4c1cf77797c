//! Contact: whether a gRPC door in plain text answers at an address, told by the first byte it says.
//!
//! Plain text to a TLS door, or to a door of another kind, fails late and in words of HTTP/2 that help nobody. A gRPC
//! door opens with its settings, a frame whose length begins with 0 (RFC 9113 section 3.4).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tonic::transport::Uri;

/// The beginning of what a client says first, before it says what it wants. A gRPC door says its settings at once; an
/// HTTP/1.1 door that hears more of it closes without a word.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM";
/// The first byte of a gRPC door's settings.
const SETTINGS: u8 = 0;
/// The first byte of a TLS alert (RFC 8446 section 5.1).
const TLS_ALERT: u8 = 0x15;
/// How long the first byte is waited for.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(5);

/// What answers otherwise than asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It wants TLS.
    Tls,
    /// It knows no TLS.
    PlainText,
    /// It is a door of another kind.
    OtherDoor,
}

/// Greets a node in plain text. None when a gRPC door answers, and when nobody does: the call itself tells more.
pub(super) async fn greet(node: &Uri) -> Option<Stranger> {
    let said = time::timeout(FIRST_BYTE_MAX, first_byte(node)).await.ok()??;
    match said {
        SETTINGS => None,
        TLS_ALERT => Some(Stranger::Tls),
        _ => Some(Stranger::OtherDoor),
    }
}

async fn first_byte(node: &Uri) -> Option<u8> {
    let host = node.host()?.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((host, node.port_u16().unwrap_or(80))).await.ok()?;
    stream.write_all(GREETING).await.ok()?;
    stream.read_u8().await.ok()
}
