//! RFC 6891: EDNS(0), with the size of RFC 9715.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::zone::{Zone, question, with_edns};

const NAME: &str = "sn000123.8.118.88.id.internal.";

/// §6.1.1: OPT comes back when it was sent, and only then.
#[tokio::test]
async fn s6_1_1_opt_is_answered_with_opt() {
    let zone = Zone::start().await;
    let found = zone.ask(NAME, RecordType::TXT).await;
    assert_eq!(found.edns, None);
    let found = zone.ask_edns(NAME, RecordType::TXT).await;
    let edns = found.edns.expect("an OPT record");
    assert_eq!((edns.version(), edns.max_payload(), edns.flags().z), (0, 1_232, 0));
    assert_eq!(found.answers.len(), 2);
}

/// §6.1.1: two OPT records are a format error.
#[tokio::test]
async fn s6_1_1_two_opt_records_are_a_format_error() {
    let zone = Zone::start().await;
    let mut asked = with_edns(question(NAME, RecordType::TXT), 1_232);
    let mut opt = Record::from_rdata(Name::root(), 0, RData::OPT(Default::default()));
    opt.dns_class = DNSClass::for_opt(1_232);
    asked.additionals.push(opt);
    let found = zone.exchange(&asked).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::FormErr, 0));
}

/// §6.1.2: options that we do not know are ignored and not sent back.
#[tokio::test]
async fn s6_1_2_unknown_options_are_ignored() {
    let zone = Zone::start().await;
    let mut asked = with_edns(question(NAME, RecordType::TXT), 1_232);
    let edns = asked.edns.as_mut().expect("an OPT record");
    edns.options_mut().insert(EdnsOption::Unknown(100, vec![1, 2, 3]));
    edns.options_mut().insert(EdnsOption::Unknown(65_001, vec![0; 8]));
    edns.options_mut().insert(EdnsOption::Unknown(3, Vec::new()));
    let found = zone.exchange(&asked).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::NoError, 2));
    assert_eq!(found.edns.expect("an OPT record").options().options, []);
}

/// §6.1.2: an option that is not used here is ignored whatever it holds, malformed by its own standard or not: client
/// subnets of family 0, of an unknown family, cut short, and with more bits than an address has (RFC 7871 §6).
#[tokio::test]
async fn s6_1_2_the_data_of_unused_options_is_not_looked_at() {
    let zone = Zone::start().await;
    let data: [&[u8]; 6] = [
        &[0, 0, 0, 0],
        &[0, 99, 24, 0, 192, 0, 2],
        &[],
        &[0, 1],
        &[0, 1, 200, 0, 192, 0, 2, 1],
        &[0, 1, 24, 0, 192, 0, 2, 1, 9, 9],
    ];
    for code in [8_u16, 5, 6, 7, 9, 11, 12, 14, 15] {
        for data in data {
            let bytes = raw_with_option(code, u16::try_from(data.len()).expect("short"), data);
            let answer = zone.exchange_bytes(&bytes).await;
            let found = Message::from_vec(&answer).expect("it decodes");
            let outcome = (found.response_code, found.answers.len(), found.edns.is_some());
            assert_eq!(outcome, (ResponseCode::NoError, 2, true), "option {code} with {data:?}");
        }
    }
}

/// §7: a format error behind OPT is answered with OPT: an option longer than its record, a cookie of no proper length, a
/// second OPT.
#[tokio::test]
async fn s7_a_format_error_carries_opt() {
    let zone = Zone::start().await;
    let mut twice = raw_with_option(3, 0, &[]);
    twice[11] = 2;
    twice.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    let malformed = [raw_with_option(8, 9, &[0, 1, 24]), raw_with_option(10, 7, &[1; 7]), twice];
    for bytes in malformed {
        let answer = zone.exchange_bytes(&bytes).await;
        let found = Message::from_vec(&answer).expect("it decodes");
        let outcome = (found.response_code, found.answers.len(), found.edns.is_some());
        assert_eq!(outcome, (ResponseCode::FormErr, 0, true), "{bytes:?}");
    }
}

/// A question with an OPT record that has one option, whatever its length claims.
fn raw_with_option(code: u16, claimed: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = question(NAME, RecordType::TXT).to_vec().expect("it encodes");
    *bytes.get_mut(11).expect("a header") = 1;
    let length = u16::try_from(4 + data.len()).expect("short");
    bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0]);
    for number in [length, code, claimed] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(data);
    bytes
}

/// §6.1.3: a later version is BADVERS, with ours and without an answer.
#[tokio::test]
async fn s6_1_3_a_later_version_is_badvers() {
    let zone = Zone::start().await;
    let mut asked = with_edns(question(NAME, RecordType::TXT), 1_232);
    asked.edns.as_mut().expect("an OPT record").set_version(1);
    let found = zone.exchange(&asked).await;
    // The codec has another name for 16.
    assert_eq!((u16::from(found.response_code), found.answers.len()), (16, 0));
    assert_eq!(found.edns.expect("an OPT record").version(), 0);
}

/// §6.1.4: unknown flags are ignored and come back as zero; DO comes back as it was (RFC 3225 §3).
#[tokio::test]
async fn s6_1_4_unknown_flags_are_zero() {
    let zone = Zone::start().await;
    for dnssec_ok in [false, true] {
        let mut asked = with_edns(question(NAME, RecordType::TXT), 1_232);
        let flags = asked.edns.as_mut().expect("an OPT record").flags_mut();
        (flags.z, flags.dnssec_ok) = (0x1234, dnssec_ok);
        let found = zone.exchange(&asked).await.edns.expect("an OPT record");
        assert_eq!((found.flags().z, found.flags().dnssec_ok), (0, dnssec_ok));
    }
}

/// §6.2.3 and RFC 9715 §3.1: a datagram is never larger than the client says, nor than 1,232 octets, and a size below
/// 512 counts as 512.
#[tokio::test]
async fn s6_2_3_the_clients_size_is_obeyed() {
    let zone = Zone::start().await;
    let values = (1..=10).map(|n| super::zone::value(n, "NOTE", &[b'n'; 80])).collect();
    zone.register("88.118.8/kilo", values).await;
    for (octets, fits) in [(0, false), (512, false), (1_000, false), (1_232, true), (65_535, true)] {
        let asked = with_edns(question("kilo.8.118.88.id.internal.", RecordType::TXT), octets);
        let bytes = zone.exchange_bytes(&asked.to_vec().expect("it encodes")).await;
        assert!(bytes.len() <= usize::from(octets.clamp(512, 1_232)), "{} octets", bytes.len());
        let found = Message::from_vec(&bytes).expect("it decodes");
        assert_eq!((found.truncation, found.answers.len()), (!fits, if fits { 10 } else { 0 }), "{octets}");
        assert!(found.edns.is_some(), "OPT stays when the rest is cut");
    }
}

/// §7: an error is answered with OPT, too.
#[tokio::test]
async fn s7_errors_carry_opt() {
    let zone = Zone::start().await;
    for asked in ["example.com.", "sn9.8.118.88.id.internal."] {
        assert!(zone.ask_edns(asked, RecordType::TXT).await.edns.is_some(), "{asked}");
    }
}
