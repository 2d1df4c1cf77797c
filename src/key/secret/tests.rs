//! Answers with a secret key: the forms, computed independently with Python's hashlib, and the bounds.

use super::{AnswerForms, Derivation, answer, named_answer, verify_password};
use crate::key::KeyError;
use crate::wire::cursor::Writer;
use crate::wire::handle::code::Version;

const SECRET: &[u8] = b"secret";

/// Verifies an answer of a client since 2.1.
fn verify_answer(secret: &[u8], answer: &[u8], challenge: &[u8]) -> Result<(), KeyError> {
    super::verify_answer(secret, answer, challenge, AnswerForms::Current)
}

/// Nonce 00 to 0f, and the digest of a request.
fn challenge() -> Vec<u8> {
    unhex("000102030405060708090a0b0c0d0e0f4a7a170864bcc85b2bbac8d34d51703720e37f9086b5ea97a021080f24cce42b")
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

#[test]
fn every_form_of_answer_verifies() {
    let forms = [
        "2200000010101112131415161718191a1b1c1d1e1f00002710000000a000000014\
         3242647943faf3d018584eb6c3050f0341df17e6",
        "02798e2423e56c5ed461044aae2bad30f9222b6091",
        "1334883bfb4985a64dfbadd60f745c91e975bed5aeb7746ab6f390158b3dad2c80",
    ];
    for form in forms {
        let data = unhex(form);
        assert_eq!(verify_answer(SECRET, &data, &challenge()), Ok(()), "{form}");
        assert_eq!(verify_answer(b"Secret", &data, &challenge()), Err(KeyError::Wrong), "{form}");
        assert_eq!(verify_answer(SECRET, &data, b"another"), Err(KeyError::Wrong), "{form}");
        for length in 0..data.len() {
            assert!(verify_answer(SECRET, &data[..length], &challenge()).is_err(), "{form} cut at {length}");
        }
    }
}

#[test]
fn the_other_digests_verify_with_and_without_a_code() {
    use super::{DigestAlgorithm, enclosed, hmac_sha1};
    let md5 = enclosed(DigestAlgorithm::Md5, SECRET, &challenge());
    for form in [md5.clone(), [&[1], md5.as_slice()].concat()] {
        let old = super::verify_answer(SECRET, &form, &challenge(), AnswerForms::of(Version::V2_0));
        assert_eq!(old, Ok(()), "of a client that cannot do better");
        let unsuited = KeyError::Unsuited { key: "secret", with: "MD5" };
        for version in [Version::V2_1, Version::V2_7, Version::V2_11] {
            let forms = AnswerForms::of(version);
            let newer = super::verify_answer(SECRET, &form, &challenge(), forms);
            assert_eq!(newer, Err(unsuited.clone()), "{version}");
            assert_eq!(super::check_answer(&form, forms), Err(unsuited.clone()), "{version}");
        }
    }
    assert!(named_answer("MD5", &md5, None).is_err(), "no client of HTTP is that old");
    let sha256 = enclosed(DigestAlgorithm::Sha256, SECRET, &challenge());
    assert_eq!(verify_answer(SECRET, &[&[3], sha256.as_slice()].concat(), &challenge()), Ok(()));
    let hmac = hmac_sha1(SECRET, &challenge());
    assert_eq!(verify_answer(SECRET, &[&[0x12], hmac.as_slice()].concat(), &challenge()), Ok(()));
    let unknown = KeyError::Unknown { what: "code of an answer", found: "0x77".to_owned() };
    assert_eq!(verify_answer(SECRET, &[0x77, 1], &challenge()), Err(unknown));
}

#[test]
fn an_empty_secret_proves_nothing() {
    let made = answer(b"", &challenge(), &|bytes| bytes.fill(7));
    let wanted = "a secret key with at least one byte";
    assert_eq!(verify_answer(b"", &made, &challenge()), Err(KeyError::Malformed { wanted }));
    assert_eq!(verify_password(b"", b""), Err(KeyError::Malformed { wanted }));
    assert_eq!(verify_password(b"abc", b"abc"), Ok(()));
    assert_eq!(verify_password(b"abc", b"abcd"), Err(KeyError::Wrong));
}

#[test]
fn the_work_that_a_client_asks_for_is_bounded() {
    let ask = |rounds, bits| {
        let mut writer = Writer::default();
        writer.u8(0x22).bytes(&[1; 16]).u32(rounds).u32(bits).bytes(&[0; 20]);
        verify_answer(SECRET, writer.as_slice(), &challenge())
    };
    let rounds =
        |found, max| KeyError::OutOfBounds { what: "number of rounds of key derivation", found, min: 1, max };
    assert_eq!(ask(1, 160), Err(KeyError::Wrong));
    assert_eq!(ask(0, 160), Err(rounds(0, 100_000)));
    assert_eq!(ask(100_001, 160), Err(rounds(100_001, 100_000)));
    assert_eq!(ask(u32::MAX, 8), Err(rounds(4_294_967_295, 100_000)));
    assert_eq!(ask(10_000, 4_096), Err(rounds(10_000, 3_846)));
    assert_eq!(ask(1, 12), Err(KeyError::Malformed { wanted: "a derived key of whole bytes" }));
    let bits =
        KeyError::OutOfBounds { what: "length of the derived key in bits", found: 4_104, min: 8, max: 4_096 };
    assert_eq!(ask(1, 4_104), Err(bits));
}

#[test]
fn answers_over_http_name_their_algorithm() {
    let derivation =
        Derivation { salt: unhex("101112131415161718191a1b1c1d1e1f"), rounds: 10_000, bits: 160 };
    let mac = unhex("3242647943faf3d018584eb6c3050f0341df17e6");
    let data = named_answer("PBKDF2-HMAC-SHA1", &mac, Some(&derivation)).expect("an answer");
    assert_eq!(verify_answer(SECRET, &data, &challenge()), Ok(()));
    let mac = unhex("34883bfb4985a64dfbadd60f745c91e975bed5aeb7746ab6f390158b3dad2c80");
    let data = named_answer("HMAC-SHA256", &mac, None).expect("an answer");
    assert_eq!(verify_answer(SECRET, &data, &challenge()), Ok(()));
    assert!(named_answer("PBKDF2-HMAC-SHA1", &mac, None).is_err());
    assert!(named_answer("CRC32", &mac, None).is_err());
}

#[test]
fn a_secret_beyond_ascii_verifies_as_bytes_and_as_characters() {
    let secret = [0xe9, 0x80, b'a'];
    let made = answer(&secret, &challenge(), &|bytes| bytes.fill(7));
    assert_eq!(verify_answer(&secret, &made, &challenge()), Ok(()));
    let characters = answer("\u{e9}\u{80}a".as_bytes(), &challenge(), &|bytes| bytes.fill(7));
    assert_eq!(verify_answer(&secret, &characters, &challenge()), Ok(()));
}
