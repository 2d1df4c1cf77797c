//! RFC 8945: TSIG, with no key known here.

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::zone::{Zone, name, question, with_edns};

const NAME: &str = "sn000123.8.118.88.id.internal.";
const SIGNED_AT: u64 = 1_700_000_000;

/// A question that claims to be signed with a key.
fn signed(mut asked: Message, algorithm: TsigAlgorithm) -> Message {
    let id = asked.metadata.id;
    let data = TSIG::new(algorithm, SIGNED_AT, 300, vec![7; 32], id, None, Vec::new());
    let mut record = Record::from_rdata(name("transfer-key.example."), 0, data);
    record.dns_class = DNSClass::ANY;
    asked.signature = Some(Box::new(record));
    asked
}

/// The TSIG record of an answer without records, which is the last one.
fn tsig(answer: &[u8]) -> (String, TSIG) {
    let found = Message::from_vec(answer).expect("it decodes");
    assert!(found.answers.is_empty(), "nothing is answered");
    let record = found.additionals.last().expect("a TSIG record");
    assert_eq!((record.dns_class, record.ttl), (DNSClass::ANY, 0));
    let RData::TSIG(data) = &record.data else { panic!("a TSIG record: {record:?}") };
    (record.name.to_string(), data.clone())
}

/// §5.2.1: a key that is not known is NOTAUTH with BADKEY, in a TSIG record without a MAC (§5.3.2).
#[tokio::test]
async fn s5_2_1_an_unknown_key_is_badkey() {
    let zone = Zone::start().await;
    for algorithm in [TsigAlgorithm::HmacSha256, TsigAlgorithm::Unknown(name("hmac-unheard-of.example."))] {
        for edns in [false, true] {
            let asked = question(NAME, RecordType::TXT);
            let asked = if edns { with_edns(asked, 1_232) } else { asked };
            let asked = signed(asked, algorithm.clone()).to_vec().expect("it encodes");
            let answer = zone.exchange_bytes(&asked).await;
            let found = Message::from_vec(&answer).expect("it decodes");
            assert_eq!((found.response_code, found.queries.len()), (ResponseCode::NotAuth, 1));
            assert_eq!(found.edns.is_some(), edns, "OPT comes back when it was sent");
            let (key, tsig) = tsig(&answer);
            assert_eq!(key, "transfer-key.example.");
            assert_eq!(
                (tsig.error, tsig.mac.len(), tsig.oid),
                (Some(TsigError::BadKey), 0, found.metadata.id)
            );
            let spelled = |algorithm: &TsigAlgorithm| algorithm.to_name().to_ascii();
            let (found, expected) = (spelled(&tsig.algorithm), spelled(&algorithm));
            assert_eq!(found.trim_end_matches('.'), expected.trim_end_matches('.'));
        }
    }
}

/// §5.2: the signature is checked before anything else is made of the message.
#[tokio::test]
async fn s5_2_a_signed_update_is_badkey() {
    let zone = Zone::start().await;
    let mut asked = question(NAME, RecordType::SOA);
    asked.metadata.op_code = OpCode::Update;
    let answer =
        zone.exchange_bytes(&signed(asked, TsigAlgorithm::HmacSha256).to_vec().expect("it encodes")).await;
    assert_eq!(Message::from_vec(&answer).expect("it decodes").response_code, ResponseCode::NotAuth);
    assert_eq!(tsig(&answer).1.error, Some(TsigError::BadKey));
}

/// §5.1: TSIG is the last record; one before others, or one that is cut, is a format error.
#[tokio::test]
async fn s5_1_a_misplaced_signature_is_a_format_error() {
    let zone = Zone::start().await;
    let whole =
        signed(question(NAME, RecordType::TXT), TsigAlgorithm::HmacSha256).to_vec().expect("it encodes");
    let mut followed = whole.clone();
    followed[11] = 2;
    followed.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    for bytes in [&followed[..], &whole[..whole.len() - 3]] {
        let answer = zone.exchange_bytes(bytes).await;
        assert_eq!(answer[3] & 0xf, 1, "FORMERR");
    }
}
