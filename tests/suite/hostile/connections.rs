//! Many connections of one address: it takes its share of every front end, and the others are served.
//!
//! ```text
//!   127.0.0.1 ── many connections: idle, half a request, half a handshake ──▶ node ◀── 127.0.0.2: questions, answered
//! ```

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use idnode::config::Config;
use idnode::store::EngineKind;
use idnode::wire::proto::answer;
use socket2::{Domain, Socket, Type};
use tonic::transport::Endpoint;
use tonic_types::StatusExt;

use crate::support::clients::GrpcClient;
use crate::support::eventually::eventually;
use crate::support::handle::{Request, TcpClient};
use crate::support::node::{NodeProcess, TestNode, admin_token};

/// Connections that the attacking address opens to each front end.
const ATTACK: usize = 40;
/// Slots of each front end.
const SLOTS: usize = 16;
/// Slots of one address.
const SLOTS_PER_SOURCE: usize = 8;
/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long a connection is safe from eviction in favor of its equals.
const IDLE_MIN: Duration = Duration::from_secs(10);

/// Connects from an address of this machine.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("bound");
    socket.connect(&to.into()).expect("connected");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
    stream
}

fn few_slots(config: &mut Config) {
    let limits = [
        &mut config.grpc.connections,
        &mut config.dns.connections,
        &mut config.handle.connections,
        &mut config.http.connections,
    ];
    for limits in limits {
        (limits.max, limits.per_source_max) = (SLOTS, SLOTS_PER_SOURCE);
    }
}

/// Address of an HTTP or gRPC URL.
fn address(url: &str) -> SocketAddr {
    let (_, address) = url.split_once("://").expect("a URL");
    address.parse().expect("an address")
}

/// Whether the node has closed its end.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// A sample of a metric.
fn sample(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().expect("a number")
}

/// The status of an answer to a GET over a connection, and all of its text.
fn get(mut stream: TcpStream, path: &str) -> (u16, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while !text.contains("\r\n\r\n") {
        let length = stream.read(&mut buffer).expect("an answer");
        assert_ne!(length, 0, "closed before the answer to {path}: {text}");
        text.push_str(&String::from_utf8_lossy(buffer.get(..length).expect("within the buffer")));
    }
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, text)
}

fn ask_dns(mut stream: TcpStream) {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii("id.internal.").expect("a name"), RecordType::SOA));
    let question = message.to_vec().expect("it encodes");
    let length = u16::try_from(question.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length[..], &question].concat()).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(Message::from_vec(&answer).expect("an answer decodes").id, 7);
}

async fn grpc_from(last: u8, url: &str, token: Option<&str>) -> GrpcClient {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL").timeout(ANSWER_MAX);
    let endpoint = endpoint.local_address(Some(IpAddr::from([127, 0, 0, last])));
    GrpcClient::over(endpoint.connect().await.expect("connected"), token)
}

/// Another address is served by every front end.
async fn others_are_served(node: &TestNode) {
    let (status, text) = get(connect_from(2, address(node.http())), "/api/handles?prefix=88.118.8");
    assert_ne!(status, 503, "{text}");
    assert_eq!(get(connect_from(2, address(node.http())), "/healthz").0, 200);
    ask_dns(connect_from(2, node.dns()));
    let mut handle = TcpClient(connect_from(2, node.handle()));
    assert_eq!(handle.ask(&Request::resolve("77.7/x")).code(), 301);
    let client = grpc_from(2, node.grpc(), None).await;
    let answered = client.resolve("77.7/x").await.expect("an answer");
    assert!(matches!(answered, answer::Answer::NotResponsible(_)), "{answered:?}");
}

/// Opens many connections from one address to every front end, each of which says the beginning of something.
async fn attack(node: &TestNode, beginnings: [&[u8]; 4]) {
    let front_ends = [
        ("http", address(node.http())),
        ("grpc", address(node.grpc())),
        ("dns", node.dns()),
        ("handle", node.handle()),
    ];
    let mut open = Vec::new();
    for ((name, to), beginning) in front_ends.into_iter().zip(beginnings) {
        let streams: Vec<TcpStream> = (0..ATTACK)
            .map(|_| {
                let mut stream = connect_from(1, to);
                // One that was refused may be closed already.
                let _refused = stream.write_all(beginning);
                stream
            })
            .collect();
        open.push((name, streams));
    }
    others_are_served(node).await;
    for (name, mut streams) in open {
        eventually("the connections beyond the quota are closed", || {
            let open = streams.iter_mut().filter_map(|stream| (!is_closed(stream)).then_some(())).count();
            (open <= SLOTS_PER_SOURCE).then_some(())
        });
        let (_, page) = get_metrics(node);
        let refused = sample(&page, &format!("idnode_{name}_connections_refused_total{{reason=\"source\"}}"));
        assert!(refused >= u64::try_from(ATTACK - SLOTS_PER_SOURCE).expect("few"), "{name}: {refused}");
        assert!(sample(&page, &format!("idnode_{name}_connections_open ")) > 0, "{name}");
    }
}

/// The metrics, asked for by an address of its own.
fn get_metrics(node: &TestNode) -> (u16, String) {
    let mut stream = connect_from(3, address(node.http()));
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    (200, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_one_address_keep_nobody_out() {
    let node = TestNode::start_with(EngineKind::Fjall, few_slots).await;
    attack(&node, [b"", b"", b"", b""]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_requests_of_one_address_keep_nobody_out() {
    let node = TestNode::start_with(EngineKind::Fjall, few_slots).await;
    attack(&node, [b"GET /heal", b"PRI * HTTP/2.0\r\n", b"\0\x28\x01", b"\x02\x0a\x02\x0a\0\0"]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_handshakes_of_one_address_keep_nobody_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.path().join("node.crt"), directory.path().join("node.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let node = TestNode::start_with(EngineKind::Fjall, |config| {
        few_slots(config);
        config.tls.certificate = Some(certificate);
        config.tls.key = Some(key);
    })
    .await;
    let record: &[u8] = b"\x16\x03\x01\x02\0\x01\0\x01";
    let front_ends =
        [("http", address(node.http())), ("grpc", address(node.grpc())), ("handle", node.handle())];
    let mut open = Vec::new();
    for (_, to) in front_ends {
        for _ in 0..ATTACK {
            let mut stream = connect_from(1, to);
            let _refused = stream.write_all(record);
            open.push(stream);
        }
    }
    // Plain text from another address is served on the same ports.
    assert_eq!(get(connect_from(2, address(node.http())), "/healthz").0, 200);
    let mut handle = TcpClient(connect_from(2, node.handle()));
    assert_eq!(handle.ask(&Request::resolve("77.7/x")).code(), 301);
    // A handshake of another address is taken up: an unknown handshake message is answered by an alert.
    let mut stream = connect_from(2, address(node.grpc()));
    stream.write_all(b"\x16\x03\x01\0\x04\xff\0\0\0").expect("sent");
    let mut alert = [0; 1];
    stream.read_exact(&mut alert).expect("an alert");
    assert_eq!(alert, [0x15], "RFC 8446 section 5.1: an alert record");
    let (_, page) = get_metrics(&node);
    for (name, _) in front_ends {
        let refused = ["source", "handshakes"].map(|reason| {
            sample(&page, &format!("idnode_{name}_connections_refused_total{{reason=\"{reason}\"}}"))
        });
        let refused: u64 = refused.iter().sum();
        assert!(refused >= u64::try_from(ATTACK - SLOTS_PER_SOURCE).expect("few"), "{name}: {refused}");
    }
    drop(open);
    node.stop().await;
}

/// Takes every ordinary slot of a front end by one connection of each of several addresses, which are not idle for so long
/// that they may be evicted, and looks at what is served beside them.
async fn with_all_slots_taken<Looked: Future<Output = bool>>(to: SocketAddr, look: impl Fn() -> Looked) {
    for _ in 0..20 {
        let begun = Instant::now();
        let open: Vec<TcpStream> = (10..10 + 4).map(|last| connect_from(last, to)).collect();
        if look().await && begun.elapsed() < IDLE_MIN {
            return;
        }
        drop(open);
    }
    panic!("nothing in a reserved slot was served as it should be in twenty tries");
}

fn four_slots(config: &mut Config) {
    for limits in [&mut config.grpc.connections, &mut config.http.connections] {
        (limits.max, limits.per_source_max) = (4, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_the_node_is_can_be_asked_while_all_slots_are_taken() {
    let node = TestNode::start_with(EngineKind::Fjall, four_slots).await;
    let http = address(node.http());
    with_all_slots_taken(http, async || {
        let paths = ["/healthz", "/readyz", "/metrics", "/api/handles/88.118.8/a"];
        let answers = paths.map(|path| get(connect_from(20, http), path));
        let [health, ready, metrics, other] = &answers;
        let all = answers.iter().all(|(_, text)| text.to_ascii_lowercase().contains("connection: close"));
        let retry = other.1.to_ascii_lowercase().contains("retry-after: 5");
        all && retry && [health.0, ready.0, metrics.0, other.0] == [200, 200, 200, 503]
    })
    .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_are_served_over_http_while_all_slots_are_taken() {
    let node = TestNode::start_with(EngineKind::Fjall, four_slots).await;
    let token = admin_token(node.node().data_dir());
    let http = address(node.http());
    with_all_slots_taken(http, async || {
        let ask = |token: &str| {
            let mut stream = connect_from(20, http);
            let head = "GET /api/handles/77.7/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer";
            write!(stream, "{head} {token}\r\n\r\n").expect("sent");
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text).unwrap_or_default()
        };
        let (known, unknown) = (ask(&token), ask("idn_0_0"));
        // The prefix is not homed here, as a request that is served learns.
        known.starts_with("HTTP/1.1 400") && unknown.starts_with("HTTP/1.1 503")
    })
    .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_are_served_over_grpc_while_all_slots_are_taken() {
    let node = TestNode::start_with(EngineKind::Fjall, four_slots).await;
    let token = admin_token(node.node().data_dir());
    with_all_slots_taken(address(node.grpc()), async || {
        let anonymous = grpc_from(20, node.grpc(), None).await.resolve("77.7/x").await;
        let known = grpc_from(20, node.grpc(), Some(&token)).await.resolve("77.7/x").await;
        let reason = |status: tonic::Status| status.get_details_error_info().map(|info| info.reason);
        let refused = anonymous.is_err_and(|status| reason(status).as_deref() == Some("OVERLOADED"));
        refused && matches!(known, Ok(answer::Answer::NotResponsible(_)))
    })
    .await;
    node.stop().await;
}

/// A process that may open few files bounds its connections so that the store has what it needs.
#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_descriptors_to_the_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start_with_descriptors(directory.path(), 1_024);
    let handle = *node.addresses.handle.first().expect("a Handle listener");
    let front_ends = [address(node.http()), address(node.grpc()), node.dns(), handle];
    let mut open = Vec::new();
    for to in front_ends {
        open.extend((1..=4).flat_map(|last| (0..300).map(move |_| last)).map(|last| connect_from(last, to)));
    }
    let client = grpc_from(9, node.grpc(), Some(&admin_token(node.data()))).await;
    client.home("88.118.8").await.expect("the node takes changes");
    for number in 0..50 {
        client.register(&format!("88.118.8/{number}"), "https://example.com/").await.expect("registered");
    }
    let (_, page) = get(connect_from(9, address(node.http())), "/metrics");
    assert!(page.contains("200 OK"), "{page}");
    let ready = eventually("the node is ready", || Some(http_get_from(9, node.http(), "/readyz")));
    assert_eq!(ready, 200);
    let (_, page) = metrics_of(&node);
    let (open_now, max) =
        (sample(&page, "idnode_file_descriptors_open "), sample(&page, "idnode_file_descriptors_max "));
    assert_eq!(max, 1_024);
    assert!(open_now < 1_024 - 256, "{open_now} of {max} descriptors are open");
    assert!(node.log().contains("too low for the configured connections"), "{}", node.log());
    drop(open);
    node.kill();
}

fn http_get_from(last: u8, url: &str, path: &str) -> u16 {
    get(connect_from(last, address(url)), path).0
}

fn metrics_of(node: &NodeProcess) -> (u16, String) {
    let mut stream = connect_from(9, address(node.http()));
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    (200, text)
}
