//! HTTP/2 (RFC 9113) on the ports of HTTP/1.1: by ALPN under TLS, by prior knowledge in plain text.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::front_end::{ANSWER_MAX, FrontEnd};

/// What a client sends first (section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// The next frame; none when the connection is over.
    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut head = [0; 9];
        let read = timeout(ANSWER_MAX, stream.read_exact(&mut head)).await.expect("a frame in time");
        read.ok()?;
        let [a, b, c, kind, _flags, d, e, f, g] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("a length")];
        stream.read_exact(&mut payload).await.ok()?;
        Some(Self { kind, stream: u32::from_be_bytes([d, e, f, g]), payload })
    }
}

/// A request without a body: its pseudo-headers, not compressed (RFC 7541 section 6.2.2 and the static table).
fn get(stream: u32, path: &str, authority: Option<&str>) -> Vec<u8> {
    let text = |index: u8, text: &str| {
        [&[index, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat()
    };
    let mut block = vec![0x82, 0x86];
    block.extend(text(0x04, path));
    block.extend(authority.map(|authority| text(0x01, authority)).unwrap_or_default());
    Frame::encode(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

async fn open(stream: &mut (impl AsyncWrite + Unpin)) {
    stream.write_all(&[PREFACE, &Frame::encode(SETTINGS, 0, 0, &[])].concat()).await.expect("sent");
}

/// The first byte of the header block that answers a stream: the status, by the static table.
async fn status(stream: &mut (impl AsyncRead + Unpin), number: u32) -> u8 {
    loop {
        let frame = Frame::read(stream).await.expect("an answer");
        if frame.kind == HEADERS && frame.stream == number {
            return frame.payload.first().copied().expect("a status");
        }
    }
}

const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;
const NOT_FOUND: u8 = 0x8d;

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    open(stream).await;
    for (number, path, authority, expected) in [
        (1, "/healthz", Some("localhost"), OK),
        (3, "/api/handles/88.118.8/none", Some("localhost"), NOT_FOUND),
        // RFC 9113 section 8.3.1: without an authority there is no host that the request is for.
        (5, "/healthz", None, BAD_REQUEST),
        (7, "/metrics", Some("localhost"), OK),
    ] {
        stream.write_all(&get(number, path, authority)).await.expect("sent");
        assert_eq!(status(stream, number).await, expected, "{path} {authority:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc_9113_3_3_http_2_is_spoken_by_prior_knowledge() {
    let front_end = FrontEnd::open().await;
    let mut stream = TcpStream::connect(front_end.address()).await.expect("connected");
    ask(&mut stream).await;
    // An open connection does not keep the node from stopping.
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc_9113_3_2_http_2_is_negotiated_under_tls() {
    let front_end = FrontEnd::open().await;
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_slice(front_end.certificate_pem().as_bytes()).expect("a certificate");
    roots.add(certificate).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(front_end.address()).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    ask(&mut stream).await;
    front_end.close().await;
}

/// A client that opens its window for no answer holds no more of them than its share, and nobody else's (section 10.5).
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9113_10_5_answers_that_are_not_taken_are_bounded() {
    let front_end = FrontEnd::open().await;
    let values = json!([{"index": 1, "type": "DESC", "data": "\"".repeat(200_000)}]);
    let path = "/api/handles/88.118.8/large";
    assert_eq!(front_end.tls().bearer(&front_end.token()).put(path, values).await.verdict(), (201, 1));
    let shut = Frame::encode(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut connections = Vec::new();
    let (mut made, mut refused) = (0, 0);
    for _ in 0..8 {
        let mut stream = TcpStream::connect(front_end.address()).await.expect("connected");
        stream.write_all(&[PREFACE, &shut].concat()).await.expect("sent");
        for number in (0..30).map(|number| 2 * number + 1) {
            stream.write_all(&get(number, path, Some("localhost"))).await.expect("sent");
            match status(&mut stream, number).await {
                OK => made += 1,
                _ => refused += 1,
            }
        }
        connections.push(stream);
    }
    // Each quotation mark is two bytes of JSON; a source has 16 MiB.
    assert!((40..=42).contains(&made) && refused > 0, "{made} made, {refused} refused");
    let gauge = async |name: &str| {
        let page = front_end.plain().get("/metrics").await;
        let line = page.text().lines().find(|line| line.starts_with(name)).expect("a gauge").to_owned();
        line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    assert!(gauge("idnode_http_memory_bytes ").await > 15_000_000);
    assert!(gauge("idnode_http_memory_refusals_total{bound=\"source\"}").await > 0);
    drop(connections);
    let deadline = Instant::now() + ANSWER_MAX;
    while gauge("idnode_http_memory_bytes ").await > 0 {
        assert!(Instant::now() < deadline, "the memory of clients that have left is not given back");
    }
    front_end.close().await;
}

/// A client may have at least 100 requests at a time. One that sends more before it knows how many it may have is answered
/// what it may, and a reset says that the rest can be repeated (section 8.7).
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9113_6_5_2_a_first_flight_of_many_requests_is_served() {
    const REFUSED_STREAM: u32 = 7;
    let front_end = FrontEnd::open().await;
    let mut stream = TcpStream::connect(front_end.address()).await.expect("connected");
    open(&mut stream).await;
    let path = "/api/handles/88.118.8/none";
    let flight: Vec<u8> = (0..200).flat_map(|number| get(2 * number + 1, path, Some("localhost"))).collect();
    stream.write_all(&flight).await.expect("sent");
    let (mut answered, mut refused) = (0, 0);
    while answered + refused < 200 {
        let frame = Frame::read(&mut stream).await.expect("the connection goes on");
        match frame.kind {
            HEADERS => answered += 1,
            RST_STREAM => {
                assert_eq!(frame.payload, REFUSED_STREAM.to_be_bytes());
                refused += 1;
            }
            other => assert_ne!(other, GOAWAY, "{:?}", frame.payload),
        }
    }
    assert!(answered >= 128, "{answered} answered, {refused} refused");
    stream.write_all(&get(401, path, Some("localhost"))).await.expect("sent");
    assert_eq!(status(&mut stream, 401).await, NOT_FOUND, "the connection goes on");
    front_end.close().await;
}

/// A client that opens and resets streams faster than they are looked at is sent away (section 10.5).
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9113_10_5_a_client_that_resets_its_streams_at_once_is_sent_away() {
    let front_end = FrontEnd::open().await;
    let mut stream = TcpStream::connect(front_end.address()).await.expect("connected");
    open(&mut stream).await;
    let cancel = 8_u32.to_be_bytes();
    let reset = |number: u32| {
        let path = "/api/handles/88.118.8/none";
        [get(number, path, Some("localhost")), Frame::encode(RST_STREAM, 0, number, &cancel)].concat()
    };
    let flood: Vec<u8> = (0..2_000).flat_map(|number| reset(2 * number + 1)).collect();
    // The connection may be closed while it is written to.
    let _sent = stream.write_all(&flood).await;
    let mut is_sent_away = false;
    while let Some(frame) = Frame::read(&mut stream).await {
        is_sent_away |= frame.kind == GOAWAY;
    }
    assert!(is_sent_away, "the connection ended without a word");
    let other = front_end.plain().get("/healthz").await;
    assert_eq!(other.status, 200, "others are served");
    front_end.close().await;
}
