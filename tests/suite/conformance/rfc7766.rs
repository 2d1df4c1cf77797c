//! RFC 7766: DNS over TCP.

use std::collections::HashSet;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::RecordType;
use idnode::front::dns::DnsOptions;
use tokio::io::AsyncWriteExt as _;

use super::zone::{Zone, expect_closed, framed, options, question, receive_framed, rest_of, send_framed};

const NAME: &str = "sn000123.8.118.88.id.internal.";

/// §5: the same question has the same answer on the same port.
#[tokio::test]
async fn s5_tcp_answers_like_udp() {
    let zone = Zone::start().await;
    for name in [NAME, "sn9.8.118.88.id.internal.", "8.118.88.id.internal.", "example.com."] {
        assert_eq!(
            zone.ask_tcp(name, RecordType::TXT).await,
            zone.ask(name, RecordType::TXT).await,
            "{name}"
        );
    }
}

/// §6.2.1.1: many questions may be sent before the first answer is read; each is answered, by its id.
#[tokio::test]
async fn s6_2_1_1_questions_are_pipelined() {
    let zone = Zone::start().await;
    let mut stream = zone.connect().await;
    let mut bytes = Vec::new();
    for id in 0..100 {
        let mut asked =
            question(if id % 2 == 0 { NAME } else { "sn9.8.118.88.id.internal." }, RecordType::TXT);
        asked.metadata.id = id;
        bytes.extend(framed(&asked));
    }
    stream.write_all(&bytes).await.expect("sent");
    let mut answered = HashSet::new();
    for _ in 0..100 {
        let found = receive_framed(&mut stream).await;
        let expected = if found.id % 2 == 0 { ResponseCode::NoError } else { ResponseCode::NXDomain };
        assert_eq!(found.response_code, expected);
        answered.insert(found.id);
    }
    assert_eq!(answered.len(), 100);
}

/// §8: the length and the message may arrive in any pieces.
#[tokio::test]
async fn s8_a_message_may_arrive_in_pieces() {
    let zone = Zone::start().await;
    let mut stream = zone.connect().await;
    stream.set_nodelay(true).expect("set");
    for byte in framed(&question(NAME, RecordType::TXT)) {
        stream.write_all(&[byte]).await.expect("sent");
        stream.flush().await.expect("flushed");
        tokio::task::yield_now().await;
    }
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 2);
}

/// §6.2.3: a connection without messages is closed after a while.
#[tokio::test]
async fn s6_2_3_idle_connections_are_closed() {
    let zone = Zone::start_with(DnsOptions { idle_seconds: 1, ..options() }).await;
    let (mut silent, mut asking, mut half) =
        (zone.connect().await, zone.connect().await, zone.connect().await);
    // On a busy machine the while may be over before these are said.
    let _sent = asking.write_all(&framed(&question(NAME, RecordType::TXT))).await;
    // A message begun and never ended holds a connection no longer.
    let _sent = half.write_all(&[0, 40, 1]).await;
    expect_closed(&mut silent).await;
    expect_closed(&mut half).await;
    let received = rest_of(&mut asking).await;
    if let Some(answer) = received.get(2..) {
        assert_eq!(Message::from_vec(answer).expect("the answer decodes").answers.len(), 2);
    }
}

/// §6.2.4: when the front end drains, what was received is answered and the connection is closed.
#[tokio::test]
async fn s6_2_4_a_drain_closes_connections() {
    let zone = Zone::start_with(DnsOptions { idle_seconds: 600, ..options() }).await;
    let mut stream = zone.connect().await;
    send_framed(&mut stream, &question(NAME, RecordType::TXT)).await;
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 2);
    zone.stop().await;
    expect_closed(&mut stream).await;
}

/// §8 and RFC 8906 §3: what is no question gets no answer; the connection is closed.
#[tokio::test]
async fn s8_garbage_closes_the_connection() {
    let zone = Zone::start().await;
    let response = framed(&Message::new(1, MessageType::Response, OpCode::Query));
    for bytes in [vec![0, 3, 1, 2, 3], vec![0, 0], response] {
        let mut stream = zone.connect().await;
        stream.write_all(&bytes).await.expect("sent");
        expect_closed(&mut stream).await;
    }
}
