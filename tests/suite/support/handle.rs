//! A client of the Handle door: messages of our own making over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use idnode::wire::cursor::Reader;
use idnode::wire::handle::body::{ErrorText, HandleAndValues, Resolution};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use idnode::wire::handle::envelope::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
use idnode::wire::handle::message::{Header, Message, encode_message};
use idnode::wire::handle::packet::{PACKET_BYTES_MAX, Piece, cut};

/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
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

    /// Index, type and data of its values.
    pub(crate) fn typed_values(&self) -> Vec<(u32, String, Vec<u8>)> {
        let message = self.decoded();
        let body = HandleAndValues::decode(message.body).expect("values");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        body.values.iter().map(|value| (value.index, text(value.value_type), value.data.to_vec())).collect()
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
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
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
        let mut whole: Option<(Envelope, Vec<u8>, usize)> = None;
        loop {
            let mut packet = vec![0; 2 * PACKET_BYTES_MAX];
            let length = self.0.recv(&mut packet).expect("an answer");
            assert!(length <= PACKET_BYTES_MAX);
            packet.truncate(length);
            let piece = Piece::decode(&packet).expect("a packet");
            let (envelope, message, received) =
                whole.get_or_insert_with(|| (piece.envelope, vec![0; piece.envelope.message_length()], 0));
            assert_eq!(envelope.request, piece.envelope.request);
            message.get_mut(piece.place).expect("within the message").copy_from_slice(piece.bytes);
            *received += piece.bytes.len();
            if *received == message.len() {
                let (envelope, message, _) = whole.expect("received");
                return Response { envelope, message };
            }
        }
    }

    /// Sends a request and receives its response.
    pub(crate) fn ask(&self, request: &Request) -> Response {
        self.send(&request.packets());
        let response = self.receive();
        assert_eq!(response.envelope.request, request.envelope.request);
        response
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
