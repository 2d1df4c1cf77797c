//! Damaged DNS messages at a running node: it answers in bounds or not at all, and continues to answer others.

use std::time::Duration;

use futures_util::future::select_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use idnode::front::dns::DnsOptions;
use idnode::front::listen::slots::ConnectionLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::conformance::zone::{
    MACHINE, Zone, framed, options, question, receive_framed, send_framed, with_edns,
};

const NAME: &str = "_2.sn000123.8.118.88.id.internal.";
const SENTINEL: u16 = 0x5e5e;

/// A small generator, so that a failure repeats: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).expect("small")).expect("small")
    }
}

fn damaged(dice: &mut Dice) -> Vec<u8> {
    let record_type = match dice.below(4) {
        0 => RecordType::TXT,
        1 => RecordType::NAPTR,
        2 => MACHINE,
        _ => RecordType::ANY,
    };
    let mut bytes = with_edns(question(NAME, record_type), 1_232).to_vec().expect("it encodes");
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() * 8);
        *bytes.get_mut(at / 8).expect("a byte") ^= 1 << (at % 8);
    }
    if dice.below(3) == 0 {
        bytes.truncate(dice.below(bytes.len()));
    }
    // The sentinel's id is ours alone.
    if bytes.starts_with(&SENTINEL.to_be_bytes()) {
        bytes.insert(0, 0);
    }
    bytes
}

/// Each damaged datagram is followed by a sound one, whose answer ends the waiting.
#[tokio::test]
async fn damaged_datagrams_are_borne() {
    let zone = Zone::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.connect(zone.address).await.expect("connected");
    let mut sound = question(NAME, RecordType::TXT);
    sound.metadata.id = SENTINEL;
    let sound = sound.to_vec().expect("it encodes");
    let mut dice = Dice(0x1d0d_e001);
    for round in 0..2_000 {
        socket.send(&damaged(&mut dice)).await.expect("sent");
        socket.send(&sound).await.expect("sent");
        loop {
            let mut answer = [0; 4_096];
            let received = timeout(Duration::from_secs(60), socket.recv(&mut answer)).await;
            let length = received.unwrap_or_else(|_| panic!("no answer in round {round}")).expect("received");
            assert!(length <= 1_232, "{length} octets in round {round}");
            let answer = Message::from_vec(&answer[..length]).expect("an answer decodes");
            if answer.id == SENTINEL {
                assert_eq!(answer.answers.len(), 1, "round {round}");
                break;
            }
        }
    }
}

/// A connection that sends damage is answered or closed; the next one is served.
#[tokio::test]
async fn damaged_connections_are_borne() {
    let zone = Zone::start().await;
    let mut dice = Dice(0x1d0d_e002);
    for round in 0..200 {
        let mut stream = zone.connect().await;
        let bytes = damaged(&mut dice);
        let mut damage = u16::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
        damage.extend_from_slice(&bytes);
        stream.write_all(&damage).await.expect("sent");
        stream.shutdown().await.expect("ended");
        let mut rest = Vec::new();
        timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await.expect("closed").expect("read");
        if let Some(message) = rest.get(2..) {
            Message::from_vec(message).unwrap_or_else(|_| panic!("an answer decodes in round {round}"));
        }
    }
    let mut stream = zone.connect().await;
    stream.write_all(&framed(&question(NAME, RecordType::TXT))).await.expect("sent");
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 1);
}

/// Large messages of one source that do not come to an end, one more than its memory holds: that one is answered with
/// SERVFAIL instead of silence, and its connection goes on.
#[tokio::test]
async fn a_message_without_memory_is_refused_and_its_connection_goes_on() {
    let connections = ConnectionLimits::new(512, 256);
    let zone = Zone::start_with(DnsOptions { connections, ..options() }).await;
    let mut message = question(NAME, RecordType::TXT).to_vec().expect("it encodes");
    message.resize(usize::from(u16::MAX), 0);
    let (beginning, rest) = message.split_at(60_000);
    let mut connections = Vec::new();
    // 8 MiB hold 128 of these.
    for _ in 0..129 {
        let mut stream = zone.connect().await;
        stream.write_all(&[&u16::MAX.to_be_bytes()[..], beginning].concat()).await.expect("sent");
        connections.push(stream);
    }
    let (_, first, _) = {
        let readable = connections.iter().map(|stream| Box::pin(stream.readable()));
        timeout(Duration::from_secs(60), select_all(readable)).await.expect("one is refused")
    };
    let mut refused = connections.swap_remove(first);
    assert_eq!(receive_framed(&mut refused).await.response_code, ResponseCode::ServFail);
    refused.write_all(rest).await.expect("sent");
    send_framed(&mut refused, &question(NAME, RecordType::TXT)).await;
    assert_eq!(receive_framed(&mut refused).await.answers.len(), 1);
    drop(connections);
    zone.stop().await;
}
