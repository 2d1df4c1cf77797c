//! Keys against what other programs made: CNRI's server and client, and OpenSSL.

mod answers;
mod spellings;

use serde_json::Value;

/// The recorded keys, answers and signatures.
pub(in crate::key) fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/data/key/vectors.json")).expect("the vectors are JSON")
}

pub(in crate::key) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).expect("the vectors hold this text")
}

pub(in crate::key) fn bytes(value: &Value, path: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(value, path).as_bytes()).expect("hexadecimal")
}

pub(in crate::key) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).expect("the vectors hold this list")
}

/// Randomness of the tests: a counter through SHA-256, the same in each run.
pub(in crate::key) fn counting() -> impl Fn(&mut [u8]) {
    let count = std::cell::Cell::new(0_u64);
    move |bytes: &mut [u8]| {
        for chunk in bytes.chunks_mut(32) {
            count.set(count.get() + 1);
            let block = super::digest::DigestAlgorithm::Sha256.digest(&[&count.get().to_be_bytes()]);
            let length = chunk.len();
            chunk.copy_from_slice(&block[..length]);
        }
    }
}
