//! Floods of HTTP/2 frames at the gRPC front end: each ends its own connection or stays small, and others are served.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::grpc::front_end::{FrontEnd, question};
use idnode::wire::proto;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// "This endpoint detected that its peer is exhibiting a behavior that might be generating excessive load"
/// (RFC 9113 section 7).
const ENHANCE_YOUR_CALM: u32 = 0xb;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The headers of a call of Resolve: POST, http, path and content type (RFC 7541 appendix A has the indexes).
fn call_headers() -> Vec<u8> {
    let path = b"/idnode.v1.ResolutionService/Resolve";
    let mut headers = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    headers.extend_from_slice(path);
    headers.extend_from_slice(&[0x0f, 0x10, 16]);
    headers.extend_from_slice(b"application/grpc");
    headers
}

/// Sends the preface and bytes, and reads until the front end ends the connection; the error codes of its GOAWAYs.
fn flood(front_end: &FrontEnd, bytes: &[u8]) -> Vec<u32> {
    let mut stream = TcpStream::connect(front_end.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).expect("sent");
    // The connection may end before everything is sent.
    let _sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    goaways(&answer)
}

fn goaways(mut answer: &[u8]) -> Vec<u32> {
    let mut codes = Vec::new();
    while let Some((header, rest)) = answer.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let length = usize::try_from(length).expect("small");
        if let (GOAWAY, Some((_, code))) = (header[3], rest.split_first_chunk::<4>()) {
            codes.push(u32::from_be_bytes(*code.first_chunk().expect("an error code")));
        }
        answer = rest.get(length..).unwrap_or_default();
    }
    codes
}

async fn is_served(front_end: &FrontEnd) {
    let request = proto::ResolveRequest { question: Some(question("a")), recursion: None };
    front_end.resolution().await.resolve(request).await.expect("the others are served");
}

/// Streams that are opened and reset at once, more than may be pending (CVE-2023-44487).
#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_ends_its_connection() {
    let front_end = FrontEnd::open().await;
    let mut bytes = Vec::new();
    for number in 0..2_000u32 {
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &call_headers()));
        bytes.extend(frame(RST_STREAM, 0, 2 * number + 1, &8u32.to_be_bytes()));
    }
    assert_eq!(tokio::task::block_in_place(|| flood(&front_end, &bytes)), [ENHANCE_YOUR_CALM]);
    is_served(&front_end).await;
    front_end.close().await;
}

/// Errors that make us reset streams ourselves: window updates of nothing (CVE-2025-8671).
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_we_reset_end_their_connection() {
    const WINDOW_UPDATE: u8 = 8;
    let front_end = FrontEnd::open().await;
    let mut bytes = Vec::new();
    for number in 0..2_000u32 {
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &call_headers()));
        bytes.extend(frame(WINDOW_UPDATE, 0, 2 * number + 1, &0u32.to_be_bytes()));
    }
    let codes = tokio::task::block_in_place(|| flood(&front_end, &bytes));
    assert_eq!(codes.len(), 1, "{codes:?}");
    is_served(&front_end).await;
    front_end.close().await;
}

/// Headers that go on for ever (CVE-2024-27316).
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuation_frames_ends_its_connection() {
    let front_end = FrontEnd::open().await;
    let mut bytes = frame(HEADERS, END_STREAM, 1, &call_headers());
    // A header without indexing: name "x", value of 100 bytes.
    let header = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    for _ in 0..10_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &header));
    }
    let codes = tokio::task::block_in_place(|| flood(&front_end, &bytes));
    assert!(codes.iter().all(|code| *code != 0) && codes.len() == 1, "{codes:?}");
    is_served(&front_end).await;
    front_end.close().await;
}

/// SETTINGS and PING frames whose acknowledgements are never read: the front end stops reading them.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_are_not_read_are_not_gathered() {
    let front_end = FrontEnd::open().await;
    let flood = |unit: Vec<u8>| {
        let mut stream = TcpStream::connect(front_end.address).expect("connected");
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("set");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).expect("sent");
        let block = unit.repeat(4_096);
        let mut sent = 0;
        // 64 MiB at most: far more than the buffers of two sockets.
        while sent < 64 * 1024 * 1024 {
            match stream.write(&block) {
                Ok(count) => sent += count,
                Err(_) => return (stream, sent),
            }
        }
        panic!("{sent} bytes were read while no answer was");
    };
    let ping = frame(PING, 0, 0, &[7; 8]);
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    let (pinging, _) = tokio::task::block_in_place(|| flood(ping));
    let (setting, _) = tokio::task::block_in_place(|| flood(settings));
    is_served(&front_end).await;
    drop((pinging, setting));
    front_end.close().await;
}

/// Empty DATA frames, which no window bounds (CVE-2019-9518), cost nothing but their reading.
#[tokio::test(flavor = "multi_thread")]
async fn empty_data_frames_hold_nothing() {
    let front_end = FrontEnd::open().await;
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &call_headers());
    for _ in 0..50_000 {
        bytes.extend(frame(DATA, 0, 1, &[]));
    }
    bytes.extend(frame(DATA, END_STREAM, 1, &[0, 0, 0, 0, 0]));
    bytes.extend(frame(GOAWAY, 0, 0, &[0; 8]));
    let codes = tokio::task::block_in_place(|| flood(&front_end, &bytes));
    assert!(codes.len() <= 2, "{codes:?}");
    is_served(&front_end).await;
    front_end.close().await;
}
