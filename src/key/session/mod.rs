//! Keys of Handle sessions: how client and server agree on one, and how it encrypts and authenticates messages.
//!
//! ```text
//!   mode 4      agreement: each side sends half of a Diffie-Hellman agreement, in a group that the client chose
//!   modes 1, 3  seal: the server makes the key and encrypts it to the client's public key
//!   mode 2      unseal: the client makes the key and encrypts it to the server's public key
//! ```
//! A session's secret has up to 32 bytes. All of it goes into message authentication; the cipher takes as many of its
//! first bytes as it needs. An error that is reported to a peer must not reveal whether a message could be decrypted:
//! padding is not authenticated by itself.

mod agreement;
mod cipher;

use subtle::ConstantTimeEq;

pub use self::agreement::{Agreement, GROUP_BITS_MAX, GROUP_BITS_MIN, PublicNumber};
pub use self::cipher::Cipher;

use rsa::Pkcs1v15Encrypt;
use sm2::pke::{DecryptingKey, EncryptingKey};

use super::digest::DigestAlgorithm;
use super::error::bound;
use super::random::Generator;
use super::secret::hmac_sha256;
use super::{KeyError, PrivateKey, PublicKey, Random};
use crate::wire::handle::body::session::SessionKeyBytes;
use crate::wire::handle::code::Version;

/// Bytes of the longest secret of a session.
pub const SECRET_BYTES_MAX: usize = 32;

/// The key of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    cipher: Cipher,
    secret: Vec<u8>,
}

impl SessionKey {
    /// Creates a key from its bytes: at least as many as the cipher needs, at most 32.
    pub fn new(cipher: Cipher, secret: Vec<u8>) -> Result<Self, KeyError> {
        bound("length of a session key in bytes", secret.len(), cipher.key_bytes(), SECRET_BYTES_MAX)?;
        Ok(Self { cipher, secret })
    }

    /// Generates a key.
    pub fn generate(cipher: Cipher, random: Random<'_>) -> Self {
        let mut secret = vec![0; cipher.key_bytes()];
        random(&mut secret);
        Self { cipher, secret: cipher.with_parity(secret) }
    }

    /// The cipher of the session.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Encrypts a message as peers of this version do; the result includes the random first block, if there is one.
    pub fn encrypt(&self, version: Version, message: &[u8], random: Random<'_>) -> Vec<u8> {
        self.cipher.encrypt(&self.secret, version, message, random)
    }

    /// Decrypts a message.
    pub fn decrypt(&self, version: Version, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.cipher.decrypt(&self.secret, version, data)
    }

    /// The authentication code of the bytes that a credential covers.
    pub fn mac(&self, version: Version, covered: &[u8]) -> Vec<u8> {
        if version >= Version::V2_7 {
            return hmac_sha256(&self.secret, &[covered]);
        }
        DigestAlgorithm::Sha1.digest(&[&self.secret, covered, &self.secret])
    }

    /// Verifies an authentication code, in constant time.
    pub fn verify_mac(&self, version: Version, covered: &[u8], mac: &[u8]) -> Result<(), KeyError> {
        if bool::from(self.mac(version, covered).ct_eq(mac)) { Ok(()) } else { Err(KeyError::Wrong) }
    }

    /// Encrypts this key to a public key: RSA with PKCS#1 v1.5, or SM2.
    pub fn seal(&self, key: &PublicKey, version: Version, random: Random<'_>) -> Result<Vec<u8>, KeyError> {
        let content = if version >= Version::V2_2 {
            SessionKeyBytes { algorithm: self.cipher.code(), key: &self.secret }.encode()
        } else {
            self.secret.clone()
        };
        let sealed = match key {
            PublicKey::Rsa(key) => key.encrypt(&mut Generator(random), Pkcs1v15Encrypt, &content).ok(),
            PublicKey::Sm2(key) => EncryptingKey::new(*key).encrypt(&mut Generator(random), &content).ok(),
            PublicKey::Dsa(_) => return Err(KeyError::Unsuited { key: "DSA", with: "encryption" }),
        };
        sealed.ok_or(KeyError::Malformed { wanted: "a public key that encrypts" })
    }

    /// Decrypts the key that a client encrypted to us. A message that was not encrypted to this key yields an error or,
    /// with RSA, a random key, so that the result reveals nothing.
    pub fn unseal(
        key: &PrivateKey,
        version: Version,
        sealed: &[u8],
        random: Random<'_>,
    ) -> Result<Self, KeyError> {
        let content = match key {
            PrivateKey::Rsa(key) => key.decrypt_blinded(&mut Generator(random), Pkcs1v15Encrypt, sealed).ok(),
            PrivateKey::Sm2(key) => DecryptingKey::new(key.clone()).decrypt(sealed).ok(),
            PrivateKey::Dsa(_) => return Err(KeyError::Unsuited { key: "DSA", with: "decryption" }),
        };
        let content = content.ok_or(KeyError::Wrong)?;
        if version < Version::V2_2 {
            return Self::new(Cipher::Des, content);
        }
        let parts = SessionKeyBytes::decode(&content)?;
        Self::new(Cipher::from_code(parts.algorithm)?, parts.key.to_vec())
    }
}

impl core::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SessionKey({:?}, secret)", self.cipher)
    }
}

#[cfg(test)]
mod tests;
