//! RFC 7873 with RFC 9018: cookies.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;

use super::zone::{Zone, question, with_edns};

const CLIENT: [u8; 8] = *b"a cookie";

fn with_cookie(message: Message, cookie: &[u8]) -> Message {
    let mut message = with_edns(message, 1_232);
    let edns = message.edns.as_mut().expect("an OPT record");
    edns.options_mut().insert(EdnsOption::Unknown(10, cookie.to_vec()));
    message
}

fn cookie(found: &Message) -> Option<Vec<u8>> {
    let options = &found.edns.as_ref()?.options().options;
    options.iter().find_map(|(_, option)| match option {
        EdnsOption::Unknown(10, data) => Some(data.clone()),
        _ => None,
    })
}

/// §5.2.3: the answer repeats the client's part and completes it, whatever the answer is.
#[tokio::test]
async fn s5_2_3_a_cookie_is_completed() {
    let zone = Zone::start().await;
    for name in ["sn000123.8.118.88.id.internal.", "example.com."] {
        let found = zone.exchange(&with_cookie(question(name, RecordType::TXT), &CLIENT)).await;
        let whole = cookie(&found).expect("a cookie");
        assert_eq!((whole.len(), whole.starts_with(&CLIENT)), (24, true), "{name}");
        // The client sends what it received with its next question.
        let found = zone.exchange(&with_cookie(question(name, RecordType::TXT), &whole)).await;
        assert!(cookie(&found).expect("a cookie").starts_with(&CLIENT));
    }
}

/// §5.2.1: without a cookie there is none, and the answer is the same.
#[tokio::test]
async fn s5_2_1_no_cookie_is_demanded() {
    let zone = Zone::start().await;
    let found = zone.ask_edns("sn000123.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((cookie(&found), found.answers.len()), (None, 2));
}

/// §5.2.2: a cookie of no proper length is a format error.
#[tokio::test]
async fn s5_2_2_a_malformed_cookie_is_a_format_error() {
    let zone = Zone::start().await;
    for length in [0, 7, 9, 15, 41] {
        let asked = question("sn000123.8.118.88.id.internal.", RecordType::TXT);
        let found = zone.exchange(&with_cookie(asked, &vec![1; length])).await;
        assert_eq!((found.response_code, found.answers.len()), (ResponseCode::FormErr, 0), "{length}");
    }
}

/// §5.4: a message without a question may ask for a cookie alone.
#[tokio::test]
async fn s5_4_a_cookie_may_be_asked_alone() {
    let zone = Zone::start().await;
    let found =
        zone.exchange(&with_cookie(Message::new(1, MessageType::Query, OpCode::Query), &CLIENT)).await;
    assert_eq!((found.response_code, found.queries.len()), (ResponseCode::NoError, 0));
    assert_eq!(cookie(&found).expect("a cookie").len(), 24);
}
