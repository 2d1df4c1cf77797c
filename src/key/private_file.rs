//! The private key files of the Handle tools.
//!
//! ```text
//!   0 (4): DES · the key, each block encrypted for itself            tools before version 8
//!   1 (4): not encrypted · kind (string) · then, each as a string:
//!     RSA_PRIVCRT_KEY  modulus · public and private exponent · p · q · exponents of p and q · coefficient
//!     DSA_PRIV_KEY     x · p · q · g
//!   2 (4): DES · initial block (8) · the key, chained                tools before version 8
//!   3 (4): triple DES · salt (string) · rounds (4) · key length in bits (4) · initial block (string) · the key (string)
//!   4 (4): AES, the same
//! ```
//! The key of DES is the beginning of the MD5 of the pass phrase; the others are derived from it (PBKDF2). The tools derive from
//! the bytes of the pass phrase as if they were characters, which doubles each byte that is not ASCII.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use dsa::{SigningKey as DsaKey, VerifyingKey};
use pbkdf2::pbkdf2_hmac;
use rsa::PrivateKey as RsaKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use sha1::Sha1;

use super::KeyError;
use super::digest::DigestAlgorithm;
use super::error::bound;
use super::integer::{integer, integer_within, signed_bytes};
use super::private::{PrivateKey, checked_rsa};
use super::public::{KEY_BYTES_MAX, dsa_domain};
use super::secret::latin;
use super::session::Cipher;
use crate::wire::cursor::{Reader, Writer};
use crate::wire::handle::code::Version;
use crate::wire::handle::key::KeyBlob;

const DES: u32 = 0;
const NOT_ENCRYPTED: u32 = 1;
const DES_CHAINED: u32 = 2;
const PBKDF2_TRIPLE_DES: u32 = 3;
const PBKDF2_AES: u32 = 4;
const RSA: &str = "RSA_PRIVCRT_KEY";
const DSA: &str = "DSA_PRIV_KEY";
/// Bytes of the longest initial block.
const BLOCK_BYTES_MAX: usize = 16;
/// Maximum rounds of key derivation. The bound is generous, since only the owner of the file waits for them.
const ROUNDS_MAX: usize = 10_000_000;

/// Decodes the file, with its pass phrase if it is encrypted.
pub(super) fn decode(data: &[u8], pass_phrase: Option<&[u8]>) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader::new(data);
    let encryption = reader.u32("encryption of private key file")?;
    if encryption == NOT_ENCRYPTED {
        return decode_key(reader.rest());
    }
    let locked = LockedKey::decode(encryption, &mut reader)?;
    let pass_phrase = pass_phrase.ok_or(KeyError::Locked)?;
    locked.unlock(pass_phrase).or_else(|error| match pass_phrase.is_ascii() {
        true => Err(error),
        false => locked.unlock(latin(pass_phrase).as_bytes()),
    })
}

//----------- LockedKey ------------------------------------------------------

/// An encrypted key.
struct LockedKey {
    cipher: Cipher,
    /// The protocol version whose sessions use the cipher in the same way.
    version: Version,
    derivation: KeyDerivation,
    /// Initial block, if the blocks are chained, and encrypted key.
    content: Vec<u8>,
}

/// How the key of the cipher follows from the pass phrase.
enum KeyDerivation {
    Md5,
    Pbkdf2 { salt: Vec<u8>, rounds: u32 },
}

impl LockedKey {
    fn decode(encryption: u32, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        let by_md5 = |version, content: &[u8]| Self {
            cipher: Cipher::Des,
            version,
            derivation: KeyDerivation::Md5,
            content: content.to_vec(),
        };
        match encryption {
            DES => Ok(by_md5(Version::V2_0, reader.rest())),
            DES_CHAINED => Ok(by_md5(Version::V2_4, reader.rest())),
            PBKDF2_TRIPLE_DES => Self::decode_derived(Cipher::TripleDes, reader),
            PBKDF2_AES => Self::decode_derived(Cipher::Aes, reader),
            _ => Err(KeyError::Malformed { wanted: "a private key in PEM, DER or a Handle key file" }),
        }
    }

    fn decode_derived(cipher: Cipher, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        let salt = reader.bytes("salt", KEY_BYTES_MAX)?.to_vec();
        let rounds = reader.u32("rounds of key derivation")?;
        let bits = reader.u32("length of the derived key")?;
        let first = reader.bytes("initial block", BLOCK_BYTES_MAX)?;
        let content = reader.bytes("encrypted key", KEY_BYTES_MAX)?;
        let [count, length] = [rounds, bits].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        bound("number of rounds of key derivation", count, 1, ROUNDS_MAX)?;
        // The tools use the beginning of a longer key.
        bound("length of the derived key in bits", length, 8 * cipher.key_bytes(), 256)?;
        if first.len() != cipher.block_bytes() {
            return Err(KeyError::Malformed { wanted: "an initial block as long as a block of the cipher" });
        }
        let content = [first, content].concat();
        let derivation = KeyDerivation::Pbkdf2 { salt, rounds };
        Ok(Self { cipher, version: Version::V2_4, derivation, content })
    }

    /// Whatever a pass phrase leads to that is no key, the pass phrase does not fit.
    fn unlock(&self, pass_phrase: &[u8]) -> Result<PrivateKey, KeyError> {
        let mut key = vec![0; self.cipher.key_bytes()];
        match &self.derivation {
            KeyDerivation::Md5 => {
                let digest = DigestAlgorithm::Md5.digest(&[pass_phrase]);
                key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
            }
            KeyDerivation::Pbkdf2 { salt, rounds } => {
                pbkdf2_hmac::<Sha1>(pass_phrase, salt, *rounds, &mut key);
            }
        }
        let opened = self.cipher.decrypt(&key, self.version, &self.content);
        opened.and_then(|data| decode_key(&data)).map_err(|_| KeyError::Locked)
    }
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
