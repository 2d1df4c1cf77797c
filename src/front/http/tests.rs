//! The HTTP front end over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Uri, Version, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::transport::authentication::{Intent, Readers, RequestCredentials, Schemes};
use super::transport::connection::Client;
use super::transport::rejection::Rejection;
use super::{HttpDependencies, HttpOptions, HttpServer, Readiness, Reason, Tunnel};
use crate::authority::caller::Caller;
use crate::front::listen::budget::MemoryLimits;
use crate::key::PrivateKey;
use crate::registry::tests::fixture::{Fixture, register};
use crate::resolver::{Resolver, ResolverOptions};
use crate::store::EngineKind;
use crate::telemetry::Metrics;

fn server_key() -> Arc<PrivateKey> {
    let random = |bytes: &mut [u8]| bytes.fill(7);
    Arc::new(PrivateKey::generate_sm2(&random))
}

fn server(fixture: &Fixture, readiness: Readiness, metrics: Arc<Metrics>) -> HttpServer {
    server_with(fixture, readiness, metrics, None)
}

fn server_with(
    fixture: &Fixture,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    tunnel: Option<Tunnel>,
) -> HttpServer {
    let dependencies = dependencies(fixture, readiness, metrics, tunnel);
    HttpServer::new(&HttpOptions::default(), dependencies, None).expect("a front end")
}

fn dependencies(
    fixture: &Fixture,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    tunnel: Option<Tunnel>,
) -> HttpDependencies {
    let authority = fixture.authority.clone();
    let resolver = Resolver::new(fixture.store.clone(), authority.clone(), ResolverOptions::default());
    let resolver = Arc::new(resolver);
    let registry = Arc::clone(&fixture.registry);
    let crypto_pool = Arc::default();
    HttpDependencies {
        registry,
        authority,
        resolver,
        readiness,
        metrics,
        server_key: server_key(),
        crypto_pool,
        tunnel,
    }
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().expect("a status line").to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics_are_served_until_it_drains() {
    let metrics = Arc::new(Metrics::default());
    metrics.add(|page| page.counter("idnode_one_total", "First.", 7));
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stopped);
    let reason = Reason { code: "READ_ONLY", message: "the journal is \"behind\"".into() };
    let readiness = move || if seen.load(Ordering::Relaxed) { vec![reason.clone()] } else { Vec::new() };
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let server = server(&fixture, Arc::new(readiness), metrics);
    // An address that no other test listens at: once left, its port stays without a listener.
    let listener = TcpListener::bind("127.72.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (drain, drained) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async move { drained.await.unwrap_or(()) }));

    assert_eq!(get(address, "/healthz").await, ("HTTP/1.1 200 OK".into(), "{\"status\":\"live\"}\n".into()));
    assert_eq!(get(address, "/readyz").await, ("HTTP/1.1 200 OK".into(), "{\"status\":\"ready\"}\n".into()));
    stopped.store(true, Ordering::Relaxed);
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(
        body,
        "{\"status\":\"not ready\",\"reasons\":[{\"code\":\"READ_ONLY\",\"message\":\"the journal is \\\"behind\\\"\"}]}\n"
    );
    let (_, body) = get(address, "/metrics").await;
    assert!(body.ends_with("\nidnode_one_total 7\n"), "{body}");
    assert_eq!(get(address, "/elsewhere").await.0, "HTTP/1.1 404 Not Found");
    let (status, body) = get(address, "/api/none").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert_eq!(body, "{\"responseCode\":4,\"message\":\"Unknown HTTP API endpoint GET /api/none\"}");

    drain.send(()).expect("still serving");
    serving.await.expect("served");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is still open");
}

/// Memory for one request at a time and for a small answer.
const ONE_REQUEST: MemoryLimits = MemoryLimits { total: 24_000, source: 24_000, connection: 24_000 };

/// A native message that is carried holds the memory of its request. Meanwhile nothing is done for another, and how the node
/// is can be asked, also where the page of metrics is larger than what is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_finds_no_memory_is_refused_before_anything_is_done() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/large", &"x".repeat(50_000))).await.expect("registered");
    let (reached, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let carried = Arc::new(AtomicUsize::new(0));
    let (arrived, gate, count) = (Arc::clone(&reached), Arc::clone(&released), Arc::clone(&carried));
    let tunnel: Tunnel = Arc::new(move |carried| {
        count.fetch_add(1, Ordering::Relaxed);
        let (arrived, gate) = (Arc::clone(&arrived), Arc::clone(&gate));
        Box::pin(async move {
            arrived.notify_one();
            gate.notified().await;
            carried.message
        })
    });
    let metrics = Arc::new(Metrics::default());
    metrics.add(|page| (0..1_000).for_each(|_| page.counter("idnode_one_total", "A page of 50 KB.", 7)));
    let dependencies = dependencies(&fixture, Arc::new(Vec::new), metrics, Some(tunnel));
    let server = HttpServer::new_within(ONE_REQUEST, &HttpOptions::default(), dependencies, None);
    let server = server.expect("a front end");
    let memory = server.memory();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(server.serve(listener, std::future::pending()));

    assert_eq!(get(address, "/api/handles/88.118/absent").await.0, "HTTP/1.1 404 Not Found");
    assert_eq!(get(address, "/api/handles/88.118/large").await.0, "HTTP/1.1 503 Service Unavailable");
    let mut first = send(address, &(native(5) + "whole")).await;
    reached.notified().await;
    let closing = native(5).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let (mut second, mut refused) = (send(address, &(closing + "other")).await, String::new());
    second.read_to_string(&mut refused).await.expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(
        refused.contains("too much memory is in use by requests and answers of this address"),
        "{refused}"
    );
    assert_eq!(get(address, "/api/handles/88.118/absent").await.0, "HTTP/1.1 503 Service Unavailable");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(address, path).await.0, "HTTP/1.1 200 OK", "{path}");
    }
    released.notify_one();
    read_answer(&mut first, "whole").await;
    assert_eq!(carried.load(Ordering::Relaxed), 1, "the second was not carried");
    assert_eq!(get(address, "/api/handles/88.118/absent").await.0, "HTTP/1.1 404 Not Found");
    assert_eq!(memory.refusals(), [("connection", 1), ("source", 2), ("total", 0)]);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let server = server(&fixture, Arc::new(Vec::new), Arc::new(Metrics::default()));
    let server = HttpServer { silence_max: Duration::from_millis(20), ..server };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(server.serve(listener, std::future::pending()));
    let mut silent = TcpStream::connect(address).await.expect("connected");
    silent.write_all(b"GET /healthz HT").await.expect("sent");
    let mut rest = Vec::new();
    // Closed in order, or reset where the half request came just as the connection closed: an end either way.
    let ended = timeout(Duration::from_secs(60), silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert_eq!(rest, b"", "half a request was answered");
    serving.abort();
}

/// The head of a native message of so many bytes.
fn native(bytes: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-hdl-message\r\n\
         Content-Length: {bytes}\r\n\r\n"
    )
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream
}

/// Reads one answer, whose connection stays.
async fn read_answer(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut piece = [0; 1_024];
        let read = stream.read(&mut piece).await.expect("an answer");
        assert_ne!(read, 0, "closed after {text:?}");
        text.push_str(core::str::from_utf8(&piece[..read]).expect("text"));
    }
    text
}

/// ```text
///   fresh, idle, half a head (first or second), half a body ──▶ closed ┐
///   whole, its answer held back ───────────────────────────────────────┴─ let go ──▶ answered, closed
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_answers_what_came_in_whole_and_closes_the_rest_before() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let (reached, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrived, gate) = (Arc::clone(&reached), Arc::clone(&released));
    let tunnel: Tunnel = Arc::new(move |carried| {
        let (arrived, gate) = (Arc::clone(&arrived), Arc::clone(&gate));
        Box::pin(async move {
            arrived.notify_one();
            gate.notified().await;
            carried.message
        })
    });
    let server = server_with(&fixture, Arc::new(Vec::new), Arc::default(), Some(tunnel));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (drain, drained) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async move { drained.await.unwrap_or(()) }));

    let mut whole = send(address, &(native(5) + "whole")).await;
    reached.notified().await;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle = send(address, request).await;
    read_answer(&mut idle, "\"live\"}\n").await;
    let mut second = send(address, request).await;
    read_answer(&mut second, "\"live\"}\n").await;
    second.write_all(b"GET /healthz HT").await.expect("sent");
    let (fresh, head) = (send(address, "").await, send(address, "GET /healthz HT").await);
    let body = send(address, &(native(9) + "half")).await;

    drain.send(()).expect("still serving");
    for (name, mut stream) in
        [("fresh", fresh), ("idle", idle), ("head", head), ("second", second), ("body", body)]
    {
        let mut rest = Vec::new();
        // A close with bytes unread is a reset.
        let ended = stream.read_to_end(&mut rest).await.map_err(|error| error.kind());
        assert!(
            matches!(ended, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)),
            "{name}: {ended:?} {rest:?}"
        );
    }
    assert!(!serving.is_finished(), "the answer under way was cut off");
    released.notify_one();
    let mut answer = String::new();
    whole.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nwhole"), "{answer}");
    serving.await.expect("served");
}

/// Who sent a question with these headers.
async fn admit(server: &HttpServer, client: &Client, headers: &HeaderMap) -> Result<Caller, Rejection> {
    let (intent, readers) = (Intent::Question, Readers::Client);
    let target = (Version::HTTP_11, &Uri::from_static("/"));
    server.faces.authenticator.admit(RequestCredentials { headers, client, target, intent, readers }).await
}

/// Nobody may take the answer to a question with credentials for one that these credentials earned.
#[tokio::test]
async fn credentials_that_others_could_read_are_refused_and_not_ignored() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    for allow_tokens_in_plain_text in [false, true] {
        let options = HttpOptions { allow_tokens_in_plain_text, ..HttpOptions::default() };
        let dependencies = dependencies(&fixture, Arc::new(Vec::new), Arc::default(), None);
        let server = HttpServer::new(&options, dependencies, None).expect("a front end");
        let client = Client::of(SocketAddr::from(([192, 0, 2, 1], 4_000)), &server.memory());
        let expected = if allow_tokens_in_plain_text { Schemes::Tokens } else { Schemes::None };
        for shown in ["Basic MzAwJTNBODguMTE4L2E6cHc=", "Handle sessionId=\"a\"", "Digest a"] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(shown))]);
            let refused = admit(&server, &client, &headers).await.expect_err(shown);
            assert!(refused.to_string().contains("over TLS only: send them to https://"), "{refused}");
            assert_eq!(server.faces.authenticator.schemes(&client), expected);
        }
        let admitted = admit(&server, &client, &HeaderMap::new()).await;
        assert!(matches!(admitted, Ok(Caller::Anonymous)), "{admitted:?}");
    }
}
