//! A client of the Handle protocol: messages of our own making over real sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use idnode::authority::caller::Caller;
use idnode::config::Config;
use idnode::key::PrivateKey;
use idnode::key::digest::DigestAlgorithm;
use idnode::model::identifier::{Identifier, Prefix};
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Amend, Command, Existing, Precondition, PrefixCommand, Register, Target};
use idnode::store::EngineKind;
use idnode::wire::cursor::Reader;
use idnode::wire::handle::administrator::encode_administrator;
use idnode::wire::handle::body::challenge::{Challenge, ChallengeAnswer, SignedAnswer};
use idnode::wire::handle::body::{ErrorText, HandleAndValues, HandleOnly, Resolution};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use idnode::wire::handle::envelope::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
use idnode::wire::handle::message::{Header, Message, encode_message};
use idnode::wire::handle::packet::{PACKET_BYTES_MAX, Piece, cut};
use idnode::wire::handle::value::WireValue;

use super::node::TestNode;

/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The flags that clients set by default: recursion, certified caches, public values.
pub(crate) const USUAL: OpFlags = OpFlags(0x1900_0000);

//----------- Request --------------------------------------------------------

/// A request, before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) envelope: Envelope,
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A request of a current client, under a request id of its own.
    pub(crate) fn new(op: OpCode, body: Vec<u8>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let envelope = Envelope {
            version: Version::V2_10,
            suggested: Version::V2_11,
            flags: EnvelopeFlags::NONE,
            session: 0,
            request: NEXT.fetch_add(1, Ordering::SeqCst),
            sequence: 0,
            message_bytes: 0,
        };
        let header = Header {
            op,
            response: ResponseCode::NONE,
            flags: USUAL,
            serial: Header::SERIAL_UNKNOWN,
            recursion: 0,
            expires: u32::MAX,
        };
        Self { envelope, header, body }
    }

    /// The same from a client of this version, which suggests no other.
    pub(crate) fn in_version(mut self, version: Version) -> Self {
        (self.envelope.version, self.envelope.suggested) = (version, version);
        self
    }

    /// Asks for all values of a handle.
    pub(crate) fn resolve(handle: &str) -> Self {
        Self::select(handle, &[], &[])
    }

    /// Asks for values of a handle by index and type.
    pub(crate) fn select(handle: &str, indexes: &[u32], types: &[&str]) -> Self {
        let types = types.iter().map(|name| name.as_bytes()).collect();
        let body = Resolution { handle: handle.as_bytes(), indexes: indexes.to_vec(), types };
        Self::new(OpCode::RESOLUTION, body.encode())
    }

    /// The same with these flags.
    pub(crate) fn with(mut self, flags: OpFlags) -> Self {
        self.header.flags = self.header.flags.with(flags);
        self
    }

    /// The same without these flags.
    pub(crate) fn without(mut self, flags: OpFlags) -> Self {
        self.header.flags = self.header.flags.without(flags);
        self
    }

    /// The message, without its envelope.
    pub(crate) fn message(&self) -> Vec<u8> {
        encode_message(&self.header, &self.body, None)
    }

    /// The envelope and the message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.envelope.enclose(&self.message())
    }

    /// The datagrams that carry it.
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        cut(&self.envelope, &self.message()).collect()
    }
}

//----------- Response -------------------------------------------------------

/// A response as received.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) envelope: Envelope,
    pub(crate) message: Vec<u8>,
}

impl Response {
    /// Header, body and credential.
    pub(crate) fn decoded(&self) -> Message<'_> {
        Message::decode(&self.message).expect("a message")
    }

    /// The response code.
    pub(crate) fn code(&self) -> u32 {
        self.decoded().header.response.0
    }

    /// The sentence of a refusal.
    pub(crate) fn sentence(&self) -> String {
        let text = ErrorText::decode(self.decoded().body).expect("a sentence");
        String::from_utf8(text.0.to_vec()).expect("UTF-8")
    }

    /// The sentence, where there is one.
    pub(crate) fn sentence_or_nothing(&self) -> String {
        if self.code() == 1 || self.code() == 402 { String::new() } else { self.sentence() }
    }

    /// The handle and the data of its values, by index.
    pub(crate) fn values(&self) -> (String, Vec<(u32, String)>) {
        assert_eq!(self.code(), 1, "{}", self.sentence());
        let message = self.decoded();
        let body = HandleAndValues::decode(message.body).expect("values");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let values = body.values.iter().map(|value| (value.index, text(value.data))).collect();
        (text(body.handle), values)
    }
}

//----------- Clients --------------------------------------------------------

/// A client with a UDP socket of its own.
pub(crate) struct UdpClient(UdpSocket);

impl UdpClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, address)
    }

    /// The same from another address of this machine.
    pub(crate) fn connect_from(own: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind((own, 0)).expect("a socket");
        socket.connect(address).expect("connected");
        Self(socket)
    }

    /// Sends datagrams.
    pub(crate) fn send(&self, packets: &[Vec<u8>]) {
        for packet in packets {
            self.0.send(packet).expect("sent");
        }
    }

    /// Receives a response, however many datagrams it has.
    pub(crate) fn receive(&self) -> Response {
        self.receive_of(None, Instant::now() + ANSWER_MAX).expect("an answer")
    }

    /// Receives the response to one request; what may have arrived twice before is ignored.
    pub(crate) fn receive_answer(&self, request: &Request) -> Response {
        self.receive_of(Some(request.envelope.request), Instant::now() + ANSWER_MAX).expect("an answer")
    }

    /// Receives the response to one request, or to any; none when it does not come in time.
    fn receive_of(&self, request: Option<u32>, deadline: Instant) -> Option<Response> {
        let mut pieces: BTreeMap<(u32, u32), Vec<u8>> = BTreeMap::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.0.set_read_timeout(Some(left)).expect("a deadline");
            let mut packet = vec![0; 2 * PACKET_BYTES_MAX];
            let Ok(length) = self.0.recv(&mut packet) else { continue };
            assert!(length <= PACKET_BYTES_MAX);
            packet.truncate(length);
            let piece = Piece::decode(&packet).expect("a packet");
            let envelope = Envelope { sequence: 0, ..piece.envelope };
            if request.is_some_and(|request| request != envelope.request) {
                // A reply that arrived twice.
                continue;
            }
            pieces.insert((envelope.request, piece.envelope.sequence), piece.bytes.to_vec());
            let of_this = pieces.range((envelope.request, 0)..=(envelope.request, u32::MAX));
            let message: Vec<u8> = of_this.flat_map(|(_, bytes)| bytes.iter().copied()).collect();
            if message.len() == envelope.message_length() {
                return Some(Response { envelope, message });
            }
        }
    }

    /// Sends a request and receives its response; sends it again, as clients do, when none comes.
    pub(crate) fn ask(&self, request: &Request) -> Response {
        let deadline = Instant::now() + ANSWER_MAX;
        let mut patience = Duration::from_millis(500);
        loop {
            self.send(&request.packets());
            let until = deadline.min(Instant::now() + patience);
            if let Some(response) = self.receive_of(Some(request.envelope.request), until) {
                return response;
            }
            assert!(Instant::now() < deadline, "no answer in {ANSWER_MAX:?}");
            patience += Duration::from_millis(500);
        }
    }
}

/// A client with a connection.
pub(crate) struct TcpClient<S = TcpStream>(pub(crate) S);

impl TcpClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
        Self(stream)
    }
}

impl<S: Read + Write> TcpClient<S> {
    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("sent");
    }

    /// Receives a response.
    pub(crate) fn receive(&mut self) -> Response {
        self.try_receive().expect("an answer")
    }

    /// Receives a response; none when the connection was closed.
    pub(crate) fn try_receive(&mut self) -> Option<Response> {
        let mut head = [0; ENVELOPE_BYTES];
        self.0.read_exact(&mut head).ok()?;
        let envelope = Envelope::decode(&mut Reader::new(&head)).expect("an envelope");
        let mut message = vec![0; envelope.message_length()];
        self.0.read_exact(&mut message).expect("a whole message");
        Some(Response { envelope, message })
    }

    /// Sends a request and receives its response.
    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        self.send(&request.bytes());
        let response = self.receive();
        assert_eq!(response.envelope.request, request.envelope.request);
        response
    }
}

//----------- Proving --------------------------------------------------------

/// The prefix that these clients administer.
pub(crate) const PREFIX: &str = "88.118.8";
/// The secret at index 301 of its record.
pub(crate) const SECRET: &[u8] = b"test-secret-key-1";

/// Randomness for tests, which nobody has to guess.
pub(crate) fn random(bytes: &mut [u8]) {
    static NEXT: AtomicU32 = AtomicU32::new(7);
    for byte in bytes {
        let number = NEXT.fetch_add(1, Ordering::SeqCst).wrapping_mul(2_654_435_761);
        *byte = number.to_be_bytes()[0];
    }
}

/// Somebody with a key: an identity of the prefix's record, or nobody that the node knows.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) user: String,
    pub(crate) index: u32,
    pub(crate) key: SignerKey,
}

/// What a signer proves itself with.
#[derive(Clone)]
pub(crate) enum SignerKey {
    Private(Arc<PrivateKey>),
    Secret(Vec<u8>),
    /// A secret key, whose answer is made by MD5 as before 2.1.
    OldSecret(Vec<u8>),
}

impl Signer {
    /// The RSA key at index 300.
    pub(crate) fn rsa() -> Self {
        Self { user: format!("0.NA/{PREFIX}"), index: 300, key: SignerKey::Private(Arc::new(rsa_key())) }
    }

    /// The secret key at index 301.
    pub(crate) fn secret() -> Self {
        Self { user: format!("0.NA/{PREFIX}"), index: 301, key: SignerKey::Secret(SECRET.to_vec()) }
    }

    /// The SM2 key at index 302.
    pub(crate) fn sm2() -> Self {
        Self { user: format!("0.NA/{PREFIX}"), index: 302, key: SignerKey::Private(Arc::new(sm2_key())) }
    }

    /// The answer to a challenge, as a request in the session that the challenge names.
    pub(crate) fn answer(&self, challenge: &Response) -> Request {
        assert_eq!(challenge.code(), 402);
        let message = challenge.decoded();
        let version = challenge.envelope.version;
        assert_eq!(message.header.flags.has(OpFlags::REQUEST_DIGEST), version >= Version::V2_1);
        let asked = Challenge::decode(message.body, challenge.envelope.version).expect("a challenge");
        let signed = asked.signed_bytes();
        let (kind, answer) = match &self.key {
            SignerKey::Private(key) => {
                let answer = key.answer(&self.user, &signed, &random).expect("an answer");
                let answer = SignedAnswer { hash: answer.hash.as_bytes(), signature: &answer.signature };
                (ChallengeAnswer::PUBLIC_KEY, answer.encode())
            }
            SignerKey::Secret(secret) => {
                (ChallengeAnswer::SECRET_KEY, idnode::key::secret::answer(secret, &signed, &random))
            }
            SignerKey::OldSecret(secret) => {
                let answer = DigestAlgorithm::Md5.digest(&[secret.as_slice(), &signed, secret]);
                (ChallengeAnswer::SECRET_KEY, answer)
            }
        };
        let body =
            ChallengeAnswer { kind, user: self.user.as_bytes(), index: self.index, answer: &answer }.encode();
        let mut request = Request::new(OpCode::CHALLENGE_RESPONSE, body);
        request.envelope.session = challenge.envelope.session;
        if version < Version::V2_1 { request.in_version(version) } else { request }
    }
}

/// The RSA key of tests.
pub(crate) fn rsa_key() -> PrivateKey {
    PrivateKey::decode(include_bytes!("../../data/server-key.pem")).expect("a key")
}

/// The SM2 key of tests: the same in each.
pub(crate) fn sm2_key() -> PrivateKey {
    PrivateKey::generate_sm2(&|bytes: &mut [u8]| bytes.fill(0x35))
}

/// Asks over any client.
pub(crate) trait Ask {
    /// Sends a request and receives its response.
    fn ask(&mut self, request: &Request) -> Response;

    /// Sends a request, answers the challenge, and receives the response to the request.
    fn ask_as(&mut self, signer: &Signer, request: &Request) -> Response {
        let challenge = self.ask(request);
        self.ask(&signer.answer(&challenge))
    }
}

impl Ask for UdpClient {
    fn ask(&mut self, request: &Request) -> Response {
        UdpClient::ask(self, request)
    }
}

impl<S: Read + Write> Ask for TcpClient<S> {
    fn ask(&mut self, request: &Request) -> Response {
        TcpClient::ask(self, request)
    }
}

//----------- Requests that change something ---------------------------------

/// A value that everybody may read and administrators may write.
pub(crate) fn value(index: u32, value_type: &'static str, data: &'static [u8]) -> WireValue<'static> {
    WireValue {
        index,
        timestamp: 0,
        ttl_kind: 0,
        ttl: 86_400,
        permissions: 0x0e,
        value_type: value_type.as_bytes(),
        data,
        references: Vec::new(),
    }
}

/// A request with a handle and values.
pub(crate) fn with_values(op: OpCode, handle: &str, values: Vec<WireValue<'_>>) -> Request {
    Request::new(op, HandleAndValues { handle: handle.as_bytes(), values }.encode())
}

/// A request with a handle alone.
pub(crate) fn with_handle(op: OpCode, handle: &str) -> Request {
    Request::new(op, HandleOnly(handle.as_bytes()).encode())
}

/// What withdraws a key of the prefix's record, though not who administers it.
pub(crate) fn withdrawal(index: u32) -> Command {
    Command::Amend(Amend {
        identifier: Identifier::of_prefix(&Prefix::parse(PREFIX).expect("a prefix")),
        add: Vec::new(),
        replace: Vec::new(),
        set: Vec::new(),
        remove: vec![Index::new(index).expect("an index")],
        precondition: Precondition::None,
    })
}

/// A node whose prefix has a record with all kinds of keys, and whose first key administers the node.
pub(crate) async fn administered() -> TestNode {
    administered_with(|_| {}).await
}

/// The same with a changed configuration.
pub(crate) async fn administered_with(tell: impl FnOnce(&mut Config)) -> TestNode {
    let node = TestNode::start_with(EngineKind::Fjall, |config| {
        let administrator = Identity::parse(&format!("300:0.NA/{PREFIX}")).expect("an identity");
        config.handle.administrators = vec![administrator];
        tell(config);
    })
    .await;
    let admin = |index: u32| {
        let identity = Identity::parse(&format!("{index}:0.NA/{PREFIX}")).expect("an identity");
        encode_administrator(&Administrator { permissions: AdminPermissions::ALL, identity })
    };
    let values = [
        (100, "HS_ADMIN", admin(300), Permissions::DEFAULT),
        (101, "HS_ADMIN", admin(301), Permissions::DEFAULT),
        (102, "HS_ADMIN", admin(302), Permissions::DEFAULT),
        (300, "HS_PUBKEY", rsa_key().public().encode_blob(), Permissions::DEFAULT),
        (301, "HS_SECKEY", SECRET.to_vec(), Permissions::SECRET),
        (302, "HS_PUBKEY", sm2_key().public().to_pem().into_bytes(), Permissions::DEFAULT),
    ];
    let values = values.into_iter().map(|(index, name, data, permissions)| Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(name).expect("a type"),
        data,
        ttl: Ttl::default(),
        permissions,
        references: Vec::new(),
        timestamp: 0,
    });
    let registry = node.node().registry();
    let prefix = Prefix::parse(PREFIX).expect("a prefix");
    let home = PrefixCommand::Home { prefix: prefix.clone(), registrant: None };
    registry.apply_one(&Caller::Node, Command::Prefix(home)).await.expect("homed");
    let register = Register {
        target: Target::Named(Identifier::of_prefix(&prefix)),
        values: Values::new(values.collect()).expect("values"),
        existing: Existing::Refuse,
        precondition: Precondition::None,
    };
    registry.apply_one(&Caller::Node, Command::Register(register)).await.expect("registered");
    node
}
