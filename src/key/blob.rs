//! The Handle spelling of a public key: HS_PUBKEY data (RFC 3651 section 3.2.6 as clients write it).
//!
//! ```text
//!   kind (string) · flags (2) · then, each as a string:
//!   RSA_PUB_KEY  exponent · modulus, then four zero bytes that CNRI's writer leaves behind
//!   DSA_PUB_KEY  q · p · g · y
//!   DH_PUB_KEY   y · p · g
//!   SM2_PUB_KEY  an X.509 key, in DER or as PEM text
//! ```

use dsa::Components;

use super::integer::signed_bytes;
use super::public::{self, PublicKey};
use super::{KeyError, pem};
use crate::wire::cursor::{Reader, Writer};

/// Bytes of one field: an integer of 16384 bits, or a key as PEM text.
pub(super) const FIELD_BYTES_MAX: usize = 2_049;
/// Bytes of the name of a kind.
pub(super) const KIND_BYTES_MAX: usize = 64;

const RSA: &str = "RSA_PUB_KEY";
const DSA: &str = "DSA_PUB_KEY";
const SM2: &str = "SM2_PUB_KEY";

/// Decodes the blob; what follows it is passed over.
pub(super) fn decode(data: &[u8]) -> Result<PublicKey, KeyError> {
    let mut reader = Reader::new(data);
    let kind = reader.text("kind of key", KIND_BYTES_MAX)?;
    reader.u16("flags of key")?;
    match kind {
        RSA => {
            let [exponent, modulus] = fields(&mut reader)?;
            public::rsa(modulus, exponent)
        }
        DSA => {
            let [q, p, g, y] = fields(&mut reader)?;
            public::dsa(p, q, g, y)
        }
        SM2 => {
            let content = reader.bytes("SM2 key", FIELD_BYTES_MAX)?;
            let key =
                if pem::is_pem(content) { public::parse_pem(content)? } else { public::decode_der(content)? };
            match key {
                PublicKey::Sm2(_) => Ok(key),
                PublicKey::Rsa(_) | PublicKey::Dsa(_) => Err(KeyError::Malformed { wanted: "an SM2 key" }),
            }
        }
        other => Err(KeyError::Unknown { what: "kind of key", found: other.to_owned() }),
    }
}

/// The next `N` fields of a blob.
pub(super) fn fields<'a, const N: usize>(reader: &mut Reader<'a>) -> Result<[&'a [u8]; N], KeyError> {
    let mut fields: [&[u8]; N] = [&[]; N];
    for field in &mut fields {
        *field = reader.bytes("field of key", FIELD_BYTES_MAX)?;
    }
    Ok(fields)
}

/// Encodes a key as a blob, byte for byte as CNRI's writer does.
pub(super) fn encode(key: &PublicKey) -> Vec<u8> {
    match key {
        PublicKey::Rsa(key) => {
            let [exponent, modulus] = public::rsa_numbers(key);
            let mut writer = begin(RSA);
            writer.bytes(&signed_bytes(&exponent)).bytes(&signed_bytes(&modulus)).u32(0);
            writer.into_vec()
        }
        PublicKey::Dsa(key) => {
            let mut writer = begin(DSA);
            dsa_domain(&mut writer, key.components());
            writer.bytes(&signed_bytes(key.y()));
            writer.into_vec()
        }
        PublicKey::Sm2(_) => {
            let mut writer = begin(SM2);
            writer.bytes(&key.to_der());
            writer.into_vec()
        }
    }
}

fn begin(kind: &str) -> Writer {
    let mut writer = Writer::with_capacity(600);
    writer.text(kind).u16(0);
    writer
}

fn dsa_domain(writer: &mut Writer, domain: &Components) {
    for field in [domain.q().as_ref(), domain.p().as_ref(), domain.g().as_ref()] {
        writer.bytes(&signed_bytes(field));
    }
}
