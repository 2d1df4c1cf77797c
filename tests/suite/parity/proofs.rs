//! Proofs that are not accepted have the same response code and sentence over the Handle protocol and the JSON API.

use std::sync::Arc;

use data_encoding::BASE64;
use idnode::wire::handle::body::challenge::ChallengeAnswer;
use idnode::wire::handle::code::OpCode;
use serde_json::{Value as Json, json};

use crate::http::front_end::FrontEnd;
use crate::http::identity::{Challenge, NOBODY, RSA, SECRET, SM2, USER, header, open, rsa_key};
use crate::support::handle::{Ask, Request, Signer, SignerKey, TcpClient, value, with_values};

/// The index of a key that is named as an administrator and not there.
const MISSING: u32 = 303;
/// The index of a public key that nobody can decode.
const BROKEN: u32 = 304;
/// An index at which there is no key, and which no administrator has.
const ABSENT: u32 = 305;
/// A record of a prefix that no node is known to have.
const ELSEWHERE: &str = "99.1/a";
const PATH: &str = "/api/handles/88.118.8/proved";

/// A proof that is not accepted.
struct Case {
    what: &'static str,
    user: &'static str,
    index: u32,
    key: Key,
    code: u64,
}

/// What the proof is made with.
#[derive(Clone, Copy)]
enum Key {
    Rsa,
    Password,
    /// A kind of proof that does not exist.
    Unknown,
}

const CASES: &[Case] = &[
    Case { what: "no key", user: USER, index: MISSING, key: Key::Rsa, code: 403 },
    Case { what: "no key of this kind", user: USER, index: SM2, key: Key::Password, code: 403 },
    Case { what: "another key", user: USER, index: SM2, key: Key::Rsa, code: 403 },
    Case { what: "another password", user: USER, index: SECRET, key: Key::Password, code: 403 },
    Case { what: "a broken key", user: USER, index: BROKEN, key: Key::Rsa, code: 403 },
    Case { what: "no administrator", user: USER, index: NOBODY, key: Key::Password, code: 403 },
    Case { what: "no administrator and no key", user: USER, index: ABSENT, key: Key::Rsa, code: 403 },
    Case { what: "no identifier", user: "88.118.8/none", index: RSA, key: Key::Rsa, code: 403 },
    Case { what: "an unknown kind", user: USER, index: RSA, key: Key::Unknown, code: 404 },
    Case { what: "a key out of reach", user: ELSEWHERE, index: RSA, key: Key::Rsa, code: 406 },
];

/// Starts a node at which the identities of the table are administrators unless it says otherwise.
async fn open_for_all() -> FrontEnd {
    let front_end = open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let broken = json!([{"index": BROKEN, "type": "HS_PUBKEY",
        "data": {"format": "base64", "value": BASE64.encode(b"no key")}}]);
    let put = client.put(&format!("/api/handles/{USER}?index={BROKEN}"), broken).await;
    assert_eq!(put.verdict(), (201, 1), "{put:?}");
    for (at, (user, index)) in [(USER, MISSING), (USER, BROKEN), (ELSEWHERE, RSA)].into_iter().enumerate() {
        let named = json!({"handle": user, "index": index, "permissions": "111111111111"});
        let value =
            json!([{"index": 110 + at, "type": "HS_ADMIN", "data": {"format": "admin", "value": named}}]);
        let put = client.put(&format!("/api/handles/0.NA/88.118.8?index={}", 110 + at), value).await;
        assert_eq!(put.verdict(), (201, 1), "{put:?}");
    }
    front_end
}

/// The code and the sentence over the Handle protocol.
fn by_handle(client: &mut impl Ask, case: &Case) -> (u64, String) {
    let Case { user, index, key, .. } = case;
    let signer = |key| Signer { user: (*user).to_owned(), index: *index, key };
    let challenge = client.ask(&with_values(OpCode::CREATE, "88.118.8/proved", vec![value(1, "URL", b"u")]));
    let answer = match key {
        Key::Rsa => signer(SignerKey::Private(Arc::new(rsa_key().clone()))).answer(&challenge),
        Key::Password => signer(SignerKey::Secret(b"a guess".to_vec())).answer(&challenge),
        Key::Unknown => {
            let answer =
                ChallengeAnswer { kind: b"HS_NONE", user: user.as_bytes(), index: *index, answer: b"" };
            let mut request = Request::new(OpCode::CHALLENGE_RESPONSE, answer.encode());
            request.envelope.session = challenge.envelope.session;
            request
        }
    };
    let response = client.ask(&answer);
    (response.code().into(), response.sentence())
}

/// The code and the sentence over the JSON API, and the status.
async fn by_http(front_end: &FrontEnd, case: &Case) -> (u64, String, u16) {
    let body = json!([{"index": 1, "type": "URL", "data": "u"}]);
    let challenge = Challenge::of(&front_end.tls().put(PATH, body.clone()).await);
    let mut answer = match case.key {
        Key::Password => challenge.answer_derived(case.index, "a guess"),
        Key::Rsa | Key::Unknown => challenge.answer(case.index, rsa_key()),
    };
    let members = answer.as_object_mut().expect("an object");
    members.insert("id".to_owned(), json!(format!("{}:{}", case.index, case.user)));
    if matches!(case.key, Key::Unknown) {
        members.insert("type".to_owned(), json!("HS_NONE"));
    }
    let reply = front_end.tls().with("Authorization", &header(&answer)).put(PATH, body).await;
    let sentence = reply.json().get("message").and_then(Json::as_str).unwrap_or_default().to_owned();
    (reply.code(), sentence, reply.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_not_accepted_has_one_code_over_handle_and_http() {
    let front_end = open_for_all().await;
    let mut tcp = TcpClient::connect(front_end.node().handle_addr().expect("a Handle address"));
    for case in CASES {
        let (over_handle, sentence) = by_handle(&mut tcp, case);
        let (over_http, message, status) = by_http(&front_end, case).await;
        assert_eq!((over_handle, over_http), (case.code, case.code), "{}: {sentence} | {message}", case.what);
        assert_eq!(status, 401, "{}", case.what);
        if !matches!(case.key, Key::Unknown) {
            assert_eq!(sentence, message, "{}", case.what);
        }
        if case.code == 403 {
            assert_eq!(sentence, "Identity not verified", "{}: nothing is reported of keys", case.what);
        }
    }
    front_end.close().await;
}
