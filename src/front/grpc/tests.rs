//! Cases that a client cannot produce: deadlines, connections from other machines, calls in flight while the server stops.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::connection::Client;
use super::counters::Service;
use super::inbound::Inbound;
use super::memory::Windows;
use super::registration::RegistrationApi;
use super::{GrpcOptions, GrpcServer, Shared, reception, response};
use crate::authority::caller::Caller;
use crate::authority::{Authority, AuthorityOptions};
use crate::backup::{self, Backups, CHUNK_BYTES_DEFAULT};
use crate::front::listen::bounds::GRPC_MEMORY;
use crate::front::listen::budget::{Holder, MemoryBudget};
use crate::front::listen::channel::Channel;
use crate::front::listen::in_flight::InFlight;
use crate::front::listen::slots::SlotUse;
use crate::model::environment::Entropy;
use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::limits::{MESSAGE_BYTES_MAX, STEP_ITEMS_MAX, VALUES_BYTES_MAX};
use crate::model::token::Scope;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::registry::command::{Command, Existing, Precondition, PrefixCommand, Register, Target};
use crate::registry::{Registry, RegistryOptions, TokenDraft};
use crate::resolver::{Resolver, ResolverOptions};
use crate::store::EngineKind;
use crate::store::open::{self, Opened, StoreOptions};
use crate::wire::proto;
use crate::wire::proto::registration_service_client::RegistrationServiceClient;
use crate::wire::proto::registration_service_server::RegistrationService;
use crate::wire::proto::resolution_service_client::ResolutionServiceClient;

//----------- Support --------------------------------------------------------

/// Randomness that can be held back, and with it every commit, which salts its digests.
#[derive(Default)]
struct Tap {
    is_shut: Mutex<bool>,
    turned: Condvar,
    is_awaited: AtomicBool,
}

impl Tap {
    fn turn(&self, is_shut: bool) {
        *self.is_shut.lock().expect("no panic under it") = is_shut;
        self.turned.notify_all();
    }

    fn entropy(self: Arc<Self>) -> Entropy {
        Arc::new(move |bytes| {
            // The committer waits on a thread of the runtime: what else that thread had to do, the sockets among it, goes
            // to another.
            tokio::task::block_in_place(|| {
                let mut is_shut = self.is_shut.lock().expect("no panic under it");
                while *is_shut {
                    self.is_awaited.store(true, Ordering::SeqCst);
                    is_shut = self.turned.wait(is_shut).expect("no panic under it");
                }
            });
            getrandom::fill(bytes).expect("randomness");
        })
    }
}

/// A registration service without a socket, and a token that may register.
struct Bench {
    api: RegistrationApi,
    token: String,
    tap: Arc<Tap>,
    close: watch::Sender<bool>,
    _directory: TempDir,
}

async fn bench(allow_tokens_in_plain_text: bool) -> Bench {
    let directory = tempfile::tempdir().expect("a directory");
    let tap = Arc::new(Tap::default());
    let options = StoreOptions {
        directory: directory.path().to_owned(),
        engine: EngineKind::Fjall,
        cache_bytes: 16 * 1024 * 1024,
        folding: Folding::Insensitive,
        clock: Arc::new(|| 1_800_000_000_000),
        entropy: Arc::clone(&tap).entropy(),
    };
    let Opened { store, writer, .. } = open::open(options).await.expect("a new store");
    let options =
        RegistryOptions { request_window: Duration::from_secs(86_400), ..RegistryOptions::default() };
    let authority = Authority::new(store.clone(), AuthorityOptions::default());
    let (registry, _committer) = Registry::start(store.clone(), writer, authority.clone(), options);
    let registry = Arc::new(registry);
    let prefix = Prefix::parse("88").expect("a prefix");
    let home = Command::Prefix(PrefixCommand::Home { prefix, registrant: None });
    registry.apply_one(&Caller::Node, home).await.expect("homed");
    let draft = TokenDraft { label: "test".to_owned(), scopes: vec![Scope::Admin], expires_ms: None };
    let (token, _) = registry.create_token(&Caller::Node, draft).await.expect("a token");
    let (close, closing) = watch::channel(false);
    let backups = Backups::new(store.clone(), backups_in(directory.path())).expect("no key file is needed");
    let shared = Shared {
        allow_tokens_in_plain_text,
        registry: Arc::clone(&registry),
        authority: authority.clone(),
        resolver: Arc::new(Resolver::new(store, authority, ResolverOptions::default())),
        filing: None,
        backups,
        started: Instant::now(),
        inbound: Arc::new(Inbound::new(registry)),
        counters: Arc::default(),
        closing,
        memory: MemoryBudget::new(GRPC_MEMORY),
        producing: Semaphore::new(1),
        unread_max: Duration::from_millis(100),
        preface_max: Duration::from_millis(100),
    };
    Bench { api: RegistrationApi(Arc::new(shared)), token, tap, close, _directory: directory }
}

fn backups_in(directory: &Path) -> backup::Options {
    backup::Options {
        directories: vec![directory.join("backups")],
        key_file: None,
        keep_count: 0,
        keep_days: 0,
        chunk_bytes: CHUNK_BYTES_DEFAULT,
        files: Vec::new(),
        node_version: "0.0.0-test".to_owned(),
    }
}

impl Bench {
    fn request(&self, address: &str, channel: Channel) -> Request<proto::RegisterRequest> {
        let registration = proto::Registration {
            target: Some(proto::registration::Target::Identifier("88/a".to_owned())),
            ..Default::default()
        };
        let mut request = Request::new(proto::RegisterRequest {
            // Its time is that of the clock above.
            request_id: "01a3185c-5000-7000-8000-000000000001".to_owned(),
            registration: Some(registration),
        });
        let bearer = format!("Bearer {}", self.token).parse().expect("ASCII");
        request.metadata_mut().insert("authorization", bearer);
        let address = address.parse().expect("an address");
        let in_flight = InFlight::new(SlotUse::detached());
        let memory = MemoryBudget::new(GRPC_MEMORY).account(Holder::of(address));
        request.extensions_mut().insert(Arc::new(Client {
            address,
            channel,
            in_flight,
            windows: Windows::new(&memory),
            memory,
            unread: Arc::default(),
        }));
        request
    }
}

impl Bench {
    /// The message of a stream that registers `88/NAME`.
    fn message(id: &str, number: u32, data: &str) -> proto::ApplyStreamRequest {
        let value =
            proto::Value { index: 1, r#type: "A".to_owned(), data: data.into(), ..Default::default() };
        let target = proto::registration::Target::Identifier(format!("88/{number}"));
        let registration =
            proto::Registration { target: Some(target), values: vec![value], ..Default::default() };
        let command = Some(proto::item::Command::Register(registration));
        let item = Some(proto::Item { number, command });
        proto::ApplyStreamRequest { request_id: id.to_owned(), item }
    }

    /// A request of this service by a caller on this machine.
    fn near<T>(&self, message: T) -> Request<T> {
        let (metadata, extensions, _) = self.request("127.0.0.1:4000", Channel::Plain).into_parts();
        Request::from_parts(metadata, extensions, message)
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("ErrorInfo").reason
}

/// Request ids, made at the time of the clock of a [`Bench`].
const IDS: [&str; 2] = ["01a3185c-5000-7000-8000-000000000001", "01a3185c-5000-7000-8000-000000000002"];

//----------- Tests ----------------------------------------------------------

/// The outcomes of one request arrive although the next one, which came with it, fails; its status names its id.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_what_was_settled_before_it_fails() {
    let bench = bench(false).await;
    let registry = &bench.api.0.registry;
    let _taken = registry.take_slots_but(10);
    let first = (1..=4).map(|number| Bench::message(IDS[0], number, "x"));
    let second = (5..=8).map(|number| Bench::message(IDS[1], number, &"x".repeat(12_000)));
    let messages = stream::iter(first.chain(second).map(Ok).collect::<Vec<_>>());
    let call = bench.api.0.admit(&bench.near(()), Service::Registration).expect("admitted");
    let answers = bench.api.converse(messages, call).collect::<Vec<_>>();
    let (answers, ()) = tokio::join!(answers, registry.close_slots_after(4));
    let outcomes: Vec<u32> = answers[..answers.len() - 1]
        .iter()
        .map(|answer| answer.as_ref().expect("an answer").outcome.as_ref().expect("an outcome").number)
        .collect();
    assert_eq!(outcomes, [1, 2, 3, 4]);
    let status = answers[4].as_ref().expect_err("the second request fails");
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!((status.code(), info.reason.as_str()), (Code::Unavailable, "STOPPING"));
    assert_eq!(info.metadata.get("request_id").map(String::as_str), Some(IDS[1]));
}

/// A batch that fails in part has the outcomes of the other part, and names the id under which the rest is repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_in_part_has_the_outcomes_of_the_rest() {
    let bench = bench(false).await;
    let registry = &bench.api.0.registry;
    let _taken = registry.take_slots_but(STEP_ITEMS_MAX);
    let step = u32::try_from(STEP_ITEMS_MAX).expect("a small number");
    let item = |number| {
        let data = if number <= step { "x".to_owned() } else { "x".repeat(VALUES_BYTES_MAX / 2) };
        Bench::message(IDS[0], number, &data).item.expect("an item")
    };
    let malformed = proto::Item { number: 999, command: None };
    let items = (1..=step + 6).map(item).chain([malformed]).collect();
    let request = bench.near(proto::ApplyBatchRequest { request_id: IDS[0].to_owned(), items });
    let applied = bench.api.apply_batch(request);
    let (applied, ()) = tokio::join!(applied, registry.close_slots_after(u64::from(step)));
    let outcomes = applied.expect("outcomes").into_inner().outcomes;
    let kinds = |outcome: &proto::Outcome| match outcome.result.as_ref().expect("a result") {
        proto::outcome::Result::Receipt(_) => "done".to_owned(),
        proto::outcome::Result::Refusal(refusal) => refusal.code.clone(),
        proto::outcome::Result::Failure(failure) => {
            assert_eq!(failure.facts["request_id"], IDS[0]);
            assert_eq!(failure.facts["item"], outcome.number.to_string());
            failure.code.clone()
        }
    };
    let (settled, rest) = outcomes.split_at(STEP_ITEMS_MAX);
    assert!(settled.iter().map(kinds).all(|kind| kind == "done"), "{settled:?}");
    let rest: Vec<String> = rest.iter().map(kinds).collect();
    assert_eq!(rest, [["STOPPING"; 6].as_slice(), &["COMMAND_INVALID"]].concat());

    // Nothing at all is settled: the call fails.
    let items = vec![item(1)];
    let request = bench.near(proto::ApplyBatchRequest { request_id: IDS[1].to_owned(), items });
    let status = bench.api.apply_batch(request).await.expect_err("no slots");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STOPPING"));
}

/// A token in plain text from afar is refused even when it is good, unless the configuration accepts that.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_plain_text_from_afar_is_refused() {
    let strict = bench(false).await;
    let afar = "192.0.2.7:4000";
    let status = strict.api.register(strict.request(afar, Channel::Plain)).await.expect_err("overheard");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_IN_PLAIN_TEXT"));
    strict.api.register(strict.request(afar, Channel::Tls)).await.expect("TLS protects it");
    strict.api.register(strict.request("127.0.0.1:4000", Channel::Plain)).await.expect("this machine");
    let lenient = bench(true).await;
    lenient.api.register(lenient.request(afar, Channel::Plain)).await.expect("the configuration accepts it");
}

/// A deadline that passes while a command is in flight is reported as an unknown outcome; repeating the id finds what was
/// done, and does it only once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadline_that_passes_leaves_the_outcome_unknown() {
    let bench = bench(false).await;
    bench.tap.turn(true);
    let mut request = bench.request("127.0.0.1:4000", Channel::Plain);
    request.metadata_mut().insert("grpc-timeout", "100m".parse().expect("ASCII"));
    let answered = bench.api.register(request).await;
    // The command was queued before anything waited; how soon the committer comes to it is not the caller's to know.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !bench.tap.is_awaited.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the commit never got under way");
        tokio::task::yield_now().await;
    }
    bench.tap.turn(false);
    let status = answered.expect_err("nothing is committed while the tap is shut");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unknown, "OUTCOME_UNKNOWN"));
    assert!(status.message().contains("repeat with the same request"), "{}", status.message());
    let again = bench.request("127.0.0.1:4000", Channel::Plain);
    let receipt = bench.api.register(again).await.expect("repeated").into_inner().receipt;
    let receipt = receipt.expect("a receipt");
    assert_eq!((receipt.version, receipt.repeated), (1, true));
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], content].concat()
}

/// What opens an HTTP/2 connection: the preface and empty settings.
fn greeting() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat()
}

/// A call whose message never comes whole: three bytes of a hundred.
fn half_call() -> Vec<u8> {
    let path = b"/idnode.v1.RegistrationService/Register";
    // POST, http, and the path and content type as literals (RFC 7541 appendix A has the indexes).
    let mut headers = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    headers.extend_from_slice(path);
    headers.extend_from_slice(&[0x0f, 0x10, 16]);
    headers.extend_from_slice(b"application/grpc");
    [greeting(), frame(1, 4, 1, &headers), frame(0, 0, 1, &[0, 0, 0, 0, 100, 1, 2, 3])].concat()
}

/// ```text
///   nothing said, no call, half a call ──▶ closed ┐
///   a call, its commit held back ─────────────────┴─ let go ──▶ answered, served to the end
/// ```
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stopping_server_answers_its_calls_and_closes_idle_connections_before() {
    let bench = bench(false).await;
    let request = bench.request("127.0.0.1:4000", Channel::Plain);
    let server = GrpcServer {
        shared: Arc::clone(&bench.api.0),
        reception: reception(&GrpcOptions::default(), None),
        close: Arc::new(bench.close),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (drain, drained) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async move { drained.await.unwrap_or(()) }));

    let mut client =
        RegistrationServiceClient::connect(format!("http://{address}")).await.expect("connected");
    bench.tap.turn(true);
    let calling = tokio::spawn(async move { client.register(request).await });
    let mut silent = Vec::new();
    for (name, said) in [("nothing", Vec::new()), ("no call", greeting()), ("half a call", half_call())] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(&said).await.expect("sent");
        if !said.is_empty() {
            stream.read_u8().await.expect("the settings of the server");
        }
        silent.push((name, stream));
    }
    while !bench.tap.is_awaited.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }

    drain.send(()).expect("still serving");
    for (name, mut stream) in silent {
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest).await.map_err(|error| error.kind());
        assert!(matches!(ended, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)), "{name}: {ended:?}");
    }
    assert!(!serving.is_finished() && !calling.is_finished(), "the call under way was cut off");
    bench.tap.turn(false);
    let answer = calling.await.expect("called").expect("answered");
    assert_eq!(answer.into_inner().receipt.expect("a receipt").version, 1);
    serving.await.expect("ended").expect("served");
}

/// A frame that asks for an answer (RFC 9113 section 6.7).
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A client that has asked and does not read: its window of HTTP/2, how often it asks, and for what.
struct Unreading(u32, u32, &'static str);

impl Unreading {
    /// What it sends (RFC 9113): how it opens the connection, and one call of `ResolveStream`.
    fn bytes(&self) -> Vec<u8> {
        let Self(window, count, identifier) = *self;
        let path = "/idnode.v1.ResolutionService/ResolveStream";
        // POST and http by their index, then the names of path, authority and content-type by theirs (RFC 7541 appendix A).
        let mut headers = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
        headers.extend_from_slice(path.as_bytes());
        headers.extend_from_slice(b"\x01\x04node\x0f\x10\x10application/grpc\x00\x02te\x08trailers");
        let question = proto::Question { identifier: identifier.to_owned(), ..proto::Question::default() };
        let mut messages = Vec::new();
        for number in 1..=count {
            let asked = proto::ResolveStreamRequest { number, question: Some(question.clone()) };
            let message = asked.encode_to_vec();
            messages.push(0);
            messages.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
            messages.extend_from_slice(&message);
        }
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        let connection = (i32::MAX.unsigned_abs() - 65_535).to_be_bytes();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (kind, flags, stream, payload) in
            [(4, 0, 0, &settings[..]), (8, 0, 0, &connection), (1, 4, 1, &headers), (0, 1, 1, &messages)]
        {
            let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
            bytes.extend_from_slice(&length[1..]);
            bytes.extend_from_slice(&[kind, flags, 0, 0, 0, stream]);
            bytes.extend_from_slice(payload);
        }
        bytes
    }
}

/// A connection whose preface stops is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_whose_preface_stops_is_closed() {
    let bench = bench(false).await;
    let server = GrpcServer {
        shared: Arc::clone(&bench.api.0),
        reception: reception(&GrpcOptions::default(), None),
        close: Arc::new(bench.close),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(server.serve(listener, std::future::pending()));

    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"PRI * HTTP").await.expect("sent");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    let ended = ended.expect("closed in time").map_err(|error| error.kind());
    assert!(matches!(ended, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)), "{ended:?}");
    serving.abort();
}

/// A client that does not open its window, or does not read the socket, loses its connection; one that reads does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_whose_client_does_not_read_is_closed() {
    let bench = bench(false).await;
    let shared = Arc::clone(&bench.api.0);
    let register = Register {
        target: Target::Named(Identifier::parse("88/large").expect("an identifier")),
        values: Values::new(vec![value(&"x".repeat(200_000))]).expect("values"),
        existing: Existing::Refuse,
        precondition: Precondition::None,
    };
    shared.registry.apply_one(&Caller::Node, Command::Register(register)).await.expect("registered");
    let server = GrpcServer {
        shared: Arc::clone(&shared),
        reception: reception(&GrpcOptions::default(), None),
        close: Arc::new(bench.close),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(server.serve(listener, std::future::pending()));

    let mut reading = ResolutionServiceClient::connect(format!("http://{address}")).await.expect("connected");
    let question = proto::Question { identifier: "88/large".to_owned(), ..proto::Question::default() };
    let question = proto::ResolveRequest { question: Some(question), recursion: None };
    reading.resolve(question.clone()).await.expect("answered");
    let unread = || shared.counters.unread.load(Ordering::Relaxed);
    let clients = [
        Unreading(1, 1, "88/none"),
        Unreading(65_535, 8, "88/large"),
        Unreading(i32::MAX.unsigned_abs(), 200, "88/large"),
    ];
    for (closed, client) in (0..).zip(clients) {
        assert_eq!(unread(), closed);
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(&client.bytes()).await.expect("sent");
        let deadline = Instant::now() + Duration::from_secs(60);
        while unread() == closed {
            assert!(Instant::now() < deadline, "connection {closed} is still open");
            // Once the socket takes nothing, a ping which cannot be answered keeps HTTP/2 from reading.
            if client.0 == i32::MAX.unsigned_abs() {
                let _sent_or_full = stream.try_write(PING);
            }
            tokio::task::yield_now().await;
        }
        let ended = stream.read_to_end(&mut Vec::new()).await.map_err(|error| error.kind());
        assert!(matches!(ended, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)), "{ended:?}");
    }
    reading.resolve(question).await.expect("answered");
    assert_eq!(unread(), 3, "who reads keeps its connection");
    serving.abort();
}

fn value(data: &str) -> Value {
    Value {
        index: Index::new(1).expect("an index"),
        value_type: ValueType::new("URL").expect("a type"),
        data: data.as_bytes().to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

//----------- Warnings -------------------------------------------------------

fn warned(identifier: &str, warnings: usize) -> proto::Outcome {
    let warning = proto::ValueWarning { index: 1, code: "NO_URI".to_owned(), message: "m".repeat(300) };
    let receipt = proto::Receipt {
        identifier: identifier.to_owned(),
        warnings: vec![warning; warnings],
        ..proto::Receipt::default()
    };
    proto::Outcome { number: 0, result: Some(proto::outcome::Result::Receipt(receipt)) }
}

fn counts(outcomes: &[proto::Outcome]) -> Vec<(usize, u32)> {
    let count = |outcome: &proto::Outcome| match &outcome.result {
        Some(proto::outcome::Result::Receipt(receipt)) => (receipt.warnings.len(), receipt.warnings_left_out),
        _ => (0, 0),
    };
    outcomes.iter().map(count).collect()
}

/// The outcomes of commands that are committed are never exchanged for a status because they are long.
#[test]
fn outcomes_are_shortened_until_they_fit_a_message() {
    let fitted = |outcome: proto::Outcome, minted: Option<usize>| {
        let mut response = proto::ApplyBatchResponse { outcomes: vec![outcome; 10_000] };
        assert!(response.encoded_len() > MESSAGE_BYTES_MAX);
        let minted: Vec<bool> = (0..10_000).map(|place| Some(place) == minted).collect();
        response::fit(&mut response, &minted);
        assert!(response.encoded_len() <= MESSAGE_BYTES_MAX);
        response.outcomes
    };
    let identifier = |outcome: &proto::Outcome| match &outcome.result {
        Some(proto::outcome::Result::Receipt(receipt)) => receipt.identifier.len(),
        _ => 0,
    };
    let mut small = proto::ApplyBatchResponse { outcomes: vec![warned("88.118.8/x", 2); 2] };
    response::fit(&mut small, &[false; 2]);
    assert_eq!(counts(&small.outcomes), [(2, 0), (2, 0)]);

    let outcomes = fitted(warned(&"x".repeat(400), 1), None);
    assert!(counts(&outcomes).iter().all(|count| *count == (0, 0)));
    assert_eq!(identifier(&outcomes[7]), 400, "without the warnings it fits");
    let outcomes = fitted(warned(&"x".repeat(500), 0), Some(7));
    assert_eq!((identifier(&outcomes[6]), identifier(&outcomes[7])), (0, 500));
    let long = || "字".repeat(200);
    let item = u32::MAX.to_string();
    let facts = [("identity", long()), ("of", long()), ("item", item.clone())]
        .map(|(name, fact)| (name.to_owned(), fact));
    let code = "ADMINISTRATOR_MISSING".to_owned();
    let refusal = proto::Refusal { code: code.clone(), message: long(), facts: HashMap::from(facts) };
    let refused = proto::outcome::Result::Refusal(refusal);
    let outcomes = fitted(proto::Outcome { number: u32::MAX, result: Some(refused) }, None);
    let Some(proto::outcome::Result::Refusal(refusal)) = &outcomes[0].result else { panic!("{outcomes:?}") };
    let short = "字".repeat(24);
    assert_eq!((&refusal.code, &refusal.message), (&code, &short));
    assert_eq!(["identity", "of", "item"].map(|name| &refusal.facts[name]), [&short, &short, &item]);
    assert!(outcomes[0].encoded_len() + 4 <= response::SHORT_OUTCOME_BYTES_MAX);
}

#[test]
fn warnings_beyond_those_of_a_group_are_counted() {
    let mut outcomes = vec![warned("a", 3), warned("b", 0), warned("c", 3), warned("d", 1)];
    assert_eq!(response::leave_out_warnings(&mut outcomes, 5), 0);
    assert_eq!(counts(&outcomes), [(3, 0), (0, 0), (2, 1), (0, 1)]);
    let mut outcomes = vec![warned("a", 3)];
    assert_eq!(response::leave_out_warnings(&mut outcomes, 5), 2);
}
