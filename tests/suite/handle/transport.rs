//! What every way has in common: TLS on the same port, server signatures, and nothing done for those who wait.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use idnode::key::digest::DigestAlgorithm;
use idnode::wire::handle::body::{HandleOnly, Resolution};
use idnode::wire::handle::code::{OpCode, OpFlags};
use idnode::wire::handle::credential::{Credential, covered_bytes};
use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::clients::http_get;
use crate::support::eventually::eventually;
use crate::support::handle::{
    Request, Response, SECRET, Signer, TcpClient, UdpClient, administered, administered_with, rsa_key, value,
    with_handle, with_values,
};
use crate::support::node::TestNode;

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A client that speaks TLS and trusts one certificate.
fn secure(address: SocketAddr, certificate: &rcgen::Certificate) -> TcpClient<TlsStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    TcpClient(StreamOwned::new(connection, TcpClient::connect(address).0))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_plain_text_share_the_port() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.path().join("node.crt"), directory.path().join("node.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let node = administered_with(|config| {
        config.tls.certificate = Some(certificate);
        config.tls.key = Some(key);
    })
    .await;
    let mut private = secure(node.handle(), &made.cert);
    let mut plain = TcpClient::connect(node.handle());
    let question = Request::select("0.NA/88.118.8", &[], &["HS_ADMIN"]);
    assert_eq!(private.ask(&question).values().1.len(), 3);
    assert_eq!(plain.ask(&question).values().1.len(), 3);

    // A password is taken where nobody else reads it.
    let login = |password: &[u8]| {
        let types = vec![password];
        let body = Resolution { handle: b"301:0.NA/88.118.8", indexes: Vec::new(), types };
        let mut request = Request::new(OpCode::LOGIN_PASSWORD, body.encode());
        request.envelope.session = 7;
        request
    };
    assert_eq!(plain.ask(&login(SECRET)).code(), 5);
    assert_eq!(private.ask(&login(b"guess")).code(), 403);
    assert_eq!(private.ask(&login(SECRET)).code(), 1);
    let mut delete = with_handle(OpCode::DELETE, "88.118.8/absent");
    delete.envelope.session = 7;
    assert_eq!(private.ask(&delete).code(), 100, "logged in, and nothing there");
    node.stop().await;
}

fn verify(response: &Response) {
    let message = response.decoded();
    assert!(message.header.flags.has(OpFlags::CERTIFY));
    let credential = message.credential.expect("a signature");
    assert_eq!(credential.kind, Credential::SIGNED);
    let covered = covered_bytes(&response.envelope, 0, message.signed).expect("covered");
    let key = rsa_key().public();
    key.verify(DigestAlgorithm::Sha256, &covered, credential.signature).expect("the server's signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_signed_when_that_is_asked_for() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let udp = UdpClient::connect(node.handle());
    for handle in ["0.NA/88.118.8", "88.118.8/absent", "77.7/x"] {
        let request = Request::resolve(handle).with(OpFlags::CERTIFY);
        verify(&tcp.ask(&request));
        verify(&udp.ask(&request));
    }
    verify(&tcp.ask(&with_handle(OpCode::DELETE, "88.118.8/x").with(OpFlags::CERTIFY)));
    // The key is the one that the site shows.
    let site = tcp.ask(&with_handle(OpCode::GET_SITE_INFO, "/"));
    let shown = rsa_key().public().encode_blob();
    assert!(site.message.windows(shown.len()).any(|window| window == shown));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_gets_no_response() {
    let node = administered().await;
    let udp = UdpClient::connect(node.handle());
    let mut echo = with_handle(OpCode::RESOLUTION, "88.118.8/x");
    echo.header.response.0 = 1;
    udp.send(&echo.packets());
    udp.send(&[b"short".to_vec(), Vec::new()]);
    // Only what follows is answered.
    let request = Request::new(OpCode::GET_SITE_INFO, HandleOnly(b"/").encode());
    udp.send(&request.packets());
    let response = udp.receive();
    assert_eq!((response.code(), response.envelope.request), (1, request.envelope.request));
    node.stop().await;
}

/// Whether a client has something to read.
fn is_answered(client: &TcpClient) -> bool {
    client.0.set_nonblocking(true).expect("set");
    let is_answered = client.0.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
    client.0.set_nonblocking(false).expect("set");
    is_answered
}

/// A message of so many bytes.
fn message_of(bytes: usize) -> Vec<u8> {
    Request::new(OpCode::RESOLUTION, vec![0; bytes]).bytes()
}

/// Clients of which each sends so many bytes of a message of 250,000.
fn begin_messages(server: SocketAddr, clients: usize, sent: usize) -> Vec<TcpClient> {
    begin(server, clients, message_of(250_000).get(..sent).expect("a beginning"))
}

fn begin(server: SocketAddr, clients: usize, bytes: &[u8]) -> Vec<TcpClient> {
    let open = |_| {
        let mut client = TcpClient::connect(server);
        client.send(bytes);
        client
    };
    (0..clients).map(open).collect()
}

/// Bytes of the memory budget that are in use.
fn memory_in_use(node: &TestNode) -> u64 {
    let (_, page) = http_get(node.http(), "/metrics");
    let line =
        page.lines().find_map(|line| line.strip_prefix("idnode_handle_memory_bytes ")).expect("a gauge");
    line.parse().expect("a number")
}

/// Clients that take the memory of their source, 16 MiB, by messages of which a part has come. 32 messages find none.
fn spend_memory(node: &TestNode) -> Vec<TcpClient> {
    let server = node.handle();
    let mut clients = begin_messages(server, 60, 200_000);
    let sixty = 60 * (u64::try_from(message_of(250_000).len()).expect("small"));
    eventually("sixty large messages are held", || (memory_in_use(node) == sixty).then_some(()));
    // What is left holds 88 messages of 20,000 bytes.
    let small = message_of(20_000);
    clients.extend(begin(server, 120, small.get(..19_000).expect("a beginning")));
    let refused = eventually("messages are refused", || {
        let answered: Vec<usize> =
            (0..clients.len()).filter(|number| clients.get(*number).is_some_and(is_answered)).collect();
        (answered.len() >= 32).then_some(answered)
    });
    assert_eq!(refused.len(), 32);
    for number in refused {
        let client = clients.get_mut(number).expect("a client");
        assert_eq!(client.receive().code(), 3, "too busy");
        client.send(small.get(19_000..).expect("the rest"));
        assert_eq!(client.ask(&Request::resolve("77.7/x")).code(), 301, "the connection goes on");
    }
    clients
}

/// A client that only announces large messages takes no memory of others.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_takes_no_memory() {
    let node = administered().await;
    node.client().await.register("88.118.8/large", &"x".repeat(200_000)).await.expect("registered");
    let _clients = begin_messages(node.handle(), 300, 30);
    let mut client = TcpClient::connect(node.handle());
    assert_eq!(client.ask(&Request::resolve("88.118.8/large")).code(), 1);
    // The memory of the answer is given back once it is written, which may be after the client has read it.
    eventually("only announced messages are held, without memory", || {
        (memory_in_use(&node) == 0).then_some(())
    });
    node.stop().await;
}

/// What is beyond the memory of one source is answered as too busy at once, and the messages of another source are taken.
#[tokio::test(flavor = "multi_thread")]
async fn large_messages_of_one_source_leave_memory_to_others() {
    let node = administered().await;
    let _clients = spend_memory(&node);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).expect("bound");
    socket.connect(&node.handle().into()).expect("connected");
    let mut other = TcpClient(TcpStream::from(socket));
    other.send(&message_of(250_000));
    assert_eq!(other.receive().code(), 102, "read: an empty handle is none");
    node.stop().await;
}

/// While the memory is spent, a large answer is refused as too busy, and the outcome of a change that came with its question
/// is reported.
#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_change_is_reported_while_memory_is_spent() {
    let node = administered().await;
    node.client().await.register("88.118.8/large", &"x".repeat(200_000)).await.expect("registered");
    let mut client = TcpClient::connect(node.handle());
    let challenge = client.ask(&with_values(
        OpCode::CREATE,
        "88.118.8/new",
        vec![value(1, "URL", b"https://example.com")],
    ));
    let (large, proof) = (Request::resolve("88.118.8/large"), Signer::secret().answer(&challenge));
    let clients = spend_memory(&node);
    client.send(&[large.bytes(), proof.bytes(), large.bytes()].concat());
    let codes: Vec<u32> = (0..3).map(|_| client.receive().code()).collect();
    assert_eq!(codes, [3, 1, 3], "too busy, created, too busy");
    drop(clients);
    eventually("the large answer finds memory", || (client.ask(&large).code() == 1).then_some(()));
    node.stop().await;
}
