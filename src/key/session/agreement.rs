//! The Diffie-Hellman agreement of a session (RFC 2631 without its key derivation).
//!
//! The client chooses the group and sends its half; we send ours in the same group. The client's numbers are checked
//! before any computation: the size of the group, which bounds our work, and the ranges, so that no value can force the
//! secret.

use core::fmt;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::{Cipher, SECRET_BYTES_MAX, SessionKey};
use crate::key::blob::encode_fields;
use crate::key::error::bound;
use crate::key::integer::{integer, integer_within, signed_bytes};
use crate::key::{KeyError, Random};
use crate::wire::handle::key::KeyBlob;

/// Bits of the smallest group.
pub const GROUP_BITS_MIN: usize = 512;
/// Bits of the largest group.
pub const GROUP_BITS_MAX: usize = 4_096;
/// Bytes of our secret exponent: twice the security level of the largest group, and cheaper than a full-size one.
const EXPONENT_BYTES: usize = 48;
const EXPONENT_BITS: u32 = 384;

/// One side of an agreement: a group, and a secret exponent in it.
pub struct Agreement {
    modulus: Odd<BoxedUint>,
    generator: BoxedUint,
    exponent: BoxedUint,
}

impl Agreement {
    /// Joins the agreement that the other side began, in its group: our side, and the other's public number.
    pub fn join(half: &[u8], random: Random<'_>) -> Result<(Self, PublicNumber), KeyError> {
        let blob = KeyBlob::decode(half)?;
        let (KeyBlob::DIFFIE_HELLMAN, [y, p, g, ..]) = (blob.kind, blob.fields.as_slice()) else {
            return Err(KeyError::Malformed { wanted: "half of a Diffie-Hellman agreement (DH_PUB_KEY)" });
        };
        let side = Self::begin(p, g, random)?;
        let peer = PublicNumber(
            side.member(y).ok_or(KeyError::Malformed { wanted: "a public number of the group" })?,
        );
        Ok((side, peer))
    }

    /// Begins an agreement in a group: its modulus and generator, big-endian.
    pub fn begin(modulus: &[u8], generator: &[u8], random: Random<'_>) -> Result<Self, KeyError> {
        let wrong = KeyError::Malformed { wanted: "a Diffie-Hellman group" };
        let modulus = integer(modulus);
        let bits = usize::try_from(modulus.bit_width_vartime()).unwrap_or(usize::MAX);
        bound("size of a Diffie-Hellman group in bits", bits, GROUP_BITS_MIN, GROUP_BITS_MAX)?;
        let modulus = Odd::new(modulus).into_option().ok_or(wrong.clone())?;
        let mut secret = [0; EXPONENT_BYTES];
        random(&mut secret);
        let exponent = integer_within(&secret, EXPONENT_BITS).ok_or(wrong.clone())?;
        let mut side = Self { modulus, generator: BoxedUint::one(), exponent };
        side.generator = side.member(generator).ok_or(wrong)?;
        Ok(side)
    }

    /// Our public number in the encoding of the protocol.
    pub fn half(&self) -> Vec<u8> {
        let numbers = [&self.power(&self.generator), self.modulus.as_ref(), &self.generator];
        encode_fields(KeyBlob::DIFFIE_HELLMAN, &numbers.map(signed_bytes))
    }

    /// The other side's answer to [`Self::begin`].
    pub fn peer(&self, half: &[u8]) -> Result<PublicNumber, KeyError> {
        let wrong = KeyError::Malformed { wanted: "the other half of this Diffie-Hellman agreement" };
        let blob = KeyBlob::decode(half)?;
        let (KeyBlob::DIFFIE_HELLMAN, [y, p, _, ..]) = (blob.kind, blob.fields.as_slice()) else {
            return Err(wrong);
        };
        if integer(p) != *self.modulus.as_ref() {
            return Err(wrong);
        }
        self.member(y).map(PublicNumber).ok_or(wrong)
    }

    /// The shared key.
    ///
    /// Clients use the bytes of the shared number unchanged. For AES they skip leading zeros while more than 32 bytes
    /// remain; for DES they do not.
    pub fn key(&self, peer: &PublicNumber, cipher: Cipher) -> Result<SessionKey, KeyError> {
        let shared = self.power(&peer.0);
        if !self.inside(&shared) {
            return Err(KeyError::Malformed { wanted: "a public number that does not reveal the secret" });
        }
        let width = usize::try_from(self.modulus.bit_width_vartime().div_ceil(8)).unwrap_or_default();
        let bytes = shared.to_be_bytes();
        let padded = bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default();
        let secret = match cipher {
            Cipher::Aes | Cipher::Sm4 => {
                let zeros = padded.iter().take_while(|byte| **byte == 0).count();
                let start = zeros.min(padded.len().saturating_sub(SECRET_BYTES_MAX));
                padded.iter().skip(start).take(SECRET_BYTES_MAX).copied().collect()
            }
            Cipher::Des | Cipher::TripleDes => padded.iter().take(cipher.key_bytes()).copied().collect(),
        };
        SessionKey::new(cipher, cipher.with_parity(secret))
    }

    /// A number between 1 and the modulus less 1, both excluded, at the precision of the group.
    fn member(&self, bytes: &[u8]) -> Option<BoxedUint> {
        integer_within(bytes, self.modulus.bits_precision()).filter(|number| self.inside(number))
    }

    fn inside(&self, number: &BoxedUint) -> bool {
        let one = BoxedUint::one_with_precision(self.modulus.bits_precision());
        let last = self.modulus.as_ref().wrapping_sub(&one);
        *number > one && *number < last
    }

    fn power(&self, base: &BoxedUint) -> BoxedUint {
        let group = BoxedMontyParams::new(self.modulus.clone());
        BoxedMontyForm::new(base.clone(), &group).pow(&self.exponent).retrieve()
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agreement({} bits, secret)", self.modulus.bit_width_vartime())
    }
}

/// The other side's public number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicNumber(BoxedUint);
