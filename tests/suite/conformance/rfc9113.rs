//! RFC 9113: HTTP/2, at the front ends for gRPC and for HTTP, frame by frame.
//!
//! Each case sends octets after a sound beginning of a connection and says how the node may react: a connection or stream
//! error with a code of section 7 (section 5.4 lets a stream error end the connection), a plain refusal of a malformed
//! request, or nothing, after which the connection still serves.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use idnode::store::EngineKind;

use crate::support::node::TestNode;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xfa;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// Error codes of section 7. Where the clause names a more exact one, PROTOCOL_ERROR is right as well: the HTTP/2 library
/// reports most broken frames by it.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// The longest that a reaction may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// What the PINGs hold that ask whether a connection still serves. Two, one after the other: a reset may leave after the
/// answer to the first.
const SENTINELS: [&[u8; 8]; 2] = [b"sentinel", b"the last"];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that is not in the table, not compressed (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// Fields in order.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The pseudo-header fields of a question for the health of the node.
const SOUND: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/healthz"), (":authority", "localhost")];

/// The fields of a call whose message has not come.
const CALL: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/idnode.v1.ResolutionService/Resolve"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
];

/// A request that is complete.
fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&SOUND))
}

/// A request whose body is to follow; at gRPC the stream stays open.
fn call(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(&CALL))
}

/// A complete request of these fields beside the sound ones.
fn request_with(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &[fields(&SOUND), fields(more)].concat())
}

/// A complete request of these fields alone.
fn request_of(all: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(all))
}

fn setting(identifier: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[identifier.to_be_bytes().as_slice(), &value.to_be_bytes()].concat())
}

//----------- Reactions ------------------------------------------------------

/// How a front end may react.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The connection ends, with one of these codes when it says why.
    ConnectionError(&'static [u32]),
    /// The stream ends with one of these codes, or the connection does.
    StreamError(&'static [u32]),
    /// The request is malformed (section 8.1.1): as a stream error, or it is answered by status 400.
    Malformed,
    /// Nothing happens, and the connection serves on.
    Serves,
}

/// How a front end reacted.
#[derive(Debug, Default)]
struct Reaction {
    goaway: Option<u32>,
    resets: Vec<u32>,
    /// Whether a request was answered by status 400, as the first field of its answer (RFC 7541 appendix A).
    is_bad_request: bool,
    is_closed: bool,
    serves: bool,
}

/// Sends octets on a new connection and looks until it ends or has answered the last PING.
fn react(address: &str, octets: &[u8]) -> Reaction {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("set");
    // The connection may end before everything is sent.
    let _sent = stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .and_then(|()| stream.write_all(&frame(SETTINGS, 0, 0, &[])))
        .and_then(|()| stream.write_all(octets))
        .and_then(|()| stream.write_all(&frame(PING, 0, 0, SENTINELS[0])));
    let mut reaction = Reaction::default();
    while !reaction.serves {
        let Some((kind, flags, payload)) = read_frame(&mut stream) else {
            reaction.is_closed = true;
            return reaction;
        };
        let code = |at: usize| {
            let field: Option<&[u8; 4]> = payload.get(at..).and_then(<[u8]>::first_chunk);
            u32::from_be_bytes(*field.expect("an error code"))
        };
        match kind {
            GOAWAY => reaction.goaway = Some(code(4)),
            RST_STREAM => reaction.resets.push(code(0)),
            HEADERS => reaction.is_bad_request |= payload.first() == Some(&0x8c),
            PING if flags & ACK != 0 && payload == SENTINELS[0] => {
                let _sent = stream.write_all(&frame(PING, 0, 0, SENTINELS[1]));
            }
            PING if flags & ACK != 0 => reaction.serves = payload == SENTINELS[1],
            _ => {}
        }
    }
    reaction
}

/// The next frame; none when the connection is over.
fn read_frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut read = |buffer: &mut [u8]| match stream.read_exact(buffer) {
        Ok(()) => true,
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "neither a reaction nor an end in time");
            false
        }
    };
    let mut head = [0; 9];
    if !read(&mut head) {
        return None;
    }
    let [a, b, c, kind, flags, ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("a length")];
    read(&mut payload).then_some((kind, flags, payload))
}

impl Reaction {
    /// What is wrong with it; none when it is as expected.
    fn fault(&self, expected: Expected, case: &str) -> Option<String> {
        let ended = |codes: &[u32]| self.is_closed && self.goaway.is_none_or(|code| codes.contains(&code));
        let reset = |codes: &[u32]| self.resets.iter().any(|code| codes.contains(code));
        let is_right = match expected {
            Expected::ConnectionError(codes) => ended(codes),
            Expected::StreamError(codes) => reset(codes) || ended(codes),
            Expected::Malformed => {
                self.is_bad_request || reset(&[PROTOCOL_ERROR]) || ended(&[PROTOCOL_ERROR])
            }
            Expected::Serves => self.serves && self.goaway.is_none() && self.resets.is_empty(),
        };
        (!is_right).then(|| format!("{case}: {expected:?} expected, found {self:?}"))
    }
}

/// Tries each case at both front ends, on connections of their own.
async fn try_all(cases: Vec<(&'static str, Vec<u8>, Expected)>) {
    let node = TestNode::start(EngineKind::Fjall).await;
    let addresses = [node.grpc(), node.http()].map(|url| url.replace("http://", ""));
    let tried = tokio::task::spawn_blocking(move || {
        let front_ends = ["gRPC", "HTTP"].into_iter().zip(&addresses);
        let faults = front_ends.flat_map(|(front_end, address)| {
            let fault = move |(case, octets, expected): &(&'static str, Vec<u8>, Expected)| {
                react(address, octets).fault(*expected, &format!("{front_end}, {case}"))
            };
            cases.iter().filter_map(fault)
        });
        faults.collect::<Vec<_>>()
    });
    assert_eq!(tried.await.expect("tried"), Vec::<String>::new());
    node.stop().await;
}

const PROTOCOL: Expected = Expected::ConnectionError(&[PROTOCOL_ERROR]);
const FRAME_SIZE: Expected = Expected::ConnectionError(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);

//----------- Sections 3 to 5 ------------------------------------------------

/// §3.4: a connection that begins with anything but the preface is no connection.
#[tokio::test(flavor = "multi_thread")]
async fn s3_4_a_wrong_preface_ends_the_connection() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let address = node.grpc().replace("http://", "");
    let ended = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("set");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").expect("sent");
        while read_frame(&mut stream).is_some() {}
    });
    ended.await.expect("the connection ends");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_frames_have_a_size_and_whole_field_blocks() {
    let half = frame(HEADERS, END_STREAM, 1, &fields(&SOUND));
    let rest = frame(CONTINUATION, END_HEADERS, 1, &field("x-more", "yes"));
    try_all(vec![
        ("§4.1 frames of unknown kinds are ignored", frame(UNKNOWN, 0xff, 0, b"??"), Expected::Serves),
        ("§4.2 a frame above the largest size", frame(PING, 0, 0, &[0; 16_385]), FRAME_SIZE),
        (
            "§4.3 a field block that cannot be decoded",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Expected::ConnectionError(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        ("§4.3 a field block in two frames", [half.clone(), rest].concat(), Expected::Serves),
        (
            "§4.3 a field block with a frame inside",
            [half.clone(), frame(PING, 0, 0, &[0; 8])].concat(),
            PROTOCOL,
        ),
        (
            "§4.3 a field block that another stream continues",
            [half, frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            PROTOCOL,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_1_frames_belong_to_the_state_of_their_stream() {
    let cancel = 8_u32.to_be_bytes();
    let ended = Expected::StreamError(&[STREAM_CLOSED, PROTOCOL_ERROR]);
    try_all(vec![
        ("§5.1 DATA on an idle stream", frame(DATA, 0, 1, b"x"), PROTOCOL),
        ("§5.1 RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &cancel), PROTOCOL),
        ("§5.1 WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]), PROTOCOL),
        ("§5.1 CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 1, &[]), PROTOCOL),
        ("§5.1 DATA after the end of a request", [request(1), frame(DATA, 0, 1, b"x")].concat(), ended),
        ("§5.1 fields after the end of a request", [request(1), request(1)].concat(), ended),
        ("§5.1.1 a client's stream has an odd number", request(2), PROTOCOL),
        ("§5.1.1 numbers of streams grow", [request(5), request(3)].concat(), ended),
    ])
    .await;
}

/// §5.1.2: streams beyond those that are allowed at a time are refused, and the others are served.
#[tokio::test(flavor = "multi_thread")]
async fn s5_1_2_streams_beyond_the_bound_are_refused() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let address = node.grpc().replace("http://", "");
    let calls: Vec<u8> = (0..400).flat_map(|number| call(2 * number + 1)).collect();
    let reaction = tokio::task::spawn_blocking(move || react(&address, &calls)).await.expect("tried");
    assert!(reaction.serves, "{reaction:?}");
    assert_eq!(reaction.resets, [REFUSED_STREAM; 144]);
    node.stop().await;
}

//----------- Section 6 ------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn s6_frames_of_requests_are_well_formed() {
    try_all(vec![
        ("§6.1 DATA without a stream", frame(DATA, 0, 0, b"x"), PROTOCOL),
        ("§6.1 more padding than payload", [call(1), frame(DATA, PADDED, 1, &[9, 1])].concat(), PROTOCOL),
        ("§6.2 HEADERS without a stream", frame(HEADERS, END_HEADERS, 0, &fields(&SOUND)), PROTOCOL),
        ("§6.2 more padding than fields", frame(HEADERS, PADDED | END_HEADERS, 1, &[9, 0x82]), PROTOCOL),
        ("§6.3 PRIORITY without a stream", frame(PRIORITY, 0, 0, &[0; 5]), PROTOCOL),
        (
            "§6.3 PRIORITY of four octets",
            frame(PRIORITY, 0, 1, &[0; 4]),
            Expected::StreamError(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        ("§6.4 RST_STREAM without a stream", frame(RST_STREAM, 0, 0, &[0; 4]), PROTOCOL),
        ("§6.4 RST_STREAM of three octets", [call(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(), FRAME_SIZE),
        ("§6.6 a client promises nothing", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), PROTOCOL),
        ("§6.10 CONTINUATION without a stream", frame(CONTINUATION, END_HEADERS, 0, &[]), PROTOCOL),
        (
            "§6.10 CONTINUATION of complete fields",
            [request(1), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            PROTOCOL,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_frames_of_connections_are_well_formed() {
    let flow = Expected::ConnectionError(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]);
    let too_wide = 0x7fff_ffff_u32.to_be_bytes();
    try_all(vec![
        ("§6.5 SETTINGS that acknowledge with a payload", frame(SETTINGS, ACK, 0, &[0; 6]), FRAME_SIZE),
        ("§6.5 SETTINGS of a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL),
        ("§6.5 SETTINGS of three octets", frame(SETTINGS, 0, 0, &[0; 3]), FRAME_SIZE),
        ("§6.5.2 ENABLE_PUSH is 0 or 1", setting(2, 2), PROTOCOL),
        ("§6.5.2 INITIAL_WINDOW_SIZE is below 2^31", setting(4, 1 << 31), flow),
        ("§6.5.2 MAX_FRAME_SIZE is at least 2^14", setting(5, 16_383), PROTOCOL),
        ("§6.5.2 MAX_FRAME_SIZE is below 2^24", setting(5, 1 << 24), PROTOCOL),
        ("§6.5.2 unknown settings are ignored", setting(0x99, 1), Expected::Serves),
        ("§6.7 PING of seven octets", frame(PING, 0, 0, &[0; 7]), FRAME_SIZE),
        ("§6.7 PING of a stream", frame(PING, 0, 1, &[0; 8]), PROTOCOL),
        ("§6.8 GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), PROTOCOL),
        ("§6.9 WINDOW_UPDATE of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), PROTOCOL),
        ("§6.9 WINDOW_UPDATE of three octets", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), FRAME_SIZE),
        ("§6.9.1 a window above 2^31-1", frame(WINDOW_UPDATE, 0, 0, &too_wide), flow),
    ])
    .await;
}

/// §6.9: flow control holds for a stream that is open.
#[tokio::test(flavor = "multi_thread")]
async fn s6_9_windows_of_streams_are_bounded() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let address = node.grpc().replace("http://", "");
    let tried = tokio::task::spawn_blocking(move || {
        let cases = [
            ("§6.9 WINDOW_UPDATE of nothing", 0_u32, PROTOCOL_ERROR),
            ("§6.9.1 a window above 2^31-1", 0x7fff_ffff, FLOW_CONTROL_ERROR),
        ];
        let faults = cases.iter().filter_map(|(case, increment, code)| {
            let octets = [call(1), frame(WINDOW_UPDATE, 0, 1, &increment.to_be_bytes())].concat();
            let reaction = react(&address, &octets);
            (reaction.resets != [*code] && reaction.goaway != Some(*code))
                .then(|| format!("{case}: {reaction:?}"))
        });
        faults.collect::<Vec<_>>()
    });
    assert_eq!(tried.await.expect("tried"), Vec::<String>::new());
    node.stop().await;
}

//----------- Section 8 ------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn s8_malformed_requests_are_refused() {
    let [method, scheme, path, authority] = SOUND;
    try_all(vec![
        ("§8.2.1 a field name in capitals", request_with(&[("X-More", "yes")]), Expected::Malformed),
        ("§8.2.2 a field of connections", request_with(&[("connection", "close")]), Expected::Malformed),
        ("§8.2.2 TE other than trailers", request_with(&[("te", "gzip")]), Expected::Malformed),
        ("§8.3 a pseudo-header that is unknown", request_with(&[(":more", "yes")]), Expected::Malformed),
        ("§8.3 a pseudo-header of answers", request_with(&[(":status", "200")]), Expected::Malformed),
        (
            "§8.3 a pseudo-header after a field",
            request_of(&[method, scheme, path, ("x-more", "yes"), authority]),
            Expected::Malformed,
        ),
        ("§8.3.1 a request without a method", request_of(&[scheme, path, authority]), Expected::Malformed),
        ("§8.3.1 a request without a scheme", request_of(&[method, path, authority]), Expected::Malformed),
        ("§8.3.1 a request without a path", request_of(&[method, scheme, authority]), Expected::Malformed),
        (
            "§8.3.1 an empty path",
            request_of(&[method, scheme, (":path", ""), authority]),
            Expected::Malformed,
        ),
        ("§8.3.1 two methods", request_of(&[method, method, scheme, path, authority]), Expected::Malformed),
        (
            "§8.1.1 less content than announced",
            [
                frame(HEADERS, END_HEADERS, 1, &[fields(&CALL), field("content-length", "9")].concat()),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
            Expected::Malformed,
        ),
    ])
    .await;
}
