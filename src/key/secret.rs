//! Answers to a challenge with a secret key (HS_SECKEY): all forms that old and new clients send.
//!
//! ```text
//!   code (1) · the rest
//!   0x22  PBKDF2-HMAC-SHA1: salt (string) · rounds (4) · key length in bits (4) · HMAC-SHA1 of the challenge (string)
//!   0x12, 0x13        HMAC-SHA1, HMAC-SHA256 of the challenge
//!   0x01, 0x02, 0x03  MD5, SHA-1, SHA-256 of secret, challenge, secret
//!   no code, 16 bytes: MD5 as under 0x01
//! ```
//! MD5 is accepted from clients before 2.1 only, which cannot do better; see [`AnswerForms`].
//! In the first form the client chooses the number of rounds; [`ROUNDS_MAX`] bounds it.

use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::digest::DigestAlgorithm;
use super::error::bound;
use super::{KeyError, Random};
use crate::wire::cursor::{Reader, Writer};
use crate::wire::handle::code::Version;

/// Maximum rounds of key derivation that a client may request, over all blocks of the key: ten times the usual number,
/// which takes some tens of milliseconds.
pub const ROUNDS_MAX: usize = 100_000;
/// Bits of the longest derived key.
pub const KEY_BITS_MAX: usize = 4_096;
/// Bytes of the longest salt.
pub const SALT_BYTES_MAX: usize = 1_024;
/// Bytes of the longest answer.
const MAC_BYTES_MAX: usize = 64;
/// Bits that one block of rounds yields.
const BLOCK_BITS: usize = 160;

const USUAL_ROUNDS: u32 = 10_000;
const USUAL_BITS: u32 = 160;

const MD5_CODE: u8 = 0x01;
const SHA1_CODE: u8 = 0x02;
const SHA256_CODE: u8 = 0x03;
const HMAC_SHA1_CODE: u8 = 0x12;
const HMAC_SHA256_CODE: u8 = 0x13;
const PBKDF2_CODE: u8 = 0x22;

//----------- AnswerForms ----------------------------------------------------

/// The forms of answers that are accepted, by the protocol version of the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForms {
    /// Those of clients since 2.1: every form but MD5.
    Current,
    /// Those of clients before 2.1: MD5, too.
    WithMd5,
}

impl AnswerForms {
    /// The forms that answer a challenge of this version.
    pub fn of(version: Version) -> Self {
        if version < Version::V2_1 { Self::WithMd5 } else { Self::Current }
    }

    fn check_md5(self) -> Result<(), KeyError> {
        match self {
            Self::WithMd5 => Ok(()),
            Self::Current => Err(KeyError::Unsuited { key: "secret", with: "MD5" }),
        }
    }
}

//----------- Verifying ------------------------------------------------------

/// Verifies an answer: code byte and data, against the challenge that it answers.
pub fn verify_answer(
    secret: &[u8],
    answer: &[u8],
    challenge: &[u8],
    forms: AnswerForms,
) -> Result<(), KeyError> {
    if secret.is_empty() {
        return Err(KeyError::Malformed { wanted: "a secret key with at least one byte" });
    }
    if answer.len() == DigestAlgorithm::Md5.bytes() {
        forms.check_md5()?;
        return equal(&enclosed(DigestAlgorithm::Md5, secret, challenge), answer);
    }
    let mut reader = Reader::new(answer);
    let code = reader.u8("code of an answer")?;
    let algorithm = match code {
        PBKDF2_CODE => return DerivedAnswer::decode(&mut reader)?.verify(secret, challenge),
        HMAC_SHA1_CODE => return equal(&hmac_sha1(secret, challenge), reader.rest()),
        HMAC_SHA256_CODE => return equal(&hmac_sha256(secret, &[challenge]), reader.rest()),
        MD5_CODE => {
            forms.check_md5()?;
            DigestAlgorithm::Md5
        }
        SHA1_CODE => DigestAlgorithm::Sha1,
        SHA256_CODE => DigestAlgorithm::Sha256,
        other => return Err(unknown_code(other)),
    };
    equal(&enclosed(algorithm, secret, challenge), reader.rest())
}

/// Checks that an answer has a form and a cost that are accepted, whatever the secret key.
pub fn check_answer(answer: &[u8], forms: AnswerForms) -> Result<(), KeyError> {
    if answer.len() == DigestAlgorithm::Md5.bytes() {
        return forms.check_md5();
    }
    let mut reader = Reader::new(answer);
    match reader.u8("code of an answer")? {
        PBKDF2_CODE => DerivedAnswer::decode(&mut reader).map(|_| ()),
        MD5_CODE => forms.check_md5(),
        HMAC_SHA1_CODE | HMAC_SHA256_CODE | SHA1_CODE | SHA256_CODE => Ok(()),
        other => Err(unknown_code(other)),
    }
}

fn unknown_code(code: u8) -> KeyError {
    KeyError::Unknown { what: "code of an answer", found: format!("0x{code:02x}") }
}

/// An answer that was made with a derived key.
struct DerivedAnswer<'a> {
    derivation: Derivation,
    mac: &'a [u8],
}

impl<'a> DerivedAnswer<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, KeyError> {
        let derivation = Derivation {
            salt: reader.bytes("salt", SALT_BYTES_MAX)?.to_vec(),
            rounds: reader.u32("rounds of key derivation")?,
            bits: reader.u32("length of the derived key")?,
        };
        let mac = reader.bytes("answer", MAC_BYTES_MAX)?;
        derivation.check()?;
        Ok(Self { derivation, mac })
    }

    fn verify(&self, secret: &[u8], challenge: &[u8]) -> Result<(), KeyError> {
        let fits = |secret: &[u8]| equal(&hmac_sha1(&self.derivation.derive(secret), challenge), self.mac);
        match fits(secret) {
            Ok(()) => Ok(()),
            // Some clients convert the secret to characters first, which doubles each byte that is not ASCII.
            Err(_) if !secret.is_ascii() => fits(latin(secret).as_bytes()),
            Err(wrong) => Err(wrong),
        }
    }
}

/// The bytes as characters of Latin-1.
pub(super) fn latin(secret: &[u8]) -> String {
    secret.iter().copied().map(char::from).collect()
}

/// Compares in constant time.
fn equal(expected: &[u8], found: &[u8]) -> Result<(), KeyError> {
    if bool::from(expected.ct_eq(found)) { Ok(()) } else { Err(KeyError::Wrong) }
}

/// Compares a password with an HS_SECKEY, in constant time except for the length.
pub fn verify_password(secret: &[u8], password: &[u8]) -> Result<(), KeyError> {
    if secret.is_empty() {
        return Err(KeyError::Malformed { wanted: "a secret key with at least one byte" });
    }
    equal(secret, password)
}

//----------- Derivation -----------------------------------------------------

/// How a client derived the key of its answer: PBKDF2 with HMAC-SHA1 (RFC 8018).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The salt.
    pub salt: Vec<u8>,
    /// Rounds.
    pub rounds: u32,
    /// Length of the key, in bits.
    pub bits: u32,
}

impl Derivation {
    /// Checks the bounds of the work.
    fn check(&self) -> Result<(), KeyError> {
        let [rounds, bits] =
            [self.rounds, self.bits].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        bound("length of the derived key in bits", bits, 8, KEY_BITS_MAX)?;
        if !bits.is_multiple_of(8) {
            return Err(KeyError::Malformed { wanted: "a derived key of whole bytes" });
        }
        bound("number of rounds of key derivation", rounds, 1, ROUNDS_MAX / bits.div_ceil(BLOCK_BITS))
    }

    fn derive(&self, secret: &[u8]) -> Vec<u8> {
        let bytes = usize::try_from(self.bits / 8).unwrap_or_default();
        let mut key = vec![0; bytes];
        pbkdf2_hmac::<Sha1>(secret, &self.salt, self.rounds, &mut key);
        key
    }
}

//----------- Answering ------------------------------------------------------

/// Answers a challenge as a current client does: with a derived key.
pub fn answer(secret: &[u8], challenge: &[u8], random: Random<'_>) -> Vec<u8> {
    let mut salt = vec![0; 16];
    random(&mut salt);
    let derivation = Derivation { salt, rounds: USUAL_ROUNDS, bits: USUAL_BITS };
    let mac = hmac_sha1(&derivation.derive(secret), challenge);
    derived_answer(&derivation, &mac)
}

/// Converts an answer received over HTTP, with the name of its algorithm, into the form that [`verify_answer`] expects.
pub fn named_answer(name: &str, mac: &[u8], derivation: Option<&Derivation>) -> Result<Vec<u8>, KeyError> {
    let plain: String =
        name.chars().filter(|c| *c != '-' && *c != '_').collect::<String>().to_ascii_uppercase();
    let code = match (plain.as_str(), derivation) {
        ("PBKDF2HMACSHA1" | "PBKDF2WITHHMACSHA1", Some(derivation)) => {
            return Ok(derived_answer(derivation, mac));
        }
        ("PBKDF2HMACSHA1" | "PBKDF2WITHHMACSHA1", None) => {
            return Err(KeyError::Malformed { wanted: "an answer with its salt, iterations and length" });
        }
        ("HMACSHA1", _) => HMAC_SHA1_CODE,
        ("HMACSHA256", _) => HMAC_SHA256_CODE,
        // Clients of HTTP are all newer than MD5.
        ("MD5", _) => return Err(KeyError::Unsuited { key: "secret", with: "MD5" }),
        ("SHA1" | "SHA", _) => SHA1_CODE,
        ("SHA256", _) => SHA256_CODE,
        _ => {
            let found = name.chars().take(32).collect();
            return Err(KeyError::Unknown { what: "algorithm of an answer", found });
        }
    };
    Ok([&[code], mac].concat())
}

fn derived_answer(derivation: &Derivation, mac: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    writer.u8(PBKDF2_CODE).bytes(&derivation.salt).u32(derivation.rounds).u32(derivation.bits).bytes(mac);
    writer.into_vec()
}

//----------- Codes of authentication ----------------------------------------

/// The digest of secret, challenge, secret.
fn enclosed(algorithm: DigestAlgorithm, secret: &[u8], challenge: &[u8]) -> Vec<u8> {
    algorithm.digest(&[secret, challenge, secret])
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// HMAC-SHA256 over concatenated parts.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests;
