//! The captured exchanges between the stock Handle client and server, taken apart into messages.

use std::path::Path;

use idnode::wire::cursor::Reader;
use idnode::wire::handle::envelope::{Envelope, EnvelopeFlags};
use idnode::wire::handle::packet::Piece;
use serde_json::Value as Json;

//----------- Vectors --------------------------------------------------------

/// The whole file.
pub(crate) struct Vectors {
    /// The exchanges, in the order in which they were captured.
    pub(crate) exchanges: Vec<Exchange>,
    keys: Json,
}

impl Vectors {
    /// Loads and takes apart the file.
    pub(crate) fn load() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors/handle-cnri-9.0.0.json");
        let text = std::fs::read_to_string(path).expect("the vectors are part of the repository");
        let file: Json = serde_json::from_str(&text).expect("the vectors are JSON");
        let exchanges = field(&file, "vectors").as_array().expect("a list").iter().map(Exchange::take_apart);
        Self { exchanges: exchanges.collect(), keys: field(&file, "keys").clone() }
    }

    /// A key of the rig, as bytes.
    pub(crate) fn key(&self, name: &str) -> Vec<u8> {
        unhex(field(&self.keys, name))
    }

    /// A text about the rig's keys.
    pub(crate) fn about_keys(&self, name: &str) -> &str {
        field(&self.keys, name).as_str().expect("a text")
    }

    /// All messages, requests and replies.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Sent> {
        self.exchanges.iter().flat_map(|exchange| exchange.requests.iter().chain(&exchange.replies))
    }
}

//----------- Exchange -------------------------------------------------------

/// What one connection, or one question over UDP, carried.
pub(crate) struct Exchange {
    /// The pass, the step and its place in it.
    pub(crate) name: String,
    /// `udp`, `tcp` or `http`.
    pub(crate) transport: String,
    /// What the client sent: one message, once two.
    pub(crate) requests: Vec<Sent>,
    /// What the server sent: one message, or the several of a list.
    pub(crate) replies: Vec<Sent>,
}

impl Exchange {
    fn take_apart(vector: &Json) -> Self {
        let text = |name: &str| field(vector, name).as_str().expect("a text").to_owned();
        let transport = text("transport");
        let messages = |bytes: &str, packets: &str| {
            let whole = unhex(field(vector, bytes));
            match transport.as_str() {
                "udp" => join(&cut(&whole, vector.get(packets))),
                "tcp" => split(&whole),
                "http" => split(behind_http_header(&whole)),
                other => panic!("transport {other}"),
            }
        };
        let requests = messages("request_hex", "request_packets");
        let replies = messages("response_hex", "response_packets");
        Self { name: text("name"), transport, requests, replies }
    }
}

/// One message as it went over the wire.
pub(crate) struct Sent {
    /// The envelope, of its first packet.
    pub(crate) envelope: Envelope,
    /// What stands behind it.
    pub(crate) message: Vec<u8>,
    /// The packets, each with its envelope; one where the transport is a stream.
    pub(crate) packets: Vec<Vec<u8>>,
}

impl Sent {
    /// Whether the message is encrypted, so that only its envelope can be read.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.envelope.flags.has(EnvelopeFlags::ENCRYPTED)
    }
}

fn field<'a>(json: &'a Json, name: &str) -> &'a Json {
    json.get(name).unwrap_or_else(|| panic!("no {name} in the vectors"))
}

fn unhex(json: &Json) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(json.as_str().expect("hex").as_bytes()).expect("hex")
}

/// Cuts captured bytes into the packets that they were.
fn cut(whole: &[u8], lengths: Option<&Json>) -> Vec<Vec<u8>> {
    let Some(lengths) = lengths.and_then(Json::as_array) else { return vec![whole.to_vec()] };
    let mut rest = whole;
    let packets = lengths.iter().map(|length| {
        let length = usize::try_from(length.as_u64().expect("a length")).expect("a length");
        let (packet, behind) = rest.split_at(length);
        rest = behind;
        packet.to_vec()
    });
    let packets: Vec<_> = packets.collect();
    assert!(rest.is_empty(), "the lengths cover all");
    packets
}

/// Joins packets, which came in order, into messages.
fn join(packets: &[Vec<u8>]) -> Vec<Sent> {
    let mut messages: Vec<Sent> = Vec::new();
    for packet in packets {
        let piece = Piece::decode(packet).expect("a packet decodes");
        if piece.envelope.sequence == 0 {
            messages.push(Sent { envelope: piece.envelope, message: Vec::new(), packets: Vec::new() });
        }
        let sent = messages.last_mut().expect("a first packet came first");
        assert_eq!(piece.place.start, sent.message.len(), "packets came in order");
        sent.message.extend_from_slice(piece.bytes);
        sent.packets.push(packet.clone());
    }
    messages
}

/// Splits a stream into messages.
fn split(stream: &[u8]) -> Vec<Sent> {
    let mut reader = Reader::new(stream);
    let mut messages = Vec::new();
    while reader.remaining() > 0 {
        let envelope = Envelope::decode(&mut reader).expect("an envelope decodes");
        let message = reader.take("message", envelope.message_length()).expect("a whole message").to_vec();
        let packets = vec![envelope.enclose(&message)];
        messages.push(Sent { envelope, message, packets });
    }
    messages
}

fn behind_http_header(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP header");
    bytes.get(end + 4..).unwrap_or_default()
}
