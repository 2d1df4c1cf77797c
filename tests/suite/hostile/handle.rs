//! Damaged and malicious Handle messages at a running node: bounded memory, and others are served meanwhile.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};

use idnode::wire::handle::code::{OpCode, Version};
use idnode::wire::handle::envelope::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
use idnode::wire::handle::packet::PIECE_BYTES;

use crate::support::clients::http_get;
use crate::support::eventually::eventually;
use crate::support::handle::{Request, TcpClient, UdpClient, administered};
use crate::support::node::{NodeProcess, TestNode};
use crate::support::vectors::Vectors;

/// A small generator, so that a failure repeats: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).expect("small")).expect("small")
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.below(256)).expect("a byte")).collect()
    }
}

/// A question that a node without data answers at once.
fn sentinel() -> Request {
    Request::resolve("77.7/x")
}

/// Resident bytes of a process.
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kibibytes: u64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    kibibytes * 1024
}

/// A count of the exceptions of the front end, from the metrics.
fn exceptions(node: &TestNode, kind: &str) -> u64 {
    let (_, page) = http_get(node.http(), "/metrics");
    let name = format!("idnode_handle_exceptions_total{{kind=\"{kind}\"}} ");
    let count = page.lines().find_map(|line| line.strip_prefix(&name)).expect("a counter");
    count.parse().expect("a number")
}

/// The first piece of a message of which nothing more comes.
fn beginning(request: u32, piece: &[u8]) -> Vec<u8> {
    let envelope = Envelope {
        version: Version::V2_10,
        suggested: Version::V2_10,
        flags: EnvelopeFlags::TRUNCATED,
        session: 0,
        request,
        sequence: 0,
        message_bytes: 262_144,
    };
    let mut packet = envelope.enclose(&[]);
    packet.truncate(ENVELOPE_BYTES - 4);
    packet.extend_from_slice(&envelope.message_bytes.to_be_bytes());
    packet.extend_from_slice(piece);
    packet
}

#[test]
fn a_hundred_thousand_beginnings_take_bounded_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    let address = *node.addresses.handle.first().expect("a Handle address");
    let patient = UdpClient::connect(address);
    assert_eq!(patient.ask(&sentinel()).code(), 301);
    let before = resident_bytes(node.addresses.process);
    let flood = UdpSocket::bind("127.0.0.2:0").expect("a socket");
    flood.connect(address).expect("connected");
    let piece = vec![0x61; PIECE_BYTES];
    for request in 0..100_000 {
        flood.send(&beginning(request, &piece)).expect("sent");
        if request % 10_000 == 0 {
            assert_eq!(patient.ask(&sentinel()).code(), 301, "others are served meanwhile");
        }
    }
    // A long question of somebody else still comes together.
    let indexes: Vec<u32> = (1..300).collect();
    let long = Request::select("77.7/x", &indexes, &[]);
    assert_eq!(patient.ask(&long).code(), 301);
    let grown = resident_bytes(node.addresses.process).saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "grown by {grown} bytes");
    node.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_contradict_each_other_are_no_message() {
    let node = administered().await;
    let udp = UdpClient::connect(node.handle());
    let indexes: Vec<u32> = (1..300).collect();
    let question = Request::select("77.7/x", &indexes, &[]);
    let packets = question.packets();
    let mut overlapping = packets.clone();
    *overlapping.get_mut(1).and_then(|packet| packet.get_mut(30)).expect("a byte") ^= 0xff;
    // The second piece twice, with other bytes: the message is given up, and its third piece begins another.
    let [first, second, third] = [0, 1, 2].map(|place: usize| packets.get(place).expect("three").clone());
    let other = overlapping.get(1).expect("three").clone();
    udp.send(&[first, second, other]);
    eventually("the message is given up", || (exceptions(&node, "incomplete") > 0).then_some(()));
    udp.send(&[third]);
    let sound = sentinel();
    udp.send(&sound.packets());
    assert_eq!(udp.receive().envelope.request, sound.envelope.request, "nothing was answered before");
    // Cut short, beyond the end: dropped by themselves, and what is right completes.
    let again = Request::select("77.7/x", &indexes, &[]);
    let packets = again.packets();
    let [first, second, third] = [0, 1, 2].map(|place: usize| packets.get(place).expect("three").clone());
    let mut short = second.clone();
    short.pop();
    let mut beyond = second.clone();
    beyond.splice(12..16, 7_u32.to_be_bytes());
    udp.send(&[first, short, beyond, third, second]);
    let response = udp.receive();
    assert_eq!((response.code(), response.envelope.request), (301, again.envelope.request));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_in_bounds_or_not_at_all() {
    let node = administered().await;
    let mut dice = Dice(0x1dea_5eed);
    let udp = UdpClient::connect(node.handle());
    let noise = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    noise.connect(node.handle()).expect("connected");
    for _ in 0..2_000 {
        let length = dice.below(700);
        noise.send(&dice.bytes(length)).expect("sent");
    }
    assert_eq!(udp.ask(&sentinel()).code(), 301);
    for _ in 0..200 {
        let mut stream = TcpStream::connect(node.handle()).expect("connected");
        let length = dice.below(2_000);
        // The node may have closed already.
        let _sent = stream.write_all(&dice.bytes(length));
    }
    assert_eq!(TcpClient::connect(node.handle()).ask(&sentinel()).code(), 301);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_requests_with_bits_flipped_harm_nobody() {
    let node = administered().await;
    let vectors = Vectors::load();
    let mut dice = Dice(0x0b17_f11b);
    let udp = UdpClient::connect(node.handle());
    let noise = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    noise.connect(node.handle()).expect("connected");
    let mut tcp = TcpClient::connect(node.handle());
    let mut sent = 0;
    for exchange in &vectors.exchanges {
        for request in &exchange.requests {
            let whole = request.envelope.enclose(&request.message);
            for _ in 0..12 {
                let mut bytes = whole.clone();
                let bit = dice.below(bytes.len() * 8);
                *bytes.get_mut(bit / 8).expect("a byte") ^= 1 << (bit % 8);
                noise.send(&bytes).expect("sent");
                sent += 1;
            }
        }
        assert_eq!(udp.ask(&sentinel()).code(), 301, "after {}", exchange.name);
        assert_eq!(tcp.ask(&sentinel()).code(), 301, "after {}", exchange.name);
    }
    assert!(sent > 4_000, "{sent}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_messages_hold_nobody_up() {
    let node = administered().await;
    let whole = Request::new(OpCode::CREATE, vec![0; 200_000]).bytes();
    let mut waiting: Vec<TcpStream> = Vec::new();
    for length in (1..200).map(|step| step * 900) {
        let mut stream = TcpStream::connect(node.handle()).expect("connected");
        // The node reads as much as its budget allows; what is left waits in the system.
        stream.set_nonblocking(true).expect("not blocking");
        let _sent = stream.write(whole.get(..length).unwrap_or(&whole));
        waiting.push(stream);
    }
    let mut tcp = TcpClient::connect(node.handle());
    assert_eq!(tcp.ask(&sentinel()).code(), 301);
    drop(waiting);
    eventually("the front end serves on", || {
        (TcpClient::connect(node.handle()).ask(&sentinel()).code() == 301).then_some(())
    });
    node.stop().await;
}
