//! The private key files of the Handle tools.
//!
//! ```text
//!   1 (4): not encrypted · kind (string) · then, each as a string:
//!     RSA_PRIVCRT_KEY  modulus · public and private exponent · p · q · exponents of p and q · coefficient
//!     DSA_PRIV_KEY     x · p · q · g
//!   4 (4): encrypted · salt (string) · rounds (4) · key length in bits (4) · initial block (string) · the same (string)
//! ```

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use dsa::{SigningKey as DsaKey, VerifyingKey};
use pbkdf2::pbkdf2_hmac;
use rsa::PrivateKey as RsaKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use sha1::Sha1;

use super::KeyError;
use super::error::bound;
use super::integer::{integer, integer_within, signed_bytes};
use super::private::{PrivateKey, checked_rsa};
use super::public::{KEY_BYTES_MAX, dsa_domain};
use crate::wire::cursor::{Reader, Writer};
use crate::wire::handle::key::KeyBlob;

const NOT_ENCRYPTED: u32 = 1;
const PBKDF2_AES: u32 = 4;
const RSA: &str = "RSA_PRIVCRT_KEY";
const DSA: &str = "DSA_PRIV_KEY";
/// Bytes of the block and of the key; the tools use the beginning of a longer key.
const BLOCK_BYTES: usize = 16;
/// Maximum rounds of key derivation. The bound is generous, since only the owner of the file waits for them.
const ROUNDS_MAX: usize = 10_000_000;

/// Decodes the file, with its pass phrase if it is encrypted.
pub(super) fn decode(data: &[u8], pass_phrase: Option<&[u8]>) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader::new(data);
    match reader.u32("encryption of private key file")? {
        NOT_ENCRYPTED => decode_key(reader.rest()),
        PBKDF2_AES => decode_key(&decrypt(&mut reader, pass_phrase.ok_or(KeyError::Locked)?)?),
        0 | 2 | 3 => Err(KeyError::Unknown {
            what: "encryption of private key file",
            found: "DES, of old Handle tools".to_owned(),
        }),
        _ => Err(KeyError::Malformed { wanted: "a private key in PEM, DER or a Handle key file" }),
    }
}

fn decrypt(reader: &mut Reader<'_>, pass_phrase: &[u8]) -> Result<Vec<u8>, KeyError> {
    let salt = reader.bytes("salt", KEY_BYTES_MAX)?;
    let rounds = reader.u32("rounds of key derivation")?;
    let bits = reader.u32("length of the derived key")?;
    let first = reader.bytes("initial block", BLOCK_BYTES)?;
    let content = reader.bytes("encrypted key", KEY_BYTES_MAX)?;
    let [count, length] = [rounds, bits].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    bound("number of rounds of key derivation", count, 1, ROUNDS_MAX)?;
    bound("length of the derived key in bits", length, 8 * BLOCK_BYTES, 256)?;
    let mut key = [0; BLOCK_BYTES];
    pbkdf2_hmac::<Sha1>(pass_phrase, salt, rounds, &mut key);
    let cipher = cbc::Decryptor::<Aes128>::new_from_slices(&key, first);
    let cipher = cipher.map_err(|_| KeyError::Malformed { wanted: "an initial block of 16 bytes" })?;
    cipher.decrypt_padded_vec::<Pkcs7>(content).map_err(|_| KeyError::Locked)
}

fn decode_key(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let blob = KeyBlob::decode_private(data)?;
    match (blob.kind, blob.fields.as_slice()) {
        (RSA, [modulus, exponent, private, p, q, ..]) => rsa([modulus, exponent, private, p, q]),
        (DSA, [x, p, q, g, ..]) => dsa(x, p, q, g),
        (RSA | DSA, _) => Err(KeyError::Malformed { wanted: "a private key with all its fields" }),
        (other, _) => Err(KeyError::Unknown { what: "kind of private key", found: other.to_owned() }),
    }
}

/// An RSA key from modulus, public and private exponent, and its two primes.
pub(super) fn rsa([modulus, exponent, private, p, q]: [&[u8]; 5]) -> Result<PrivateKey, KeyError> {
    let primes = vec![integer(p), integer(q)];
    let key = RsaKey::from_components(integer(modulus), integer(exponent), integer(private), primes);
    checked_rsa(key.map_err(|_| KeyError::Malformed { wanted: "the numbers of an RSA private key" })?)
}

/// A DSA key from its secret number and its group.
pub(super) fn dsa(x: &[u8], p: &[u8], q: &[u8], g: &[u8]) -> Result<PrivateKey, KeyError> {
    let wrong = KeyError::Malformed { wanted: "the numbers of a DSA private key" };
    let domain = dsa_domain(p, q, g)?;
    let x = integer_within(x, domain.p().bits_precision()).ok_or(wrong.clone())?;
    let group = BoxedMontyParams::new(domain.p().clone());
    let y = BoxedMontyForm::new(domain.g().as_ref().clone(), &group).pow(&x).retrieve();
    let public = VerifyingKey::from_components(domain, y).map_err(|_| wrong.clone())?;
    let key = DsaKey::from_components(public, x).map_err(|_| wrong)?;
    Ok(PrivateKey::Dsa(Box::new(key)))
}

/// Encodes the file, not encrypted.
pub(super) fn encode(key: &PrivateKey) -> Result<Vec<u8>, KeyError> {
    let (kind, fields) = match key {
        PrivateKey::Rsa(key) => (RSA, rsa_fields(key)?),
        PrivateKey::Dsa(key) => {
            let domain = key.verifying_key().components();
            let numbers = [key.x().as_ref(), domain.p().as_ref(), domain.q().as_ref(), domain.g().as_ref()];
            (DSA, numbers.map(signed_bytes).to_vec())
        }
        PrivateKey::Sm2(_) => return Err(KeyError::Unsuited { key: "SM2", with: "the Handle key file" }),
    };
    let fields = fields.iter().map(Vec::as_slice).collect();
    let mut writer = Writer::with_capacity(1_400);
    writer.u32(NOT_ENCRYPTED).raw(&KeyBlob { kind, flags: 0, fields }.encode_private());
    Ok(writer.into_vec())
}

fn rsa_fields(key: &RsaKey) -> Result<Vec<Vec<u8>>, KeyError> {
    let wrong = KeyError::Malformed { wanted: "an RSA key of two primes" };
    let [p, q] = key.primes() else { return Err(wrong) };
    let (dp, dq) = key.dp().zip(key.dq()).ok_or(wrong.clone())?;
    let coefficient = key.crt_coefficient().ok_or(wrong)?;
    let numbers = [key.n().as_ref(), key.e(), key.d(), p.as_ref(), q.as_ref(), dp, dq, &coefficient];
    Ok(numbers.map(signed_bytes).to_vec())
}
