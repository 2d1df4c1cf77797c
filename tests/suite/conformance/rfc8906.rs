//! RFC 8906 section 8: the checks that every server must pass, and section 3: never silence.

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType;

use super::zone::{Zone, name, question};

const APEX: &str = "8.118.88.id.internal.";

/// §8.1.1: SOA at the top of a zone is answered with authority.
#[tokio::test]
async fn s8_1_1_soa_is_there() {
    let zone = Zone::start().await;
    let found = zone.ask(APEX, RecordType::SOA).await;
    assert_eq!(
        (found.response_code, found.authoritative, found.answers.len()),
        (ResponseCode::NoError, true, 1)
    );
    assert!(!found.recursion_available && !found.authentic_data);
}

/// §8.1.2: a type that nobody knows is NODATA.
#[tokio::test]
async fn s8_1_2_an_unknown_type_is_nodata() {
    let zone = Zone::start().await;
    let found = zone.ask(APEX, RecordType::Unknown(1_000)).await;
    assert_eq!(
        (found.response_code, found.authoritative, found.answers.len()),
        (ResponseCode::NoError, true, 0)
    );
    assert_eq!(found.authorities.len(), 1);
}

/// §8.1.3: AD, CD and the reserved bit of a question do no harm; the reserved bit comes back as zero.
#[tokio::test]
async fn s8_1_3_header_bits_are_harmless() {
    let zone = Zone::start().await;
    for bits in [0x20_u8, 0x10, 0x40, 0x70] {
        let mut asked = question(APEX, RecordType::SOA).to_vec().expect("it encodes");
        asked[3] |= bits;
        let answer = zone.exchange_bytes(&asked).await;
        assert_eq!(answer[3] & 0x40, 0, "the reserved bit is zero");
        let found = Message::from_vec(&answer).expect("it decodes");
        assert_eq!((found.response_code, found.answers.len()), (ResponseCode::NoError, 1));
        assert_eq!((found.authentic_data, found.checking_disabled), (false, bits & 0x10 > 0));
    }
}

/// §8.1.4: an operation that we do not know is NOTIMP, with a header only.
#[tokio::test]
async fn s8_1_4_an_unknown_operation_is_notimp() {
    let zone = Zone::start().await;
    for operation in 1..16_u8 {
        let header = [0x1d, 0x0d, operation << 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let answer = zone.exchange_bytes(&header).await;
        assert_eq!(answer, [0x1d, 0x0d, 0x80 | (operation << 3), 4, 0, 0, 0, 0, 0, 0, 0, 0], "{operation}");
    }
    let mut notify = question(APEX, RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(zone.exchange(&notify).await.response_code, ResponseCode::NotImp);
    let mut update = question(APEX, RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(zone.exchange(&update).await.response_code, ResponseCode::NotImp);
}

/// RFC 9619 §4: a question message has exactly one question.
#[tokio::test]
async fn s4_other_counts_of_questions_are_a_format_error() {
    let zone = Zone::start().await;
    let none = Message::new(1, MessageType::Query, OpCode::Query);
    assert_eq!(zone.exchange(&none).await.response_code, ResponseCode::FormErr);
    let mut two = question(APEX, RecordType::SOA);
    two.add_query(Query::query(name(APEX), RecordType::NS));
    let found = zone.exchange(&two).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::FormErr, 0));
    // A claim that the bytes do not keep.
    let mut many = question(APEX, RecordType::SOA).to_vec().expect("it encodes");
    many[4..6].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(zone.exchange_bytes(&many).await[3] & 0xf, 1);
}

/// §3: whatever has a header of a question is answered.
#[tokio::test]
async fn s3_there_is_no_silence() {
    let zone = Zone::start().await;
    let whole = question(APEX, RecordType::SOA).to_vec().expect("it encodes");
    for length in 12..whole.len() {
        let answer = zone.exchange_bytes(&whole[..length]).await;
        assert_eq!((answer[2] & 0x80, answer[3] & 0xf), (0x80, 1), "FORMERR for {length} octets");
    }
}

/// §3: responses and less than a header are not answered, so that two servers never talk forever.
#[tokio::test]
async fn s3_responses_are_not_answered() {
    let zone = Zone::start().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.connect(zone.address).await.expect("connected");
    let mut response = question(APEX, RecordType::SOA).to_vec().expect("it encodes");
    response[2] |= 0x80;
    socket.send(&response).await.expect("sent");
    socket.send(&[1, 2, 3]).await.expect("sent");
    // The first answer that comes is the question's, which was sent last.
    let mut asked = question(APEX, RecordType::SOA);
    asked.metadata.id = 0x7777;
    socket.send(&asked.to_vec().expect("it encodes")).await.expect("sent");
    let mut answer = [0; 512];
    socket.recv(&mut answer).await.expect("received");
    assert_eq!(answer[..2], [0x77, 0x77]);
    let dropped = || zone.counters.dropped.load(std::sync::atomic::Ordering::Relaxed);
    wait_until(|| dropped() == 2).await;
}

async fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "the condition never held");
        tokio::task::yield_now().await;
    }
}

/// RFC 5936 §2.2.1: zones are not transferred.
#[tokio::test]
async fn s2_2_1_transfers_are_refused() {
    let zone = Zone::start().await;
    for record_type in [RecordType::AXFR, RecordType::IXFR] {
        assert_eq!(zone.ask(APEX, record_type).await.response_code, ResponseCode::Refused);
        assert_eq!(zone.ask_tcp(APEX, record_type).await.response_code, ResponseCode::Refused);
    }
}

/// RFC 6895 §3.1: types that are no data are not looked up.
#[tokio::test]
async fn s3_1_meta_types_are_not_data() {
    let zone = Zone::start().await;
    let code = async |number: u16| zone.ask(APEX, RecordType::from(number)).await.response_code;
    assert_eq!([code(253).await, code(254).await, code(249).await], [ResponseCode::NotImp; 3]);
    assert_eq!([code(41).await, code(250).await], [ResponseCode::FormErr; 2]);
}
