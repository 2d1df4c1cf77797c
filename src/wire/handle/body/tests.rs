//! Every body decodes to what was encoded, and trailing bytes of clients are ignored.

use super::challenge::{
    Challenge, ChallengeAnswer, RequestDigest, SignedAnswer, Verification, VerifyChallenge,
};
use super::session::{Exchange, ExchangeKey, SessionKeyBytes, SessionReply, SessionSetup};
use super::{
    ErrorText, HandleAndIndexes, HandleAndValues, HandleOnly, Login, Names, Referral, Resolution,
    TransactionId, encode_handle_and_values,
};
use crate::wire::cursor::{DecodeProblem, Reader, Writer};
use crate::wire::handle::code::Version;
use crate::wire::handle::value::WireValue;

const HANDLE: &[u8] = b"88.111.1/test";

fn value() -> WireValue<'static> {
    WireValue {
        index: 1,
        timestamp: 7,
        ttl_kind: 0,
        ttl: 86_400,
        permissions: 0x0e,
        value_type: b"URL",
        data: b"http://a.cn",
        references: Vec::new(),
    }
}

/// Decodes `encoded` with and without trailing bytes; both give `body`.
macro_rules! reads_back {
    ($type:ident, $body:expr) => {{
        let body = $body;
        let encoded = body.encode();
        assert_eq!($type::decode(&encoded), Ok(body.clone()));
        for trailing in 1..=9 {
            let longer = [encoded.as_slice(), &vec![0; trailing]].concat();
            assert_eq!($type::decode(&longer), Ok(body.clone()), "{trailing} bytes behind it");
        }
    }};
}

#[test]
fn the_bodies_of_questions_and_changes_read_back() {
    reads_back!(Resolution, Resolution { handle: HANDLE, indexes: vec![3, 0], types: vec![b"URL", b""] });
    reads_back!(HandleAndValues, HandleAndValues { handle: HANDLE, values: vec![value(), value()] });
    reads_back!(HandleAndIndexes, HandleAndIndexes { handle: HANDLE, indexes: vec![1, 2] });
    reads_back!(HandleOnly, HandleOnly(HANDLE));
    reads_back!(Names, Names(vec![HANDLE, b"88.111.1/two"]));
    reads_back!(Referral, Referral { handle: b"", values: vec![value()] });
    reads_back!(Referral, Referral { handle: HANDLE, values: Vec::new() });
    reads_back!(ErrorText, ErrorText("提示".as_bytes()));
    reads_back!(Login, Login { user: HANDLE, index: 300 });
    reads_back!(TransactionId, TransactionId(1 << 40));
    assert_eq!(ErrorText::decode(&[]), Ok(ErrorText(b"")));
}

#[test]
fn the_bodies_of_proofs_read_back() {
    let digest = RequestDigest { code: RequestDigest::SHA1, digest: &[5; 20] };
    let uncoded = |digest| RequestDigest { code: RequestDigest::UNCODED, digest };
    for digest in [digest, uncoded(&[6; 16]), uncoded(&[6; 32])] {
        let verify = VerifyChallenge { user: HANDLE, index: 301, nonce: &[1; 16], digest, answer: b"x" };
        reads_back!(VerifyChallenge, verify);
    }
    let answer = SignedAnswer { hash: b"SHA-256", signature: &[3; 256] }.encode();
    let kind = ChallengeAnswer::PUBLIC_KEY;
    reads_back!(ChallengeAnswer, ChallengeAnswer { kind, user: HANDLE, index: 300, answer: &answer });
    reads_back!(SignedAnswer, SignedAnswer { hash: b"SM3", signature: b"s" });
    reads_back!(Verification, Verification::Right);
    reads_back!(Verification, Verification::Wrong);
}

#[test]
fn a_challenge_is_laid_out_by_version() {
    for (version, first) in [(Version::V2_10, 3), (Version::V2_4, 2), (Version::V2_0, 0)] {
        let code = RequestDigest::code_of(version);
        let bytes = match code {
            RequestDigest::SHA256 => 32,
            RequestDigest::SHA1 => 20,
            _ => 16,
        };
        let digest = vec![9; bytes];
        let challenge = Challenge { digest: RequestDigest { code, digest: &digest }, nonce: &[8; 16] };
        let encoded = challenge.encode(version);
        assert_eq!(encoded[0], first, "{version}");
        assert_eq!(Challenge::decode(&encoded, version), Ok(challenge));
        assert_eq!(challenge.signed_bytes(), [vec![8; 16], digest.clone()].concat());
    }
    let unknown = Challenge::decode(&[7; 64], Version::V2_10).expect_err("no such digest");
    assert_eq!((unknown.what, unknown.problem), ("request digest code", DecodeProblem::Meaningless));
}

#[test]
fn the_body_proper_stands_behind_the_digest() {
    let digest = RequestDigest { code: RequestDigest::SHA256, digest: &[5; 32] };
    let mut writer = Writer::default();
    digest.encode(&mut writer);
    writer.raw(b"body");
    let bytes = writer.into_vec();
    let mut reader = Reader::new(&bytes);
    assert_eq!(RequestDigest::decode(&mut reader), Ok(digest));
    assert_eq!(reader.rest(), b"body");
}

#[test]
fn the_bodies_of_sessions_read_back() {
    for exchange in [
        Exchange::ClientKey(b"key"),
        Exchange::ServerKey,
        Exchange::KeyInHandle { handle: HANDLE, index: 300 },
        Exchange::DiffieHellman(b"half"),
        Exchange::Unknown(9),
    ] {
        reads_back!(SessionSetup, SessionSetup { timeout: 60, user: HANDLE, index: 300, exchange });
    }
    reads_back!(SessionReply, SessionReply { mode: 4, data: b"half" });
    reads_back!(ExchangeKey, ExchangeKey(b"encrypted"));
    let key = SessionKeyBytes { algorithm: 3, key: b"sixteen" };
    assert_eq!(SessionKeyBytes::decode(&key.encode()), Ok(key));
}

#[test]
fn values_of_the_model_are_encoded_alike() {
    let model = value().to_value().expect("a value");
    let wire = HandleAndValues { handle: HANDLE, values: vec![value(), value()] };
    assert_eq!(encode_handle_and_values(HANDLE, &[model.clone(), model]), wire.encode());
}

#[test]
fn counts_are_no_promises() {
    let blown = [0x7f, 0xff, 0xff, 0xff];
    let body = [&[0, 0, 0, 0][..], &blown].concat();
    assert!(matches!(HandleAndValues::decode(&body), Err(error) if error.what == "values"));
    assert!(matches!(HandleAndIndexes::decode(&body), Err(error) if error.what == "indexes"));
    assert!(matches!(Names::decode(&blown), Err(error) if error.what == "names"));
    assert!(matches!(HandleOnly::decode(&blown), Err(error) if error.what == "handle"));
}
