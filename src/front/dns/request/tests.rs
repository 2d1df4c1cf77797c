//! Requests of unknown clients: whatever the bytes are, decoding is cheap and the answer is bounded.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

use super::{Request, Transport, decode};
use crate::front::dns::message::{Extended, Reply, encode};
use crate::front::dns::reply;

fn whole() -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("_7.sn000123.8.118.88.id.internal.").expect("a name");
    message.add_query(Query::query(name, RecordType::TXT));
    message.set_edns(Edns::new());
    message.to_vec().expect("it encodes")
}

/// Decodes, and answers what can be answered: in bounds, to the same id, as a response.
fn check(bytes: &[u8], transport: Transport) -> Option<ResponseCode> {
    let (asked, code) = match decode(bytes, transport) {
        Request::Silence => return None,
        Request::Question(asked, _) => (asked, ResponseCode::NXDomain),
        Request::Refused(asked, unserved) => (asked, reply::unserved(unserved).code),
    };
    let encoded = encode(&asked, &Reply::of(code, Some(Extended::new(0, "why"))), Some(&[7; 24]));
    assert!(encoded.bytes.len() <= usize::from(asked.octets_max), "{} octets", encoded.bytes.len());
    assert_eq!(encoded.bytes[..2], bytes[..2]);
    let answer = Message::from_vec(&encoded.bytes).expect("an answer decodes");
    assert_eq!(answer.message_type, MessageType::Response);
    Some(code)
}

#[test]
fn a_whole_question_is_taken_and_a_cut_one_refused() {
    let whole = whole();
    assert!(matches!(decode(&whole, Transport::Udp), Request::Question(..)));
    for length in 0..12 {
        assert_eq!(check(&whole[..length], Transport::Udp), None);
    }
    for length in 12..whole.len() {
        assert_eq!(check(&whole[..length], Transport::Tcp), Some(ResponseCode::FormErr), "{length} octets");
    }
}

#[test]
fn a_name_that_points_at_itself_is_refused() {
    let mut bytes = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1]);
    assert_eq!(check(&bytes, Transport::Udp), Some(ResponseCode::FormErr));
}

#[test]
fn a_name_of_the_greatest_length_is_taken() {
    let mut bytes = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for length in [63_u8, 63, 63, 61] {
        bytes.push(length);
        bytes.extend(std::iter::repeat_n(b'a', usize::from(length)));
    }
    bytes.extend_from_slice(&[0, 0, 16, 0, 1]);
    assert_eq!(bytes.len(), 12 + 255 + 4);
    assert_eq!(check(&bytes, Transport::Udp), Some(ResponseCode::NXDomain));
}

#[test]
fn a_claim_of_many_records_costs_nothing() {
    let mut bytes = whole();
    for claim in 4..12 {
        let before = bytes[claim];
        bytes[claim] = 0xff;
        assert_eq!(check(&bytes, Transport::Udp), Some(ResponseCode::FormErr));
        bytes[claim] = before;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        check(&bytes, Transport::Udp);
        check(&bytes, Transport::Tcp);
    }

    #[test]
    fn flipped_bits_are_borne(flips in prop::collection::vec(any::<prop::sample::Index>(), 1..6), cut in 0_usize..80) {
        let mut bytes = whole();
        for flip in flips {
            let at = flip.index(bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4));
        let is_response = bytes.get(2).is_some_and(|flags| flags & 0x80 > 0);
        let code = check(&bytes, Transport::Udp);
        prop_assert!(code.is_some() || is_response || bytes.len() < 12, "silence");
    }
}
