//! The Handle encoding of a public key: HS_PUBKEY data (RFC 3651 section 3.2.6 as clients write it).
//!
//! ```text
//!   RSA_PUB_KEY  exponent · modulus, then four zero bytes that CNRI's writer leaves behind
//!   DSA_PUB_KEY  q · p · g · y
//!   SM2_PUB_KEY  an X.509 key, in DER or as PEM text
//! ```

use super::integer::signed_bytes;
use super::public::{self, PublicKey};
use super::{KeyError, pem};
use crate::wire::handle::key::KeyBlob;

/// Decodes the blob; further fields are ignored.
pub(super) fn decode(data: &[u8]) -> Result<PublicKey, KeyError> {
    let blob = KeyBlob::decode(data)?;
    match (blob.kind, blob.fields.as_slice()) {
        (KeyBlob::RSA, [exponent, modulus, ..]) => public::rsa(modulus, exponent),
        (KeyBlob::DSA, [q, p, g, y, ..]) => public::dsa(p, q, g, y),
        (KeyBlob::SM2, [content, ..]) => {
            let parse = if pem::is_pem(content) { public::parse_pem } else { public::decode_der };
            match parse(content)? {
                key @ PublicKey::Sm2(_) => Ok(key),
                PublicKey::Rsa(_) | PublicKey::Dsa(_) => Err(KeyError::Malformed { wanted: "an SM2 key" }),
            }
        }
        (KeyBlob::RSA | KeyBlob::DSA | KeyBlob::SM2, _) => {
            Err(KeyError::Malformed { wanted: "a key with all its fields" })
        }
        (other, _) => Err(KeyError::Unknown { what: "kind of key", found: other.to_owned() }),
    }
}

/// Encodes a key as a blob, byte for byte as CNRI's writer does.
pub(super) fn encode(key: &PublicKey) -> Vec<u8> {
    match key {
        PublicKey::Rsa(key) => {
            let [exponent, modulus] = public::rsa_numbers(key).map(|number| signed_bytes(&number));
            encode_fields(KeyBlob::RSA, &[exponent, modulus, Vec::new()])
        }
        PublicKey::Dsa(key) => {
            let domain = key.components();
            let numbers = [domain.q().as_ref(), domain.p().as_ref(), domain.g().as_ref(), key.y().as_ref()];
            encode_fields(KeyBlob::DSA, &numbers.map(signed_bytes))
        }
        PublicKey::Sm2(_) => encode_fields(KeyBlob::SM2, &[key.to_der()]),
    }
}

/// A blob of fields.
pub(super) fn encode_fields(kind: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    let fields = fields.iter().map(Vec::as_slice).collect();
    KeyBlob { kind, flags: 0, fields }.encode()
}
