//! Answers to a challenge with a public key: what clients sign, and how each kind of key signs it.
//!
//! A challenge is the nonce and the request's digest side by side (over HTTP, nonce and client nonce). RSA and DSA keys
//! sign it unchanged. An SM2 key signs its SM3 digest, and SM2 digests that once more, together with the user id, which is
//! the signer's identifier.

use super::digest::DigestAlgorithm;
use super::public::{SM2_USER_DEFAULT, verify_sm2};
use super::{KeyError, PrivateKey, PublicKey, Random};

/// An answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestSignature {
    /// The digest algorithm, as clients name it.
    pub hash: &'static str,
    /// The signature.
    pub signature: Vec<u8>,
}

impl PublicKey {
    /// Verifies an answer to a challenge. The signer is its identifier as the client spells it, without the index.
    pub fn verify_answer(
        &self,
        signer: &str,
        hash_name: &[u8],
        challenge: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        match self {
            Self::Rsa(_) | Self::Dsa(_) => {
                self.verify(DigestAlgorithm::decode_name(hash_name)?, challenge, signature)
            }
            Self::Sm2(key) => verify_sm2_answer(key, signer, challenge, signature),
        }
    }
}

/// Clients differ in the user id and in whether they digest the challenge first; the digest name determines neither.
fn verify_sm2_answer(
    key: &sm2::PublicKey,
    signer: &str,
    challenge: &[u8],
    signature: &[u8],
) -> Result<(), KeyError> {
    let digest = DigestAlgorithm::Sm3.digest(&[challenge]);
    let spellings = [
        (signer, digest.as_slice()),
        (SM2_USER_DEFAULT, digest.as_slice()),
        (signer, challenge),
        (SM2_USER_DEFAULT, challenge),
    ];
    let fits = spellings.iter().any(|(user, message)| verify_sm2(key, user, message, signature).is_ok());
    if fits { Ok(()) } else { Err(KeyError::Wrong) }
}

impl PrivateKey {
    /// Answers a challenge as a current client does.
    pub fn answer(
        &self,
        signer: &str,
        challenge: &[u8],
        random: Random<'_>,
    ) -> Result<DigestSignature, KeyError> {
        match self {
            Self::Rsa(_) => {
                let signature = self.sign(DigestAlgorithm::Sha256, challenge, random)?;
                Ok(DigestSignature { hash: "SHA-256", signature })
            }
            Self::Dsa(_) => {
                let signature = self.sign(DigestAlgorithm::Sha1, challenge, random)?;
                Ok(DigestSignature { hash: "SHA1", signature })
            }
            Self::Sm2(_) => {
                let digest = DigestAlgorithm::Sm3.digest(&[challenge]);
                Ok(DigestSignature { hash: "SM3", signature: self.sign_for(signer, &digest, random)? })
            }
        }
    }
}
