//! A DNS front end with its own store and a few prefixes, and a client of it.
//!
//! ```text
//!   root ──┬── 88.118.8   homed: SN000123 (URL, TXT), big (70,000 bytes), hidden (not public), 1, ns-less siblings
//!          ├── 88.118.9   delegated to 192.0.2.9, 2001:db8::9, DNS on port 53
//!          ├── 88.118.10  delegated, DNS on port 5300
//!          └── 88.118.11  homed, suspended
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use idnode::authority::caller::Caller;
use idnode::authority::{Authority, AuthorityOptions};
use idnode::front::dns::{DnsCounters, DnsOptions, DnsServer};
use idnode::model::identifier::{Folding, Identifier, Prefix};
use idnode::model::site::{Ports, Site};
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Command, Existing, Precondition, PrefixCommand, Register, Target};
use idnode::registry::{Registry, RegistryOptions};
use idnode::resolver::{Resolver, ResolverOptions};
use idnode::store::EngineKind;
use idnode::store::open::{StoreOptions, open};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long any answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of the machine form.
pub(crate) const MACHINE: RecordType = RecordType::Unknown(65_416);
/// The number of the URI type.
pub(crate) const URI: RecordType = RecordType::Unknown(256);

//----------- Zone -----------------------------------------------------------

/// A running front end and what it needs.
pub(crate) struct Zone {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<DnsCounters>,
    pub(crate) registry: Registry,
    stop: oneshot::Sender<()>,
    front_end: JoinHandle<std::io::Result<()>>,
    _directory: TempDir,
}

impl Zone {
    /// A node with an upper node, as drawn above.
    pub(crate) async fn start() -> Self {
        Self::start_with(DnsOptions { is_top: false, ..options() }).await
    }

    /// A node with other options, as drawn above.
    pub(crate) async fn start_with(options: DnsOptions) -> Self {
        Self::start_at(options, &["192.0.2.1", "2001:db8::1"]).await
    }

    /// A node that announces these addresses, as drawn above.
    pub(crate) async fn start_at(options: DnsOptions, addresses: &[&str]) -> Self {
        let zone = Self::start_empty(options, addresses).await;
        zone.fill().await;
        zone
    }

    /// A node that announces these addresses and has no prefix.
    pub(crate) async fn start_empty(options: DnsOptions, addresses: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("now").as_millis());
        let opened = open(StoreOptions {
            directory: directory.path().to_path_buf(),
            engine: EngineKind::Fjall,
            cache_bytes: 8 * 1024 * 1024,
            folding: Folding::Insensitive,
            clock: Arc::new(move || now().expect("now")),
            entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("randomness")),
        })
        .await
        .expect("a new store opens");
        let store = opened.store;
        let request_window = Duration::from_secs(3_600);
        let registry_options = RegistryOptions { request_window, ..RegistryOptions::default() };
        let authority = Authority::new(store.clone(), AuthorityOptions::default());
        let (registry, _committer) =
            Registry::start(store.clone(), opened.writer, authority.clone(), registry_options);
        let own = site(addresses, 53);
        let resolver = Arc::new(Resolver::new(
            store,
            authority,
            ResolverOptions { site: Some(own), ..ResolverOptions::default() },
        ));
        let front_end = DnsServer::bind(options, resolver).expect("a port is free");
        let address = front_end.local_addrs().expect("bound").remove(0);
        let counters = front_end.counters();
        let (stop, stopped) = oneshot::channel();
        let front_end = tokio::spawn(front_end.run(async move {
            let _gone = stopped.await;
        }));
        Self { address, counters, registry, stop, front_end, _directory: directory }
    }

    async fn fill(&self) {
        for text in ["88.118.8", "88.118.11"] {
            self.home(text).await;
        }
        for (text, port) in [("88.118.9", 53), ("88.118.10", 5_300)] {
            self.delegate(text, &["192.0.2.9", "2001:db8::9"], port).await;
        }
        let url = value(1, "URL", b"https://example.com/sn000123");
        let mut note = value(2, "NOTE", b"made in may");
        note.ttl = Ttl::Relative(60);
        self.register("88.118.8/SN000123", vec![url, note]).await;
        self.register("88.118.8/big", vec![value(1, "PHOTO", &[7; 70_000])]).await;
        self.register("88.118.8/wide", (1..=60).map(|n| value(n, "NOTE", &[b'n'; 40])).collect()).await;
        let mut hidden = value(1, "URL", b"https://example.com/hidden");
        hidden.permissions = Permissions::SECRET;
        self.register("88.118.8/hidden", vec![hidden]).await;
        self.register("88.118.8/1", vec![value(1, "NOTE", b"one")]).await;
        self.register(&format!("88.118.8/{}", "L".repeat(80)), vec![value(1, "NOTE", b"long")]).await;
        self.register("88.118.8.77.5/x", vec![value(1, "NOTE", b"deep")]).await;
        self.register("88.118.11/x", vec![value(1, "NOTE", b"suspended")]).await;
        self.prefix(PrefixCommand::Suspend { prefix: prefix("88.118.11") }).await;
    }

    /// Registers an identifier.
    pub(crate) async fn register(&self, identifier: &str, values: Vec<Value>) {
        let target = Target::Named(Identifier::parse(identifier).expect("an identifier"));
        let values = Values::new(values).expect("values");
        let existing = Existing::Refuse;
        let command = Register { target, values, existing, precondition: Precondition::None };
        self.registry.apply_one(&Caller::Node, Command::Register(command)).await.expect("registered");
    }

    /// Homes a prefix.
    pub(crate) async fn home(&self, text: &str) {
        self.prefix(PrefixCommand::Home { prefix: prefix(text), registrant: None }).await;
    }

    /// Delegates a prefix to a site with DNS at a port.
    pub(crate) async fn delegate(&self, text: &str, addresses: &[&str], dns: u16) {
        let site = site(addresses, dns);
        self.prefix(PrefixCommand::Delegate { prefix: prefix(text), site, registrant: None }).await;
    }

    async fn prefix(&self, command: PrefixCommand) {
        self.registry.apply_one(&Caller::Node, Command::Prefix(command)).await.expect("entered");
    }

    /// Ends the front end and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the front end still runs");
        let ended = timeout(PATIENCE, self.front_end).await.expect("it drains");
        ended.expect("it ends").expect("it ends well");
    }

    //------- Asking

    /// Asks one question in a datagram, without EDNS.
    pub(crate) async fn ask(&self, name: &str, record_type: RecordType) -> Message {
        self.exchange(&question(name, record_type)).await
    }

    /// Asks one question in a datagram, with EDNS.
    pub(crate) async fn ask_edns(&self, name: &str, record_type: RecordType) -> Message {
        self.exchange(&with_edns(question(name, record_type), 1_232)).await
    }

    /// Sends a message in a datagram and takes the answer.
    pub(crate) async fn exchange(&self, message: &Message) -> Message {
        let bytes = self.exchange_bytes(&message.to_vec().expect("it encodes")).await;
        Message::from_vec(&bytes).expect("the answer decodes")
    }

    /// Sends bytes in a datagram and takes the bytes of the answer, which has the same id.
    pub(crate) async fn exchange_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        socket.connect(self.address).await.expect("connected");
        socket.send(bytes).await.expect("sent");
        let mut answer = vec![0; 65_535];
        let length = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("an answer").expect("received");
        answer.truncate(length);
        assert_eq!(answer.get(..2), bytes.get(..2), "the id is the question's");
        answer
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    /// Asks one question on a connection of its own.
    pub(crate) async fn ask_tcp(&self, name: &str, record_type: RecordType) -> Message {
        let mut stream = self.connect().await;
        send_framed(&mut stream, &question(name, record_type)).await;
        receive_framed(&mut stream).await
    }
}

/// Writes a message with its length before it.
pub(crate) async fn send_framed(stream: &mut TcpStream, message: &Message) {
    stream.write_all(&framed(message)).await.expect("sent");
}

/// A message with its length before it.
pub(crate) fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().expect("it encodes");
    let mut framed = u16::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
    framed.extend_from_slice(&bytes);
    framed
}

/// Reads a message with its length before it.
pub(crate) async fn receive_framed(stream: &mut TcpStream) -> Message {
    let bytes = timeout(PATIENCE, async {
        let length = stream.read_u16().await.expect("a length");
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await.expect("a message");
        bytes
    });
    Message::from_vec(&bytes.await.expect("an answer")).expect("the answer decodes")
}

/// Waits until the other side has closed a connection; bytes before that fail the test. A reset is an end, too: it
/// comes where we said something just as the other side closed.
pub(crate) async fn expect_closed(stream: &mut TcpStream) {
    assert_eq!(rest_of(stream).await, Vec::<u8>::new());
}

/// What is received until the other side closes a connection.
pub(crate) async fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    rest
}

//----------- Words ----------------------------------------------------------

/// Options at a port of the system's choice.
pub(crate) fn options() -> DnsOptions {
    DnsOptions { listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], ..DnsOptions::default() }
}

/// A question for a name, as it is spelled here.
pub(crate) fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(0x1d0d, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(self::name(name), record_type));
    message
}

/// The same with an OPT record.
pub(crate) fn with_edns(mut message: Message, octets: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(octets);
    message.set_edns(edns);
    message
}

/// A name, with its case preserved.
pub(crate) fn name(text: &str) -> Name {
    let labels = text.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(str::as_bytes)).expect("a name")
}

/// A prefix.
pub(crate) fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

/// A public value with the default TTL.
pub(crate) fn value(index: u32, value_type: &str, data: &[u8]) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(value_type).expect("a type"),
        data: data.to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

fn site(addresses: &[&str], dns: u16) -> Site {
    let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
    Site::new(addresses, None, Ports { dns: Some(dns), ..Ports::default() }).expect("a site")
}

/// Records as `name TTL TYPE data`, sorted.
pub(crate) fn lines(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        let data = match &record.data {
            RData::Unknown { rdata, .. } => String::from_utf8_lossy(&rdata.anything).into_owned(),
            data => data.to_string(),
        };
        format!("{} {} {} {data}", record.name.to_ascii(), record.ttl, u16::from(record.record_type()))
    };
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

/// The SOA of an authority section: its owner, its TTL and its minimum.
pub(crate) fn soa(message: &Message) -> (String, u32, u32) {
    let [record] = message.authorities.as_slice() else { panic!("one SOA: {message:?}") };
    let RData::SOA(soa) = &record.data else { panic!("an SOA: {record:?}") };
    (record.name.to_ascii(), record.ttl, soa.minimum)
}
