//! Memory at the gRPC front end: what a client can make a node hold is bounded, whatever it sends and however little it
//! reads.
//!
//! The node is a process of its own, so that its memory is nobody else's.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::select_all;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use idnode::wire::proto;
use prost::Message;
use tokio::net::TcpSocket;
use tonic::codegen::http::{Request, Response};
use uuid::Uuid;

use crate::support::clients::{GrpcClient, http_get};
use crate::support::eventually::eventually;
use crate::support::node::{NodeProcess, admin_token, give_server_key};

const APPLY_BATCH: &str = "/idnode.v1.RegistrationService/ApplyBatch";
const REGISTER: &str = "/idnode.v1.RegistrationService/Register";
const RESOLVE_BATCH: &str = "/idnode.v1.ResolutionService/ResolveBatch";
const RESOLVE_STREAM: &str = "/idnode.v1.ResolutionService/ResolveStream";

/// Empty messages in one of 4 MiB.
const EMPTY_MESSAGES: usize = 2_097_100;
/// What a node may take beyond what it had, in MiB.
const GROWTH_MAX_MIB: u64 = 220;

//----------- Clients --------------------------------------------------------

/// Starts a node that homes `88.118.8`, with one identifier of 230,000 bytes.
async fn node(directory: &tempfile::TempDir) -> NodeProcess {
    let data = directory.path().join("data");
    give_server_key(&data);
    let node = NodeProcess::start(&data, &[]);
    let client = GrpcClient::connect(node.grpc(), Some(&admin_token(&data))).await;
    client.home("88.118.8").await.expect("homed");
    client.register("88.118.8/large", &"x".repeat(230_000)).await.expect("registered");
    node
}

/// An HTTP/2 connection from an address, whose streams have so many bytes of window.
async fn connect(node: &NodeProcess, from: &str, window: u32) -> SendRequest<Bytes> {
    let address: SocketAddr = node.grpc().trim_start_matches("http://").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("bound");
    let stream = socket.connect(address).await.expect("connected");
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(16 * 1024 * 1024)
        .handshake::<_, Bytes>(stream)
        .await
        .expect("HTTP/2");
    tokio::spawn(async move {
        // It ends when the test is done with it.
        let _ended = connection.await;
    });
    sender
}

/// Begins a call and sends bytes, without ending it.
async fn begin(
    sender: &mut SendRequest<Bytes>,
    path: &str,
    bytes: Bytes,
) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "gzip")
        .body(())
        .expect("a request");
    let mut ready = sender.clone().ready().await.expect("a stream is free");
    let (response, mut stream) = ready.send_request(request, false).expect("sent");
    stream.send_data(bytes, false).expect("sent");
    (response, stream)
}

/// A message in the frame of gRPC.
fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.put_slice(message);
    frame.freeze()
}

fn compressed(message: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).expect("in memory");
    framed(1, &encoder.finish().expect("in memory"))
}

fn bomb(path: &str) -> Bytes {
    match path {
        APPLY_BATCH => compressed(&[0x12, 0].repeat(EMPTY_MESSAGES)),
        RESOLVE_BATCH => compressed(&[0x0a, 0].repeat(EMPTY_MESSAGES)),
        _ => {
            let registration = proto::Registration {
                values: vec![proto::Value::default(); EMPTY_MESSAGES - 20],
                ..proto::Registration::default()
            };
            let request = proto::RegisterRequest {
                registration: Some(registration),
                ..proto::RegisterRequest::default()
            };
            compressed(&request.encode_to_vec())
        }
    }
}

fn header<'r>(response: &'r Response<RecvStream>, name: &str) -> &'r str {
    response.headers().get(name).map(|value| value.to_str().expect("ASCII")).unwrap_or_default()
}

//----------- Requests -------------------------------------------------------

/// 4 KB of gzip are 4 MiB of empty messages, hundreds of MiB if they were decoded. They are refused by their number, and
/// until the client ends its call they are a few KB.
#[tokio::test(flavor = "multi_thread")]
async fn empty_messages_do_not_multiply_when_decoded() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&directory).await;
    let before = node.resident_peak_mib();
    let mut sender = connect(&node, "127.0.0.1", 65_535).await;
    let mut calls = Vec::new();
    for path in [APPLY_BATCH, RESOLVE_BATCH, REGISTER] {
        let message = bomb(path);
        assert!(message.len() < 8_192, "{} bytes", message.len());
        for _ in 0..3 {
            calls.push((path, begin(&mut sender, path, message.clone()).await));
        }
    }
    for (path, (response, mut stream)) in calls {
        stream.send_data(Bytes::new(), true).expect("ended");
        let response = response.await.expect("answered");
        let expected = if path == REGISTER { "8" } else { "3" };
        assert_eq!(header(&response, "grpc-status"), expected, "{path}: {:?}", response.headers());
    }
    let growth = node.resident_peak_mib() - before;
    assert!(growth < GROWTH_MAX_MIB, "the node took {growth} MiB more");
}

/// A message whose first part has too many items is refused for that: what is behind, no gzip here, is not inflated.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_a_bound_is_inflated_no_further() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&directory).await;
    let mut sender = connect(&node, "127.0.0.1", 65_535).await;
    for (path, expected) in [(APPLY_BATCH, "3"), (RESOLVE_BATCH, "3"), (REGISTER, "8")] {
        let message = bomb(path);
        let half = &message[5..message.len() / 2];
        let cut = framed(1, &[half, &[0xff; 100]].concat());
        let (response, mut stream) = begin(&mut sender, path, cut).await;
        stream.send_data(Bytes::new(), true).expect("ended");
        let response = response.await.expect("answered");
        assert_eq!(header(&response, "grpc-status"), expected, "{path}: {:?}", response.headers());
    }
}

/// Messages that never come whole are held until the share of their connection is spent; then calls are refused.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_not_ended_are_bounded_per_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&directory).await;
    let before = node.resident_peak_mib();
    let mut sender = connect(&node, "127.0.0.1", 65_535).await;
    // The header announces 4 MiB, of which one comes.
    let message = Bytes::from([&[0, 0, 64, 0, 0][..], &[0x12, 0].repeat(500_000)].concat());
    let (mut responses, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let (response, stream) = begin(&mut sender, APPLY_BATCH, message.clone()).await;
        responses.push(response);
        streams.push(stream);
    }
    let first = tokio::time::timeout(Duration::from_secs(60), select_all(responses)).await;
    let (refused, _, waiting) = first.expect("a call is refused");
    assert_eq!(header(&refused.expect("answered"), "grpc-status"), "8");
    assert!(waiting.len() == 199 && streams.len() == 200);
    let growth = node.resident_peak_mib() - before;
    assert!(growth < GROWTH_MAX_MIB, "the node took {growth} MiB more");
}

//----------- Streams --------------------------------------------------------

/// Streams on which nothing is sent, or nothing is read, take little: hundreds of one address leave most of its share free.
///
/// ```text
///   127.0.0.1 ── 4 connections, 128 streams each: silent, or with a question and a closed window ──▶ node
///   127.0.0.1, 127.0.0.2 ── a stream that asks ──▶ node ──▶ answered
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn idle_streams_are_cheap() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&directory).await;
    let question = proto::Question { identifier: "88.118.8/large".to_owned(), ..proto::Question::default() };
    let asked = |identifier: &str| {
        let question = proto::Question { identifier: identifier.to_owned(), ..question.clone() };
        framed(0, &proto::ResolveStreamRequest { number: 1, question: Some(question) }.encode_to_vec())
    };
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut sender = connect(&node, "127.0.0.1", 0).await;
        for number in 0..128 {
            let sent = if number % 2 == 0 { Bytes::new() } else { asked("88.118.8/absent") };
            let (response, stream) = begin(&mut sender, RESOLVE_STREAM, sent).await;
            let response = response.await.expect("answered");
            assert_eq!(header(&response, "grpc-status"), "", "after {} streams", idle.len());
            idle.push((response, stream));
        }
    }
    for from in ["127.0.0.1", "127.0.0.2"] {
        let mut sender = connect(&node, from, 1 << 20).await;
        let (response, mut stream) = begin(&mut sender, RESOLVE_STREAM, asked("88.118.8/large")).await;
        stream.send_data(Bytes::new(), true).expect("ended");
        let mut body = response.await.expect("answered").into_body();
        let mut bytes = 0;
        while let Some(data) = body.data().await {
            bytes += data.expect("whole").len();
        }
        assert!(bytes > 230_000, "{bytes} bytes to {from}");
    }
    let (_, metrics) = http_get(node.http(), "/metrics");
    let bytes = metrics.lines().find_map(|line| line.strip_prefix("idnode_grpc_memory_bytes "));
    let bytes: usize = bytes.expect("a metric").parse().expect("a number");
    assert!(bytes < 24 * 1024 * 1024, "{} idle streams hold {bytes} bytes", idle.len());
}

//----------- Answers --------------------------------------------------------

/// Pages whose largest size is several times the share of their source are all answered when they are read at once: they end
/// early, and go on by their tokens until everything was read.
#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_read_at_once_are_all_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&directory).await;
    let token = admin_token(&directory.path().join("data"));
    let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
    client.home("88.118.9").await.expect("homed");
    for number in 0..PAGED {
        let data = format!("{number}{}", "x".repeat(60_000));
        client.register(&format!("88.118.9/{number:02}"), &data).await.expect("registered");
        let item = overwriting("88.118.9/00", &format!("again {data}"));
        let outcomes = client.apply(Uuid::now_v7(), vec![item]).await.expect("applied");
        assert!(matches!(outcomes[0].result, Some(proto::outcome::Result::Receipt(_))), "{outcomes:?}");
    }
    let (mut readers, mut pages) = (tokio::task::JoinSet::new(), 0);
    for _ in 0..24 {
        let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
        readers.spawn(async move { (read_list(&client).await, read_history(&client).await) });
    }
    let names: Vec<String> = (0..PAGED).map(|number| format!("88.118.9/{number:02}")).collect();
    let versions: Vec<u64> = (1..=PAGED + 1).rev().collect();
    while let Some(read) = readers.join_next().await {
        let ((listed, list_pages), (recounted, history_pages)) = read.expect("every page is answered");
        assert_eq!(listed, names);
        assert_eq!(recounted, versions);
        pages += list_pages + history_pages;
    }
    assert!(pages < 24 * 2 * PAGED, "{pages} pages");
}

/// Identifiers of a list, and changes of a history beside the first: each nearly fills a page.
const PAGED: u64 = 64;

fn overwriting(identifier: &str, data: &str) -> proto::Item {
    let registration = proto::Registration {
        target: Some(proto::registration::Target::Identifier(identifier.to_owned())),
        values: vec![proto::Value {
            index: 1,
            r#type: "URL".to_owned(),
            data: data.as_bytes().to_vec(),
            ..proto::Value::default()
        }],
        overwrite: true,
        ..proto::Registration::default()
    };
    proto::Item { number: 0, command: Some(proto::item::Command::Register(registration)) }
}

/// The identifiers of all pages of a list, and the number of the pages.
async fn read_list(client: &GrpcClient) -> (Vec<String>, u64) {
    let (mut listed, mut pages) = (Vec::new(), 0);
    let mut request = proto::ListIdentifiersRequest {
        prefix: "88.118.9".to_owned(),
        page_size: 10_000,
        ..proto::ListIdentifiersRequest::default()
    };
    loop {
        let page = client.list_page(request.clone()).await.expect("a page of the list");
        listed.extend(page.identifiers.into_iter().map(|found| found.identifier));
        pages += 1;
        if page.next_page_token.is_empty() {
            return (listed, pages);
        }
        request.page_token = page.next_page_token;
    }
}

/// The versions of all pages of a history, and the number of the pages.
async fn read_history(client: &GrpcClient) -> (Vec<u64>, u64) {
    let (mut versions, mut pages) = (Vec::new(), 0);
    let mut request = proto::GetHistoryRequest {
        identifier: "88.118.9/00".to_owned(),
        page_size: 10_000,
        ..proto::GetHistoryRequest::default()
    };
    loop {
        let page = client.history_page(request.clone()).await.expect("a page of the history");
        versions.extend(page.changes.into_iter().map(|change| change.version));
        pages += 1;
        if page.next_page_token.is_empty() {
            return (versions, pages);
        }
        request.page_token = page.next_page_token;
    }
}

/// Answers of 4 MB to a client that reads none: what is beyond its share is refused, others are served meanwhile, and
/// everything is free when the client leaves.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_read_are_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = node(&directory).await;
    let before = node.resident_peak_mib();
    let mut sender = connect(&node, "127.0.0.1", 0).await;
    let question = proto::Question { identifier: "88.118.8/large".to_owned(), ..proto::Question::default() };
    let message =
        framed(0, &proto::ResolveBatchRequest { questions: vec![question.clone(); 17] }.encode_to_vec());
    let (mut answered, mut refused) = (Vec::new(), 0);
    for _ in 0..100 {
        let (response, mut stream) = begin(&mut sender, RESOLVE_BATCH, message.clone()).await;
        stream.send_data(Bytes::new(), true).expect("ended");
        let response = response.await.expect("answered");
        match header(&response, "grpc-status") {
            "" => answered.push(response),
            "8" => refused += 1,
            other => panic!("status {other}: {:?}", response.headers()),
        }
    }
    assert!(refused > 50, "{} answered, {refused} refused", answered.len());
    assert!(!answered.is_empty());
    let stream_message =
        framed(0, &proto::ResolveStreamRequest { number: 1, question: Some(question) }.encode_to_vec());
    let mut other = connect(&node, "127.0.0.2", 1 << 20).await;
    let (response, mut stream) = begin(&mut other, RESOLVE_STREAM, stream_message).await;
    stream.send_data(Bytes::new(), true).expect("ended");
    let mut body = response.await.expect("answered").into_body();
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        bytes += data.expect("whole").len();
    }
    assert!(bytes > 230_000, "{bytes} bytes");
    let growth = node.resident_peak_mib() - before;
    assert!(growth < GROWTH_MAX_MIB, "the node took {growth} MiB more");
    drop((sender, answered, other, body));
    eventually("the memory is free", || {
        let (_, metrics) = http_get(node.http(), "/metrics");
        let free = metrics.lines().any(|line| line == "idnode_grpc_memory_bytes 0");
        assert!(metrics.contains("idnode_grpc_memory_refusals_total{bound=\"connection\"} "), "{metrics}");
        free.then_some(())
    });
}
